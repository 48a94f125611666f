//go:build !linux

package bench

import "time"

// waitUntil sleeps until then.
func waitUntil(at time.Time) { time.Sleep(time.Until(at)) }
