package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/coder/websocket"
)

// oneOfEach has one protocol of each client family, for tests to which the transport does
// not matter.
var oneOfEach = []protocol{jsonProtocol, mqtt5TCP, mqtt311TCP}

func sendMany(t testing.TB, d *device, thread string, n int) []message {
	t.Helper()
	sent := make([]message, n)
	for i := range sent {
		sent[i] = d.send(t, thread, fmt.Sprint("message ", i+1))
	}
	return sent
}

func TestResumeAtWhatTheDeviceAcknowledged(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			th := ann.createOneToOne(t, bob.user)
			sent := sendMany(t, ann, th.ID, 8)

			// Bob's device gets all eight and acknowledges the first three.
			line := p.live(t, bob, options{manual: true})
			for _, f := range line.all() {
				if f.durable() && f.Seq <= sent[2].Seq {
					f.ack()
				}
			}
			eventually(t, "the third message is delivered", func() bool { return ann.stateOf(t, sent[2].ID, bob.user) == "DELIVERED" })
			if state := ann.stateOf(t, sent[3].ID, bob.user); state != "SENT" {
				t.Fatalf("the fourth message, not acknowledged, is %s", state)
			}
			line.drop()

			checkCatchUp(t, p.open(t, bob, options{}), sent[3:])
			eventually(t, "the last message is delivered", func() bool { return ann.stateOf(t, sent[7].ID, bob.user) == "DELIVERED" })
		})
	}
}

func TestFirstConnectOfADeviceGetsWhatNoDeviceAcknowledged(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann := s.device(t, "ann-"+p.name, "a")
			phone, laptop := s.device(t, "bob-"+p.name, "phone"), s.device(t, "bob-"+p.name, "laptop")
			th := ann.createOneToOne(t, phone.user)
			sent := sendMany(t, ann, th.ID, 6)
			line := p.live(t, phone, options{manual: true})
			for _, f := range line.all() {
				if f.durable() && f.Seq <= sent[1].Seq {
					f.ack()
				}
			}
			eventually(t, "the second message is delivered", func() bool { return ann.stateOf(t, sent[1].ID, phone.user) == "DELIVERED" })

			checkCatchUp(t, p.open(t, laptop, options{}), sent[2:])
			// The laptop's acknowledgements move the user's mark, not the phone's position.
			eventually(t, "the last message is delivered", func() bool { return ann.stateOf(t, sent[5].ID, phone.user) == "DELIVERED" })
			line.drop()
			checkCatchUp(t, p.open(t, phone, options{}), sent[2:])
		})
	}
}

func TestResumeAtLastSeenID(t *testing.T) {
	s := startServer(t)
	for _, p := range []protocol{jsonProtocol, mqtt5TCP, mqtt311WS} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			th := ann.createOneToOne(t, bob.user)
			sent := sendMany(t, ann, th.ID, 6)
			line := p.live(t, bob, options{})
			eventually(t, "all is delivered", func() bool { return ann.stateOf(t, sent[5].ID, bob.user) == "DELIVERED" })
			line.close()

			// last_seen_id counts, even if it is below what the device has acknowledged: the
			// device may have lost its data.
			checkCatchUp(t, p.open(t, bob, options{lastSeen: sent[1].ID}), sent[2:])
			// An id that no event has stands for its time.
			checkCatchUp(t, p.open(t, bob, options{lastSeen: longAgo}), sent)
			// A replay without events still ends with caught_up, and live frames follow.
			line = p.open(t, bob, options{lastSeen: sent[5].ID})
			if end := line.untilType(t, "caught_up"); end.LastID == nil || *end.LastID != sent[5].ID {
				t.Errorf("caught_up has last_id %v, want %s", end.LastID, sent[5].ID)
			}
			line.untilMessage(t, ann.send(t, th.ID, "live").ID)
		})
	}
}

// The id of all zeros is a position too: before everything.
func TestLastSeenIDOfZeroIsAPosition(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	th := ann.createOneToOne(t, bob.user)
	sent := sendMany(t, ann, th.ID, 3)
	for _, p := range []protocol{jsonProtocol, mqtt5WS} {
		line := p.live(t, bob, options{})
		eventually(t, "all is delivered", func() bool { return ann.stateOf(t, sent[2].ID, bob.user) == "DELIVERED" })
		line.close()
		checkCatchUp(t, p.open(t, bob, options{lastSeen: "00000000000000000000000000"}), sent)
	}
}

func TestCleanStartDoesNotResetThePosition(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	th := ann.createOneToOne(t, bob.user)
	sendMany(t, ann, th.ID, 3)
	for _, keep := range []bool{true, false, true} {
		line := mqtt5TCP.live(t, bob, options{keep: keep})
		live := ann.send(t, th.ID, "live")
		line.untilMessage(t, live.ID)
		eventually(t, "delivery", func() bool { return ann.stateOf(t, live.ID, bob.user) == "DELIVERED" })
		line.drop()
		checkCatchUp(t, mqtt5TCP.open(t, bob, options{keep: !keep}), []message{})
	}
}

func TestNothingWasEverThere(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		line := p.open(t, s.device(t, "newcomer-"+p.name, "d"), options{})
		if end := line.expect(t, "caught_up"); end.LastID != nil || end.Replayed != 0 {
			t.Errorf("%s: caught_up says %v, %d", p.name, end.LastID, end.Replayed)
		}
	}
}

func TestMalformedLastSeenIDIsRefused(t *testing.T) {
	s := startServer(t)
	d := s.device(t, "ann", "a")
	for _, bad := range []string{"x", "01JWFG3M2J8K4N5P7Q8R0S1TV", "01JWFG3M2J8K4N5P7Q8R0S1TVWX", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01JWFG3M2J8K4N5P7Q8R0S1TVU"} {
		if _, err := connectJSON(d, options{lastSeen: bad}); refusedWith(err) != http.StatusBadRequest {
			t.Errorf("JSON with last_seen_id %q: %v, want 400", bad, err)
		}
		if _, err := mqtt5TCP.connect(d, options{lastSeen: bad}); refusedWith(err) != 0x85 {
			t.Errorf("MQTT 5 with last_seen_id %q: %v, want 0x85", bad, err)
		}
		// MQTT over WebSocket may have it in the query too. Then either the upgrade or the
		// CONNACK is the refusal.
		if code := mqttQueryRefusal(t, s, d, bad); code != http.StatusBadRequest && code != 2 {
			t.Errorf("MQTT 3.1.1 with last_seen_id %q in the query: %d, want HTTP 400 or return code 2", bad, code)
		}
	}
}

func mqttQueryRefusal(t testing.TB, s *server, d *device, lastSeen string) int {
	t.Helper()
	_, resp, err := websocket.Dial(t.Context(), d.realtimeURL("ws", lastSeen), &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		if resp == nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	return int(dialRawWS(t, s, mqtt311, "?last_seen_id="+lastSeen).connect(t, helloOf(d)).code)
}
