package chat_test

import (
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func TestAcknowledgeTellsEachSenderOfItsNewest(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	a1 := w.send("alice", id, "a1")
	b1 := w.send("bob", id, "b1")
	a2 := w.send("alice", id, "a2")
	own := w.send("carol", id, "own")
	w.heard.drain()
	at := w.clock.advance(time.Second)

	w.acknowledge("carol", a1, b1, a2, own)
	r, audience := w.heard.receipt(t) // one event, however many senders
	same(t, "kind", r.Kind, chat.Delivered)
	same(t, "by", r.User, chat.UserID("carol"))
	same(t, "device", r.Device, chat.DeviceID("phone"))
	same(t, "at", r.At, at)
	sameList(t, "senders, oneself is none", r.Senders, chat.SenderMark{User: "alice", Message: a2.ID}, chat.SenderMark{User: "bob", Message: b1.ID})
	sameList(t, "audience", audience, "alice", "bob")
	same(t, "delivered up to", w.view("alice", id).Views[2].DeliveredUpTo, own.ID)
}

func TestAcknowledgeTellsOnlyOfTheNewlyCovered(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	a, b := w.send("alice", id, "a"), w.send("bob", id, "b")
	w.acknowledge("carol", a)
	w.heard.drain()
	w.acknowledge("carol", a) // the tablet, or the same again
	w.heard.nothing(t)

	w.acknowledge("carol", a, b)
	r, audience := w.heard.receipt(t)
	sameList(t, "senders", r.Senders, chat.SenderMark{User: "bob", Message: b.ID})
	sameList(t, "audience", audience, "bob")
}

func TestWhatIsReadIsDeliveredAlready(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m1, m2 := w.send("alice", id, "one"), w.send("alice", id, "two")
	w.read("bob", m2)
	w.heard.drain()
	w.acknowledge("bob", m1, m2)
	w.heard.nothing(t)
	m3 := w.send("alice", id, "three")
	w.heard.drain()
	w.acknowledge("bob", m1, m2, m3)
	r, _ := w.heard.receipt(t)
	sameList(t, "senders", r.Senders, chat.SenderMark{User: "alice", Message: m3.ID})
}

func TestAcknowledgeTellsNobodyWhoHasLeft(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	a, b := w.send("alice", id, "a"), w.send("bob", id, "b")
	req := w.request(id, "a service")
	req.ContentType = chat.System
	res, err := w.Send(t.Context(), with("shop", chat.ScopeSystem), req)
	must(t, err)
	w.remove("alice", id, "bob")
	w.heard.drain()
	w.acknowledge("carol", a, b, res.Event)
	r, audience := w.heard.receipt(t)
	sameList(t, "senders", r.Senders, chat.SenderMark{User: "alice", Message: a.ID})
	sameList(t, "audience", audience, "alice")
}

func TestAcknowledgeOfOnesOwnAndOfNoMessage(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	w.acknowledge("bob", m)
	w.add("alice", id, "carol")
	own := w.send("bob", id, "mine")
	w.heard.drain()
	// Carol acknowledges her own addition, then her own message: marks without a notice.
	must(t, w.Acknowledge(t.Context(), "bob", "phone", chat.Ack{Thread: id, From: m.Seq + 1, Seq: m.Seq + 1}))
	same(t, "an ack of no message keeps the last", w.view("alice", id).Views[1].DeliveredUpTo, m.ID)
	w.acknowledge("bob", own)
	same(t, "delivered up to", w.view("alice", id).Views[1].DeliveredUpTo, own.ID)
	w.heard.nothing(t)
}

// A device may name the newest message that it has when it connects, and acknowledges
// only what comes after it. The senders of the messages before were never told.
func TestAcknowledgeFillsTheGapBeforeIt(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol", "dave")
	first := w.send("alice", id, "acknowledged")
	w.acknowledge("dave", first)
	w.send("bob", id, "b1")
	b2 := w.send("bob", id, "b2")
	w.send("carol", id, "c1")
	w.send("dave", id, "own")
	c2 := w.send("carol", id, "c2")
	w.heard.drain()
	w.acknowledge("dave", c2)
	r, audience := w.heard.receipt(t)
	sameList(t, "senders", r.Senders, chat.SenderMark{User: "carol", Message: c2.ID}, chat.SenderMark{User: "bob", Message: b2.ID})
	sameList(t, "audience", audience, "carol", "bob")
}

func TestTheFirstAckOfANewMemberSaysNothingOfWhatCameBefore(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.sendMany("bob", id, 3)
	w.add("alice", id, "carol")
	news := w.send("alice", id, "welcome")
	w.heard.drain()
	w.acknowledge("carol", news)
	r, audience := w.heard.receipt(t)
	sameList(t, "senders", r.Senders, chat.SenderMark{User: "alice", Message: news.ID})
	sameList(t, "audience", audience, "alice")
}

func TestTheFirstAckAfterReJoiningSaysNothingOfWhatCameWhileAway(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	w.acknowledge("carol", w.send("alice", id, "in"))
	w.remove("alice", id, "carol")
	w.send("bob", id, "away")
	w.add("alice", id, "carol")
	w.send("alice", id, "held")
	news := w.send("bob", id, "and new")
	w.heard.drain()
	w.acknowledge("carol", news)
	r, _ := w.heard.receipt(t)
	same(t, "senders: of the new one and of the gap since joining", len(r.Senders), 2)
	sameList(t, "senders", r.Senders, chat.SenderMark{User: "bob", Message: news.ID}, chat.SenderMark{User: "alice", Message: w.log(id)[5].ID})

	w.remove("alice", id, "carol")
	w.send("alice", id, "away again")
	w.add("alice", id, "carol")
	w.heard.drain()
	w.acknowledge("carol", w.send("bob", id, "newer"))
	heard := w.heard.drain()
	last := heard[len(heard)-1].Receipt
	same(t, "senders", len(last.Senders), 1)
	same(t, "sender", last.Senders[0].User, chat.UserID("bob"))
}

func TestDevicesAcknowledgeAtOnce(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	sent := w.sendMany("alice", id, 20)
	w.heard.drain()
	done := make(chan error)
	for range 4 {
		go func() {
			var err error
			for i := range sent {
				if e := w.Acknowledge(t.Context(), "bob", "phone", ackOf(sent[i])); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 4 {
		must(t, <-done)
	}
	told := make(map[chat.MessageID]bool)
	for _, n := range w.heard.drain() {
		for _, s := range n.Receipt.Senders {
			if told[s.Message] {
				t.Errorf("%s was told twice", s.Message)
			}
			told[s.Message] = true
		}
	}
	same(t, "delivered up to", w.view("alice", id).Views[1].DeliveredUpTo, sent[19].ID)
	same(t, "the last was told", told[sent[19].ID], true)
}
