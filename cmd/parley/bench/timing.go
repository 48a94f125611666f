package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a histogram, from one microsecond to five minutes, and its precision of three
// digits.
const (
	shortest = 1
	longest  = int64(5 * time.Minute / time.Microsecond)
	digits   = 3
)

// timings holds the latencies of a run, by the name of what is timed.
type timings struct {
	mu    sync.Mutex
	names []string
	by    map[string]*hdrhistogram.Histogram
}

func newTimings() *timings { return &timings{by: make(map[string]*hdrhistogram.Histogram)} }

// The names of what is timed.
const (
	timeDelivery = "send to receive"
	timeSend     = "send to acknowledged"
	timeLate     = "sent late by"
	timeCatchup  = "connect to caught up"
	timeRead     = "read call"
	timeReceipt  = "read to receipt"
	timeConnect  = "connect"
)

// record adds latencies, in nanoseconds.
func (t *timings) record(name string, latencies ...int64) {
	if len(latencies) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.by[name]
	if h == nil {
		h = hdrhistogram.New(shortest, longest, digits)
		t.by[name] = h
		t.names = append(t.names, name)
	}
	for _, l := range latencies {
		_ = h.RecordValue(min(max(l/1000, shortest), longest)) // cannot fail within the range
	}
}

// summary gives the timings in the order in which they were first recorded.
func (t *timings) summary() []Timing {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Timing, 0, len(t.names))
	for _, name := range t.names {
		all = append(all, summarise(name, t.by[name]))
	}
	return all
}

func summarise(name string, h *hdrhistogram.Histogram) Timing {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return Timing{
		What: name, Count: h.TotalCount(),
		P50: ms(h.ValueAtQuantile(50)), P90: ms(h.ValueAtQuantile(90)), P99: ms(h.ValueAtQuantile(99)),
		P999: ms(h.ValueAtQuantile(99.9)), Max: ms(h.Max()),
	}
}
