package pebble

import (
	"fmt"
	"log/slog"
	"os"
)

// logger sends Pebble's messages to slog. What it calls information (each flush
// and compaction) is debug to us.
type logger struct{ log *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	l.log.Debug("pebble", "message", fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf ends the process, as Pebble relies on: it calls this when it cannot
// write its manifest or finds itself inconsistent, and goes on in an undefined
// state if the call returns. The restart reads what is on disk.
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("pebble cannot go on", "message", fmt.Sprintf(format, args...))
	os.Exit(1)
}
