// Package local is the bus of a single node. Publish calls the handlers itself, one after
// the other. So each publisher's notices arrive in the order in which they were published,
// none is lost, and there is no goroutine and no queue.
package local

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/parleyhq/parley/chat"
)

// Bus implements [chat.Bus]. Handlers may publish and subscribe. A handler must
// not stop its own subscription, nor close the bus: both wait for it to return.
type Bus struct {
	mu     sync.RWMutex
	subs   []*subscription // a change replaces the slice, so that Publish can read the old one without mu
	closed bool
}

var _ chat.Bus = (*Bus)(nil)

// New makes a bus.
func New() *Bus { return &Bus{} }

// Publish implements [chat.Bus]: when it returns, every handler has returned.
func (b *Bus) Publish(n chat.Notice) {
	for _, s := range b.subscribed() {
		s.deliver(n)
	}
}

// Lose tells every handler that notices may have been lost. This bus loses none: it is
// for a bus over a network, which hands on by this one what comes to its node.
func (b *Bus) Lose() {
	for _, s := range b.subscribed() {
		if s.enter() {
			s.handler.HandleLoss()
			s.leave()
		}
	}
}

// NodeGone tells every handler that wants to know that a node is dead: see [chat.NodeWatcher].
func (b *Bus) NodeGone(n chat.NodeID) {
	for _, s := range b.subscribed() {
		if watcher, ok := s.handler.(chat.NodeWatcher); ok && s.enter() {
			watcher.NodeGone(n)
			s.leave()
		}
	}
}

// Skip asks every handler whether it skips a message: see [chat.Skipper].
func (b *Bus) Skip(audience []chat.UserID, message chat.MessageID) bool {
	all := true // who skips it learns of its id all the same
	for _, s := range b.subscribed() {
		if skipper, ok := s.handler.(chat.Skipper); !ok || !skipper.Skip(audience, message) {
			all = false
		}
	}
	return all
}

func (b *Bus) subscribed() []*subscription {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.subs
}

// Subscribe implements [chat.Bus]. On a closed bus the handler is never called.
func (b *Bus) Subscribe(h chat.BusHandler) (stop func()) {
	s := &subscription{handler: h}
	s.idle.L = &s.mu
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.subs = append(slices.Clip(b.subs), s)
	}
	return func() {
		b.remove(s)
		s.stop()
	}
}

func (b *Bus) remove(s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.subs, s); i >= 0 {
		b.subs = slices.Delete(slices.Clone(b.subs), i, i+1)
	}
}

// Ping implements [chat.Bus].
func (b *Bus) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return errors.New("the bus is closed")
	}
	return nil
}

// Close implements [chat.Bus]: after it returned no handler is called again.
func (b *Bus) Close() error {
	b.mu.Lock()
	subs := b.subs
	b.subs, b.closed = nil, true
	b.mu.Unlock()
	for _, s := range subs {
		s.stop()
	}
	return nil
}

// subscription is one handler and the number of its calls under way. A RWMutex in place of
// the count would deadlock: a handler that publishes is called again from within its own
// call, and would then wait for a stop that waits for that call.
type subscription struct {
	handler chat.BusHandler

	mu      sync.Mutex
	idle    sync.Cond // signals that running is zero
	running int
	stopped bool
}

func (s *subscription) deliver(n chat.Notice) {
	if s.enter() {
		defer s.leave()
		s.handler.HandleNotice(n)
	}
}

func (s *subscription) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.running++
	}
	return !s.stopped
}

func (s *subscription) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 {
		s.idle.Broadcast()
	}
}

func (s *subscription) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for s.running > 0 {
		s.idle.Wait()
	}
}
