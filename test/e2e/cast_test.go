package e2e

import (
	"net/http"
	"testing"
)

// cast is a group of Ann and Bob with their devices connected by one protocol.
// Ann acts on her phone; her laptop and Bob's watch are told. Bob's tablet is
// never connected.
type cast struct {
	phone, laptop, watch, tablet *device
	onPhone, onLaptop, onWatch   *client
	thread                       string
}

func newCast(t testing.TB, s *server, p protocol) *cast {
	t.Helper()
	ann, bob := "ann-"+p.name, "bob-"+p.name
	c := &cast{
		phone: s.device(t, ann, "phone"), laptop: s.device(t, ann, "laptop"),
		watch: s.device(t, bob, "watch"), tablet: s.device(t, bob, "tablet"),
	}
	c.thread = c.phone.createGroup(t, bob).ID
	c.onPhone = p.live(t, c.phone, options{})
	c.onLaptop = p.live(t, c.laptop, options{})
	c.onWatch = p.live(t, c.watch, options{})
	return c
}

// told is the next durable frame of the laptop and of the watch, which have to be equal.
func (c *cast) told(t testing.TB, kind string) frame {
	t.Helper()
	onLaptop, onWatch := c.onLaptop.nextDurable(t), c.onWatch.nextDurable(t)
	if onWatch.T != kind || onLaptop.body() != onWatch.body() {
		t.Fatalf("want a %s frame for both; the laptop got %s, the watch %s", kind, onLaptop.raw, onWatch.raw)
	}
	if onWatch.ThreadID != c.thread {
		t.Fatalf("%s is of another thread than %s", onWatch.raw, c.thread)
	}
	return onWatch
}

// everybody is the next durable frame of all three connected devices.
func (c *cast) everybody(t testing.TB, kind string) frame {
	t.Helper()
	f := c.told(t, kind)
	if onPhone := c.onPhone.nextDurable(t); onPhone.body() != f.body() {
		t.Fatalf("the phone got %s, the others %s", onPhone.raw, f.raw)
	}
	return f
}

// nothingElse checks that none of the three got a frame that the test has not looked at:
// Bob's tablet sends a message, and that is the next frame of each.
func (c *cast) nothingElse(t testing.TB) {
	t.Helper()
	marker := c.tablet.send(t, c.thread, "marker")
	for name, line := range map[string]*client{"phone": c.onPhone, "laptop": c.onLaptop, "watch": c.onWatch} {
		if f := line.nextDurable(t); f.ID != marker.ID || f.Seq != marker.Seq {
			t.Errorf("the %s got %s before the marker", name, f.raw)
		}
	}
}

// sent sends a message from Ann's phone and waits until the others have it.
func (c *cast) sent(t testing.TB, text string) message {
	t.Helper()
	m := c.phone.send(t, c.thread, text)
	if f := c.told(t, "msg"); f.ID != m.ID {
		t.Fatalf("the others got %s, want %s", f.raw, m.ID)
	}
	return m
}

// everywhere checks that Ann and Bob get the same message by every way of reading it, and
// returns it.
func (c *cast) everywhere(t testing.TB, id string) message {
	t.Helper()
	return everywhere(t, c.thread, id, c.phone, c.watch)
}

// everywhere reads a message by every way there is, as each of the devices, checks that
// all get the same, and returns it.
func everywhere(t testing.TB, thread, id string, devices ...*device) message {
	t.Helper()
	want := devices[0].message(t, id)
	for _, d := range devices {
		others := []message{d.message(t, id)}
		for _, all := range [][]message{d.history(t, thread), d.since(t, thread, longAgo)} {
			for _, m := range all {
				if m.ID == id {
					others = append(others, m)
				}
			}
		}
		if len(others) != 3 {
			t.Fatalf("%s sees %s %d times, want 3", d.user, id, len(others))
		}
		for _, m := range others {
			if asJSON(t, m) != asJSON(t, want) {
				t.Errorf("%s sees %s, elsewhere it is %s", d.user, asJSON(t, m), asJSON(t, want))
			}
		}
		for _, f := range d.events(t, thread, 0, 100) {
			if (f.T == "msg" || f.T == "edit") && f.ID == id && string(f.Ciphertext) != string(want.Ciphertext) {
				t.Errorf("%s sees the event %s, want the present content %q", d.user, f.raw, want.Ciphertext)
			}
		}
	}
	return want
}

// longAgo is an id lower than that of any message.
const longAgo = "01000000000000000000000000"

// invisible checks that the user does not get the message by any way of reading.
func invisible(t testing.TB, d *device, thread, id string) {
	t.Helper()
	for _, all := range [][]message{d.history(t, thread), d.since(t, thread, longAgo)} {
		for _, m := range all {
			if m.ID == id {
				t.Errorf("%s sees %s", d.user, asJSON(t, m))
			}
		}
	}
	for _, f := range d.events(t, thread, 0, 100) {
		if f.ID == id || f.MessageID == id {
			t.Errorf("%s sees the event %s", d.user, f.raw)
		}
	}
	th := d.thread(t, thread)
	if th.LastMsgID != nil && *th.LastMsgID == id {
		t.Errorf("%s sees %s as last_msg_id", d.user, id)
	}
	d.refused(t, http.StatusNotFound, "message_not_found", http.MethodGet, "/v1/messages/"+id, nil)
	d.refused(t, http.StatusNotFound, "message_not_found", http.MethodGet, "/v1/messages/"+id+"/receipts", nil)
}
