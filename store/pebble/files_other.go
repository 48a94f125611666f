//go:build !linux && !darwin

package pebble

// freeFiles tells nothing here.
func freeFiles(string) (free, total uint64) { return 0, 0 }
