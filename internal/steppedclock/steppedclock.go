// Package steppedclock is a wall clock that tests set. It does to the times that a program
// reads what setting the clock of a machine does: their wall clock readings jump, and their
// monotonic ones do not.
package steppedclock

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Clock is a clock that was set. The zero value is the machine's.
type Clock struct {
	by *atomic.Int64
}

// New makes a clock of this process alone.
func New() Clock { return Clock{new(atomic.Int64)} }

// Set sets the clock so far ahead of the machine's, or behind it.
func (c Clock) Set(by time.Duration) { c.by.Store(int64(by)) }

// Now reads the clock.
func (c Clock) Now() time.Time {
	if c.by == nil {
		return time.Now()
	}
	return step(time.Now(), time.Duration(c.by.Load()))
}

// step sets the wall clock reading of a time forward. [time.Time.Add] does that to both
// readings, so the monotonic one is set back again.
func step(t time.Time, by time.Duration) time.Time {
	stepped := t.Add(by)
	(*struct {
		wall uint64
		ext  int64 // with a monotonic reading, that is what is in here
		loc  *time.Location
	})(unsafe.Pointer(&stepped)).ext -= int64(by)
	if stepped.Sub(t) != 0 || !stepped.Round(0).Equal(t.Round(0).Add(by)) {
		panic("package time has changed how a time is stored")
	}
	return stepped
}

// Open gives the clock in a file of [Write]: what is written there later sets it.
func Open(name string) (Clock, error) {
	f, err := os.Open(name)
	if err != nil {
		return Clock{}, err
	}
	defer f.Close()
	shared, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return Clock{}, fmt.Errorf("map the clock of %s: %w", name, err)
	}
	return Clock{(*atomic.Int64)(unsafe.Pointer(&shared[0]))}, nil
}

// Write sets the clock in a file for all who have it open, and makes the file if it is not
// there.
func Write(name string, by time.Duration) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by)), 0); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
