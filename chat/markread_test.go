package chat_test

import (
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Who reads a redelivered message has not read the messages that are newer than it.
func TestReadingARedeliveredMessageLeavesNewerOnesUnread(t *testing.T) {
	w, id, seen := blocked(t)
	req, old := w.hide(id, "hidden")
	w.unblock("bob", "alice")
	news := w.send("alice", id, "news")
	w.resend("alice", req, chat.Replayed)
	w.acknowledge("bob", seen, news)
	w.heard.drain()
	at := w.clock.advance(time.Second)
	w.read("bob", old)
	rc, audience := w.heard.receipt(t)
	same(t, "told", rc.Message, old.ID)
	sameList(t, "to", audience, "alice", "bob")
	same(t, "the old one", w.state(old, "bob").State, chat.StateRead)
	same(t, "read at", w.state(old, "bob").ReadAt, at)
	same(t, "delivered at", w.state(old, "bob").DeliveredAt, at)
	same(t, "the news", w.state(news, "bob").State, chat.StateDelivered)
	same(t, "unread", w.view("bob", id).Unread, 1)
	same(t, "read up to", w.view("bob", id).Views[1].ReadUpTo, old.ID)

	w.clock.advance(time.Second)
	w.read("bob", old)
	w.heard.nothing(t)
	w.read("bob", news)
	same(t, "the news", w.state(news, "bob").State, chat.StateRead)
	same(t, "unread", w.view("bob", id).Unread, 0)
	same(t, "the old one was read before", w.state(old, "bob").ReadAt, at)
}

// Messages in between that were read, or that are the reader's own, do not hold its mark down.
func TestReadingARedeliveredMessageReachesItPastWhatIsRead(t *testing.T) {
	w, id, _ := blocked(t)
	req, old := w.hide(id, "hidden")
	w.unblock("bob", "alice")
	w.read("bob", w.send("alice", id, "read already"))
	w.send("bob", id, "mine")
	again := w.resend("alice", req, chat.Replayed)
	same(t, "before", w.state(old, "bob").State, chat.StateSent)
	w.read("bob", old)
	same(t, "after", w.state(old, "bob").State, chat.StateRead)
	marks, err := w.store.Marks(t.Context(), id, []chat.UserID{"bob"})
	must(t, err)
	same(t, "by the mark of the thread", marks[0].Read.Seq, again.Message.RedeliveredSeq)
}

// Two redelivered messages are read one by one, in either order, though one of them lies
// far below the read mark.
func TestRedeliveredMessagesAreReadOneByOne(t *testing.T) {
	for _, newerFirst := range []bool{true, false} {
		w, id, _ := blocked(t)
		req1, m1 := w.hide(id, "1")
		req2, m2 := w.hide(id, "2")
		w.unblock("bob", "alice")
		for _, m := range w.sendMany("alice", id, 300) {
			w.read("bob", m)
		}
		// The newer one comes back first: it lies between the older and its redelivery.
		w.resend("alice", req2, chat.Replayed)
		w.resend("alice", req1, chat.Replayed)
		news := w.send("alice", id, "news")
		if newerFirst {
			w.read("bob", m2)
			same(t, "m1", w.state(m1, "bob").State, chat.StateSent)
			w.read("bob", m1)
		} else {
			w.read("bob", m1)
			same(t, "m2", w.state(m2, "bob").State, chat.StateSent)
			w.read("bob", m2)
		}
		same(t, "m1", w.state(m1, "bob").State, chat.StateRead)
		same(t, "m2", w.state(m2, "bob").State, chat.StateRead)
		same(t, "news", w.state(news, "bob").State, chat.StateSent)
		same(t, "unread", w.view("bob", id).Unread, 1)
	}
}
