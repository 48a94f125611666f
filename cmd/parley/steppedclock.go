//go:build steppedclock

package main

import (
	"os"
	"time"

	"github.com/parleyhq/parley/internal/steppedclock"
)

// clock is the wall clock of a server that is built for tests: the environment variable
// STEPPED_CLOCK names the file in which they set it.
func clock() func() time.Time {
	c, err := steppedclock.Open(os.Getenv("STEPPED_CLOCK"))
	if err != nil {
		panic(err)
	}
	return c.Now
}
