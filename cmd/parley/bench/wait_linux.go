package bench

import (
	"syscall"
	"time"
)

// waitUntil sleeps in the kernel. The timers of Go's runtime fire up to a millisecond late
// on an idle machine, and that delay would count as the server's.
func waitUntil(at time.Time) {
	for d := time.Until(at); d > 0; d = time.Until(at) {
		t := syscall.NsecToTimespec(int64(min(d, time.Second)))
		_ = syscall.Nanosleep(&t, nil) // an error means that it was interrupted, and the loop goes on
	}
}
