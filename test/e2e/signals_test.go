package e2e

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket/wsjson"
)

// withSignals are options that subscribe signals too.
func withSignals(d *device) options {
	return options{filters: append(options{}.topics(d), "v1/threads/+/signals/+")}
}

// signalsOf are the signals that came, as "name data".
func (r *record) signalsOf(user string) (got []string) {
	for _, f := range r.all() {
		if f.T == "signal" && f.UserID == user {
			got = append(got, f.Name+" "+f.Data)
		}
	}
	return got
}

// A signal reaches every device of the thread but the sending one, from JSON, MQTT 5 and
// 3.1.1 alike. It is told to nobody later, and a block in a 1:1 stops it.
func TestSignals(t *testing.T) {
	s := startServer(t)
	ann, tablet := s.device(t, "ann", "a"), s.device(t, "ann", "tablet")
	bob, cid, eve := s.device(t, "bob", "b"), s.device(t, "cid", "c"), s.device(t, "eve", "e")
	group, pair := ann.createGroup(t, bob.user, cid.user), ann.createOneToOne(t, eve.user)
	acceptAll(t, s, group.ID, bob.user, cid.user)
	eve.accept(t, pair.ID)
	eve.block(t, ann.user)
	lines := []*client{
		jsonProtocol.live(t, tablet, options{}), mqtt5TCP.live(t, bob, withSignals(bob)), mqtt311WS.live(t, cid, withSignals(cid)),
		jsonProtocol.live(t, eve, options{}),
	}
	data := strings.Repeat("d", 4<<10) // the longest
	from := map[string]func(thread, name, data string){
		"json": func(thread, name, data string) {
			conn := ann.dialJSON(t)
			defer conn.CloseNow()
			out := map[string]any{"t": "signal", "thread_id": thread, "name": name, "data": base64.StdEncoding.EncodeToString([]byte(data))}
			if err := wsjson.Write(t.Context(), conn, out); err != nil {
				t.Fatal(err)
			}
			handledByJSON(t, conn)
		},
		"mqtt5": func(thread, name, data string) { ann.signalByMQTT(t, mqtt5, thread, name, data) },
		"mqtt3": func(thread, name, data string) { ann.signalByMQTT(t, mqtt311, thread, name, data) },
	}
	for name, signal := range from {
		signal(pair.ID, name, "not for eve")
		signal(group.ID, name, "")
		signal(group.ID, name, data)
	}
	mark := ann.send(t, group.ID, "mark")
	for _, line := range lines[:3] {
		line.untilMessage(t, mark.ID)
		long := base64.StdEncoding.EncodeToString([]byte(data))
		for name := range from {
			line.watch(patience, func([]frame) bool { // frames of a thread and its signals may overtake each other
				return strings.Contains(strings.Join(line.signalsOf(ann.user), ","), name+" "+long)
			})
			if got := strings.Join(line.signalsOf(ann.user), ","); !strings.Contains(got, name+" ,") || !strings.Contains(got, name+" "+long) {
				t.Errorf("of the signals by %s came %.200s", name, got)
			}
		}
	}
	lines[3].untilMessage(t, eve.sendFrom(t, "other").ID)
	if got := lines[3].signalsOf(ann.user); len(got) > 0 {
		t.Errorf("past a block came %v", got)
	}
	late := jsonProtocol.live(t, s.device(t, "bob", "later"), options{})
	if n := late.count("signal"); n > 0 {
		t.Errorf("%d signals were replayed", n)
	}
}

// signalByMQTT publishes a signal, with QoS 0 and then, empty to the same thread, once more
// to know that it was handled.
func (d *device) signalByMQTT(t *testing.T, version byte, thread, name, data string) {
	t.Helper()
	r := dialRaw(t, d.srv, version)
	defer r.Close()
	r.accepted(t, helloOf(d))
	topic := "v1/threads/" + thread + "/signals/" + name
	r.publish(t, 0, 0, topic, data)
	r.publish(t, 1, 1, topic, "")
	if got := r.answered(t); got.closed || got.code != 0 {
		t.Errorf("a signal was answered with %+v", got)
	}
}

// What is no signal, or not for this user, is refused by code.
func TestSignalsRefused(t *testing.T) {
	s := startServer(t, "--rate-signals", "3")
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	mine, foreign := ann.createGroup(t), bob.createGroup(t)
	conn := ann.dialJSON(t)
	defer conn.CloseNow()
	signal := func(thread, name, data string) map[string]any {
		return map[string]any{"t": "signal", "thread_id": thread, "name": name, "data": data}
	}
	for _, c := range []struct {
		frame map[string]any
		code  string
	}{
		{signal(mine.ID, "+", ""), "invalid_frame"},
		{signal(mine.ID, "a/b", ""), "invalid_frame"},
		{signal(mine.ID, strings.Repeat("x", 33), ""), "invalid_frame"},
		{signal(mine.ID, "x", base64.StdEncoding.EncodeToString(make([]byte, 4<<10+1))), "invalid_frame"},
		{signal(foreign.ID, "x", ""), "not_a_participant"},
		{signal("01970c2e-3c00-7000-8000-000000000001", "x", ""), "thread_not_found"},
	} {
		if err := wsjson.Write(t.Context(), conn, c.frame); err != nil {
			t.Fatal(err)
		}
		if got := nextError(t, conn); got != c.code {
			t.Errorf("%.100v is answered with %s, want %s", c.frame, got, c.code)
		}
	}
	for range 8 { // far more than the rate, which holds for the two above too
		if err := wsjson.Write(t.Context(), conn, signal(mine.ID, "x", "")); err != nil {
			t.Fatal(err)
		}
	}
	if got := nextError(t, conn); got != "rate_limited" {
		t.Errorf("too many signals are answered with %s", got)
	}
	eventually(t, "the rate allows some again", func() bool {
		got := ann.publishOne(t, "v1/threads/"+foreign.ID+"/signals/x", "")
		return got.code == 0x87 && got.reason == "not_a_participant"
	})
	if got := ann.publishOne(t, "v1/threads/"+mine.ID+"/signals/X", ""); got.code != 0x87 {
		t.Errorf("a name in capitals: %+v", got)
	}
	if got := ann.publishOne(t, "v1/threads/"+mine.ID+"/signals/x", strings.Repeat("d", 4<<10+1)); got.code != 0x99 || got.reason != "invalid_request" {
		t.Errorf("a signal that is too long: %+v", got)
	}
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	r.subscribe(t, 1, 0, "v1/devices/"+ann.id+"/frames")
	r.publish(t, 0, 0, "v1/threads/"+mine.ID+"/signals/x", strings.Repeat("d", 4<<10+1))
	if f := r.told(t); f.Code != "invalid_request" || !strings.Contains(f.Detail, "4 KiB") {
		t.Errorf("a signal with QoS 0 that is too long: %+v", f)
	}
	if got := ann.publishOne(t, "v1/threads/"+mine.ID+"/signals/+", ""); !got.closed {
		t.Errorf("a name that is a wildcard: %+v", got)
	}
}

// Signals cross nodes.
func TestNodesForwardSignals(t *testing.T) {
	one, two, _ := startNodes(t)
	ann, bob := one.device(t, "ann", "a"), two.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	bob.accept(t, group.ID)
	line := mqtt5TCP.live(t, bob, withSignals(bob))
	conn := ann.dialJSON(t)
	defer conn.CloseNow()
	deadline := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for len(line.signalsOf(ann.user)) == 0 { // a signal may be lost
		if err := wsjson.Write(t.Context(), conn, map[string]any{"t": "signal", "thread_id": group.ID, "name": "ring", "data": "bm93"}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no signal came over")
		}
	}
	if got := line.signalsOf(ann.user)[0]; got != "ring bm93" {
		t.Errorf("the signal is %q", got)
	}
}
