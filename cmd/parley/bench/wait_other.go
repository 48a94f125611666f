//go:build !linux

package bench

import "time"

// waitUntil sleeps.
func waitUntil(at time.Time) { time.Sleep(time.Until(at)) }
