package session

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

func TestWindowReleasesOnlyAcknowledgedRunsFromTheFront(t *testing.T) {
	w := window{limit: 10}
	var ids []uint16
	for seq := uint64(1); seq <= 4; seq++ {
		ids = append(ids, w.add(sent{frameSeq: seq}, 1, true))
	}
	if _, got := w.ackPacket(ids[2]); len(got) != 0 {
		t.Fatalf("acknowledging the third released %d frames, want none: the first two are out", len(got))
	}
	if _, got := w.ackPacket(ids[0]); len(got) != 1 || got[0].frameSeq != 1 {
		t.Fatalf("acknowledging the first released %v, want it alone", got)
	}
	if _, got := w.ackPacket(ids[1]); len(got) != 2 || got[1].frameSeq != 3 {
		t.Fatalf("acknowledging the second released %v, want the second and the third", got)
	}
	if _, got := w.ackPacket(ids[1]); len(got) != 0 {
		t.Fatalf("acknowledging twice released %v", got)
	}
	if _, got := w.ackThrough(100); len(got) != 1 || w.entries != nil {
		t.Fatalf("a cumulative ack released %v and left %v", got, w.entries)
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
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		w := window{limit: limit, receiveMax: rapid.IntRange(0, limit).Draw(t, "receiveMax"), lastPacket: 65530}
		var next, released uint64
		check := func(_, got []sent) {
			for _, e := range got {
				released++
				if e.frameSeq != released {
					t.Fatalf("released frame %d, want %d", e.frameSeq, released)
				}
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				qos := byte(rapid.IntRange(0, 1).Draw(t, "qos"))
				if !w.full(qos) {
					next++
					w.add(sent{frameSeq: next}, qos, true)
				}
			case 2:
				if len(w.entries) > 0 {
					check(w.ackPacket(w.entries[rapid.IntRange(0, len(w.entries)-1).Draw(t, "entry")].packet))
				}
			case 3:
				check(w.ackThrough(rapid.Uint64Range(0, next).Draw(t, "through")))
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
		got, _ := w.ackPacket(id[i])
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
	if w.entries != nil {
		t.Errorf("%d entries are left", len(w.entries))
	}
}
