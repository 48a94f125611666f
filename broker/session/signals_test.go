package session

import (
	"bytes"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// A signal reaches every device of the thread but the sending one, by every filter that
// covers its topic.
func TestSignalReachesTheOtherDevices(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob", "carol")
	web, phone, bob := n.connect(as("alice", "web")), n.connect(as("alice", "phone")), n.connect(as("bob", "phone"))
	carol, deaf := n.connect(as("carol", "a"), mqtt), n.connect(as("carol", "b"), mqtt)
	carol.subscribe("v1/threads/+/signals/ring")
	deaf.subscribe("v1/threads/+/signals/other")
	for _, d := range []*device{web, phone, bob} {
		d.awaitCaughtUp()
	}
	signal := contracts.ClientFrame{Type: contracts.FrameSignal, Thread: g, Name: "ring", Data: []byte("now")}
	for range 2 { // one does not replace the other
		must(t, web.sess.Handle(signal))
	}
	for _, d := range []*device{phone, bob, carol} {
		got := d.await("two signals", func(frames []frame) bool { return count(frames, contracts.FrameSignal) == 2 })
		for _, f := range got {
			if f.T == contracts.FrameSignal && (f.Thread != g.String() || f.User != "alice") {
				t.Errorf("the signal is %+v", f)
			}
		}
	}
	deaf.subscribe("v1/threads/" + g.String() + "/frames")
	mark := n.send(as("bob", "tablet"), g, "mark")
	for _, d := range []*device{web, deaf} {
		if frames := d.awaitSeq(g, mark.Seq); count(frames, contracts.FrameSignal) > 0 {
			t.Errorf("%s got %+v", d.sess.device, frames)
		}
	}
}

// Signals that wait for a connection are bounded; those beyond are dropped, and typing and
// presence still find room.
func TestWaitingSignalsAreBounded(t *testing.T) {
	var q ephemeralQueue
	signal := ephemeral{
		ephemeralKey: ephemeralKey{contracts.Topic{Kind: contracts.TopicThreadSignal, Name: "x"}, "alice"},
		frame:        contracts.Frame(bytes.Repeat([]byte{'x'}, 4<<10)),
	}
	for range maxSignalsBytes/len(signal.frame) + 5 {
		q.put(signal)
	}
	q.put(ephemeral{ephemeralKey: ephemeralKey{contracts.Topic{Kind: contracts.TopicThreadTyping}, "alice"}})
	if got, want := len(q.drain()), maxSignalsBytes/len(signal.frame)+1; got != want {
		t.Errorf("%d frames wait, want %d", got, want)
	}
	if q.signals != 0 {
		t.Errorf("%d bytes are counted after the queue was drained", q.signals)
	}
}

// Signals above the rate are dropped, and an error frame says so once a second.
func TestDroppedSignalsAreToldOnceASecond(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	alice := n.connect(as("alice", "web"))
	alice.awaitCaughtUp()
	dropped := chat.Refuse(chat.CodeRateLimited, "too fast")
	told := func(d *device) int {
		mark := n.send(as("bob", "phone"), g, "mark")
		return count(d.awaitSeq(g, mark.Seq), contracts.FrameError)
	}
	for range 12 {
		alice.sess.RefuseSignal(dropped)
	}
	if got := told(alice); got != 1 {
		t.Errorf("told %d times, want once", got)
	}
	n.pass(time.Second)
	alice.sess.RefuseSignal(dropped)
	if got := told(alice); got != 2 {
		t.Errorf("told %d times after a second, want twice", got)
	}
}
