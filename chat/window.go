package chat

import (
	"hash/maphash"
	"sync"
	"time"
)

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
