package bustest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Log stands in for the store that nodes share: it says who lives, and finds what a node has
// appended.
type Log struct {
	mu       sync.Mutex
	standing map[chat.NodeID]chat.Standing // of those that live
	events   []logged
	last     chat.EventID
}

type logged struct {
	chat.Appended

	via chat.NodeID
}

var _ chat.Register = (*Log)(nil)

// NewLog makes a log without nodes and events.
func NewLog() *Log {
	return &Log{standing: make(map[chat.NodeID]chat.Standing), last: chat.EventIDAt(time.Unix(1_780_000_000, 0))}
}

// Standing is how every node stands: nothing is under way.
func (l *Log) Standing() chat.Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return chat.Standing{Began: chat.EventIDAt(chat.IDTime(l.last).Add(-time.Second)), Closed: chat.NextInOrder(l.last)}
}

// Append adds an event of a node.
func (l *Log) Append(via chat.NodeID, thread chat.ThreadID, seq chat.Seq, users ...chat.UserID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = chat.NextInOrder(l.last)
	l.events = append(l.events, logged{via: via, Appended: chat.Appended{
		Wake: chat.Wake{Thread: thread, Seq: seq, ID: l.last}, Users: users,
	}})
}

// Live implements [chat.Register].
func (l *Log) Live(_ context.Context, own chat.Standing) (all []chat.Standing, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing[own.Node] = own
	for _, st := range l.standing {
		all = append(all, st)
	}
	return all, nil
}

// Leave implements [chat.Register].
func (l *Log) Leave(_ context.Context, n chat.NodeID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.standing, n)
	return nil
}

// AppendedBy implements [chat.Register]. It gives one event at a time.
func (l *Log) AppendedBy(_ context.Context, n chat.NodeID, from chat.EventID, _ int) (found []chat.Appended, next chat.EventID, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		switch {
		case e.via != n || e.ID.Compare(from) < 0:
		case len(found) > 0:
			return found, e.ID, nil
		default:
			found = append(found, e.Appended)
		}
	}
	return found, next, nil
}

// SharingNodes are several nodes with a network between them and a store that they share.
type SharingNodes interface {
	// Join gives the bus of one more node, and its number.
	Join(t *testing.T, l *Log) (chat.Bus, chat.NodeID)
	// Cut has the network carry nothing, until Mend.
	Cut(t *testing.T)
	Mend(t *testing.T)
}

// RunRepairs runs the suite of a bus that finds out what it has lost, besides [RunNodes].
// Each test gets nodes of its own, none of which has joined; it closes their buses.
func RunRepairs(t *testing.T, open func(t *testing.T) SharingNodes) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, s *sharing)
	}{
		{"what is stored during a cut is told as a wake to whom it concerns, while it lasts", testWakesDuringCut},
		{"what is lost and not noticed at once is told as a wake", testWakesAfterLoss},
		{"what a node stored and did not tell before its end is told as a wake", testWakesOfADeadNode},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // these tests wait
			tt.test(t, &sharing{SharingNodes: open(t), log: NewLog()})
		})
	}
}

// sharing are the nodes of a test.
type sharing struct {
	SharingNodes

	log *Log
}

// sharer is one of them.
type sharer struct {
	chat.Bus
	*nodeEar

	id chat.NodeID
}

func (s *sharing) join(t *testing.T) *sharer {
	t.Helper()
	b, id := s.Join(t, s.log)
	e := &nodeEar{ear: newEar(), losses: make(chan struct{}, 1)}
	b.Subscribe(e)
	t.Cleanup(func() { _ = b.Close() })
	return &sharer{b, e, id}
}

// hear waits until each of the others has been heard by one: so all of them are known.
func (s *sharer) hear(t *testing.T, others ...*sharer) {
	t.Helper()
	for i, other := range others {
		awaitCarried(t, other.Bus, s.nodeEar, chat.Seq(1000*i+1))
	}
}

// awaitWake waits for the wake of an event, and wants no loss.
func (s *sharer) awaitWake(t *testing.T, thread chat.ThreadID, seq chat.Seq, users ...chat.UserID) {
	t.Helper()
	for deadline := time.After(lossPatience); ; {
		select {
		case n := <-s.notices:
			if n.Wake == nil || n.Wake.Thread != thread {
				continue
			}
			if n.Wake.Seq != seq || !slices.Equal(n.Audience, users) {
				t.Errorf("event %d of %v is told as %+v to %v", seq, users, n.Wake, n.Audience)
			}
			select {
			case <-s.losses:
				t.Error("a loss of anything was told")
			default:
			}
			return
		case <-deadline:
			t.Fatalf("the event was not told within %v", lossPatience)
		}
	}
}

func testWakesDuringCut(t *testing.T, s *sharing) {
	a, b := s.join(t), s.join(t)
	b.hear(t, a)
	drain(b.losses)
	one, two := chat.ThreadID{15: 1}, chat.ThreadID{14: 1}
	s.Cut(t)
	awaitPing(t, b.Bus, false)
	s.log.Append(a.id, one, 7, "ann", "bob")
	b.awaitWake(t, one, 7, "ann", "bob")
	s.log.Append(a.id, two, 5, "cyd")
	s.log.Append(b.id, one, 8, "ann", "bob")
	b.awaitWake(t, two, 5, "cyd")
	a.awaitWake(t, one, 8, "ann", "bob")
	s.Mend(t)
	awaitCarried(t, a.Bus, b.nodeEar, 5000)
}

func testWakesAfterLoss(t *testing.T, s *sharing) {
	a, b := s.join(t), s.join(t)
	b.hear(t, a)
	drain(b.losses)
	thread := chat.ThreadID{15: 1}
	s.Cut(t)
	s.log.Append(a.id, thread, 7, "ann")
	n := eventNotice(1, 7)
	n.Audience = []chat.UserID{"ann"}
	a.Publish(n)
	s.Mend(t)
	for deadline := time.After(lossPatience); ; {
		select {
		case n := <-b.notices: // the network may have kept it
			if n.Event != nil && n.Event.Thread == thread || n.Wake != nil && n.Wake.Thread == thread && n.Wake.Seq == 7 {
				return
			}
		case <-deadline:
			t.Fatalf("the event was not told within %v", lossPatience)
		}
	}
}

func testWakesOfADeadNode(t *testing.T, s *sharing) {
	a, b := s.join(t), s.join(t)
	b.hear(t, a)
	drain(b.losses)
	thread := chat.ThreadID{15: 1}
	s.Cut(t) // nobody hears its goodbye
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	s.log.Append(a.id, thread, 7, "ann")
	s.Mend(t)
	b.awaitWake(t, thread, 7, "ann")
}
