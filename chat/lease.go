package chat

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Leaser is what a store that several nodes share has besides the port [Store]: leases, by
// which one of the nodes does what would be done again and again by each.
type Leaser interface {
	// Lease gives how a lease stands; the zero state is of one that nobody ever had.
	Lease(ctx context.Context, name string) (LeaseState, error)
	// GiveLease gives a lease that stands as seen, and no other, to a node: it has the next
	// turn then. given is false if it stands otherwise, and nothing was changed.
	GiveLease(ctx context.Context, name string, seen LeaseState, to NodeID) (given bool, err error)
}

// LeaseState says who holds a lease, and how often it was given or renewed.
type LeaseState struct {
	Holder NodeID // zero: nobody does
	Turn   int64
}

// LeaseTerm is for how long a lease that is not renewed is left to its holder, and
// leaseEvery how often it is renewed, or looked at.
const (
	LeaseTerm  = 5 * time.Second
	leaseEvery = time.Second
)

// Lease says whether this node is the one that sweeps: who expires messages, and forgets old
// devices and subscriptions. It only saves work. What is swept is right if two nodes do it, or
// for a while none; a nil Lease is held for ever.
//
// No clocks are compared: a node that has seen the same turn for [LeaseTerm], by its own clock,
// takes the next one.
type Lease struct {
	leaser Leaser
	name   string
	node   NodeID
	now    func() time.Time
	held   atomic.Bool

	mu    sync.Mutex
	seen  LeaseState
	since time.Time // when it was seen first
}

// NewLease makes a node's part of a lease. now is a clock that never steps; time.Now if nil.
func NewLease(leaser Leaser, name string, node NodeID, now func() time.Time) *Lease {
	if now == nil {
		now = time.Now
	}
	return &Lease{leaser: leaser, name: name, node: node, now: now}
}

// Held reports whether the node held the lease when it last looked.
func (l *Lease) Held() bool { return l == nil || l.held.Load() }

// Keep renews the lease, or has it given to this node if it is free. An error leaves it to
// others.
func (l *Lease) Keep(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	held, err := l.keep(ctx)
	l.held.Store(held && err == nil)
	return err
}

func (l *Lease) keep(ctx context.Context) (held bool, err error) {
	if l.held.Load() {
		if given, err := l.giveTo(ctx, l.node); err != nil || given {
			return given, err
		}
	}
	state, err := l.leaser.Lease(ctx, l.name)
	if err != nil {
		return false, err
	}
	now := l.now()
	if state != l.seen || l.since.IsZero() {
		l.seen, l.since = state, now
	}
	if state.Holder != 0 && state.Holder != l.node && now.Sub(l.since) < LeaseTerm {
		return false, nil
	}
	return l.giveTo(ctx, l.node)
}

// Release leaves the lease to others, at once.
func (l *Lease) Release(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held.Swap(false) {
		return nil
	}
	_, err := l.giveTo(ctx, 0)
	return err
}

func (l *Lease) giveTo(ctx context.Context, to NodeID) (given bool, err error) {
	given, err = l.leaser.GiveLease(ctx, l.name, l.seen, to)
	if given {
		l.seen, l.since = LeaseState{to, l.seen.Turn + 1}, l.now()
	}
	return given, err
}
