package pebble

import (
	"fmt"
	"log/slog"
	"os"
)

// logger sends Pebble's messages to slog. Pebble's information (each flush and
// compaction) is logged at the level of debugging.
type logger struct{ log *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	l.log.Debug("pebble", "message", fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf ends the process. Pebble calls it when it cannot write its manifest or finds
// itself inconsistent, and would go on in an undefined state if it returned. The next
// start reads what is on disk.
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("pebble cannot go on", "message", fmt.Sprintf(format, args...))
	os.Exit(1)
}
