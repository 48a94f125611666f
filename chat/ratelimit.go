package chat

import (
	"context"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// rateLimits hold each of many callers to a rate, with a burst. Of a caller they keep one
// time, the one at which its burst will be whole again, and only while that is to come.
// A cost of n puts that time off by n intervals: it may lie so far ahead as the burst
// lasts, and further only for what was reserved.
type rateLimits struct {
	interval time.Duration // in which the rate gives back one; 0: there is no limit
	burst    int
	seed     maphash.Seed
	shards   [16]rateShard
	refused  atomic.Int64
}

type rateShard struct {
	mu    sync.Mutex
	whole map[string]time.Time // when each caller's burst is whole again
	sweep int                  // at how many of them those at rest are forgotten
}

// maxRated is how many callers a shard keeps before it looks for some to forget: those
// whose burst is whole again, for whom that changes nothing.
const maxRated = 4096

// maxAhead bounds how long a write may have to wait for its time. The clock may be set
// back, so no caller is kept waiting for longer than that and its burst.
const maxAhead = 30 * time.Second

// newRateLimits allows so many per second; zero is no limit.
func newRateLimits(perSecond float64, burst int) *rateLimits {
	r := &rateLimits{burst: max(burst, 1), seed: maphash.MakeSeed()}
	if perSecond > 0 {
		r.interval = max(1, time.Duration(float64(time.Second)/perSecond))
	}
	for i := range r.shards {
		r.shards[i].whole, r.shards[i].sweep = make(map[string]time.Time), maxRated
	}
	return r
}

// spend uses up a cost of the caller's burst, or refuses it and says when to retry. What is
// refused uses up nothing. A cost above the burst counts as the whole burst.
func (r *rateLimits) spend(who string, cost int, now time.Time) error {
	if wait, ok := r.reserve(who, cost, now, 0); !ok {
		return r.tooFast(wait)
	}
	return nil
}

// allows is spend of one for what is dropped and not refused.
func (r *rateLimits) allows(who string, now time.Time) bool { return r.spend(who, 1, now) == nil }

// reserve uses up a cost whose time may come only later, and says in how long. Whatever
// the caller spends afterwards comes after it. If that were longer than most, reserve uses
// up nothing and is not ok.
func (r *rateLimits) reserve(who string, cost int, now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	if r.interval == 0 {
		return 0, true
	}
	sh := r.shard(who)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	used := r.used(sh.whole[who], now) + time.Duration(min(cost, r.burst))*r.interval
	if wait = max(0, used-r.span()); wait > most {
		return wait, false
	}
	if _, known := sh.whole[who]; !known && len(sh.whole) >= sh.sweep {
		sh.forgetRested(now)
	}
	sh.whole[who] = now.Add(used)
	return wait, true
}

// giveBack undoes a spend or a reserve of that cost.
func (r *rateLimits) giveBack(who string, cost int) {
	if r.interval == 0 {
		return
	}
	sh := r.shard(who)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if whole, known := sh.whole[who]; known {
		sh.whole[who] = whole.Add(-time.Duration(min(cost, r.burst)) * r.interval)
	}
}

// left is how much of its burst the caller may spend now, and in how long the burst is
// whole again.
func (r *rateLimits) left(who string, now time.Time) (n int, whole time.Duration) {
	sh := r.shard(who)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	used := r.used(sh.whole[who], now)
	return max(0, int((r.span()-used)/max(1, r.interval))), used
}

// span is how long the rate takes to give back the whole burst.
func (r *rateLimits) span() time.Duration {
	if float64(r.burst)*float64(r.interval) > math.MaxInt64/2 {
		return math.MaxInt64 / 2
	}
	return time.Duration(r.burst) * r.interval
}

// used is how long it takes until the burst is whole again.
func (r *rateLimits) used(whole, now time.Time) time.Duration {
	return min(max(0, whole.Sub(now)), r.span()+maxAhead)
}

func (r *rateLimits) shard(who string) *rateShard {
	return &r.shards[maphash.String(r.seed, who)%uint64(len(r.shards))]
}

// forgetRested forgets the callers whose burst is whole again. If they were few, it waits
// until there are twice as many callers before it looks again.
func (sh *rateShard) forgetRested(now time.Time) {
	for who, whole := range sh.whole {
		if !whole.After(now) {
			delete(sh.whole, who)
		}
	}
	sh.sweep = max(maxRated, 2*len(sh.whole))
}

// spanLimits allow each of many callers so many requests in any span of time, where
// [rateLimits] would allow a whole burst and what the rate gives back meanwhile. They
// keep the times of a caller's requests in the span, no more than are allowed: in memory, or
// in a store that several nodes share.
type spanLimits struct {
	shared  SpanLimiter // nil: there is one node
	name    string      // in the shared store
	times   int
	span    time.Duration
	seed    maphash.Seed
	shards  [16]spanShard
	refused atomic.Int64
}

type spanShard struct {
	mu    sync.Mutex
	spent map[string][]time.Time // in order
	sweep int                    // at how many of them those at rest are forgotten
}

// SpanLimiter is what a store that several nodes share has besides the port [Store]: a limit
// of how often somebody may do something in a span of time, over all nodes.
type SpanLimiter interface {
	// SpendInSpan uses up one of so many times in any such span, and gives zero; or it uses
	// up nothing, and gives how long it takes until there is one again.
	SpendInSpan(ctx context.Context, who string, times int, span time.Duration, now time.Time) (wait time.Duration, err error)
	// SpendEachInSpan is SpendInSpan for each of several different ones, and says of whom it
	// used one up. The reads and writes do not become more with them.
	SpendEachInSpan(ctx context.Context, who []string, times int, span time.Duration, now time.Time) ([]bool, error)
}

// newSpanLimits allows so many in any span; zero is no limit.
func newSpanLimits(times int, span time.Duration) *spanLimits {
	w := &spanLimits{times: times, span: span, seed: maphash.MakeSeed()}
	for i := range w.shards {
		w.shards[i].spent, w.shards[i].sweep = make(map[string][]time.Time), maxRated
	}
	return w
}

// spend uses up one of the caller's requests, or refuses it and says when to retry.
// What is refused uses up nothing.
func (w *spanLimits) spend(ctx context.Context, who string, now time.Time) error {
	switch {
	case w.times <= 0:
		return nil
	case w.shared != nil:
		return w.spendShared(ctx, who, now)
	}
	sh := &w.shards[maphash.String(w.seed, who)%uint64(len(w.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	spent := sh.spent[who]
	for len(spent) > 0 && now.Sub(spent[0]) >= w.span {
		spent = spent[1:]
	}
	if len(spent) >= w.times {
		sh.spent[who] = spent
		w.refused.Add(1)
		return tooFast(w.span - now.Sub(spent[0]))
	}
	if len(sh.spent) >= sh.sweep {
		sh.forgetRested(now.Add(-w.span))
	}
	if len(spent) == cap(spent) { // what append copies is all that is left of it
		spent = append(make([]time.Time, 0, min(2*len(spent)+1, w.times)), spent...)
	}
	sh.spent[who] = append(spent, now)
	return nil
}

// spendEach is spend for each of several, and says of whom it used one up.
func (w *spanLimits) spendEach(ctx context.Context, who []string, now time.Time) ([]bool, error) {
	spent := make([]bool, len(who))
	if w.shared == nil || w.times <= 0 {
		for i, name := range who {
			spent[i] = w.spend(ctx, name, now) == nil
		}
		return spent, nil
	}
	names := make([]string, len(who))
	for i, name := range who {
		names[i] = w.name + "/" + name
	}
	spent, err := w.shared.SpendEachInSpan(ctx, names, w.times, w.span, now)
	if err != nil {
		return nil, Unavailable("look up how often this was done", err)
	}
	for _, ok := range spent {
		if !ok {
			w.refused.Add(1)
		}
	}
	return spent, nil
}

func (w *spanLimits) spendShared(ctx context.Context, who string, now time.Time) error {
	wait, err := w.shared.SpendInSpan(ctx, w.name+"/"+who, w.times, w.span, now)
	switch {
	case err != nil:
		return Unavailable("look up how often this was done", err)
	case wait > 0:
		w.refused.Add(1)
		return tooFast(wait)
	}
	return nil
}

// forgetRested forgets the callers without a request since a moment. If they were few,
// it waits until there are twice as many callers before it looks again.
func (sh *spanShard) forgetRested(since time.Time) {
	for who, spent := range sh.spent {
		if !spent[len(spent)-1].After(since) {
			delete(sh.spent, who)
		}
	}
	sh.sweep = max(maxRated, 2*len(sh.spent))
}

// tooFast is the refusal of what may be retried after a while. It is counted.
func (r *rateLimits) tooFast(wait time.Duration) error {
	r.refused.Add(1)
	return tooFast(wait)
}

func tooFast(retryAfter time.Duration) error {
	return &Error{Code: CodeRateLimited, Detail: "you are doing this too fast", RetryAfter: retryAfter}
}
