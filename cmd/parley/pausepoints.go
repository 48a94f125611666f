//go:build steppedclock

package main

import (
	"context"
	"os"
	"syscall"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/mongo"
)

// pausing is a MongoDB store of a server that is built for tests. It has the process stand
// still before or after an append, once, when the file that the environment variable
// PAUSE_POINT names says so: "before" is after the ids were minted, "after" is before the
// events are told.
type pausing struct{ *mongo.Store }

// withPausePoints puts the pause points around a store.
func withPausePoints(s chat.Store) chat.Store {
	if m, ok := s.(*mongo.Store); ok && os.Getenv("PAUSE_POINT") != "" {
		return pausing{m}
	}
	return s
}

// Append implements [chat.LogStore].
func (s pausing) Append(ctx context.Context, head chat.Head, events []chat.Event) (int, error) {
	pauseAt("before")
	n, err := s.Store.Append(ctx, head, events)
	pauseAt("after")
	return n, err
}

func pauseAt(point string) {
	file := os.Getenv("PAUSE_POINT")
	if wanted, err := os.ReadFile(file); err == nil && string(wanted) == point && os.Remove(file) == nil {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	}
}
