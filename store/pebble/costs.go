package pebble

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// costs counts the reads and writes that calls make in the database, for the test of
// what each call may cost. A nil *costs, as outside of tests, counts nothing.
type costs struct {
	commits  atomic.Int64 // synced batches
	unsynced atomic.Int64 // writes that wait for no sync
	keys     atomic.Int64 // written by either
	bytes    atomic.Int64 // of the batches of synced commits
	gets     atomic.Int64 // keys asked for one by one
	ranges   atomic.Int64 // iterators opened
	steps    atomic.Int64 // keys such an iterator was moved to
}

func (c *costs) commit(b *pebble.Batch) {
	if c != nil {
		c.commits.Add(1)
		c.bytes.Add(int64(b.Len()))
		c.keys.Add(int64(b.Count()))
	}
}

func (c *costs) write(b *pebble.Batch) {
	if c != nil {
		c.unsynced.Add(1)
		c.keys.Add(int64(b.Count()))
	}
}

func (c *costs) get() {
	if c != nil {
		c.gets.Add(1)
	}
}

func (c *costs) open() {
	if c != nil {
		c.ranges.Add(1)
	}
}

func (c *costs) step() {
	if c != nil {
		c.steps.Add(1)
	}
}
