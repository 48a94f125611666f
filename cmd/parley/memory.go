package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a burst, such as ten thousand handshakes at once, Go keeps the memory that the burst
// has used: as much as the live heap has, and for as long as nothing is allocated. A server
// with mostly idle connections gives it back to the system once it is quiet: after a second
// in which it allocated little, if it has allocated much since it last gave memory back.
const (
	quietEvery = time.Second
	quietBytes = 1 << 20  // the most that is allocated in a quiet second
	worthBytes = 16 << 20 // the least that was allocated since memory was given back; a fourth of the live heap if that is more
)

// giveBackMemory gives memory back until ctx ends. It does nothing if the operator has set
// GOGC, which says how the collector should run.
func giveBackMemory(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	var q quiet
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	ticker := time.NewTicker(quietEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(sample)
		if q.worth(sample[0].Value.Uint64(), sample[1].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// quiet decides when memory is given back. Its fields count bytes allocated since the start.
type quiet struct {
	before uint64 // until the last call of worth
	given  uint64 // until memory was last given back
}

// worth reports whether it is worth giving memory back now. It is told how many bytes were
// allocated since the start, and how many were live after the last collection.
func (q *quiet) worth(allocated, live uint64) bool {
	isQuiet := allocated-q.before < quietBytes
	q.before = allocated
	if !isQuiet || allocated-q.given < max(worthBytes, live/4) {
		return false
	}
	q.given = allocated
	return true
}
