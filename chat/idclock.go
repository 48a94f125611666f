package chat

import (
	"sync"
	"time"
)

// idClock tells the time that goes into ids. It is the wall clock's, unless that was set
// back, or other nodes are ahead of it: then it goes on from the newest time known, at the
// clock's pace less one part in a hundred, until the wall clock has caught up. So ids
// rise in the order in which events come, about, over all threads and nodes, whatever is
// done to the wall clock. What depends on the order exactly goes by seqs.
type idClock struct {
	now     func() time.Time // its readings may hold a monotonic one, as those of time.Now do
	stepped func(by time.Duration)

	mu     sync.Mutex
	read   time.Time     // the last reading of now
	time   time.Time     // what was told then
	set    time.Duration // by how much the wall clock was set, and stepped not told yet
	newest EventID       // the highest id heard of
}

// maxDrift is by how much the wall clock may differ from the monotonic one between two
// readings before it counts as a step. A clock that is only slewed stays far below it.
const maxDrift = time.Second

// newIDClock makes a clock that goes on from the newest id of the store. It calls stepped
// when it sees that the wall clock was set.
func newIDClock(now func() time.Time, newest EventID, stepped func(by time.Duration)) *idClock {
	c := &idClock{now: now, stepped: stepped, read: now()}
	c.time = c.read.Round(0)
	c.hear(newest)
	return c
}

// Now is the time for an id that is minted now.
func (c *idClock) Now() time.Time {
	c.mu.Lock()
	c.advance()
	told, set := c.time, c.set
	c.set = 0
	c.mu.Unlock()
	if set != 0 {
		c.stepped(set)
	}
	return told
}

// advance reads the wall clock. It is called with mu held.
func (c *idClock) advance() {
	now := c.now()
	passed := now.Sub(c.read) // by the monotonic clock
	if by := now.Round(0).Sub(c.read.Round(0)) - passed; by.Abs() > maxDrift {
		c.set += by
	}
	c.read = now
	passed = max(passed, 0)
	c.time = c.time.Add(passed - passed/100)
	if wall := now.Round(0); wall.After(c.time) {
		c.time = wall
	}
}

// hear has the clock go on from an id that somebody minted.
func (c *idClock) hear(id EventID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id.Compare(c.newest) <= 0 {
		return
	}
	c.newest = id
	if at := IDTime(id); at.After(c.time) {
		c.advance()
		if at.After(c.time) {
			c.time = at
		}
	}
}

// Newest is the highest id heard of.
func (c *idClock) Newest() EventID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// HandleNotice implements [BusHandler].
func (c *idClock) HandleNotice(n Notice) {
	switch {
	case n.Event != nil:
		c.hear(n.Event.ID)
	case n.Wake != nil:
		c.hear(n.Wake.ID)
	}
}

// Skip implements [Skipper]: the id is all that the clock needs.
func (c *idClock) Skip(_ []UserID, message MessageID) bool {
	c.hear(message)
	return true
}

// HandleLoss implements [BusHandler]. What was lost is heard of with the next head.
func (c *idClock) HandleLoss() {}
