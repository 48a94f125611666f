package chat

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// sendRates holds each user to Limits.SendRate. It remembers only users who have
// used some of their burst.
type sendRates struct {
	rate   rate.Limit
	burst  int
	seed   maphash.Seed
	shards [16]rateShard
}

type rateShard struct {
	mu    sync.Mutex
	users map[UserID]*rate.Limiter
}

// maxRatedUsers bounds a shard: beyond it, those whose burst is whole again are
// forgotten, which changes nothing for them.
const maxRatedUsers = 4096

func newSendRates(l Limits) *sendRates {
	r := &sendRates{rate: rate.Limit(l.SendRate), burst: max(l.SendBurst, 1), seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].users = make(map[UserID]*rate.Limiter)
	}
	return r
}

// take uses up one send of the user's, or refuses it and says when to retry.
func (r *sendRates) take(user UserID, now time.Time) error {
	if r.rate <= 0 {
		return nil
	}
	wait := r.limiter(user, now).ReserveN(now, 1)
	delay := wait.DelayFrom(now)
	if delay <= 0 {
		return nil
	}
	wait.CancelAt(now)
	return &Error{Code: CodeRateLimited, Detail: "you are sending too fast", RetryAfter: delay}
}

func (r *sendRates) limiter(user UserID, now time.Time) *rate.Limiter {
	sh := &r.shards[maphash.String(r.seed, string(user))%uint64(len(r.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l, ok := sh.users[user]
	if !ok {
		if len(sh.users) >= maxRatedUsers {
			sh.forgetRested(now)
		}
		l = rate.NewLimiter(r.rate, r.burst)
		sh.users[user] = l
	}
	return l
}

func (sh *rateShard) forgetRested(now time.Time) {
	for user, l := range sh.users {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(sh.users, user)
		}
	}
}
