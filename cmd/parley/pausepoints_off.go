//go:build !steppedclock

package main

import "github.com/parleyhq/parley/chat"

// withPausePoints is for tests, which build another server: see pausepoints.go.
func withPausePoints(s chat.Store) chat.Store { return s }
