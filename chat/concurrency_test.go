package chat_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

// witness checks, while the publisher waits, that every event on the bus is stored
// already, and that each thread's events are published in order.
type witness struct {
	tb    TB
	store chat.Store
	mu    sync.Mutex
	last  map[chat.ThreadID]chat.Seq
}

func (v *witness) HandleNotice(n chat.Notice) {
	if n.Event == nil {
		return
	}
	e := n.Event
	stored, err := v.store.Events(context.Background(), e.Thread, e.Seq-1, e.Seq, chat.Limit{Count: 1, Bytes: 1 << 20})
	if err != nil || len(stored) != 1 || stored[0].ID != e.ID {
		v.tb.Errorf("event %d was told, and the store shows %v, %v", e.Seq, stored, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if last := v.last[e.Thread]; e.Seq != last+1 {
		v.tb.Errorf("event %d was told after %d", e.Seq, last)
	}
	v.last[e.Thread] = e.Seq
}

func (v *witness) HandleLoss() {}

func TestEightSendersInThreeThreads(t *testing.T) {
	w := newWorldOf(t, setup{dir: t.TempDir(), realClock: true})
	const messages = 200
	watch := &witness{tb: t, store: w.store, last: make(map[chat.ThreadID]chat.Seq)}
	defer w.bus.Subscribe(watch)()
	senders := people(8)
	var threads []chat.ThreadID
	for range 3 {
		threads = append(threads, w.newGroup(senders[0], senders[1:]...))
	}
	var wg sync.WaitGroup
	for _, u := range senders {
		wg.Go(func() {
			for i := range messages {
				res, err := w.Send(t.Context(), as(u), w.request(threads[i%3], fmt.Sprintf("%s %d", u, i)))
				if err != nil || res.Outcome != chat.Sent {
					t.Errorf("%s, message %d: outcome %d, %v", u, i, res.Outcome, err)
				}
			}
		})
	}
	wg.Wait()

	total := 0
	for _, id := range threads {
		log := w.soundLog(id)
		total += len(log) - 1
		same(t, "the last one told", watch.last[id], log[len(log)-1].Seq)
		// A sender that waited for each answer finds its messages in that order.
		sent := make(map[chat.UserID]int64)
		for _, e := range log[1:] {
			if e.Message.ClientSeq <= sent[e.By] {
				t.Fatalf("the messages of %s are out of order", e.By)
			}
			sent[e.By] = e.Message.ClientSeq
		}
	}
	same(t, "messages", total, len(senders)*messages)
}

func TestIDsRiseThoughTheClockJumpsBack(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	m := w.send("alice", id, "now")
	w.clock.advance(-time.Hour)
	late := w.sendMany("alice", id, 50)
	same(t, "the wall clock tells when it was sent", late[49].At, w.clock.Now())
	if chat.IDTime(late[49].ID).Before(chat.IDTime(m.ID)) {
		t.Errorf("the time in ids went back from %v to %v", chat.IDTime(m.ID), chat.IDTime(late[49].ID))
	}
	w.clock.advance(2 * time.Hour)
	same(t, "and goes on", w.send("alice", id, "later").At, w.clock.Now())
	w.soundLog(id)

	page, err := w.HistorySince(t.Context(), as("alice"), id, m.ID, chat.PageRequest{Size: 100})
	must(t, err)
	same(t, "messages since", len(page.Messages), 51)
}

// anotherNode is a second Service on the same store with a bus of its own.
func (w *world) anotherNode(tb TB, now func() time.Time) *chat.Service {
	bus := local.New()
	s := chat.New(chat.Config{Store: w.store, Bus: bus, Now: now})
	tb.Cleanup(func() {
		s.Close(context.Background())
		_ = bus.Close()
	})
	return s
}

func TestTwoNodesTakeTurns(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	other := w.anotherNode(t, func() time.Time { return w.clock.Now().Add(-time.Minute) }) // its clock is late
	for i := range 20 {
		node := w.Service
		if i%2 == 1 {
			node = other
		}
		w.clock.advance(time.Second)
		_, err := node.Send(t.Context(), as("bob"), w.request(id, strconv.Itoa(i)))
		must(t, err)
	}
	same(t, "events", len(w.soundLog(id)), 21)

	must(t, other.RemoveParticipant(t.Context(), as("alice"), id, "bob"))
	_, err := w.Send(t.Context(), as("bob"), w.request(id, "too late"))
	if err == nil {
		t.Fatal("a node that did not hear of the removal let the message in")
	}
	refused(t, err, chat.CodeNotAParticipant)
}

// The thread that an append queue keeps from its last batch may be older than another
// node's change. By that alone nothing is refused, and nothing counts as done already.
func TestNodeThatRemembersAnOlderState(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	other := w.anotherNode(t, w.clock.Now)
	remember := func() {
		t.Helper()
		_, err := other.Send(t.Context(), as("alice"), w.request(id, "the other node knows the thread"))
		must(t, err)
	}
	remember()
	w.add("alice", id, "carol")
	_, err := other.Send(t.Context(), as("carol"), w.request(id, "hello"))
	must(t, err)

	remember()
	w.remove("alice", id, "bob")
	_, added, err := other.AddParticipant(t.Context(), as("alice"), id, "bob")
	must(t, err)
	same(t, "added again", added, true)

	remember()
	_, err = w.SetTitle(t.Context(), as("alice"), id, "tea")
	must(t, err)
	v, err := other.SetTitle(t.Context(), as("alice"), id, "")
	must(t, err)
	same(t, "title", v.Title, "")

	m := w.send("alice", id, "pinned")
	remember()
	w.pin("alice", m)
	must(t, other.Unpin(t.Context(), as("alice"), id, m.ID))
	sameList(t, "pins", w.pins("alice", id))
	w.soundLog(id)
}

func TestTwoNodesAtOnce(t *testing.T) {
	w := newWorldOf(t, setup{dir: t.TempDir(), realClock: true})
	nodes := []*chat.Service{w.Service, w.anotherNode(t, time.Now)}
	senders := people(4)
	id := w.newGroup(senders[0], senders[1:]...)
	const messages = 100
	var wg sync.WaitGroup
	for i, u := range senders {
		wg.Go(func() {
			for n := range messages {
				if _, err := nodes[i%2].Send(t.Context(), as(u), w.request(id, strconv.Itoa(n))); err != nil {
					t.Errorf("%s, message %d: %v", u, n, err)
				}
			}
		})
	}
	wg.Wait()
	same(t, "events", len(w.soundLog(id)), 1+len(senders)*messages)
}

func TestTwoNodesRecogniseOneKey(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	nodes := []*chat.Service{w.Service, w.anotherNode(t, w.clock.Now)}
	req := w.request(id, "once")
	outcomes := make([]chat.SendOutcome, 16)
	var wg sync.WaitGroup
	for i := range outcomes {
		wg.Go(func() {
			res, err := nodes[i%2].Send(t.Context(), as("alice"), req)
			if err != nil {
				t.Errorf("send: %v", err)
			}
			outcomes[i] = res.Outcome
		})
	}
	wg.Wait()
	slices.Sort(outcomes)
	same(t, "new", outcomes[0], chat.Sent)
	same(t, "replayed", outcomes[1], chat.Replayed)
	same(t, "messages", len(w.history("alice", id)), 1)
}

func TestMembershipChangesAmongMessages(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 30 {
			w.remove("alice", id, "bob")
			w.add("alice", id, "bob")
		}
	})
	accepted := 0
	wg.Go(func() {
		for range 100 {
			_, err := w.Send(t.Context(), as("bob"), w.request(id, "in or out"))
			if err == nil {
				accepted++
			} else if chat.CodeOf(err) != chat.CodeNotAParticipant {
				t.Errorf("send: %v", err)
			}
		}
	})
	wg.Wait()
	in, found := true, 0
	for _, e := range w.soundLog(id)[1:] {
		switch {
		case e.Kind == chat.KindMessage && !in:
			t.Fatalf("message %d stands where its sender was out", e.Seq)
		case e.Kind == chat.KindMessage:
			found++
		default:
			in = e.Change.Event == chat.ParticipantAdded
		}
	}
	same(t, "messages", found, accepted)
}
