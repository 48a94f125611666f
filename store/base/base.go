// Package base is what every store begins with: the defaults of its options, and the
// check of the format of what it finds.
package base

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Defaults sets those of a store's common options that are zero: the idempotency
// window to that of chat.DefaultLimits, now to time.Now, log to a silent one.
func Defaults(idempotencyWindow *time.Duration, now *func() time.Time, log **slog.Logger) {
	*idempotencyWindow = cmp.Or(*idempotencyWindow, chat.DefaultLimits.IdempotencyWindow)
	*log = cmp.Or(*log, slog.New(slog.DiscardHandler))
	if *now == nil {
		*now = time.Now
	}
}

// CheckFormat refuses a store whose format is not the one that this build writes. Zero
// is that of no store.
func CheckFormat(stored, written int64) error {
	switch {
	case stored <= 0:
		return errors.New("the format version is unreadable")
	case stored > written:
		return fmt.Errorf("it has format %d and this build knows up to %d: it was written by a newer version", stored, written)
	case stored < written:
		return fmt.Errorf("it has format %d and this build knows only %d: it was written by a build before the first release and is of no use to this one",
			stored, written)
	}
	return nil
}
