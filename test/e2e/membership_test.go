package e2e

import (
	"net/http"
	"testing"
)

// A subscription with a wildcard covers what the user may see at each moment.
func TestWildcardsFollowMembership(t *testing.T) {
	s := startServer(t)
	for _, filter := range []string{"v1/threads/+/frames", "v1/threads/#", "v1/#"} {
		for _, p := range []protocol{mqtt5TCP, mqtt311WS} {
			t.Run(p.name+" "+filter, func(t *testing.T) {
				t.Parallel()
				user := p.name + "-" + map[string]string{"v1/threads/+/frames": "plus", "v1/threads/#": "threads", "v1/#": "all"}[filter]
				ann, bob := s.device(t, "ann-"+user, "a"), s.device(t, "bob-"+user, "b")
				filters := []string{filter}
				if filter != "v1/#" {
					filters = append(filters, "v1/devices/b/frames")
				}
				followMembership(t, ann, bob, p.live(t, bob, options{filters: filters}))
			})
		}
	}
}

func TestJSONFollowsMembership(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	followMembership(t, ann, bob, jsonProtocol.live(t, bob, options{}))
}

// followMembership adds Bob to a group, removes him and adds him again, during one
// connection of his.
func followMembership(t *testing.T, ann, bob *device, line *client) {
	t.Helper()
	group, other := ann.createGroup(t), ann.createGroup(t)
	before := ann.send(t, group.ID, "before Bob")

	ann.add(t, group.ID, bob.user)
	if f := line.expect(t, "thread"); f.Event != "participant_added" || f.UserID != bob.user || f.ThreadID != group.ID || f.Seq != 3 {
		t.Fatalf("Bob is told %v, want that he was added", f)
	}
	first := ann.send(t, group.ID, "first")
	if f := line.expect(t, "msg"); f.ID != first.ID {
		t.Fatalf("Bob got %v, want %s", f, first.ID)
	}

	ann.remove(t, group.ID, bob.user)
	if f := line.expect(t, "thread"); f.Event != "participant_removed" || f.UserID != bob.user {
		t.Fatalf("Bob is told %v, want that he was removed", f)
	}
	hidden := ann.send(t, group.ID, "not for Bob")
	// The next frame is a later event of another thread, so Bob got nothing of the group.
	ann.add(t, other.ID, bob.user)
	if f := line.expect(t, "thread"); f.ThreadID != other.ID || f.Event != "participant_added" {
		t.Fatalf("after his removal Bob got %v", f)
	}
	bob.must(t, http.StatusForbidden, http.MethodGet, "/v1/threads/"+group.ID, nil)

	// After he is added again, he sees the thread from that event on.
	ann.add(t, group.ID, bob.user)
	if f := line.expect(t, "thread"); f.Event != "participant_added" || f.ThreadID != group.ID {
		t.Fatalf("Bob is told %v, want that he was added again", f)
	}
	again := ann.send(t, group.ID, "again")
	if f := line.expect(t, "msg"); f.ID != again.ID {
		t.Fatalf("Bob got %v, want %s", f, again.ID)
	}
	if line.has(func(f frame) bool { return f.ID == before.ID || f.ID == hidden.ID }) {
		t.Error("Bob got a message of a time when he was not in the thread")
	}
}

// A user who was removed while not connected is told so, and gets nothing later of the
// thread.
func TestRemovedWhileAway(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			group := ann.createGroup(t, bob.user)
			seen := ann.send(t, group.ID, "seen")
			line := p.live(t, bob, options{})
			eventually(t, "delivery", func() bool { return ann.stateOf(t, seen.ID, bob.user) == "DELIVERED" })
			line.drop()

			ann.send(t, group.ID, "missed")
			ann.remove(t, group.ID, bob.user)
			hidden := ann.send(t, group.ID, "not for Bob")

			line = p.live(t, bob, options{})
			if !line.has(func(f frame) bool { return f.Event == "participant_removed" && f.UserID == bob.user }) {
				t.Errorf("Bob is not told that he was removed: %v", line.all())
			}
			if line.has(func(f frame) bool { return f.ID == hidden.ID }) {
				t.Error("Bob got a message sent after his removal")
			}
		})
	}
}

// Who has left gets no frame about what it sent before, not even once it is in again: it does
// not see that any more.
func TestReceiptsOfWhatTheSenderSeesNoMore(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		for name, again := range map[string]bool{"left": false, "again": true} {
			t.Run(p.name+" "+name, func(t *testing.T) {
				t.Parallel()
				ann, bob := s.device(t, "ann-"+p.name+"-"+name, "a"), s.device(t, "bob-"+p.name+"-"+name, "b")
				group, other := ann.createGroup(t, bob.user, "away"), ann.createGroup(t)
				line := p.live(t, bob, options{})
				short := bob.sendOut(t, group.ID, outgoing{Key: "short", ClientSeq: 101, Ciphertext: []byte("x"), TTLSeconds: 1})
				bob.send(t, group.ID, "lasting")
				ann.remove(t, group.ID, bob.user)
				if again {
					ann.add(t, group.ID, bob.user)
				}

				onAnn := p.live(t, ann, options{}) // which acknowledges what Bob sent
				late := ann.sendOut(t, group.ID, outgoing{Key: "late", ClientSeq: 101, Ciphertext: []byte("x"), TTLSeconds: 3})
				// Whether she is told of it depends on which came first, her connection or its end.
				eventually(t, "expiry of Bob's message", func() bool { return ann.message(t, short.ID).Deleted })
				onAnn.until(t, "failure of the later one", func(f frame) bool { return f.T == "failed" && f.ID == late.ID })
				ann.add(t, other.ID, bob.user) // behind all that there is to tell
				line.until(t, "the other group", func(f frame) bool { return f.Event == "participant_added" && f.ThreadID == other.ID })
				if line.has(func(f frame) bool { return f.T == "failed" || f.T == "delivered" }) {
					t.Errorf("Bob is told of what he does not see: %v", line.all())
				}
			})
		}
	}
}

// The acting device is not told of what it did; the user's other devices are.
func TestOtherDevicesOfTheSenderAreTold(t *testing.T) {
	s := startServer(t)
	phone, laptop := s.device(t, "ann", "phone"), s.device(t, "ann", "laptop")
	onPhone, onLaptop := jsonProtocol.live(t, phone, options{}), mqtt5WS.live(t, laptop, options{})
	group := phone.createGroup(t, "bob")
	if f := onLaptop.expect(t, "thread"); f.Event != "created" || f.ThreadID != group.ID {
		t.Fatalf("the laptop is told %v", f)
	}
	sent := phone.send(t, group.ID, "from the phone")
	if f := onLaptop.expect(t, "msg"); f.ID != sent.ID {
		t.Fatalf("the laptop got %v", f)
	}
	back := laptop.send(t, group.ID, "from the laptop")
	if f := onPhone.expect(t, "msg"); f.ID != back.ID {
		t.Fatalf("the phone got %v, want only the laptop's message", f)
	}
	// When one device marks a thread as read, the user's other device is told.
	bob := s.device(t, "bob", "b")
	theirs := bob.send(t, group.ID, "from Bob")
	onPhone.untilMessage(t, theirs.ID)
	phone.markRead(t, group.ID, theirs.ID)
	if f := onLaptop.untilType(t, "read"); !f.by("ann") || f.UpTo != theirs.ID {
		t.Errorf("the laptop is told %v", f)
	}
}
