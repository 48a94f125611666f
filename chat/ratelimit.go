package chat

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates holds each of many to a rate. It remembers only those who have used some
// of their burst.
type rates struct {
	rate   rate.Limit
	burst  int
	seed   maphash.Seed
	shards [16]rateShard
}

type rateShard struct {
	mu    sync.Mutex
	rated map[string]*rate.Limiter
}

// maxRated bounds a shard: beyond it, those whose burst is whole again are
// forgotten, which changes nothing for them.
const maxRated = 4096

// newRates makes rates of so many per second; zero is no limit.
func newRates(perSecond float64, burst int) *rates {
	r := &rates{rate: rate.Limit(perSecond), burst: max(burst, 1), seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].rated = make(map[string]*rate.Limiter)
	}
	return r
}

// take uses up one of who's burst, or refuses it and says when to retry.
func (r *rates) take(who string, now time.Time) error {
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

// allows is take for what is dropped and not refused.
func (r *rates) allows(who string, now time.Time) bool { return r.take(who, now) == nil }

func (r *rates) limiter(who string, now time.Time) *rate.Limiter {
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

// windows holds each of many to so many in any span of time: unlike [rates], which
// let a whole burst through and what the rate gives back meanwhile. It keeps the
// times of the last ones in the span, no more than are allowed.
type windows struct {
	times  int
	span   time.Duration
	seed   maphash.Seed
	shards [16]windowShard
}

type windowShard struct {
	mu    sync.Mutex
	taken map[string][]time.Time // in order
	sweep int                    // at how many of them those at rest are forgotten
}

// newWindows allows so many in any span; zero is no limit.
func newWindows(times int, span time.Duration) *windows {
	w := &windows{times: times, span: span, seed: maphash.MakeSeed()}
	for i := range w.shards {
		w.shards[i].taken, w.shards[i].sweep = make(map[string][]time.Time), maxRated
	}
	return w
}

// take uses up one of who's times, or refuses it and says when to retry. What is
// refused uses up nothing.
func (w *windows) take(who string, now time.Time) error {
	if w.times <= 0 {
		return nil
	}
	sh := &w.shards[maphash.String(w.seed, who)%uint64(len(w.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	taken := sh.taken[who]
	for len(taken) > 0 && now.Sub(taken[0]) >= w.span {
		taken = taken[1:]
	}
	if len(taken) >= w.times {
		sh.taken[who] = taken
		return tooFast(w.span - now.Sub(taken[0]))
	}
	if len(sh.taken) >= sh.sweep {
		sh.forgetRested(now.Add(-w.span))
	}
	if len(taken) == cap(taken) { // what append copies is all that is left of it
		taken = append(make([]time.Time, 0, min(2*len(taken)+1, w.times)), taken...)
	}
	sh.taken[who] = append(taken, now)
	return nil
}

// forgetRested forgets those who took nothing since. If they were few, it waits
// for twice as many before it looks again.
func (sh *windowShard) forgetRested(since time.Time) {
	for who, taken := range sh.taken {
		if !taken[len(taken)-1].After(since) {
			delete(sh.taken, who)
		}
	}
	sh.sweep = max(maxRated, 2*len(sh.taken))
}

func tooFast(retryAfter time.Duration) error {
	return &Error{Code: CodeRateLimited, Detail: "you are doing this too fast", RetryAfter: retryAfter}
}
