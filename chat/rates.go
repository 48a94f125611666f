package chat

import (
	"context"
	"time"
)

// The costs of docs/contract.md#rates: what a call uses up of its user's rate of durable
// writes. Whatever turns out to write nothing uses up nothing.
const (
	costWrite    = 1
	costKeys     = 5        // an upload of prekeys
	costReport   = 5        // a report of a message
	peoplePerOne = 25       // a new thread costs one for each so many people begun
	bytesPerOne  = 64 << 10 // a control message costs one for each so much ciphertext begun
)

// The names of the rates in the headers RateLimit and RateLimit-Policy.
const (
	RateOfWrites = "write"
	RateOfReads  = "read"
	RateOfSystem = "system"
)

// rates are the three rates of docs/contract.md#rates, each by user. The writes of a
// user all use up the same one, whatever they write; system messages have one of their own.
type rates struct {
	writes, system, reads *rateLimits
}

func newRates(l Limits) rates {
	return rates{
		writes: newRateLimits(l.SendRate, l.SendBurst),
		system: newRateLimits(l.SystemRate, int(l.SystemRate)),
		reads:  newRateLimits(l.ReadRate, l.ReadBurst),
	}
}

// RateState says how much of one of its rates a user has left.
type RateState struct {
	Name   string
	Quota  int           // how much may be spent at once
	Window time.Duration // in which that much is given back
	Left   int           // how much may be spent now
	Whole  time.Duration // until the quota is whole again; 0: it is
}

// Rates lists the rates that limit a caller, and what is left of each. A rate without a
// limit is left out.
func (s *Service) Rates(c Caller) []RateState {
	states := make([]RateState, 0, 3)
	add := func(name string, r *rateLimits) {
		if r.interval > 0 {
			left, whole := r.left(string(c.User), s.now())
			states = append(states, RateState{name, r.burst, r.span(), left, whole})
		}
	}
	add(RateOfWrites, s.rates.writes)
	add(RateOfReads, s.rates.reads)
	if c.Has(ScopeSystem) {
		add(RateOfSystem, s.rates.system)
	}
	return states
}

// spendRead refuses a caller who reads too fast.
func (s *Service) spendRead(c Caller) error {
	return s.rates.reads.spend(string(c.User), 1, s.now())
}

// writing runs a write that costs so much of the caller's rate, or refuses it if the caller
// writes too fast. If write reports that it wrote nothing, the cost is given back. A refused
// write keeps its cost, since to refuse it takes as much work.
func (s *Service) writing(c Caller, cost int, write func() (wrote bool, err error)) error {
	if err := s.rates.writes.spend(string(c.User), cost, s.now()); err != nil {
		return err
	}
	wrote, err := write()
	if err == nil && !wrote {
		s.rates.writes.giveBack(string(c.User), cost)
	}
	return err
}

// Admission is a send that its user's rate allows, now or in a while.
//
// Waiting admissions come one after the other, and before every other write of their user.
// Each is followed by a call of Begin, and another if the store failed, or one of Cancel. The methods are not called at the
// same time.
type Admission struct {
	svc    *Service
	caller Caller
	req    SendRequest
	rate   *rateLimits // which of the rates the cost was taken from; nil: none, as it is a retry
	cost   int
	at     time.Time // when it may begin
	most   time.Duration
}

// Admit checks a send, as far as that needs no state, and takes its cost from the caller's
// rate. If the rate does not allow it at once, Admit takes the cost ahead, as long as the
// wait is no longer than most; [Admission.Wait] says how long it is. A message that was sent
// before never waits for the rate of writes: it costs a read.
//
// A send that may not wait has a most of zero; [Service.BeginSend] is Admit and Begin in one.
// The request's memory belongs to the admission until it has begun.
func (s *Service) Admit(ctx context.Context, c Caller, req SendRequest, most time.Duration) (*Admission, error) {
	if req.ContentType == "" {
		req.ContentType = Text
	}
	if err := s.checkSend(c, req); err != nil {
		return nil, err
	}
	now := s.now()
	a := &Admission{svc: s, caller: c, req: req, rate: s.rateOf(req), cost: costOfSend(req), at: now, most: min(most, maxAhead)}
	if _, ok := a.rate.reserve(string(c.User), a.cost, now, 0); ok {
		return a, nil
	}
	known, err := s.knows(ctx, c, req)
	if err != nil {
		return nil, err
	}
	if known {
		a.rate = nil
		return a, nil
	}
	wait, ok := a.rate.reserve(string(c.User), a.cost, now, a.most)
	if !ok {
		return nil, a.rate.tooFast(wait)
	}
	a.at = now.Add(wait)
	return a, nil
}

// rateOf is the rate of which a send uses up one.
func (s *Service) rateOf(req SendRequest) *rateLimits {
	if req.ContentType == System {
		return s.rates.system
	}
	return s.rates.writes
}

// knows reports whether a message was sent before.
func (s *Service) knows(ctx context.Context, c Caller, req SendRequest) (bool, error) {
	e := Event{Thread: req.Thread, Kind: KindMessage, By: c.User, Device: c.Device, Message: req.message(req.hash())}
	return isDuplicate(s.store.SentBefore(ctx, e))
}

// Wait is how long it takes until the send may begin; zero or less is now.
func (a *Admission) Wait() time.Duration { return a.at.Sub(a.svc.now()) }

// Cancel gives back what the send has cost. What waits behind it is not brought forward.
func (a *Admission) Cancel() {
	if a.rate != nil {
		a.rate.giveBack(string(a.caller.User), a.cost)
		a.rate = nil
	}
}

// Begin puts the message into its thread's append queue; see [Service.BeginSend]. The
// caller has waited as long as Wait says. The order is that of what the caller sends; nil is
// none.
func (a *Admission) Begin(ctx context.Context, order *SendOrder) (*Sending, error) {
	sending, err := a.svc.beginSend(ctx, a, order)
	order.failed(err)
	return sending, err
}

// knownBefore decides what a repetition costs: a read, and no write. If the user reads too
// fast it waits, as long as the admission may, or is refused.
func (a *Admission) knownBefore(ctx context.Context) error {
	a.Cancel()
	wait, ok := a.svc.rates.reads.reserve(string(a.caller.User), 1, a.svc.now(), a.most)
	if !ok {
		return a.svc.rates.reads.tooFast(wait)
	}
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return Unavailable("wait for the rate of reads", context.Cause(ctx))
	}
}
