package e2e

import (
	"testing"
	"time"
)

// Subscriptions of a session that asked to be kept survive a restart of the server, however it
// ended: the client is told that its session is there, subscribes nothing, and has its frames.
func TestKeptSubscriptionsSurviveARestart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		version byte
		kill    bool // the server, while the client is connected
	}{
		{"5, after SIGTERM", mqtt5, false},
		{"5, after a kill", mqtt5, true},
		{"3.1.1, after SIGTERM", mqtt311, false},
		{"3.1.1, after a kill", mqtt311, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startServer(t)
			ann, bob := s.device(t, "ann", "laptop"), s.device(t, "bob", "phone")
			thread := ann.createGroup(t, "bob").ID
			h := helloOf(bob)
			h.keep = true
			line := dialRaw(t, s, c.version)
			if ack := line.accepted(t, h); ack.sessionPresent {
				t.Fatal("the first session ever is present")
			}
			line.subscribe(t, 1, 1, "v1/threads/+/frames", "v1/presence/ann", "v1/threads/"+thread+"/typing")
			line.puback(t, line.deliver(t).id) // the thread's creation
			line.unsubscribe(t, 2, "v1/presence/ann")
			if c.kill {
				s.kill(t)
			} else {
				s.stop(t)
			}
			s.start(t)
			sent := ann.send(t, thread, "while bob was away")
			again := dialRaw(t, s, c.version)
			if ack := again.accepted(t, h); !ack.sessionPresent {
				t.Fatal("the session is gone")
			}
			for came := false; !came; {
				d := again.deliver(t)
				if d.topic != "v1/threads/"+thread+"/frames" || d.qos != 1 {
					t.Fatalf("a publish to %s with QoS %d", d.topic, d.qos)
				}
				came = contains(d.payload, sent.ID)
				again.puback(t, d.id)
			}
			live := ann.send(t, thread, "live")
			if d := again.deliver(t); !contains(d.payload, live.ID) {
				t.Errorf("live came %s, want %s", d.payload, live.ID)
			}
		})
	}
}

// Kept subscriptions end with their time, also if the server was restarted in between, and with
// a connection that does not want them.
func TestKeptSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--mqtt-session-expiry", "1s")
	bob := s.device(t, "bob", "phone")
	h := helloOf(bob)
	h.keep = true
	connect := func(h hello) bool {
		t.Helper()
		line := dialRaw(t, s, mqtt5)
		present := line.accepted(t, h).sessionPresent
		line.subscribe(t, 1, 1, "v1/threads/+/frames")
		line.bytes(t, []byte{0xE0, 0})
		line.ends(t)
		return present
	}
	connect(h)
	s.awaitLine(t, "connection ended", func(l logLine) bool { return l.Device == bob.id })
	<-time.After(2 * time.Second) // from then on it is kept for one
	s.stop(t)
	s.start(t)
	if connect(h) {
		t.Error("the session outlived its time, since the server was restarted")
	}
	gone := h
	gone.keep = false // a clean start
	if connect(h); connect(gone) {
		t.Error("a clean start finds a session")
	}
	s.kill(t)
	s.start(t)
	if connect(h) {
		t.Error("what a clean start dropped is back")
	}
}
