package chat_test

import (
	"context"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// What an acknowledgement finds in the cache must not outlive a change of its thread.

func TestAcknowledgeSeesWhoHasLeftAndCome(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	a, b := w.send("alice", id, "a"), w.send("bob", id, "b")
	w.acknowledge("carol", a, b) // from here on the cache has who is in the group
	b2 := w.send("bob", id, "b2")
	w.remove("alice", id, "bob")
	a2 := w.send("alice", id, "a2")
	w.heard.drain()
	w.acknowledge("carol", a, b, b2, a2)
	_, audience := w.heard.receipt(t)
	sameList(t, "audience without bob", audience, "alice")

	w.add("alice", id, "bob")
	b = w.send("bob", id, "again")
	w.heard.drain()
	w.acknowledge("carol", b)
	_, audience = w.heard.receipt(t)
	sameList(t, "audience with bob", audience, "bob")
}

func TestAcknowledgeSeesWhatWasReadSince(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m1 := w.send("alice", id, "one")
	w.acknowledge("bob", m1) // from here on the cache has that nothing is read
	m2 := w.send("alice", id, "two")
	w.read("bob", m2)
	w.heard.drain()
	w.acknowledge("bob", m1, m2)
	w.heard.nothing(t)
}

func TestAcknowledgeAsksTheStoreOnce(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	asked, bus := &asked{Store: w.store}, &overheard{Bus: w.bus}
	s := chat.New(chat.Config{Store: asked, Bus: bus, Now: w.clock.Now})
	t.Cleanup(func() { s.Close(context.Background()) })
	acknowledge := func(text string) {
		m := w.send("alice", id, text)
		senders := []chat.AckedSender{{User: "alice", Message: m.ID, Seq: m.Seq}}
		must(t, s.Acknowledge(t.Context(), "bob", "phone", chat.Ack{Thread: id, From: m.Seq, Seq: m.Seq, Message: m.ID, Senders: senders}))
	}
	acknowledge("one")
	acknowledge("two")
	acknowledge("three")
	same(t, "reads of thread and marks", asked.reads, 2)
	for _, h := range bus.handlers {
		h.HandleLoss()
	}
	acknowledge("four")
	same(t, "reads after hints were lost", asked.reads, 4)
	w.clock.advance(4 * time.Second)
	acknowledge("five")
	same(t, "reads after four seconds", asked.reads, 4)
	w.clock.advance(time.Second)
	acknowledge("six")
	same(t, "reads after five", asked.reads, 6)
}

// Notices come from other processes too: what they lack must not end this one.
func TestANoticeOfAStateWithoutItsUserEndsNothing(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("ann", "bob")
	w.send("bob", id, "hello") // from here on the cache has that bob has accepted
	w.bus.Publish(chat.Notice{State: &chat.ThreadState{Thread: id}})
	w.send("bob", id, "again")
}

// asked is a store that counts how often it is asked for a thread or for marks.
type asked struct {
	chat.Store

	reads int
}

func (a *asked) Thread(ctx context.Context, id chat.ThreadID) (chat.Thread, error) {
	a.reads++
	return a.Store.Thread(ctx, id)
}

func (a *asked) Marks(ctx context.Context, id chat.ThreadID, users []chat.UserID) ([]chat.Marks, error) {
	a.reads++
	return a.Store.Marks(ctx, id, users)
}

// overheard is a bus that gives away who listens.
type overheard struct {
	chat.Bus

	handlers []chat.BusHandler
}

func (o *overheard) Subscribe(h chat.BusHandler) (stop func()) {
	o.handlers = append(o.handlers, h)
	return o.Bus.Subscribe(h)
}
