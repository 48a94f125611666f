package session

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/parleyhq/parley/contracts"
)

// heartbeat looks after idle sessions with one ticker for all of them, so that an idle
// connection holds no timer. It has a wheel of slots, whose sessions are pinged slot by
// slot, and a heap of the sessions by when something is due for their tokens.
type heartbeat struct {
	mu       sync.Mutex
	slots    [wheelSlots]map[*Session]struct{}
	nextSlot int
	expiring expiries
	ended    chan struct{}
	once     sync.Once
}

// wheelSlots is into how many parts a ping interval is cut.
const wheelSlots = 30

// silenceAfter is how many slots behind its pings a connection is looked at that does not
// answer them: two and a half intervals after its last answer, which came behind a ping.
const silenceAfter = wheelSlots/2 + 1

func (h *heartbeat) ending() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended == nil {
		h.ended = make(chan struct{})
	}
	return h.ended
}

func (h *heartbeat) stop() { h.once.Do(func() { close(h.ending()) }) }

// run turns the wheel until stop.
func (h *heartbeat) run(ctx context.Context, r *Registry) {
	tick := time.NewTicker(max(r.limits.PingInterval/wheelSlots, time.Millisecond))
	defer tick.Stop()
	ended := h.ending()
	for slot := 0; ; slot = (slot + 1) % wheelSlots {
		select {
		case <-tick.C:
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
		now := r.now()
		for _, s := range h.sessionsIn(slot) {
			s.beat(now)
		}
		for _, s := range h.sessionsIn((slot + wheelSlots - silenceAfter) % wheelSlots) {
			s.endIfSilent(now)
		}
		expired, expiring := h.dueTokens(now)
		for _, s := range expired {
			s.Close(TokenExpired)
		}
		for _, s := range expiring {
			s.tellLatest(contracts.TokenExpiringFrame(s.token.Load().Expires))
		}
	}
}

func (h *heartbeat) sessionsIn(slot int) []*Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	sessions := make([]*Session, 0, len(h.slots[slot]))
	for s := range h.slots[slot] {
		sessions = append(sessions, s)
	}
	return sessions
}

func (h *heartbeat) add(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, pinger := s.params.Transport.(Pinger); pinger || s.params.Pings {
		s.slot = h.nextSlot
		h.nextSlot = (h.nextSlot + 1) % wheelSlots
		if h.slots[s.slot] == nil {
			h.slots[s.slot] = make(map[*Session]struct{})
		}
		h.slots[s.slot][s] = struct{}{}
	}
	if !s.params.Expires.IsZero() {
		s.due = s.params.Expires.Add(-warnBefore)
		heap.Push(&h.expiring, s)
	}
}

func (h *heartbeat) remove(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.slots[s.slot], s)
	if s.expiry >= 0 {
		heap.Remove(&h.expiring, s.expiry)
	}
}

// beat pings a connection. The pings of an MQTT one, which has its keep-alive, keep proxies
// from taking it for idle (docs/contract.md#mqtt).
func (s *Session) beat(now time.Time) {
	if p, ok := s.params.Transport.(Pinger); ok {
		p.Ping()
		return
	}
	s.tell(contracts.PingFrame(now))
}

// endIfSilent ends a JSON connection that has stopped answering: after 75 s at the default
// interval of 30 s (docs/contract.md#frames).
func (s *Session) endIfSilent(now time.Time) {
	if _, mqtt := s.params.Transport.(Pinger); mqtt {
		return
	}
	s.mu.Lock()
	silent := now.Sub(s.lastPong)
	s.mu.Unlock()
	if silent > s.reg.limits.PingInterval*5/2 {
		s.Close(Unresponsive)
	}
}

// blocked notes that a frame waits for room in the window, and sets a timer that ends
// the connection if it waits too long. It is called with mu held.
func (s *Session) blocked() {
	if s.fullSince.IsZero() {
		s.fullSince = s.reg.now()
	}
	if !s.watched && !s.ended {
		s.watched = true
		time.AfterFunc(s.reg.limits.AckTimeout, s.checkWindow)
	}
}

// checkWindow ends a connection whose window has been full for too long.
func (s *Session) checkWindow() {
	s.mu.Lock()
	s.watched = false
	if s.ended || s.fullSince.IsZero() {
		s.mu.Unlock()
		return
	}
	left := s.reg.limits.AckTimeout - s.reg.now().Sub(s.fullSince)
	if left > 0 {
		s.watched = true
		time.AfterFunc(left, s.checkWindow)
	}
	s.mu.Unlock()
	if left <= 0 {
		s.Close(Unresponsive)
	}
}

// expiries is a heap of sessions by what is due next for their tokens: that the client is told
// that it expires, or its end.
type expiries []*Session

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].due.Before(e[j].due) }
func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].expiry, e[j].expiry = i, j
}

// Push is for container/heap.
func (e *expiries) Push(x any) {
	s := x.(*Session)
	s.expiry = len(*e)
	*e = append(*e, s)
}

// Pop is for container/heap.
func (e *expiries) Pop() any {
	old := *e
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	s.expiry = -1
	return s
}
