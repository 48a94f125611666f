package session

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// putBack gives what is to be stored of two runs of events, if storing the first
// failed while the second came.
func putBack(first, second []sent) map[stint]chat.Ack {
	var p pendingAcks
	for i := range first {
		p.add(&first[i])
	}
	failed := p.drain()
	for i := range second {
		p.add(&second[i])
	}
	p.putBack(failed)
	return p.receipts()
}

func (p *pendingAcks) receipts() map[stint]chat.Ack {
	all := make(map[stint]chat.Ack)
	for in, a := range p.stints {
		all[in] = a.Ack
	}
	return all
}

// However they come together, receipts name each sender's newest message, reach as
// far as the farthest and begin where the first does.
func TestReceiptsAddUp(t *testing.T) {
	thread, older, newer := chat.ThreadID{1}, chat.MessageID{1}, chat.MessageID{2}
	events := []sent{
		{thread: thread, after: 3, seq: 5, message: newer, by: "alice"},
		{thread: thread, after: 5, seq: 6, message: older, by: "alice"}, // again
		{thread: thread, after: 2, seq: 3},                              // out of order, and no message
		{thread: thread, after: 6, seq: 7, message: chat.MessageID{4}, by: "carol"},
		{thread: thread, after: 7, seq: 8, removal: true},
	}
	want := chat.Ack{
		Thread: thread, From: 3, Seq: 7, Message: chat.MessageID{4},
		Senders: []chat.AckedSender{{User: "alice", Message: newer, Seq: 6}, {User: "carol", Message: chat.MessageID{4}, Seq: 7}},
	}
	var p pendingAcks
	for i := range events {
		p.add(&events[i])
	}
	if got := p.receipts()[stint{thread: thread}]; !reflect.DeepEqual(got, want) {
		t.Errorf("acknowledged in one go: %+v, want %+v", got, want)
	}
	for split := 1; split < len(events); split++ {
		acked := putBack(events[:split], events[split:])
		got := acked[stint{thread: thread}]
		for _, sender := range want.Senders { // in either order
			found := false
			for _, x := range got.Senders {
				found = found || x == sender
			}
			if !found {
				t.Errorf("put back after %d: %+v, want %+v among the senders", split, got.Senders, sender)
			}
		}
		if got.From != want.From || got.Seq != want.Seq || got.Message != want.Message || len(got.Senders) != 2 {
			t.Errorf("put back after %d: %+v, want %+v", split, got, want)
		}
	}
}

// Of many senders, each has its newest message, however they take turns.
func TestReceiptsOfManySenders(t *testing.T) {
	const senders, each = 3 * manySenders, 3
	var events []sent
	for i := range chat.Seq(senders * each) {
		events = append(events, sent{seq: i + 1, after: i, message: chat.MessageID{byte(i + 1)}, by: chat.UserID(fmt.Sprint("sender-", i%senders))})
	}
	for split := range events {
		a := putBack(events[:split], events[split:])[stint{}]
		if len(a.Senders) != senders {
			t.Fatalf("put back after %d: %d senders, want %d", split, len(a.Senders), senders)
		}
		for _, x := range a.Senders {
			var i chat.Seq
			if _, err := fmt.Sscanf(string(x.User), "sender-%d", &i); err != nil {
				t.Fatal(err)
			}
			if newest := i + senders*(each-1) + 1; x.Seq != newest || x.Message != (chat.MessageID{byte(newest)}) {
				t.Fatalf("put back after %d: %+v, want seq %d", split, x, newest)
			}
		}
	}
}

// Who is removed and added again has received what it acknowledges of either stint:
// one receipt for both would be above its leaving, and say nothing of the first.
func TestReceiptsOfTwoStaysAreTwo(t *testing.T) {
	thread := chat.ThreadID{1}
	events := []sent{
		{thread: thread, joined: 1, after: 1, seq: 2, message: chat.MessageID{2}, by: "alice"},
		{thread: thread, joined: 1, after: 2, seq: 3, removal: true},
		{thread: thread, joined: 5, after: 4, seq: 5},
		{thread: thread, joined: 5, after: 5, seq: 6, message: chat.MessageID{6}, by: "alice"},
	}
	want := map[stint]chat.Ack{
		{thread, 1}: {Thread: thread, From: 2, Seq: 2, Message: chat.MessageID{2}, Senders: []chat.AckedSender{{User: "alice", Message: chat.MessageID{2}, Seq: 2}}},
		{thread, 5}: {Thread: thread, From: 5, Seq: 6, Message: chat.MessageID{6}, Senders: []chat.AckedSender{{User: "alice", Message: chat.MessageID{6}, Seq: 6}}},
	}
	for split := range events {
		acked := putBack(events[:split], events[split:])
		if !reflect.DeepEqual(acked, want) {
			t.Errorf("put back after %d: %+v, want %+v", split, acked, want)
		}
	}
}

// One client_ack for what came before the removal and after the next joining.
func TestOneAckOverTwoStaysDeliversTheFirstToo(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"), manualAcks)
	bob.awaitCaughtUp()
	first := n.send(as("alice", "web"), g, "2")
	must(t, n.chat.RemoveParticipant(t.Context(), as("alice", "web"), g, "bob")) // 3
	must(t, add(n, g, "bob"))                                                    // 4
	second := n.send(as("alice", "web"), g, "5")
	frames := bob.awaitSeq(g, 5)
	bob.sess.AckThrough(frames[len(frames)-1].FrameSeq)
	for _, m := range []chat.Event{second, first} {
		n.eventually("DELIVERED", func() bool { return n.stateOf(m) == chat.StateDelivered })
	}
}
