package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go keeps what a burst has used, such as ten thousand handshakes at once, for the
// next one: up to the size of what lives, and for as long as nothing happens. A server
// whose connections are mostly idle gives that back once it is quiet.
const (
	quietEvery = time.Second
	quietBytes = 1 << 20  // allocated in that time, at most
	worthBytes = 16 << 20 // allocated since the last time, at least, and a fourth of what lives
)

// giveBackMemory does so until ctx ends. An operator who sets GOGC has the collector
// run as he says.
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

// quiet judges when there is something to give back.
type quiet struct {
	before uint64 // allocated until the last look
	given  uint64 // allocated until memory was given back
}

// worth is told what was allocated in all and what lived after the last collection.
func (q *quiet) worth(allocated, live uint64) bool {
	isQuiet := allocated-q.before < quietBytes
	q.before = allocated
	if !isQuiet || allocated-q.given < max(worthBytes, live/4) {
		return false
	}
	q.given = allocated
	return true
}
