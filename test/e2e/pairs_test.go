package e2e

import (
	"testing"
)

// Clients of every protocol talk to clients of every other: what one is told must not
// depend on the protocol of the other.
func TestEveryPairOfProtocols(t *testing.T) {
	s := startServer(t)
	for _, a := range protocols {
		for _, b := range protocols {
			t.Run(a.name+" and "+b.name, func(t *testing.T) {
				t.Parallel()
				pairScenario(t, s, a, b)
			})
		}
	}
}

// pairScenario is a conversation of two: Ann by protocol a, Bob by b.
func pairScenario(t *testing.T, s *server, a, b protocol) {
	ann := s.device(t, "ann-"+a.name+"-"+b.name, "ann-phone")
	bob := s.device(t, "bob-"+a.name+"-"+b.name, "bob-phone")
	annLine := a.live(t, ann, options{})
	bobLine := b.live(t, bob, options{manual: true})

	// Bob is told of the thread. Ann's device made it and is not told.
	th := ann.createOneToOne(t, bob.user)
	created := bobLine.expect(t, "thread")
	if created.Event != "created" || created.Seq != 1 || !created.by(ann.user) {
		t.Fatalf("Bob is told %v", created)
	}
	created.ack()

	// A message arrives as it was sent.
	sent := ann.send(t, th.ID, "hello \x00 wörld")
	got := bobLine.expect(t, "msg")
	if got.ID != sent.ID || got.Seq != sent.Seq || got.Seq != 2 || got.ThreadID != th.ID || got.SenderID != ann.user ||
		got.DeviceID != ann.id || got.ClientSeq != sent.ClientSeq || string(got.Ciphertext) != "hello \x00 wörld" ||
		got.ContentType != "text" || got.CreatedAt != sent.CreatedAt {
		t.Fatalf("Bob got %+v, Ann had sent %+v", got, sent)
	}

	// Bob has the message and has not acknowledged it. The next frame that Ann gets is that
	// of a later message, so she has not been told of a receipt.
	if state := ann.stateOf(t, sent.ID, bob.user); state != "SENT" {
		t.Fatalf("before the acknowledgement the message is %s", state)
	}
	marker := bob.send(t, th.ID, "marker")
	if f := annLine.expect(t, "msg"); f.ID != marker.ID {
		t.Fatalf("Ann got %v, want Bob's marker", f)
	}
	if d := bobLine.expect(t, "delivered"); d.ID != marker.ID || !d.by(ann.user) || d.ThreadID != th.ID {
		t.Fatalf("Bob is told %v of his marker", d)
	}

	got.ack()
	if d := annLine.expect(t, "delivered"); d.ID != sent.ID || !d.by(bob.user) || d.ThreadID != th.ID {
		t.Fatalf("Ann is told %v, want that %s was delivered", d, sent.ID)
	}
	if state := ann.stateOf(t, sent.ID, bob.user); state != "DELIVERED" {
		t.Fatalf("after the acknowledgement the message is %s", state)
	}

	// Bob reads it.
	bob.markRead(t, th.ID, sent.ID)
	if r := annLine.expect(t, "read"); !r.by(bob.user) || r.UpTo != sent.ID || r.ThreadID != th.ID {
		t.Fatalf("Ann is told %v, want that Bob read %s", r, sent.ID)
	}
	if state := ann.stateOf(t, sent.ID, bob.user); state != "READ" {
		t.Fatalf("after reading the message is %s", state)
	}

	// Bob's connection is cut. After he reconnects, what he missed comes in order, then live
	// frames.
	bobLine.drop()
	var missed []message
	for _, text := range []string{"one", "two", "three", "four", "five"} {
		missed = append(missed, ann.send(t, th.ID, text))
	}
	bobLine = b.open(t, bob, options{})
	checkCatchUp(t, bobLine, missed)
	last := ann.send(t, th.ID, "and live again")
	if f := bobLine.expect(t, "msg"); f.ID != last.ID {
		t.Fatalf("Bob got %v, want the live message %s", f, last.ID)
	}
	annLine.until(t, "delivered of the last message", func(f frame) bool { return f.T == "delivered" && f.ID == last.ID })
	bobLine.checkOrder(t)
	annLine.checkOrder(t)
}

// checkCatchUp reads a replay to its caught_up and checks that everything missed is in it,
// in order, and that the count is right. Events shortly before the position may come again.
func checkCatchUp(t testing.TB, c *client, missed []message) {
	t.Helper()
	end := c.untilType(t, "caught_up")
	replayed, next := 0, 0
	for _, f := range c.all() {
		if f.T == "caught_up" {
			break
		}
		if f.durable() {
			replayed++
		}
		if next < len(missed) && f.ID == missed[next].ID {
			if string(f.Ciphertext) != string(missed[next].Ciphertext) {
				t.Errorf("replayed %v, want %q", f, missed[next].Ciphertext)
			}
			next++
		}
	}
	if next != len(missed) {
		t.Fatalf("the replay has %d of %d missed messages in order: %v", next, len(missed), c.all())
	}
	if end.Replayed != replayed {
		t.Errorf("caught_up says %d were replayed, %d came", end.Replayed, replayed)
	}
	if n := len(missed); n > 0 && (end.LastID == nil || *end.LastID != missed[n-1].ID) {
		t.Errorf("caught_up has last_id %v, want %s", end.LastID, missed[n-1].ID)
	}
	c.checkOrder(t)
}
