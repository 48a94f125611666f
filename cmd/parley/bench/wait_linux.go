package bench

import (
	"syscall"
	"time"
)

// waitUntil sleeps in the kernel: the runtime's own timers come up to a
// millisecond late on an idle machine, which would count as the server's.
func waitUntil(at time.Time) {
	for d := time.Until(at); d > 0; d = time.Until(at) {
		t := syscall.NsecToTimespec(int64(min(d, time.Second)))
		_ = syscall.Nanosleep(&t, nil) // interrupted: the loop goes on
	}
}
