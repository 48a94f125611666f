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
