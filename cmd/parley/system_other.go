//go:build !unix

package main

import "math"

// openFiles is the limit of open files of this process: this system tells none.
func openFiles() int { return math.MaxInt32 }

// keepFilesPrivate does nothing: this system has no modes of files.
func keepFilesPrivate() {}
