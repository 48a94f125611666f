//go:build linux || darwin

package pebble

import "syscall"

// freeFiles tells how many files a directory's disk can still make, and how many it can hold;
// zeros where the system does not say.
func freeFiles(dir string) (free, total uint64) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0, 0
	}
	return s.Ffree, s.Files
}
