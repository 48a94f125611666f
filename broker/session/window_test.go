package session

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// acked gives the events received and the entries released by PUBACKs.
func acked(w *window, ids ...uint16) (received, released []sent) {
	released = w.ackPackets(ids, func(e *sent) { received = append(received, *e) })
	return received, released
}

func TestWindowReleasesOnlyAcknowledgedRunsFromTheFront(t *testing.T) {
	w := window{limit: 10}
	var ids []uint16
	for seq := uint64(1); seq <= 4; seq++ {
		ids = append(ids, w.add(sent{frameSeq: seq}, 1, true))
	}
	if _, got := acked(&w, ids[2]); len(got) != 0 {
		t.Fatalf("acknowledging the third released %d frames, want none: the first two are out", len(got))
	}
	if _, got := acked(&w, ids[0]); len(got) != 1 || got[0].frameSeq != 1 {
		t.Fatalf("acknowledging the first released %v, want it alone", got)
	}
	if _, got := acked(&w, ids[1]); len(got) != 2 || got[1].frameSeq != 3 {
		t.Fatalf("acknowledging the second released %v, want the second and the third", got)
	}
	if _, got := acked(&w, ids[1]); len(got) != 0 {
		t.Fatalf("acknowledging twice released %v", got)
	}
	if got := w.ackThrough(100, func(*sent) {}); len(got) != 1 {
		t.Fatalf("a cumulative ack released %v", got)
	}
	if w.tidy(); w.entries != nil || w.array != nil {
		t.Fatalf("it left %v", w.array)
	}
}

func TestWindowBoundsFramesAndPacketsSeparately(t *testing.T) {
	w := window{limit: 3, receiveMax: 1}
	w.add(sent{frameSeq: 1}, 1, true)
	if !w.full(1) {
		t.Error("a second QoS 1 frame fits, above the receive maximum")
	}
	if w.full(0) {
		t.Error("a QoS 0 frame does not fit, below the window's limit")
	}
	w.add(sent{frameSeq: 2}, 0, true)
	w.add(sent{frameSeq: 3}, 0, true)
	if !w.full(0) {
		t.Error("a fourth frame fits, above the window's limit")
	}
}

// Whatever the order of acknowledgements, frames are released in order, once, and
// packet ids in flight are distinct and never 0.
func TestWindowInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 5, 20, 600}).Draw(t, "limit")
		w := window{limit: limit, receiveMax: rapid.IntRange(0, limit).Draw(t, "receiveMax"), lastPacket: 65530}
		var next, released uint64
		received := make(map[uint64]bool)
		receive := func(e *sent) {
			if received[e.frameSeq] {
				t.Fatalf("frame %d counts as received twice", e.frameSeq)
			}
			received[e.frameSeq] = true
		}
		check := func(got []sent) {
			for _, e := range got {
				released++
				if e.frameSeq != released || !received[e.frameSeq] {
					t.Fatalf("released frame %d, received: %v, want %d", e.frameSeq, received[e.frameSeq], released)
				}
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				qos := byte(rapid.IntRange(0, 1).Draw(t, "qos"))
				for range rapid.SampledFrom([]int{1, 1, 10, 300}).Draw(t, "frames") {
					if !w.full(qos) {
						next++
						w.add(sent{frameSeq: next, durable: true}, qos, true)
					}
				}
			case 2:
				var ids []uint16
				for i := range rapid.IntRange(0, min(3, len(w.entries))).Draw(t, "PUBACKs") {
					if rapid.Bool().Draw(t, "in order") {
						ids = append(ids, w.entries[i].packet)
					} else {
						ids = append(ids, w.entries[rapid.IntRange(0, len(w.entries)-1).Draw(t, "entry")].packet)
					}
				}
				check(w.ackPackets(ids, receive))
			case 3:
				check(w.ackThrough(rapid.Uint64Range(0, next).Draw(t, "through"), receive))
			}
			if rapid.Bool().Draw(t, "tidy") {
				w.tidy()
			}
			inFlight := map[uint16]bool{}
			for _, e := range w.entries {
				if e.packet != 0 && inFlight[e.packet] {
					t.Fatalf("packet id %d is in flight twice", e.packet)
				}
				inFlight[e.packet] = true
			}
			if uint64(len(w.entries)) != next-released || len(w.entries) > limit {
				t.Fatalf("%d frames in flight of %d sent and %d released", len(w.entries), next, released)
			}
		}
	})
}

func TestReceivedIsJudgedThreadByThread(t *testing.T) {
	a, b := chat.ThreadID{1}, chat.ThreadID{2}
	w := window{limit: 10}
	id := make([]uint16, 6)
	for i, e := range []sent{
		{thread: a, seq: 1},
		{thread: a, seq: 2, message: chat.MessageID{1}},
		{thread: b, seq: 1, message: chat.MessageID{1}},
		{thread: a, seq: 3, message: chat.MessageID{1}},
		{thread: b, seq: 2, message: chat.MessageID{1}},
		{thread: b, seq: 3},
	} {
		e.frameSeq, e.durable = uint64(i+1), true
		id[i] = w.add(e, 1, true)
	}
	received := func(i int) string {
		got, _ := acked(&w, id[i])
		var what []string
		for _, e := range got {
			what = append(what, fmt.Sprintf("%c%d", 'a'+e.thread[0]-1, e.seq))
		}
		return strings.Join(what, " ")
	}
	for _, step := range []struct {
		i    int
		want string
	}{
		{4, ""},      // b2: b1 is missing
		{3, ""},      // a3: a2 is missing
		{1, "a2 a3"}, // a1 is missing, but is no message
		{5, ""},      // b3: b1 still is
		{2, "b1 b2 b3"},
		{0, "a1"},
	} {
		if got := received(step.i); got != step.want {
			t.Errorf("acknowledging %d counted %q as received, want %q", step.i, got, step.want)
		}
	}
	if len(w.entries) > 0 {
		t.Errorf("%d entries are left", len(w.entries))
	}
}

// A refused frame leaves its place, and nothing of its thread from it on counts as received,
// by PUBACK or by client_ack; what came before it and other threads do.
func TestRefusedFramesAreNotReceived(t *testing.T) {
	w := window{limit: 10, receiveMax: 10}
	add := func(thread byte, seq chat.Seq) uint16 {
		e := sent{frameSeq: uint64(w.lastPacket) + 1, durable: true, thread: chat.ThreadID{thread}, seq: seq, message: chat.MessageID{byte(seq)}}
		return w.add(e, 1, true)
	}
	first, refused, other, after := add(1, 1), add(1, 2), add(2, 1), add(1, 3)
	if released := w.refusePacket(refused); len(released) != 0 {
		t.Errorf("refusing the second released %v before the first", released)
	}
	received, released := acked(&w, after, other, first)
	if len(released) != 4 || w.withPacket != 0 {
		t.Errorf("released %d, %d have a packet id; all are answered", len(released), w.withPacket)
	}
	if len(received) != 2 || received[0].thread != (chat.ThreadID{2}) || received[1].seq != 1 {
		t.Errorf("received: %+v", received)
	}
	if !w.follows(&released[0]) || w.follows(&released[1]) || !w.follows(&released[2]) || w.follows(&released[3]) {
		t.Error("the position would pass what was refused, or stop before it")
	}
	add(1, 4)
	add(2, 2)
	received = nil
	w.ackThrough(100, func(e *sent) { received = append(received, *e) })
	if len(received) != 1 || received[0].thread != (chat.ThreadID{2}) {
		t.Errorf("received by client_ack: %+v", received)
	}
	if released := w.refusePacket(99); len(released) != 0 {
		t.Errorf("an unknown id released %v", released)
	}
}
