package chat

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rateLimits hold each of many callers to a rate, with a burst. They keep only those
// callers who have used some of their burst.
type rateLimits struct {
	rate   rate.Limit
	burst  int
	seed   maphash.Seed
	shards [16]rateShard
}

type rateShard struct {
	mu    sync.Mutex
	rated map[string]*rate.Limiter
}

// maxRated bounds a shard: beyond it, the callers whose burst is whole again are
// forgotten, which changes nothing for them.
const maxRated = 4096

// newRateLimits allows so many per second; zero is no limit.
func newRateLimits(perSecond float64, burst int) *rateLimits {
	r := &rateLimits{rate: rate.Limit(perSecond), burst: max(burst, 1), seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].rated = make(map[string]*rate.Limiter)
	}
	return r
}

// spend uses up one of the caller's burst, or refuses it and says when to retry.
func (r *rateLimits) spend(who string, now time.Time) error {
	if r.rate <= 0 {
		return nil
	}
	wait := r.limiter(who, now).ReserveN(now, 1)
	delay := wait.DelayFrom(now)
	if delay <= 0 {
		return nil
	}
	wait.CancelAt(now)
	return tooFast(delay)
}

// allows is spend for a request that is dropped and not refused.
func (r *rateLimits) allows(who string, now time.Time) bool { return r.spend(who, now) == nil }

func (r *rateLimits) limiter(who string, now time.Time) *rate.Limiter {
	sh := &r.shards[maphash.String(r.seed, who)%uint64(len(r.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l, ok := sh.rated[who]
	if !ok {
		if len(sh.rated) >= maxRated {
			sh.forgetRested(now)
		}
		l = rate.NewLimiter(r.rate, r.burst)
		sh.rated[who] = l
	}
	return l
}

func (sh *rateShard) forgetRested(now time.Time) {
	for who, l := range sh.rated {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(sh.rated, who)
		}
	}
}

// spanLimits allow each of many callers so many requests in any span of time, where
// [rateLimits] would allow a whole burst and what the rate gives back meanwhile. They
// keep the times of a caller's requests in the span, no more than are allowed.
type spanLimits struct {
	times  int
	span   time.Duration
	seed   maphash.Seed
	shards [16]spanShard
}

type spanShard struct {
	mu    sync.Mutex
	spent map[string][]time.Time // in order
	sweep int                    // at how many of them those at rest are forgotten
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
func (w *spanLimits) spend(who string, now time.Time) error {
	if w.times <= 0 {
		return nil
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

func tooFast(retryAfter time.Duration) error {
	return &Error{Code: CodeRateLimited, Detail: "you are doing this too fast", RetryAfter: retryAfter}
}
