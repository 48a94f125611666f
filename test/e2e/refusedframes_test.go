package e2e

import (
	"fmt"
	"strconv"
	"testing"
)

// A client's PUBACK with a failure acknowledges nothing: it makes room in the window, the
// receipts of its thread stop there, and the content comes again at the next connect as a
// new publish.
func TestPubackThatRefuses(t *testing.T) {
	s := startServer(t)
	for _, code := range []byte{0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99} {
		t.Run(fmt.Sprintf("%#x", code), func(t *testing.T) {
			name := strconv.FormatUint(uint64(code), 16)
			ann, bob := s.device(t, "ann-"+name, "a"), s.device(t, "bob-"+name, "b")
			group, other := ann.createGroup(t, bob.user), ann.createGroup(t, bob.user)
			line := dialRaw(t, s, mqtt5)
			h := helloOf(bob)
			h.receiveMax = 2
			line.accepted(t, h)
			line.subscribe(t, 1, 1, "v1/threads/+/frames")
			var sent []message
			for i := range 4 {
				sent = append(sent, ann.send(t, group.ID, strconv.Itoa(i)))
			}
			elsewhere := ann.send(t, other.ID, "elsewhere")
			// The window has two places: what is refused leaves its own.
			for got := 0; got < 5; {
				d := line.deliver(t)
				if contains(d.payload, sent[1].ID) {
					line.bytes(t, []byte{0x40, 4, byte(d.id >> 8), byte(d.id), code, 0})
				} else {
					line.puback(t, d.id)
				}
				if contains(d.payload, `"t":"msg"`) {
					got++
				}
			}
			for _, m := range []message{sent[0], elsewhere} {
				eventually(t, "DELIVERED", func() bool { return ann.stateOf(t, m.ID, bob.user) == "DELIVERED" })
			}
			line.ping(t)
			_ = line.Close()
			again := dialRaw(t, s, mqtt5)
			again.accepted(t, helloOf(bob)) // the old connection's receipts are stored by now
			for _, m := range sent[1:] {
				if state := ann.stateOf(t, m.ID, bob.user); state != "SENT" {
					t.Errorf("%s is %s, want SENT", m.Ciphertext, state)
				}
			}
			again.subscribe(t, 1, 1, "v1/threads/+/frames")
			for _, m := range sent[1:] {
				d := again.deliver(t)
				for contains(d.payload, elsewhere.ID) || contains(d.payload, sent[0].ID) || !contains(d.payload, `"t":"msg"`) {
					again.puback(t, d.id)
					d = again.deliver(t)
				}
				if !contains(d.payload, m.ID) {
					t.Fatalf("got %s, want message %s", d.payload, m.Ciphertext)
				}
				again.puback(t, d.id)
			}
			for _, m := range sent {
				eventually(t, "DELIVERED", func() bool { return ann.stateOf(t, m.ID, bob.user) == "DELIVERED" })
			}
		})
	}
}

// A PUBACK with a code that no PUBACK has ends the connection, and acknowledges nothing.
func TestPubackWithAnUnknownCode(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	line := dialRaw(t, s, mqtt5)
	line.accepted(t, helloOf(bob))
	line.subscribe(t, 1, 1, "v1/threads/+/frames")
	sent := ann.send(t, group.ID, "hello")
	d := line.deliver(t)
	for !contains(d.payload, sent.ID) {
		line.puback(t, d.id)
		d = line.deliver(t)
	}
	line.bytes(t, []byte{0x40, 3, byte(d.id >> 8), byte(d.id), 0xFF})
	if code := line.ends(t); code != 0x82 {
		t.Errorf("the connection ended with %#x, want 0x82", code)
	}
	again := dialRaw(t, s, mqtt5)
	again.accepted(t, helloOf(bob)) // the old connection's receipts are stored by now
	if state := ann.stateOf(t, sent.ID, bob.user); state != "SENT" {
		t.Errorf("it is %s, want SENT", state)
	}
	again.subscribe(t, 1, 1, "v1/threads/+/frames")
	for d = again.deliver(t); !contains(d.payload, sent.ID); d = again.deliver(t) {
		again.puback(t, d.id)
	}
}
