//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFiles is the limit of open files of this process.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}

// keepFilesPrivate has every file and directory that this process makes be its user's alone.
func keepFilesPrivate() { syscall.Umask(0o077) }
