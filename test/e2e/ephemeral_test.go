package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// withEphemera are options that subscribe typing and presence too.
func withEphemera(d *device) options {
	return options{filters: append(options{}.topics(d), "v1/threads/+/typing", "v1/presence/+")}
}

// presences are the statuses that came of a user, in order.
func (r *record) presences(user string) (told []string) {
	for _, f := range r.all() {
		if f.T == "presence" && f.UserID == user {
			told = append(told, f.Status)
		}
	}
	return told
}

func (r *record) untilPresence(t testing.TB, user, status string) frame {
	t.Helper()
	return r.until(t, user+" "+status, func(f frame) bool { return f.T == "presence" && f.UserID == user && f.Status == status })
}

// A user is online from the first device's connection to a while after the last one's end.
// Only people who share a thread with the user, and are not blocked, are told.
func TestPresenceFrames(t *testing.T) {
	s := startServer(t, "--presence-grace", "100ms")
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			name := func(who string) string { return who + "-" + p.name }
			ann, bob, eve, zoe := s.device(t, name("ann"), "a"), s.device(t, name("bob"), "b"), s.device(t, name("eve"), "e"), s.device(t, name("zoe"), "z")
			tablet := s.device(t, bob.user, "tablet")
			group := bob.createGroup(t, ann.user, eve.user)
			bob.block(t, eve.user)
			watch, blocked, stranger := p.live(t, ann, withEphemera(ann)), p.live(t, eve, withEphemera(eve)), p.live(t, zoe, withEphemera(zoe))
			first, second := p.live(t, bob, options{}), p.live(t, tablet, options{})
			watch.untilPresence(t, bob.user, "online")
			first.close()
			second.drop()
			gone := watch.untilPresence(t, bob.user, "offline")
			eventually(t, "the same by REST", func() bool { // it is stored a moment after
				return gone.LastSeenAt != nil && text(gone.LastSeenAt) == text(ann.presenceOf(t, bob.user).LastSeenAt)
			})
			// If Bob connects while Ann is being told who is online, she may be told of him twice.
			if told := slices.Compact(watch.presences(bob.user)); len(told) != 2 {
				t.Errorf("Ann was told %v of two devices that came and went", told)
			}
			mark := ann.send(t, group.ID, "mark")
			blocked.untilMessage(t, mark.ID)
			stranger.untilMessage(t, zoe.sendFrom(t, "other").ID)
			if a, b := blocked.presences(bob.user), stranger.presences(bob.user); len(a)+len(b) > 0 {
				t.Errorf("the user whom Bob blocks was told %v, a stranger %v", a, b)
			}
		})
	}
}

// sendFrom sends into a new group of the user's, from another device.
func (d *device) sendFrom(t testing.TB, id string) message {
	t.Helper()
	other := d.srv.device(t, d.user, id)
	return other.send(t, other.createGroup(t).ID, "mark")
}

// A client that connects is told who is online: on JSON after caught_up, on MQTT after the
// SUBACK.
func TestPresentStateOfOthers(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	people, pairs := map[string]*device{}, map[string]thread{}
	for _, who := range []string{"bob", "cid", "dan", "eve"} {
		people[who] = s.device(t, who, "d")
		if who != "eve" {
			pairs[who] = ann.createOneToOne(t, who)
			people[who].accept(t, pairs[who].ID)
		}
	}
	crowd := make([]string, 32)
	for i := range crowd {
		crowd[i] = fmt.Sprint("crowd-", i)
	}
	people["eve"].accept(t, ann.createGroup(t, slices.Concat(crowd, []string{"eve"})...).ID) // 34 people
	people["cid"].block(t, ann.user)
	watch := jsonProtocol.live(t, s.device(t, ann.user, "watch"), withEphemera(ann))
	jsonProtocol.live(t, people["bob"], options{})
	jsonProtocol.live(t, people["cid"], options{})
	jsonProtocol.live(t, people["eve"], options{})
	// That Eve comes is told to all who are connected, in a large group too. It must be over
	// before those connect who are to be told nothing of her.
	watch.untilPresence(t, "bob", "online")
	watch.untilPresence(t, "eve", "online")
	for _, p := range protocols {
		d := s.device(t, ann.user, "dev-"+p.name)
		line := p.live(t, d, withEphemera(d))
		if p.name == "JSON" { // live has passed over what came before caught_up
			line.untilPresence(t, "bob", "online")
		}
		eventually(t, "Bob's presence", func() bool { return len(line.presences("bob")) > 0 })
		mark := people["bob"].send(t, pairs["bob"].ID, "mark")
		line.untilMessage(t, mark.ID)
		if told := len(line.presences("cid")) + len(line.presences("dan")) + len(line.presences("eve")); told > 0 {
			t.Errorf("%s: besides Bob Ann was told %v", p.name, line.all())
		}
		line.close()
	}
	for _, version := range []byte{mqtt311, mqtt5} {
		r := dialRaw(t, s, version)
		r.accepted(t, helloOf(ann))
		for i, want := range []struct{ user, status string }{{"dan", "offline"}, {"bob", "online"}, {"cid", "offline"}, {"eve", "online"}, {"ann", "online"}} {
			if codes := r.subscribe(t, uint16(i+1), 0, "v1/presence/"+want.user); codes[0] != 0 {
				t.Fatalf("SUBACK %#x for %s", codes, want.user)
			}
			d := r.deliver(t)
			f, _ := newRecord().add(d.payload, d.topic, d.qos, func(frame) {})
			if f.T != "presence" || f.UserID != want.user || f.Status != want.status || d.topic != "v1/presence/"+want.user {
				t.Errorf("right after subscribing %s came %s on %s", want.user, d.payload, d.topic)
			}
		}
		for _, user := range []string{"stranger", "Never_Heard-of"} {
			want := byte(0x87)
			if version == mqtt311 {
				want = 0x80
			}
			if codes := r.subscribe(t, 9, 0, "v1/presence/"+user); codes[0] != want {
				t.Errorf("SUBACK %#x for a stranger", codes)
			}
		}
		r.ping(t)
	}
}

// Typing reaches the other participants, whatever protocol they and the writer use. It is
// told at most once in 3 s, and never to the writer's own devices. A user who is not in the
// thread reaches nobody.
func TestTyping(t *testing.T) {
	s := startServer(t)
	ann, phone := s.device(t, "ann", "a"), s.device(t, "ann", "phone")
	own := jsonProtocol.live(t, phone, options{})
	for i, from := range []string{"JSON", "MQTT5", "MQTT5 with a frame", "MQTT311"} {
		t.Run(from, func(t *testing.T) {
			group := ann.createGroup(t, "bob", "cid", "dan")
			var lines []*client
			for j, p := range oneOfEach {
				d := s.device(t, []string{"bob", "cid", "dan"}[j], fmt.Sprint("d", i))
				lines = append(lines, p.live(t, d, withEphemera(d)))
			}
			for range 4 {
				ann.typeBy(t, from, group.ID)
			}
			mark := phone.send(t, group.ID, "mark")
			for j, line := range lines {
				f := line.untilType(t, "typing")
				if f.UserID != "ann" || f.ThreadID != group.ID || f.TTLMillis != 5000 {
					t.Errorf("%s got %s", oneOfEach[j].name, f.raw)
				}
				line.untilMessage(t, mark.ID)
				if n := line.count("typing"); n != 1 {
					t.Errorf("%s got %d typing frames", oneOfEach[j].name, n)
				}
			}
			own.until(t, "the thread", func(f frame) bool { return f.ThreadID == group.ID })
		})
	}
	if n := own.count("typing"); n > 0 {
		t.Errorf("Ann's other device got %d typing frames", n)
	}
}

func (r *record) count(kind string) (n int) {
	for _, f := range r.all() {
		if f.T == kind {
			n++
		}
	}
	return n
}

// typeBy says on a connection of its own that the user is typing, and waits until the
// server has handled that.
func (d *device) typeBy(t testing.TB, from, thread string) {
	t.Helper()
	topic, payload := "v1/threads/"+thread+"/typing", ""
	switch from {
	case "JSON":
		conn := d.dialJSON(t)
		defer conn.CloseNow()
		if err := wsjson.Write(t.Context(), conn, map[string]any{"t": "typing", "thread_id": thread}); err != nil {
			t.Fatal(err)
		}
		handledByJSON(t, conn)
		return
	case "MQTT5 with a frame":
		payload = `{"t":"typing","thread_id":"` + thread + `"}`
	}
	r := dialRaw(t, d.srv, map[bool]byte{true: mqtt311, false: mqtt5}[from == "MQTT311"])
	defer r.Close()
	r.accepted(t, helloOf(d))
	r.publish(t, 0, 0, topic, payload)
	r.publish(t, 3, 1, topic, payload)
	if got := r.answered(t); got.closed || got.code != 0 {
		t.Errorf("typing was answered with %+v", got)
	}
}

// handledByJSON waits until the server has handled what was written: an error frame says so.
func handledByJSON(t testing.TB, conn *websocket.Conn) {
	t.Helper()
	if err := wsjson.Write(t.Context(), conn, map[string]any{"t": "what"}); err != nil {
		t.Fatal(err)
	}
	nextError(t, conn)
}

// nextError passes over frames to the first error, and gives its code.
func nextError(t testing.TB, conn *websocket.Conn) string {
	t.Helper()
	for {
		var f frame
		if err := wsjson.Read(t.Context(), conn, &f); err != nil {
			t.Fatal(err)
		}
		if f.T == "error" {
			return f.Code
		}
	}
}

func (d *device) dialJSON(t testing.TB) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), d.realtimeURL("ws", ""), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Authorization": {"Bearer " + d.token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Typing in a thread that one is not in is refused: on JSON with an error frame, which does
// not count towards the limit of wrong frames, and on MQTT 5 with PUBACK 0x87.
func TestTypingElsewhere(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	foreign := bob.createGroup(t)
	line := jsonProtocol.live(t, bob, options{})
	conn := ann.dialJSON(t)
	defer conn.CloseNow()
	for range 12 {
		if err := wsjson.Write(t.Context(), conn, map[string]any{"t": "typing", "thread_id": foreign.ID}); err != nil {
			t.Fatal(err)
		}
		for f := (frame{}); f.T != "error"; {
			if err := wsjson.Read(t.Context(), conn, &f); err != nil {
				t.Fatal(err)
			}
			if f.T == "error" && f.Code != "not_a_participant" {
				t.Fatalf("the error is %+v", f)
			}
		}
	}
	topic := "v1/threads/" + foreign.ID + "/typing"
	if got := ann.publishOne(t, topic, ""); got.code != 0x87 || got.reason != "not_a_participant" {
		t.Errorf("MQTT 5: %+v", got)
	}
	r := dialRaw(t, s, mqtt311)
	r.accepted(t, helloOf(ann))
	r.publish(t, 0, 0, topic, "")
	r.ping(t) // ignored
	r.publish(t, 1, 1, topic, "")
	if got := r.answered(t); got.closed || got.id != 1 {
		t.Errorf("MQTT 3.1.1: %+v, want it acknowledged and dropped", got)
	}
	line.untilMessage(t, bob.sendFrom(t, "other").ID)
	if n := line.count("typing"); n > 0 {
		t.Errorf("Bob was told %d times that a stranger is typing", n)
	}
}

// People who are connected are shown to each other when a thread brings them together, and
// are not when they have shared one before.
func TestWhoMeetAreShownToEachOther(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob, eve := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b"), s.device(t, "eve-"+p.name, "e")
			people := []*device{ann, bob, eve}
			lines := make([]*client, len(people))
			for i, d := range people {
				lines[i] = p.live(t, d, withEphemera(d))
			}
			group := ann.createGroup(t, bob.user)
			bob.accept(t, group.ID)
			lines[0].untilPresence(t, bob.user, "online")
			lines[1].untilPresence(t, ann.user, "online")
			bob.add(t, group.ID, eve.user)
			eve.accept(t, group.ID)
			for i := range people[:2] {
				lines[i].untilPresence(t, eve.user, "online")
				lines[2].untilPresence(t, people[i].user, "online")
			}
			ann.createOneToOne(t, bob.user)
			again := eve.createGroup(t, ann.user, bob.user)
			// Whoever is told of someone new is told of all before: the greetings of a connection keep their order.
			zoe := s.device(t, "zoe-"+p.name, "z")
			p.live(t, zoe, withEphemera(zoe))
			ann.add(t, group.ID, zoe.user)
			zoe.accept(t, group.ID)
			for i, d := range people {
				lines[i].untilPresence(t, zoe.user, "online")
				lines[i].untilMessage(t, zoe.send(t, group.ID, "mark").ID)
				for _, other := range people {
					// Who accepts while others are told of the new thread may be told of twice.
					if told := slices.Compact(lines[i].presences(other.user)); other != d && len(told) != 1 {
						t.Errorf("%s was told %v of %s, who shares thread %s too since then", d.user, told, other.user, again.ID)
					}
				}
			}
		})
	}
}
