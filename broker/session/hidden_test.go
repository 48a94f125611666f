package session

import (
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// hide has alice, whom bob blocks, send to him; key is for retry.
func (n *node) hide(thread chat.ThreadID, text string) (m chat.Event, key int) {
	n.t.Helper()
	m = n.send(as("alice", "laptop"), thread, text)
	if m.Message.HiddenFrom != "bob" {
		n.t.Fatalf("the message is hidden from %q", m.Message.HiddenFrom)
	}
	return m, n.keys
}

func (n *node) block() {
	n.t.Helper()
	must(n.t, n.chat.Block(n.t.Context(), as("bob", "web"), "alice"))
}

func (n *node) unblock() {
	n.t.Helper()
	must(n.t, n.chat.Unblock(n.t.Context(), as("bob", "web"), "alice"))
}

func (n *node) stateOf(m chat.Event) chat.RecipientState {
	n.t.Helper()
	receipts, err := n.chat.Receipts(n.t.Context(), as("alice", "web"), m.ID)
	must(n.t, err)
	if len(receipts) != 1 || receipts[0].User != "bob" {
		n.t.Fatalf("the recipients are %+v, want bob", receipts)
	}
	return receipts[0].State
}

func TestHiddenMessageReachesTheSendersDevicesAndNoneOfTheBlocker(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.pair("alice", "bob")
	n.block()
	laptop, tablet := n.connect(as("alice", "laptop")), n.connect(as("alice", "tablet"))
	phone, watch := n.connect(as("bob", "phone")), n.connect(as("bob", "watch"), mqtt)
	watch.subscribe("v1/#")
	for _, d := range []*device{laptop, tablet, phone, watch} {
		d.awaitCaughtUp()
	}
	alice := as("alice", "laptop")
	m, _ := n.hide(g, "psst") // 2
	for _, d := range []*device{laptop, tablet} {
		f := d.awaitFrame(contracts.FrameFailed, func(f frame) bool { return f.ID == m.ID.String() })
		if f.By != "bob" || f.Reason != "blocked" {
			t.Errorf("the failure is told as %+v", f)
		}
	}
	n.edit(alice, m.ID, "psst!") // 3
	_, err := n.chat.React(t.Context(), alice, m.ID, "+1")
	must(t, err) // 4
	_, _, err = n.chat.Pin(t.Context(), alice, g, m.ID)
	must(t, err)          // 5
	n.delete(alice, m.ID) // 6
	n.send(as("bob", "web"), g, "end")
	for _, d := range []*device{phone, watch} {
		for _, f := range d.awaitSeq(g, 7) {
			if f.Seq > 1 && f.Seq < 7 {
				t.Errorf("the blocker's %s got %+v", d.sess.device, f)
			}
		}
	}
	if got := seqs(tablet.awaitSeq(g, 7), g); len(got) < 6 {
		t.Errorf("the sender's other device got %v, want 2 to 7", got)
	}
}

func TestCaughtUpNamesNoHiddenMessage(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.pair("alice", "bob")
	n.block()
	n.hide(g, "2")
	away := n.connect(as("bob", "away"))
	if c := away.awaitCaughtUp(); c.LastID != "" || c.Replayed != 1 {
		t.Errorf("with nothing but a hidden message caught_up says %+v, want the creation and no id", c)
	}
	away.disconnect()
	seen := n.send(as("bob", "web"), g, "3")
	n.hide(g, "4")
	n.hide(g, "5")
	for _, device := range []chat.DeviceID{"new", "away"} {
		if c := n.connect(as("bob", device)).awaitCaughtUp(); c.LastID != seen.ID.String() || c.Replayed > 2 {
			t.Errorf("caught_up says %+v, want %s and no hidden one counted", c, seen.ID)
		}
	}
	last := n.send(as("bob", "web"), g, "6")
	if c := n.connect(as("bob", "new")).awaitCaughtUp(); c.LastID != last.ID.String() {
		t.Errorf("caught_up says %+v, want %s", c, last.ID)
	}
}

// What a blocked user sends costs the blocker's device one pass, not one at each
// connecting.
func TestHiddenEventsAreBehindThePosition(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.pair("alice", "bob")
	phone := n.connect(as("bob", "phone"))
	phone.awaitCaughtUp()
	phone.disconnect() // everything is acknowledged
	n.block()
	var last chat.Event
	for range 3 {
		last, _ = n.hide(g, "x")
	}
	phone = n.connect(as("bob", "phone"))
	phone.awaitCaughtUp()
	phone.disconnect()
	p, found, err := n.store.Position(t.Context(), "bob", "phone")
	must(t, err)
	if at, known := p.Through[g]; !found || !known || at != last.Seq {
		t.Errorf("the position is %+v, want it behind event %d", p, last.Seq)
	}
}

func TestRedeliveryIsAMessageThatIsDeliveredWhenAcknowledged(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.pair("alice", "bob")
	n.block()
	m, key := n.hide(g, "at last") // 2
	newer := n.send(as("bob", "web"), g, "3")
	laptop := n.connect(as("alice", "laptop"))
	phone := n.connect(as("bob", "phone"), manualAcks)
	phone.ack(phone.awaitSeq(g, 3)...)
	n.unblock()
	if n.stateOf(m) != chat.StateFailed {
		t.Error("unblocking alone has delivered it")
	}
	if r := n.retry(as("alice", "laptop"), g, "at last", 0, key); r.Event.ID != m.ID {
		t.Fatalf("the retry made %s of %s", r.Event.ID, m.ID)
	}
	again := phone.awaitFrame("msg", func(f frame) bool { return f.Seq == 4 })
	if again.ID != m.ID.String() || !again.Redelivery || string(again.Ciphertext) != "at last" {
		t.Errorf("redelivered as %+v", again)
	}
	if s := n.stateOf(m); s != chat.StateSent {
		t.Errorf("before it is acknowledged it is %s, want SENT", s)
	}
	phone.ack(again)
	d := laptop.awaitFrame(contracts.FrameDelivered, func(f frame) bool { return f.ID == m.ID.String() })
	if d.By != "bob" || n.stateOf(m) != chat.StateDelivered {
		t.Errorf("after that it is %s, told as %+v, want DELIVERED to bob", n.stateOf(m), d)
	}
	phone.disconnect()
	if c := n.connect(as("bob", "phone")).awaitCaughtUp(); c.LastID != newer.ID.String() {
		t.Errorf("the newest message went back from %s to %s", newer.ID, c.LastID)
	}
}

// Who was away for all of it gets the message at its old place too. Only the
// redelivery counts.
func TestOldPlaceOfARedeliveredMessageIsNoReceipt(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.pair("alice", "bob")
	n.block()
	m, key := n.hide(g, "x") // 2
	laptop := n.connect(as("alice", "laptop"))
	n.unblock()
	n.retry(as("alice", "laptop"), g, "x", 0, key) // 3
	phone := n.connect(as("bob", "phone"), manualAcks)
	frames := phone.awaitSeq(g, 3)
	wantSummary(t, "bob", frames, g, "1 threadcreated", "2 msg x", "3 msg x")
	phone.ack(frames[:2]...)
	n.eventually("the receipt", func() bool {
		marks, err := n.store.Marks(t.Context(), g, []chat.UserID{"bob"})
		must(t, err)
		return marks[0].Delivered.Seq >= 2
	})
	if s := n.stateOf(m); s != chat.StateSent {
		t.Errorf("before its redelivery is acknowledged it is %s, want SENT", s)
	}
	phone.ack(frames[2])
	laptop.awaitFrame(contracts.FrameDelivered, func(f frame) bool { return f.ID == m.ID.String() })
	if s := n.stateOf(m); s != chat.StateDelivered {
		t.Errorf("after that it is %s, want DELIVERED", s)
	}
	laptop.mu.Lock()
	defer laptop.mu.Unlock()
	if told := count(laptop.frames, contracts.FrameDelivered); told != 1 {
		t.Errorf("alice was told %d times, want once: for the redelivery", told)
	}
}

// A slow session that has the hidden message loaded learns that it is not any more.
func TestRedeliveryUncoversWhatIsLoaded(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	g := n.pair("alice", "bob")
	n.send(as("bob", "web"), g, "2")
	n.send(as("bob", "web"), g, "3")
	n.block()
	_, key := n.hide(g, "x") // 4
	phone := n.loadedUpTo(as("bob", "phone"), g, 4)
	n.unblock()
	n.retry(as("alice", "laptop"), g, "x", 0, key) // 5
	phone.release()
	wantSummary(t, "bob", phone.awaitSeq(g, 5), g, "1 threadcreated", "2 msg 2", "3 msg 3", "4 msg x", "5 msg x")
}
