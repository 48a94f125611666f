// Package measure counts and times what the server does, for /metrics. Counting takes no
// lock that anybody holds for long and allocates nothing, so the hot path can afford it.
// The package knows no format of metrics: cmd gives the figures to Prometheus.
package measure

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Tally counts by a key, such as a reason. Keys are kept for ever, so they come from a
// small set and never from a client. The zero value is ready for use.
type Tally[K comparable] struct {
	mu     sync.RWMutex
	counts map[K]*atomic.Int64
}

// Add adds n to the count of a key.
func (t *Tally[K]) Add(key K, n int64) {
	t.mu.RLock()
	count := t.counts[key]
	t.mu.RUnlock()
	if count == nil {
		count = t.make(key)
	}
	count.Add(n)
}

func (t *Tally[K]) make(key K) *atomic.Int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[K]*atomic.Int64)
	}
	if t.counts[key] == nil {
		t.counts[key] = new(atomic.Int64)
	}
	return t.counts[key]
}

// All gives the present counts.
func (t *Tally[K]) All() map[K]int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[K]int64, len(t.counts))
	for key, count := range t.counts {
		all[key] = count.Load()
	}
	return all
}

// Histogram counts values by size: times, or numbers of things. It is made with [NewTimes]
// or [NewSizes].
type Histogram struct {
	unit   float64 // of what Snapshot gives, in what Observe takes
	bounds []int64 // the largest value of each bucket; a last one has no bound
	counts [maxBuckets]atomic.Int64
	sum    atomic.Int64
}

const maxBuckets = 20

// NewTimes makes a histogram of times, which Snapshot gives in seconds.
func NewTimes(bounds ...time.Duration) *Histogram {
	h := &Histogram{unit: float64(time.Second)}
	for _, b := range bounds {
		h.bounds = append(h.bounds, int64(b))
	}
	return h.checked()
}

// NewSizes makes a histogram of numbers.
func NewSizes(bounds ...int64) *Histogram { return (&Histogram{unit: 1, bounds: bounds}).checked() }

func (h *Histogram) checked() *Histogram {
	if len(h.bounds) >= maxBuckets {
		panic("measure: too many buckets")
	}
	return h
}

func (h *Histogram) bucket(value int64) int {
	for i, bound := range h.bounds {
		if value <= bound {
			return i
		}
	}
	return len(h.bounds)
}

// Observe counts a value.
func (h *Histogram) Observe(value int64) {
	h.counts[h.bucket(value)].Add(1)
	h.sum.Add(value)
}

// Since counts the time that has passed since a moment.
func (h *Histogram) Since(begun time.Time) { h.Observe(int64(time.Since(begun))) }

// Batch holds values of one goroutine until they are added to a histogram together, which
// costs less than adding each. The zero value is empty. It belongs to one histogram.
type Batch struct {
	counts [maxBuckets]uint32
	sum    int64
	filled bool
}

// Collect puts a value into a batch.
func (h *Histogram) Collect(b *Batch, value int64) {
	b.counts[h.bucket(value)]++
	b.sum += value
	b.filled = true
}

// AddBatch counts the values of a batch, which is not used any more.
func (h *Histogram) AddBatch(b *Batch) {
	if !b.filled {
		return
	}
	for i := range len(h.bounds) + 1 {
		if n := b.counts[i]; n > 0 {
			h.counts[i].Add(int64(n))
		}
	}
	h.sum.Add(b.sum)
}

// Snapshot gives how many values there were, their sum, and how many were at most as large
// as each bound.
func (h *Histogram) Snapshot() (count uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, len(h.bounds))
	for i := range len(h.bounds) + 1 {
		count += uint64(h.counts[i].Load())
		if i < len(h.bounds) {
			upTo[float64(h.bounds[i])/h.unit] = count
		}
	}
	return count, math.Max(0, float64(h.sum.Load())/h.unit), upTo
}
