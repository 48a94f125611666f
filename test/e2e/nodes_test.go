package e2e

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/parleyhq/parley/test/mongod"
	"github.com/parleyhq/parley/test/natsd"
)

// startNodes runs two servers on one database and one NATS.
func startNodes(t *testing.T, extra ...string) (one, two *server, bus *natsd.Server) {
	t.Helper()
	needsMongo(t)
	bus = natsd.Start(t)
	store := mongod.Shared(t).URI()
	extra = append(extra, "--bus", "nats://"+bus.Addr())
	one, two = startServerOn(t, store, extra...), startServerOn(t, store, extra...)
	for _, s := range []*server{one, two} {
		s.awaitHealth(t, "ok")
	}
	return one, two, bus
}

// awaitHealth waits until /readyz is 200 and says this.
func (s *server) awaitHealth(t *testing.T, status string, reasons ...string) {
	t.Helper()
	eventually(t, "/readyz says "+status, func() bool {
		h := s.health(t)
		return h.status == http.StatusOK && h.Status == status && slices.Equal(h.Reasons, reasons)
	})
}

// What is sent at one node is heard at the other, by both protocols, in order; and so are
// receipts, edits and a new member's first frame.
func TestNodesHearEachOther(t *testing.T) {
	one, two, _ := startNodes(t)
	ann := one.device(t, "ann", "a")
	group := ann.createGroup(t, "bob", "cyd")
	bob := jsonProtocol.live(t, two.device(t, "bob", "b"), options{})
	cyd := mqtt5TCP.live(t, two.device(t, "cyd", "c"), options{})
	watch := jsonProtocol.live(t, one.device(t, "ann", "watch"), options{})
	elsewhere := two.device(t, "ann", "a-too")
	var last message
	for i := range 30 {
		from := ann
		if i%3 == 0 { // a race for every seq
			from = elsewhere
		}
		last = from.send(t, group.ID, "message "+strconv.Itoa(i))
	}
	for _, c := range []*client{bob, cyd, watch} {
		c.untilMessage(t, last.ID)
		c.checkOrder(t)
	}
	eventually(t, "the sender hears that it was delivered to both", func() bool {
		delivered := func(user string) bool {
			return watch.has(func(f frame) bool { return f.T == "delivered" && f.by(user) && f.ID == last.ID })
		}
		return delivered("bob") && delivered("cyd")
	})
	edited := ann.edit(t, last.ID, "edited")
	for _, c := range []*client{bob, cyd} {
		c.until(t, "the edit", func(f frame) bool { return f.T == "edit" && f.ID == edited.ID })
	}
	dan := jsonProtocol.live(t, two.device(t, "dan", "d"), options{})
	ann.add(t, group.ID, "dan")
	dan.untilMessage(t, ann.send(t, group.ID, "welcome").ID)
}

// While NATS is gone, sends are accepted and heard at their own node, and found by the other
// one; a restarted NATS carries again. Nothing is lost and the order holds.
func TestNATSIsStoppedAndStartedAgain(t *testing.T) {
	one, two, bus := startNodes(t)
	ann := one.device(t, "ann", "a")
	group := ann.createGroup(t, "bob", "cyd")
	bob := jsonProtocol.live(t, two.device(t, "bob", "b"), options{})
	cyd := mqtt311TCP.live(t, two.device(t, "cyd", "c"), options{})
	own := jsonProtocol.live(t, one.device(t, "bob", "at-home"), options{})
	heard := func(m message) {
		t.Helper()
		for _, c := range []*client{own, bob, cyd} {
			c.untilMessage(t, m.ID)
		}
	}
	heard(ann.send(t, group.ID, "before"))
	for range 2 {
		bus.Kill(t)
		heard(ann.send(t, group.ID, "sent as it stops"))
		for _, s := range []*server{one, two} {
			s.awaitHealth(t, "degraded", "bus")
		}
		heard(ann.send(t, group.ID, "sent while it is gone"))
		bus.Restart(t)
		heard(ann.send(t, group.ID, "sent as it starts"))
		for _, s := range []*server{one, two} {
			s.awaitHealth(t, "ok")
		}
		heard(ann.send(t, group.ID, "after"))
	}
	for _, c := range []*client{own, bob, cyd} {
		c.checkOrder(t)
		var got []uint64
		for _, f := range c.all() {
			if f.T == "msg" && !slices.Contains(got, f.Seq) {
				got = append(got, f.Seq)
			}
		}
		if n := len(got); n != 9 {
			t.Errorf("%d messages were heard, want 9: %v", n, got)
		}
	}
}

// A frozen NATS, which holds its connections and carries nothing, delays what it should have
// carried and loses none.
func TestNATSStandsStill(t *testing.T) {
	one, two, bus := startNodes(t)
	ann := one.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	bob := mqtt5TCP.live(t, two.device(t, "bob", "b"), options{})
	bob.untilMessage(t, ann.send(t, group.ID, "before").ID)
	bus.Pause(t)
	bob.untilMessage(t, ann.send(t, group.ID, "while it stands still").ID)
	one.awaitHealth(t, "degraded", "bus")
	bus.Resume(t)
	two.awaitHealth(t, "ok")
	bob.untilMessage(t, ann.send(t, group.ID, "after").ID)
	bob.checkOrder(t)
}

// What a node stored before it was killed is heard or found, and its next run is heard.
func TestNodeIsKilled(t *testing.T) {
	one, two, _ := startNodes(t)
	ann := one.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	bob := jsonProtocol.live(t, two.device(t, "bob", "b"), options{})
	bob.untilMessage(t, ann.send(t, group.ID, "before").ID)
	m := ann.send(t, group.ID, "the last one")
	one.kill(t)
	bob.untilMessage(t, m.ID)
	one.start(t)
	one.awaitHealth(t, "ok")
	bob.untilMessage(t, ann.send(t, group.ID, "of its next run").ID)
	bob.checkOrder(t)
}

// One node expires messages for all. When it is killed, whichever it is, the other does.
func TestExpiryGoesOnWhenANodeIsKilled(t *testing.T) {
	t.Parallel()
	one, two, _ := startNodes(t)
	group := one.device(t, "ann", "a").createGroup(t, "bob")
	for i, at := range []*server{one, two, one} {
		bob := jsonProtocol.live(t, at.device(t, "bob", "b"), options{})
		m := at.device(t, "ann", "a").sendOut(t, group.ID, outgoing{ClientSeq: int64(i + 1), Ciphertext: []byte("soon gone"), TTLSeconds: 1})
		bob.until(t, "the message expires", func(f frame) bool { return f.T == "del" && f.ID == m.ID && f.Reason == "expired" })
		bob.close()
		at.kill(t)
		at.start(t)
		at.awaitHealth(t, "ok")
	}
}
