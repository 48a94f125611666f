package chat

import (
	"sync"
	"time"
)

// openMints knows the ids of this process whose events are not decided yet: an event may be
// about to be stored, or is stored and not published. From them follows the closed id: all
// that this process minted below it is stored and published, or will never be stored. A node
// that misses a notice of this process reads the log from the last closed id up to which it
// had missed nothing. So it finds exactly what it missed.
//
// A mint is opened before its ids are made, and closed when what came of them is published.
// An append in doubt holds its mint open for as long as it is looked at.
type openMints struct {
	clock *idClock

	mu   sync.Mutex
	open []*mint // in the order of their floors; those at the end may be closed
}

// mint is at least one id that is about to be made.
type mint struct {
	floor  EventID // none of its ids is lower
	closed bool
}

// begin opens a mint. The clock never goes back, so no id that is made after it is lower
// than its floor.
func (o *openMints) begin() *mint {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := &mint{floor: EventIDAt(o.clock.Now())}
	o.open = append(o.open, m)
	return m
}

// end closes a mint.
func (o *openMints) end(m *mint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m.closed = true
	for len(o.open) > 0 && o.open[0].closed {
		o.open[0] = nil
		o.open = o.open[1:]
	}
}

// closedID gives the closed id as far as mints go. open reports whether there are any.
func (o *openMints) closedID() (closed EventID, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.open) > 0 {
		return o.open[0].floor, true
	}
	return EventIDAt(o.clock.Now()), false
}

// Standing is what a node says of itself in the register of nodes, and in its heartbeats.
type Standing struct {
	Node NodeID
	// Began is the closed id that the node began with: it has minted nothing below.
	Began EventID
	// Closed is the node's closed id: all that it minted below that is stored and published,
	// or will never be stored. Zero: it does not say.
	Closed EventID
	// Skew is how far its clock is ahead of the store's.
	Skew time.Duration
	// Open says that appends are under way or in doubt.
	Open bool
}

// Standing is the node's present one, without its number.
func (s *Service) Standing() Standing {
	st := Standing{Began: s.began, Skew: s.skew.By()}
	st.Closed, st.Open = s.queues.closedID()
	return st
}

func (a *appendQueues) closedID() (closed EventID, open bool) {
	closed, open = a.mints.closedID() // first: what goes from here to the doubts is seen there
	if floor, doubtful := a.doubts.lowest(); doubtful {
		open = true
		if floor.Compare(closed) < 0 {
			closed = floor
		}
	}
	return closed, open
}
