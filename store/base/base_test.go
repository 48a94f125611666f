package base

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func TestFormatsThatCanBeReadAreAccepted(t *testing.T) {
	for stored, want := range map[int64]string{
		-1: "unreadable", 0: "unreadable", 2: "before the first release", 3: "", 4: "", 5: "newer version",
	} {
		switch err := CheckFormat(stored, 3, 4); {
		case want == "" && err != nil:
			t.Errorf("format %d is refused: %v", stored, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("format %d: %v, want an error with %q", stored, err, want)
		}
	}
}

func TestDefaultsKeepWhatIsSet(t *testing.T) {
	var window time.Duration
	var now func() time.Time
	var log *slog.Logger
	Defaults(&window, &now, &log)
	if window != chat.DefaultLimits.IdempotencyWindow || now == nil || log == nil {
		t.Errorf("defaults: %v, now is set: %v, log is set: %v", window, now != nil, log != nil)
	}
	window, set := time.Second, log
	now = func() time.Time { return time.Time{} }
	Defaults(&window, &now, &log)
	if window != time.Second || !now().IsZero() || log != set {
		t.Error("what was set is replaced")
	}
}
