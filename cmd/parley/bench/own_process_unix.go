//go:build linux || darwin

package bench

import (
	"fmt"
	"syscall"
	"time"
)

// spareFiles is what a process needs besides its connections.
const spareFiles = 64

// allowConnections raises the limit of open files, if it is too low for that many
// connections.
func allowConnections(n int) error {
	need := uint64(n + spareFiles)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur >= need {
		return nil
	}
	hard := limit.Max
	limit.Cur = limit.Max
	if hard < need { // a privileged process may raise this one too
		limit.Cur, limit.Max = need, need
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d connections need %d open files, the limit is %d: raise it with ulimit -n", n, need, hard)
	}
	return nil
}

// ownCPU is the CPU time that this process has used, in seconds.
func ownCPU() float64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
}
