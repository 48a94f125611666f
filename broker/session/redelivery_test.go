package session

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func kept(d *device, p *Params) {
	d.manual, p.SubscribesAll, p.Pings, p.KeepFor = true, false, false, time.Hour
}

// sent lists the events that came to a device up to one of them, as seq/packet id, with a
// plus where they came as sent before.
func (d *device) sent(thread chat.ThreadID, through chat.Seq) (all []string) {
	d.n.t.Helper()
	for _, f := range d.awaitSeq(thread, through) {
		if f.Seq > 0 {
			again := map[bool]string{true: "+"}[f.again]
			all = append(all, fmt.Sprintf("%d/%d%s", f.Seq, f.packet, again))
		}
	}
	return all
}

func (d *device) wantSent(what string, thread chat.ThreadID, through chat.Seq, want ...string) {
	d.n.t.Helper()
	if got := d.sent(thread, through); !slices.Equal(got, want) {
		d.n.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// What an MQTT session was sent and has not acknowledged comes again as that, with its packet
// id. What it has acknowledged behind a gap, or refused, comes as new.
func TestUnacknowledgedFramesComeAgainAsSuch(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	for i := range 4 {
		n.send(as("alice", "web"), g, strconv.Itoa(i))
	}
	bob := as("bob", "phone")
	first := n.connect(bob, kept)
	first.subscribe("v1/threads/+/frames")
	first.wantSent("first deliveries", g, 5, "1/1", "2/2", "3/3", "4/4", "5/5")
	first.sess.AckPackets([]uint16{1, 3})
	first.sess.RefusePacket(4)
	first.disconnect()
	n.send(as("alice", "web"), g, "while away")

	second := n.connect(bob, kept)
	second.wantSent("over the second connection", g, 6, "2/2+", "3/6", "4/7", "5/5+", "6/8")
	second.disconnect()

	one := n.connect(bob, kept, receiveMaximum(1))
	one.wantSent("one at a time", g, 2, "2/2+")
	one.disconnect()
	all := []string{"2/2+", "3/6+", "4/7+", "5/5+", "6/8+"}
	third := n.connect(bob, kept)
	third.wantSent("after one that took one", g, 6, all...)
	fourth := n.connect(bob, kept) // takes the third over
	fourth.wantSent("over one that takes another over", g, 6, all...)
	fourth.sess.AckPackets([]uint16{2, 6, 7, 5, 8})
	fourth.disconnect()
	n.send(as("alice", "web"), g, "new")
	fifth := n.connect(bob, kept)
	fifth.wantSent("all is acknowledged", g, 7, "7/1")
	fifth.disconnect()
	clean := n.connect(bob, kept, func(_ *device, p *Params) { p.CleanStart = true })
	clean.subscribe("v1/threads/+/frames")
	clean.wantSent("in a new session", g, 7, "7/1")
	filter, err := contracts.ParseFilter("v1/threads/+/frames")
	must(t, err)
	clean.sess.Subscribe("v1/threads/+/frames", filter, 0)
	clean.sess.Subscribed()
	clean.disconnect()
	n.connect(bob, kept).wantSent("with QoS 0 there is no such thing", g, 7, "7/0")
}

// What is remembered of devices that are away is bounded; who left first is forgotten first.
func TestWhatIsInFlightIsBounded(t *testing.T) {
	var f inFlights
	frames := func(n int) inFlight {
		left := inFlight{packets: make(map[place]uint16), last: 7}
		for i := range n {
			left.packets[place{seq: chat.Seq(i)}] = 1
		}
		return left
	}
	for i := range maxInFlight / 1024 {
		f.put(keptKey{chat.UserID(strconv.Itoa(i)), "phone"}, frames(1024))
	}
	if f.frames != maxInFlight {
		t.Errorf("%d frames are remembered, want %d", f.frames, maxInFlight)
	}
	f.put(keptKey{"bob", "phone"}, frames(1))
	if f.pop(keptKey{"0", "phone"}).last != 0 || f.pop(keptKey{"1", "phone"}).last != 7 || f.pop(keptKey{"bob", "phone"}).last != 7 {
		t.Error("it is not who left first, and that one alone, who is forgotten")
	}
	if want := maxInFlight - 2*1024; f.frames != want {
		t.Errorf("%d frames are remembered, want %d", f.frames, want)
	}
}

// A packet id that is in flight already is not given again.
func TestPacketIDOfAnEarlierConnectionMayBeTaken(t *testing.T) {
	w := window{limit: 10, lastPacket: 6}
	seven := w.add(sent{frameSeq: 1}, 1, true)
	if id := w.addAgain(sent{frameSeq: 2}, 3); id != 3 {
		t.Errorf("a free id is not taken: %d", id)
	}
	if id := w.addAgain(sent{frameSeq: 3}, seven); id != 8 {
		t.Errorf("for an id that is taken came %d, want the next, 8", id)
	}
	if _, released := acked(&w, 3, seven, 8); len(released) != 3 || w.withPacket != 0 {
		t.Errorf("%d are released, %d are left", len(released), w.withPacket)
	}
}
