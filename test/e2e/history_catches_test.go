package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// soundHistory is a history without problems. In its one thread Ann wrote three messages.
// Bob got them over two connections, the second message twice, and read the second; Ann's
// laptop was told of his receipts.
func soundHistory() *history {
	const thread = "t"
	ann, bob := "ann", "bob"
	id := func(seq uint64) string { return fmt.Sprintf("ID%d", seq) }
	event := func(seq uint64) frame {
		if seq == 1 {
			return frame{T: "thread", ThreadID: thread, Seq: 1, Event: "created", By: &ann}
		}
		return frame{T: "msg", ThreadID: thread, Seq: seq, ID: id(seq), SenderID: ann, ClientSeq: int64(seq)}
	}
	at := func(moment uint64, f frame) frame {
		f.moment = moment
		return f
	}
	told := func(moment uint64, kind string, seq uint64) frame {
		f := frame{T: kind, ThreadID: thread, By: &bob, moment: moment, ID: id(seq)}
		if kind == "read" {
			f.ID, f.UpTo = "", id(seq)
		}
		return f
	}
	onBob, onLaptop := &union{name: "Bob", user: bob}, &union{name: "the laptop", user: ann}
	onBob.lines = [][]frame{
		{at(1, event(1)), at(3, event(2)), at(5, event(3))},
		{at(8, event(3)), at(10, event(4))},
	}
	onBob.acks = []ack{{2, thread, 1}, {4, thread, 2}, {9, thread, 3}, {11, thread, 4}}
	onLaptop.lines = [][]frame{{
		at(1, event(1)), at(2, event(2)), at(4, event(3)), told(6, "delivered", 2), told(8, "read", 3), at(9, event(4)), told(12, "delivered", 4),
	}}
	for _, o := range []*union{onBob, onLaptop} {
		for _, line := range o.lines {
			o.add(line)
		}
	}
	third, fourth, when, later := id(3), id(4), "10:00", "10:01"
	return &history{
		log: map[string][]frame{thread: {event(1), event(2), event(3), event(4)}},
		members: map[string][]participant{thread: {
			{UserID: ann},
			{UserID: bob, DeliveredUpTo: &fourth, ReadUpTo: &third},
		}},
		observers: []*union{onBob, onLaptop},
		accepted:  []message{{ThreadID: thread, ID: id(2), Seq: 2, SenderID: ann, ClientSeq: 2}, {ThreadID: thread, ID: id(4), Seq: 4, SenderID: ann, ClientSeq: 4}},
		reads:     []reading{{7, bob, thread, third}},
		states: []state{
			{3, thread, id(3), receipt{RecipientID: bob, State: "SENT"}},
			{10, thread, id(3), receipt{RecipientID: bob, State: "DELIVERED", DeliveredAt: &when}},
			{11, thread, id(3), receipt{RecipientID: bob, State: "READ", DeliveredAt: &when, ReadAt: &later}},
		},
	}
}

func TestHistoryAcceptsWhatIsSound(t *testing.T) {
	soundHistory().check(t)

	// A member who joined later knows only the rest of the log, and an edit changes the
	// content that the log shows: both are sound.
	h := soundHistory()
	bob := h.observers[0]
	delete(bob.seen["t"], 1)
	bob.lines[0] = bob.lines[0][1:]
	bob.acks = bob.acks[1:]
	bob.lines[1][0].Ciphertext = []byte("edited")
	h.check(t)
}

// Each breach of the contract is found, and named as what it is.
func TestHistoryCatches(t *testing.T) {
	bob := func(h *history) *union { return h.observers[0] }
	laptop := func(h *history) *union { return h.observers[1] }
	for what, c := range map[string]struct {
		spoil func(h *history)
		want  string
	}{
		"a gap in the log": {
			func(h *history) { h.log["t"] = append(h.log["t"][:2:2], h.log["t"][3]) }, "event 3 of the log has seq 4",
		},
		"an id below its predecessor": {
			func(h *history) { h.log["t"][3].ID = "ID0" }, "seq 4 has id ID0, not above ID3",
		},
		"an id twice": {
			func(h *history) { h.log["t"][3].ID = "ID3" }, "seq 4 has id ID3, not above ID3",
		},
		"another order on one connection": {
			func(h *history) { l := bob(h).lines[0]; l[1], l[2] = l[2], l[1] }, "Bob, connection 1: thread t: seq 2 came after 3",
		},
		"an event twice on one connection": {
			func(h *history) { bob(h).lines[0] = append(bob(h).lines[0], bob(h).lines[0][2]) }, "seq 3 came after 3",
		},
		"two observers who disagree": {
			func(h *history) { bob(h).lines[1][1].ID = "ID9" }, "Bob, connection 2: thread t: seq 4 is",
		},
		"another sender": {
			func(h *history) { laptop(h).lines[0][1].SenderID = "eve" }, "the laptop, connection 1: thread t: seq 2 is",
		},
		"seen and gone after a crash": {
			func(h *history) { h.log["t"] = h.log["t"][:3] }, "seq 4 is not in the history",
		},
		"seen and replaced after a crash": {
			func(h *history) { h.log["t"][3].ID = "ID5" }, "in the history it is",
		},
		"a message that never came": {
			func(h *history) { delete(bob(h).seen["t"], 3) }, "Bob: thread t: seq 3 of 4 never came",
		},
		"the last message, that never came": {
			func(h *history) { delete(bob(h).seen["t"], 4) }, "Bob: thread t: seq 4 of 4 never came",
		},
		"a thread that never came": {
			func(h *history) { bob(h).seen = nil }, "Bob: thread t: nothing came",
		},
		"accepted and gone": {
			func(h *history) { h.log["t"] = h.log["t"][:3] }, "202 said seq 4, the history has 3",
		},
		"accepted elsewhere": {
			func(h *history) { h.accepted[0].Seq = 3 }, "202 said that seq 3 is ID2",
		},
		"accepted from another": {
			func(h *history) { h.accepted[0].SenderID = "eve" }, "202 said that seq 2 is ID2 by eve",
		},
		"delivery that goes back": {
			func(h *history) { laptop(h).lines[0][6].ID = "ID2"; laptop(h).lines[0][3].ID = "ID3" }, "delivered of bob goes back from seq 3 to 2",
		},
		"reading that goes back, over a new connection": {
			func(h *history) {
				again := laptop(h).lines[0][4]
				again.UpTo = "ID2"
				laptop(h).lines = append(laptop(h).lines, []frame{again})
			}, "read of bob goes back from seq 3 to 2",
		},
		"a receipt for nothing": {
			func(h *history) { laptop(h).lines[0][6].ID = "ID7" }, "of no message in the history",
		},
		"a receipt that was told and not stored": {
			func(h *history) { h.members["t"][1].DeliveredUpTo = h.members["t"][1].ReadUpTo }, "was told delivered of bob seq 4, the server has 3",
		},
		"read and not received": {
			func(h *history) { h.members["t"][1].DeliveredUpTo = nil }, "bob has read seq 3 and received 0",
		},
		"a state that goes back": {
			func(h *history) { h.states[0].receipt.State, h.states[1].receipt.State = "READ", "SENT" }, "bob was READ",
		},
		"a time that changes": {
			func(h *history) { h.states[2].receipt.DeliveredAt = h.states[2].receipt.ReadAt }, "then READ (10:01, 10:01)",
		},
		"a time that is forgotten": {
			func(h *history) { h.states[2].receipt.DeliveredAt = nil }, "then READ ((null), 10:01)",
		},
		"delivered before the acknowledgement": {
			func(h *history) { laptop(h).lines[0][3].moment = 3 }, "the laptop was told: bob received seq 2; its acknowledgements had reached 1",
		},
		"delivered without one": {
			func(h *history) { bob(h).acks = bob(h).acks[:3] }, "bob received seq 4; its acknowledgements had reached 3",
		},
		"delivered with a gap before it": {
			func(h *history) { bob(h).acks = append(bob(h).acks[:2:2], bob(h).acks[3]); h.reads = nil }, "bob received seq 4; its acknowledgements had reached 2",
		},
		"a state of somebody who acknowledged nothing": {
			func(h *history) { h.states[1].receipt.RecipientID = "cid" }, "the receipts say: cid received seq 3; its acknowledgements had reached 0",
		},
		"a mark of somebody who acknowledged nothing": {
			func(h *history) { h.members["t"][0].DeliveredUpTo = h.members["t"][1].ReadUpTo }, "the thread says: ann received seq 3",
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := soundHistory()
			c.spoil(h)
			if got := strings.Join(h.problems(), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
