package e2e

import (
	"strings"
	"testing"
	"time"
)

// When a device connects again, its old connection ends, whatever the protocols of the two.
func TestTakeoverByTheSameDevice(t *testing.T) {
	s := startServer(t)
	ends := map[string]int{jsonProtocol.name: 4409, mqtt5WS.name: 0x8E, mqtt5TCP.name: 0x8E, mqtt311WS.name: 0, mqtt311TCP.name: 0}
	for _, old := range protocols {
		for _, next := range protocols {
			t.Run(old.name+" by "+next.name, func(t *testing.T) {
				t.Parallel()
				name := old.name + "-" + next.name
				ann, bob := s.device(t, "ann-"+name, "a"), s.device(t, "bob-"+name, "b")
				th := ann.createOneToOne(t, bob.user)
				first := old.live(t, bob, options{manual: true})
				unacked := ann.send(t, th.ID, "one")
				first.untilMessage(t, unacked.ID)

				second := next.open(t, bob, options{})
				first.awaitEnd(t, ends[old.name])
				// Frames that the first connection did not acknowledge come again.
				second.untilMessage(t, unacked.ID)
				second.untilMessage(t, ann.send(t, th.ID, "two").ID)
			})
		}
	}
}

// A client id is private to its user.
func TestTwoUsersWithTheSameClientID(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "phone"), s.device(t, "bob", "phone")
	for _, p := range protocols {
		a, b := p.live(t, ann, options{}), p.live(t, bob, options{})
		group := ann.createGroup(t, "bob")
		fromAnn := ann.send(t, group.ID, "from Ann")
		b.untilMessage(t, fromAnn.ID)
		fromBob := bob.send(t, group.ID, "from Bob")
		a.untilMessage(t, fromBob.ID)
		if a.over() || b.over() {
			t.Errorf("%s: one took the other over", p.name)
		}
		a.close()
		b.close()
	}
}

// A device connects again and again while messages come at full speed. No message is lost,
// and the last connection gets live ones.
func TestTakeoverUnderLoad(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			th := ann.createOneToOne(t, bob.user)
			messages := bulk(200)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for range messages {
					if _, _, err := ann.post(t.Context(), th.ID, outgoing{Ciphertext: []byte("x")}); err != nil {
						t.Error(err)
						return
					}
				}
			}()
			seen := &union{}
			var line *client
			for takeovers, sending := 0, true; sending || takeovers < 20; takeovers++ {
				next, err := p.connect(bob, options{})
				if err != nil {
					t.Fatal(err)
				}
				if line != nil {
					line.watch(patience, func([]frame) bool { return false }) // until it has ended
					seen.take(t, line.record)
				}
				line = next
				line.watch(20*time.Millisecond, func(f []frame) bool { return len(f) > 10 })
				select {
				case <-sent:
					sending = false
				default:
				}
			}
			line.watch(patience, func(f []frame) bool {
				return len(f) > 0 && seen.with(f).complete(th.ID, messages+1)
			})
			seen.take(t, line.record)
			seen.checkComplete(t, th.ID, messages+1)
			line.untilMessage(t, ann.send(t, th.ID, "not deaf").ID)
			line.close()
		})
	}
}

// A connection with neither a user name nor a client id is of the device that the token
// names.
func TestTakeoverDoesNotDependOnHowTheDeviceIsNamed(t *testing.T) {
	s := startServer(t)
	bob := s.device(t, "bob", "b")
	line := jsonProtocol.live(t, bob, options{})
	h := helloOf(bob)
	h.user, h.clientID = "", ""
	if got := dialRaw(t, s, mqtt5).accepted(t, h).props.AssignedClientID; !strings.EqualFold(got, "b") {
		t.Errorf("Assigned Client Identifier is %q, want b", got)
	}
	line.awaitEnd(t, 4409)
}
