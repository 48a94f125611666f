package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// tree has the threads and devices whose topics the matrices try: Ann subscribes and
// publishes, Bob shares a group with her, Eve does not.
type tree struct {
	ann, bob, eve        *device
	own, foreign, shared string // threads: of Ann alone, of Eve, of Ann and Bob
}

func newTree(t *testing.T, s *server) tree {
	t.Helper()
	w := tree{ann: s.device(t, "ann", "a"), bob: s.device(t, "bob", "b"), eve: s.device(t, "eve", "e")}
	w.own, w.foreign, w.shared = w.ann.createGroup(t).ID, w.eve.createGroup(t).ID, w.bob.createGroup(t, "ann").ID
	return w
}

// spell replaces the placeholders of a topic or filter with the threads' ids.
func (w tree) spell(pattern string) string {
	return strings.NewReplacer("OWN", w.own, "FOREIGN", w.foreign, "SHARED", w.shared, "UPPER", strings.ToUpper(w.own), "NONE", noThread).Replace(pattern)
}

// The SUBACK code of each filter (docs/contract.md#mqtt). The table has those of MQTT 5;
// in 3.1.1 every refusal is 0x80.
func TestFilterMatrix(t *testing.T) {
	const granted, no, noShare, wrong = 1, 0x87, 0x9E, 0x8F
	s := startServer(t)
	w := newTree(t, s)
	old, now := dialRaw(t, s, mqtt311), dialRaw(t, s, mqtt5)
	old.accepted(t, helloOf(w.ann))
	now.accepted(t, helloOf(s.device(t, "ann", "a5")))
	for id, c := range []struct {
		filter string
		code   byte
	}{
		// Threads: all of hers, or one that she is in.
		{"v1/threads/#", granted},
		{"v1/threads/+/#", granted},
		{"v1/threads/+/+", granted},
		{"v1/threads/+/frames", granted},
		{"v1/threads/+/typing", granted},
		{"v1/threads/OWN/#", granted},
		{"v1/threads/OWN/+", granted},
		{"v1/threads/OWN/frames", granted},
		{"v1/threads/OWN/typing", granted},
		{"v1/threads/SHARED/frames", granted},
		{"v1/threads/FOREIGN/#", no},
		{"v1/threads/FOREIGN/+", no},
		{"v1/threads/FOREIGN/frames", no},
		{"v1/threads/FOREIGN/typing", no},
		{"v1/threads/FOREIGN/messages", no},
		{"v1/threads/NONE/frames", no},
		{"v1/threads/UPPER/frames", no},
		{"v1/threads/none/frames", no},
		{"v1/threads//frames", no},
		{"v1/threads", no},

		// What the server publishes to no topic of; but a thread that is not hers goes first.
		{"v1/threads/OWN/messages", wrong},
		{"v1/threads/+/messages", wrong},
		{"v1/threads/OWN", wrong},
		{"v1/threads/+", wrong},
		{"v1/threads/+/frames/x", wrong},
		{"v1/threads/OWN/frames/typing/#", wrong},
		{"v1/threads/FOREIGN/frames/x", no},
		{"v1/presence/bob/x", wrong},
		{"v1/presence/eve/x", no},
		{"v1/devices/DEVICE/up", wrong},
		{"v1/devices/DEVICE/auth", wrong},
		{"v1/devices/DEVICE", wrong},
		{"v1/devices/b/up", no},

		// Presence: hers, that of one person she shares a thread with, or that of everybody
		// she may see.
		{"v1/presence/#", granted},
		{"v1/presence/+", granted},
		{"v1/presence/ann", granted},
		{"v1/presence/bob", granted},
		{"v1/presence/eve", no},
		{"v1/presence/eve/#", no},
		{"v1/presence/Never_Heard-of", no},
		{"v1/presence/-", no},
		{"v1/presence/", no},
		{"v1/presence", no},

		// Devices: her own. Each connection has its device in DEVICE.
		{"v1/devices/DEVICE/#", granted},
		{"v1/devices/DEVICE/+", granted},
		{"v1/devices/DEVICE/frames", granted},
		{"v1/devices/DEVICE/replies", granted},
		{"v1/devices/b/#", no},
		{"v1/devices/b/frames", no},
		{"v1/devices/b/replies", no},
		{"v1/devices/other/frames", no},
		{"v1/devices/+/frames", no},
		{"v1/devices/+/#", no},
		{"v1/devices/#", no},
		{"v1/devices//frames", no},

		// The tree, and what is not in it.
		{"v1/#", granted},
		{"v1/+", no},
		{"v1/+/#", no},
		{"v1/+/+/frames", no},
		{"v1/+/OWN/frames", no},
		{"v1/messages/#", no},
		{"v1", no},
		{"v1/", no},
		{"v1//", no},
		{"#", no},
		{"+", no},
		{"+/#", no},
		{"+/+/+/+", no},
		{"+/+/+/frames", no},
		{"+/threads/#", no},
		{"+/devices/DEVICE/frames", no},
		{"/", no},
		{"//", no},
		{"/#", no},
		{"/v1/#", no},
		{"/v1/threads/OWN/frames", no},
		{"V1/#", no},
		{"v2/#", no},
		{"$SYS/#", no},
		{"$SYS/broker/clients/connected", no},
		{"$SYS/+", no},
		{"$v1/#", no},
		{"$share/g/v1/#", noShare},
		{"$share/g/v1/threads/OWN/frames", noShare},
		{"$share/g/#", noShare},
		{"$share/g/$SYS/#", noShare},

		// No filters at all (MQTT 5, 4.7.1).
		{"v1/threads/#/frames", wrong},
		{"v1/threads/OWN#", wrong},
		{"v1/threads/+OWN/frames", wrong},
		{"##", wrong},
	} {
		for r, device := range map[*raw]string{old: "a", now: "a5"} {
			filter, want := strings.ReplaceAll(w.spell(c.filter), "DEVICE", device), c.code
			if r == old && want != granted {
				want = 0x80
			}
			if got := r.subscribe(t, uint16(id+1), 2, filter); len(got) != 1 || got[0] != want {
				t.Errorf("version %d, %s: SUBACK %#x, want %#x", r.version, c.filter, got, want)
			}
		}
	}
	// No wildcard that was granted delivers frames of another's thread or presence.
	w.eve.send(t, w.foreign, "private")
	mark := w.bob.send(t, w.shared, "for Ann")
	for _, r := range []*raw{old, now} {
		for found := false; !found; {
			d := r.deliver(t)
			found = contains(d.payload, mark.ID)
			if d.qos == 1 {
				r.puback(t, d.id)
			}
		}
		for _, f := range r.seen.all() {
			if f.ThreadID == w.foreign || f.UserID == "eve" || f.SenderID == "eve" {
				t.Errorf("version %d: Ann got %v on %s", r.version, f, f.topic)
			}
		}
	}
}

// The answer to a PUBLISH on each topic (docs/contract.md#mqtt). The table has the PUBACK
// codes of MQTT 5; in 3.1.1 a refusal ends the connection. A PUBLISH with QoS 0 gets no
// answer, or an error frame.
func TestPublishMatrix(t *testing.T) {
	const ok, no = 0, 0x87
	s := startServer(t)
	w := newTree(t, s)
	line := mqtt5TCP.live(t, w.bob, options{filters: []string{"v1/#", "v1/devices/b/frames"}})
	const ack = `{"t":"client_ack","frame_seq":0}`
	cases := []struct {
		topic, payload string
		code           byte
		fails          bool // with QoS 0 there is an error frame
	}{
		{"v1/devices/a/up", ack, ok, false},
		{"v1/threads/OWN/typing", "", ok, false},
		{"v1/threads/OWN/messages", "SEND", ok, true},
		{"v1/threads/SHARED/messages", "SEND", ok, true},

		{"v1/threads/FOREIGN/messages", "SEND", no, true},
		{"v1/threads/NONE/messages", "SEND", no, true},
		{"v1/threads/FOREIGN/typing", "", no, false},
		{"v1/threads/NONE/typing", "", no, false},
		{"v1/devices/b/up", ack, no, false},
		{"v1/devices/other/up", ack, no, false},

		// What only the server publishes.
		{"v1/threads/OWN/frames", `{"t":"msg"}`, no, false},
		{"v1/threads/SHARED/frames", `{"t":"msg"}`, no, false},
		{"v1/threads/FOREIGN/frames", `{"t":"msg"}`, no, false},
		{"v1/devices/a/frames", `{"t":"error"}`, no, false},
		{"v1/devices/b/frames", `{"t":"error"}`, no, false},
		{"v1/devices/a/replies", `{}`, no, false},
		{"v1/devices/b/replies", `{}`, no, false},
		{"v1/presence/ann", `{"t":"presence"}`, no, false},
		{"v1/presence/bob", `{"t":"presence"}`, no, false},

		// What is no topic of the tree.
		{"elsewhere", "x", no, false},
		{"v1", "x", no, false},
		{"v1/threads", "x", no, false},
		{"v1/threads/OWN", "x", no, false},
		{"v1/threads/OWN/", "x", no, false},
		{"v1/threads/OWN/messages/", "SEND", no, false},
		{"v1/threads/OWN/messages/x", "SEND", no, false},
		{"v1/threads/UPPER/messages", "SEND", no, false},
		{"v1/threads//messages", "SEND", no, false},
		{"v1//OWN/messages", "SEND", no, false},
		{"/v1/threads/OWN/messages", "SEND", no, false},
		{"v2/threads/OWN/messages", "SEND", no, false},
		{"/", "x", no, false},
		{"$SYS/broker/uptime", "x", no, false},
		{"$share/g/v1/threads/OWN/messages", "SEND", no, false},
	}
	payload := func(pattern string, n int64) string {
		return strings.ReplaceAll(pattern, "SEND", mqttSend(t, fmt.Sprint("key-", n), n, "real"))
	}
	for _, version := range []byte{mqtt311, mqtt5} {
		r := dialRaw(t, s, version)
		r.accepted(t, helloOf(w.ann))
		r.subscribe(t, 1, 0, "v1/devices/a/frames")
		for i, c := range cases {
			n := int64(version)*1000 + int64(i)*2
			before := r.seen.count("error")
			r.publish(t, 0, 0, w.spell(c.topic), payload(c.payload, n))
			if c.fails {
				for r.seen.count("error") == before {
					r.deliver(t)
				}
			}
			r.ping(t) // the connection is still open
			r.publish(t, 9, 1, w.spell(c.topic), payload(c.payload, n+1))
			got := r.answered(t)
			told, want := 0, published{id: 9, code: c.code, reason: got.reason}
			if c.fails {
				told++
			}
			if version == mqtt311 && c.code >= 0x80 { // no PUBACK of 3.1.1 refuses: an error frame does
				told, want.code = told+1, 0
			}
			if got != want {
				t.Errorf("version %d, %s: answered with %+v, want %+v", version, c.topic, got, want)
			}
			if got := r.seen.count("error") - before; got != told {
				t.Errorf("version %d, %s: %d error frames came, want %d", version, c.topic, got, told)
			}
		}
	}
	// Only the messages that Ann sent with QoS 1 into her threads are stored, and Bob gets
	// those of the shared one.
	for _, thread := range []string{w.own, w.shared} {
		if history := w.ann.history(t, thread); len(history) != 2 {
			t.Errorf("the thread has %+v, want a message for each version", history)
		}
	}
	if history := w.eve.history(t, w.foreign); len(history) != 0 {
		t.Errorf("Eve's thread has %+v", history)
	}
	mark := w.eve.srv.device(t, "ann", "other").send(t, w.shared, "mark")
	line.untilMessage(t, mark.ID)
	if n := line.count("msg"); n != 3 {
		t.Errorf("Bob got %d messages, want 3: %v", n, line.all())
	}
}
