package pebble

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
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

// fatalCommit begins the message of a commit that failed because an earlier write did.
const fatalCommit = "pebble: fatal commit error"

// Fatalf ends the process, but for a commit that failed: the caller of that recovers. Pebble
// calls it when it cannot write its manifest or finds itself inconsistent, and would go on in an undefined state if it returned. The next
// start reads what is on disk.
func (l logger) Fatalf(format string, args ...any) {
	if strings.HasPrefix(format, fatalCommit) {
		for _, arg := range args {
			if err, ok := arg.(error); ok {
				panic(err)
			}
		}
	}
	l.log.Error("pebble cannot go on", "message", fmt.Sprintf(format, args...))
	os.Exit(1)
}
