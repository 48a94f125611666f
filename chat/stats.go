package chat

import (
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/internal/measure"
)

// Stats are figures for operators.
type Stats struct {
	// SendToAck is the time from the begin of a send to its commit, of new messages.
	SendToAck *measure.Histogram
	// Commits is the time that the store took for an append that succeeded.
	Commits *measure.Histogram
	// AppendErrors counts appends that the store failed to make.
	AppendErrors atomic.Int64
}

// RateLimited calls yield with each kind of limit and how often something was refused, or
// dropped, by it.
func (s *Service) RateLimited(yield func(kind string, n int64)) {
	yield(RateOfWrites, s.rates.writes.refused.Load())
	yield(RateOfReads, s.rates.reads.refused.Load())
	yield(RateOfSystem, s.rates.system.refused.Load())
	yield("prekeys", s.prekeyFetches.refused.Load())
	yield("prekeys_of_one", s.prekeyFetchesOf.refused.Load())
	yield("prekeys_of_thread", s.groupFetches.refused.Load())
	yield("device_lists", s.deviceLists.refused.Load())
	yield("strangers", s.strangersRefused.Load())
	yield("devices", s.deviceNews.refused.Load())
	yield("typing", s.typings.refused.Load())
	yield("signals", s.signals.refused.Load())
}

// Stats gives the figures, which go on changing.
func (s *Service) Stats() *Stats { return s.stats }

func newStats() *Stats {
	return &Stats{
		SendToAck: measure.NewTimes(latencyBuckets...),
		Commits:   measure.NewTimes(latencyBuckets...),
	}
}

// latencyBuckets show the aims of docs/performance.md, 100 ms and 200 ms.
var latencyBuckets = []time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}
