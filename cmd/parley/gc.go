package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector's pace. Go's own lets the heap double between two rounds,
// which has a server of few connections collect its few megabytes many times a second.
// So a small heap is given room of a fixed size; from that size on it is as Go does.
const (
	heapRoom   = 64 << 20
	usualPace  = 100 // percent of the live heap
	slowestGC  = 1600
	paceEvery  = 2 * time.Second
	liveMetric = "/gc/heap/live:bytes"
)

// paceGC keeps the collector's pace until ctx ends. An operator who sets GOGC has it
// as he says; GOMEMLIMIT holds in any case.
func paceGC(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: liveMetric}}
	ticker := time.NewTicker(paceEvery)
	defer ticker.Stop()
	for pace := usualPace; ; {
		metrics.Read(live)
		if due := gcPercent(live[0].Value.Uint64()); due > pace+pace/4 || due < pace-pace/4 {
			pace = due
			debug.SetGCPercent(pace)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// gcPercent is how much of the live heap may come on top of it.
func gcPercent(live uint64) int {
	if live == 0 {
		return usualPace // nothing was collected yet
	}
	return int(min(max(heapRoom*100/live, usualPace), slowestGC))
}
