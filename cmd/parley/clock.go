//go:build !steppedclock

package main

import "time"

// clock is the wall clock. Tests build the server with another, which they can set: see
// steppedclock.go.
func clock() func() time.Time { return time.Now }
