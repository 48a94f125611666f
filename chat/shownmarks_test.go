package chat_test

import (
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// marksOf is how far a participant has received and read, as another is told.
func (w *world) marksOf(viewer, user chat.UserID, thread chat.ThreadID) [2]chat.MessageID {
	w.tb.Helper()
	for _, v := range w.view(viewer, thread).Views {
		if v.User == user {
			return [2]chat.MessageID{v.DeliveredUpTo, v.ReadUpTo}
		}
	}
	w.tb.Fatalf("%s is not shown", user)
	return [2]chat.MessageID{}
}

// A user from whom a message is hidden does not learn its id from the marks of its sender.
func TestMarksNameNoHiddenMessage(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	w.block("bob", "alice")
	early := w.send("alice", id, "hidden")
	w.heard.drain()
	w.read("alice", early)
	_, audience := w.heard.receipt(t)
	sameList(t, "told", audience, "alice")
	none := chat.MessageID{}
	same(t, "with nothing to see", w.marksOf("bob", "alice", id), [2]chat.MessageID{})
	same(t, "alice sees it", w.marksOf("alice", "alice", id)[1], early.ID)

	seen := w.send("bob", id, "seen")
	w.read("alice", seen)
	hidden := w.send("alice", id, "hidden")
	must(t, w.Acknowledge(t.Context(), "alice", "tablet", chat.Ack{Thread: id, From: 2, Seq: hidden.Seq, Message: hidden.ID}))
	same(t, "the newest that bob sees", w.marksOf("bob", "alice", id), [2]chat.MessageID{seen.ID, seen.ID})
	w.send("bob", id, "later")
	same(t, "with something newer", w.marksOf("bob", "alice", id), [2]chat.MessageID{seen.ID, seen.ID})
	same(t, "alice's own", w.marksOf("alice", "alice", id), [2]chat.MessageID{hidden.ID, seen.ID})
	same(t, "bob's own", w.marksOf("bob", "bob", id), [2]chat.MessageID{none, none})
}

func TestMarksNameNoMessageFromBeforeJoining(t *testing.T) {
	for _, later := range []time.Duration{0, time.Second} { // the times of ids alone do not tell
		w := newWorld(t)
		id := w.newGroup("alice", "bob")
		old := w.send("alice", id, "old")
		w.read("bob", old)
		w.clock.advance(later)
		w.add("alice", id, "carol")
		same(t, "carol sees of bob's", w.marksOf("carol", "bob", id), [2]chat.MessageID{})
		same(t, "alice sees of bob's", w.marksOf("alice", "bob", id)[1], old.ID)
		w.heard.drain()
		w.read("alice", old)
		_, audience := w.heard.receipt(t)
		sameList(t, "told", audience, "alice", "bob")
		news := w.send("alice", id, "new")
		same(t, "carol sees of bob's yet", w.marksOf("carol", "bob", id), [2]chat.MessageID{})
		w.read("bob", news)
		same(t, "carol sees of bob's then", w.marksOf("carol", "bob", id)[1], news.ID)
	}
}
