package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (n *node) wantOnline(user chat.UserID, want bool) {
	n.t.Helper()
	got, err := n.sessions.Online(n.t.Context(), user)
	must(n.t, err)
	if got != want {
		n.t.Errorf("%s is online: %v, want %v", user, got, want)
	}
}

func (n *node) lastSeen(user chat.UserID) time.Time {
	n.t.Helper()
	at, err := n.store.LastSeen(n.t.Context(), user)
	must(n.t, err)
	return at
}

func TestUserIsOnlineWhileADeviceIsConnectedAndThenLastSeen(t *testing.T) {
	n := newNode(t, Limits{PresenceGrace: time.Millisecond})
	n.wantOnline("bob", false)
	phone, tablet := n.connect(as("bob", "phone")), n.connect(as("bob", "tablet"))
	n.connect(as("bob", "phone")).awaitCaughtUp() // takes the first over
	phone.disconnect()
	tablet.disconnect()
	n.wantOnline("bob", true)
	if at := n.lastSeen("bob"); !at.IsZero() {
		t.Errorf("bob, who is connected, was last seen at %v", at)
	}
	again := n.connect(as("bob", "phone"))
	n.pass(time.Hour)
	before := n.now()
	again.disconnect()
	n.eventually("the end of the grace", func() bool {
		online, err := n.sessions.Online(t.Context(), "bob")
		must(t, err)
		return !online
	})
	if at := n.lastSeen("bob"); at.Before(before.Truncate(time.Millisecond)) || at.After(n.now()) {
		t.Errorf("bob was last seen at %v, want the end of his last connection, %v", at, before)
	}
}

// forgetful is a store that keeps nobody's last connection.
type forgetful struct{ chat.Store }

func (forgetful) PutLastSeen(context.Context, chat.UserID, time.Time) error {
	return errors.New("the disk is away")
}

func TestSessionEndsThoughLastSeenIsNotStored(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	n.restart(forgetful{n.store})
	bob := n.connect(as("bob", "phone"))
	bob.awaitSeq(g, 1)
	bob.disconnect()
	_, found, err := n.store.Position(t.Context(), "bob", "phone")
	must(t, err)
	if !found {
		t.Error("the device's position is not stored either")
	}
}

// presences lists what a device was told of a user, in order.
func (d *device) presences(user chat.UserID) (told []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.frames {
		if f.T == contracts.FramePresence && f.User == string(user) {
			told = append(told, f.Status)
		}
	}
	return told
}

func (d *device) awaitPresences(user chat.UserID, want ...string) {
	d.n.t.Helper()
	d.n.eventually(fmt.Sprintf("presence of %s: %v", user, want), func() bool { return slices.Equal(d.presences(user), want) })
}

// awaitAnnounced waits until all that has happened so far is announced.
func (n *node) awaitAnnounced() {
	n.t.Helper()
	n.eventually("an idle presence", n.sessions.presence.Idle)
}

func TestPeersAreToldWhoComesAndGoes(t *testing.T) {
	n := newNode(t, Limits{PresenceGrace: time.Millisecond})
	n.pair("alice", "bob")
	n.group("carol", "alice")
	alice := n.connect(as("alice", "web"))
	alice.awaitCaughtUp()
	phone, tablet := n.connect(as("bob", "phone")), n.connect(as("bob", "tablet"))
	alice.awaitPresences("bob", "online")
	n.connect(as("mallory", "web")) // a stranger
	phone.disconnect()              // one device is left
	n.pass(time.Second)
	n.connect(as("carol", "web"))
	alice.awaitPresences("carol", "online")
	alice.awaitPresences("bob", "online")
	tablet.disconnect()
	alice.awaitPresences("bob", "online", "offline")
	gone := alice.awaitFrame(contracts.FramePresence, func(f frame) bool { return f.Status == "offline" })
	if gone.LastSeenAt == nil {
		t.Error("offline comes without last_seen_at")
	}
	n.connect(as("bob", "phone"))
	alice.awaitPresences("bob", "online", "offline", "online")
	n.awaitAnnounced()
	for stranger, told := range map[chat.UserID][]string{"mallory": alice.presences("mallory"), "alice": alice.presences("alice")} {
		if len(told) > 0 {
			t.Errorf("alice was told %v of %s", told, stranger)
		}
	}
}

// A reconnection within the grace makes no noise.
func TestReconnectionWithinTheGraceIsSilent(t *testing.T) {
	n := newNode(t, Limits{PresenceGrace: time.Hour})
	n.pair("alice", "bob")
	alice := n.connect(as("alice", "web"))
	alice.awaitCaughtUp()
	for range 5 {
		bob := n.connect(as("bob", "phone"))
		bob.awaitCaughtUp()
		n.awaitAnnounced()
		bob.disconnect()
		n.wantOnline("bob", true)
	}
	n.sessions.presence.EndGraces() // too early
	n.awaitAnnounced()
	n.wantOnline("bob", true)
	n.pass(30 * time.Minute)
	n.connect(as("bob", "phone")).disconnect() // the grace begins anew
	n.pass(40 * time.Minute)
	n.sessions.presence.EndGraces()
	n.awaitAnnounced()
	alice.awaitPresences("bob", "online")
	n.pass(20 * time.Minute)
	n.sessions.presence.EndGraces()
	alice.awaitPresences("bob", "online", "offline")
}

func TestPresenceIsKeptFromWhoIsBlocked(t *testing.T) {
	n := newNode(t, Limits{PresenceGrace: time.Millisecond})
	g := n.group("bob", "alice", "carol")
	must(t, n.chat.Block(t.Context(), as("bob", "phone"), "alice"))
	alice, carol := n.connect(as("alice", "web")), n.connect(as("carol", "web"))
	alice.awaitCaughtUp()
	carol.awaitCaughtUp()
	bob := n.connect(as("bob", "phone"))
	carol.awaitPresences("bob", "online")
	must(t, n.chat.Typing(t.Context(), as("bob", "phone"), g))
	carol.awaitFrame(contracts.FrameTyping, func(f frame) bool { return f.User == "bob" && f.Thread == g.String() })
	again := n.connect(as("alice", "tablet"))
	again.awaitCaughtUp()
	bob.disconnect()
	carol.awaitPresences("bob", "online", "offline")
	n.awaitAnnounced()
	mark := n.send(as("carol", "web"), g, "mark")
	for _, d := range []*device{alice, again} {
		if frames := d.awaitSeq(g, mark.Seq); count(frames, contracts.FrameTyping) > 0 || len(d.presences("bob")) > 0 {
			t.Errorf("who is blocked got %+v", frames)
		}
	}
}

// A JSON client is greeted, behind its caught_up, with who of its 1:1s and small
// groups is online.
func TestJSONClientIsGreetedBehindCaughtUp(t *testing.T) {
	n := newNode(t, Limits{})
	n.pair("alice", "bob")
	n.pair("alice", "dan") // who is away
	small := n.group("carol", append(people("small", 30), "alice")...)
	n.group("eve", append(people("large", 31), "alice")...)
	for range 20 {
		n.send(as("carol", "web"), small, "hello")
	}
	for _, user := range []chat.UserID{"bob", "carol", "eve", "stranger"} {
		n.connect(as(user, "web")).awaitCaughtUp()
	}
	n.awaitAnnounced()
	alice := n.connect(as("alice", "phone"))
	alice.awaitPresences("bob", "online")
	alice.awaitPresences("carol", "online")
	n.awaitAnnounced()
	frames := alice.awaitFrames(func(f frame) bool { return f.T == contracts.FramePresence || f.T == contracts.FrameCaughtUp })
	if frames[0].T != contracts.FrameCaughtUp || len(frames) != 3 {
		t.Errorf("the greeting is %+v, want caught_up, bob and carol", frames)
	}
}

func people(prefix string, n int) []chat.UserID {
	users := make([]chat.UserID, n)
	for i := range users {
		users[i] = chat.UserID(fmt.Sprint(prefix, i))
	}
	return users
}

// awaitFrames gives all frames that match, once some do.
func (d *device) awaitFrames(match func(frame) bool) []frame {
	d.n.t.Helper()
	var found []frame
	d.await("a frame", func(frames []frame) bool {
		found = nil
		for _, f := range frames {
			if match(f) {
				found = append(found, f)
			}
		}
		return len(found) > 0
	})
	return found
}

// An MQTT client is told the present state right after the subscribe: of a user it
// names always, of everybody else who is online.
func TestPresentStateComesAfterTheSubscribe(t *testing.T) {
	n := newNode(t, Limits{})
	n.pair("alice", "bob")
	n.pair("alice", "carol")
	n.connect(as("bob", "web"))
	n.awaitAnnounced()
	alice := n.connect(as("alice", "phone"), mqtt)
	alice.subscribe("v1/presence/carol")
	alice.awaitPresences("carol", "offline")
	alice.subscribe("v1/presence/+")
	alice.awaitPresences("bob", "online")
	alice.subscribe("v1/presence/bob")
	alice.awaitPresences("bob", "online", "online")
	alice.awaitPresences("carol", "offline")
	alice.sess.Unsubscribe("v1/presence/+")
	alice.sess.Unsubscribe("v1/presence/carol")
	alice.sess.Subscribed()
	n.connect(as("carol", "web"))
	n.awaitAnnounced()
	alice.awaitPresences("carol", "offline")
}

// A session that is resumed is greeted like one that subscribes.
func TestResumedSubscriptionsAreGreeted(t *testing.T) {
	n := newNode(t, Limits{PresenceGrace: time.Millisecond})
	n.pair("alice", "bob")
	keep := func(_ *device, p *Params) { p.KeepFor = time.Hour }
	alice := n.connect(as("alice", "phone"), mqtt, keep)
	alice.subscribe("v1/presence/bob")
	alice.awaitPresences("bob", "offline")
	alice.disconnect()
	n.connect(as("bob", "web"))
	n.awaitAnnounced()
	alice = n.connect(as("alice", "phone"), mqtt, keep)
	alice.awaitPresences("bob", "online")
}

func TestTypingReachesTheOthersOfTheThread(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob", "carol")
	bob, web, other := n.connect(as("bob", "phone")), n.connect(as("alice", "web")), n.connect(as("alice", "phone"))
	carol := n.connect(as("carol", "tablet"), mqtt)
	carol.subscribe("v1/threads/" + g.String() + "/typing")
	for _, d := range []*device{bob, web, other} {
		d.awaitCaughtUp()
	}
	typing := contracts.ClientFrame{Type: contracts.FrameTyping, Thread: g}
	for range 3 { // the first is forwarded
		must(t, web.sess.Handle(typing))
	}
	n.pass(chat.TypingInterval)
	must(t, web.sess.Handle(typing))
	mark := n.send(as("alice", "web"), g, "mark")
	isTyping := func(f frame) bool { return f.T == contracts.FrameTyping }
	for _, d := range []*device{bob, carol} {
		got := d.awaitFrames(isTyping) // the second may have replaced the first
		if len(got) > 2 || got[0].User != "alice" || got[0].Thread != g.String() {
			t.Errorf("typing arrived as %+v", got)
		}
	}
	if frames := other.awaitSeq(g, mark.Seq); count(frames, contracts.FrameTyping) > 0 {
		t.Errorf("alice's other device got %+v", frames)
	}
	for _, refused := range []struct {
		thread chat.ThreadID
		code   chat.Code
	}{{n.group("dan"), chat.CodeNotAParticipant}, {chat.ThreadID{}, contracts.CodeInvalidFrame}} {
		if err := bob.sess.Handle(contracts.ClientFrame{Type: contracts.FrameTyping, Thread: refused.thread}); chat.CodeOf(err) != refused.code {
			t.Errorf("typing there: %v, want %s", err, refused.code)
		}
	}
}

// Typing that waited too long says nothing any more.
func TestStaleTypingIsDropped(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	bob.awaitCaughtUp()
	bob.setStall(true)
	must(t, n.chat.Typing(t.Context(), as("alice", "web"), g))
	n.pass(contracts.TypingTTL)
	bob.resume()
	mark := n.send(as("alice", "web"), g, "mark")
	if frames := bob.awaitSeq(g, mark.Seq); count(frames, contracts.FrameTyping) > 0 {
		t.Errorf("bob got %+v", frames)
	}
}

// A subscription that comes while a greeting is under way has its own, once it is in
// force.
func TestGreetingWaitsForTheSubscription(t *testing.T) {
	n := newNode(t, Limits{})
	n.pair("alice", "bob")
	alice := n.connect(as("alice", "phone"), mqtt)
	f, err := contracts.ParseFilter("v1/presence/bob")
	must(t, err)
	if !alice.sess.Subscribe("v1/presence/bob", f, 0) {
		t.Fatal("refused")
	}
	n.sessions.presence.Greet(alice.sess) // for an earlier one
	n.awaitAnnounced()
	alice.sess.Subscribed()
	alice.awaitPresences("bob", "offline")
}

func (d *device) wantPresences(told map[chat.UserID][]string) {
	d.n.t.Helper()
	for user, want := range told {
		if got := d.presences(user); !slices.Equal(got, want) {
			d.n.t.Errorf("%s was told %v of %s, want %v", d.sess.user, got, user, want)
		}
	}
}

// People who are online are shown to each other when they come to share a thread, by JSON
// and by MQTT, and once: who shared one before is not told again.
func TestWhoMeetAreShownToEachOther(t *testing.T) {
	n := newNode(t, Limits{})
	online := []string{"online"}
	alice, bob, dan := n.connect(as("alice", "web")), n.connect(as("bob", "phone")), n.connect(as("dan", "web"))
	carol := n.connect(as("carol", "phone"), mqtt)
	carol.subscribe("v1/presence/+")
	for _, d := range []*device{alice, bob, dan} {
		d.awaitCaughtUp()
	}
	n.awaitAnnounced()
	n.pair("alice", "bob")
	n.pair("alice", "zoe") // who is away
	alice.awaitPresences("bob", "online")
	bob.awaitPresences("alice", "online")

	g := n.group("alice", "bob", "carol")
	carol.awaitPresences("alice", "online")
	carol.awaitPresences("bob", "online")
	alice.awaitPresences("carol", "online")
	bob.awaitPresences("carol", "online")

	_, _, err := n.chat.AddParticipant(t.Context(), as("bob", "phone"), g, "dan")
	must(t, err)
	for user, d := range map[chat.UserID]*device{"alice": alice, "bob": bob, "carol": carol} {
		d.awaitPresences("dan", "online")
		dan.awaitPresences(user, "online")
	}
	n.group("dan", "alice", "bob", "carol") // all of whom know each other
	n.pair("carol", "dan")
	n.awaitAnnounced()
	carol.subscribe("v1/threads/+/frames")
	mark := n.send(as("zoe", "web"), n.group("zoe", "alice", "bob", "carol", "dan"), "mark")
	for _, d := range []*device{alice, bob, carol, dan} {
		d.awaitSeq(mark.Thread, mark.Seq)
	}
	n.awaitAnnounced()
	alice.wantPresences(map[chat.UserID][]string{"alice": nil, "bob": online, "carol": online, "dan": online, "zoe": nil})
	bob.wantPresences(map[chat.UserID][]string{"alice": online, "bob": nil, "carol": online, "dan": online, "zoe": nil})
	carol.wantPresences(map[chat.UserID][]string{"alice": online, "bob": online, "carol": nil, "dan": online, "zoe": nil})
	dan.wantPresences(map[chat.UserID][]string{"alice": online, "bob": online, "carol": online, "dan": nil, "zoe": nil})
}

// A group that is too large for a greeting shows nobody, whatever way it grew, and who
// blocks somebody is not shown to that one.
func TestWhoMeetAreNotShownInLargeGroupsNorPastABlock(t *testing.T) {
	n := newNode(t, Limits{})
	alice, bob, eve := n.connect(as("alice", "web")), n.connect(as("bob", "phone")), n.connect(as("eve", "web"))
	for _, d := range []*device{alice, bob, eve} {
		d.awaitCaughtUp()
	}
	must(t, n.chat.Block(t.Context(), as("eve", "web"), "alice"))
	n.awaitAnnounced()
	small := n.group("zoe", append(people("small", 29), "alice", "eve")...) // 32
	eve.awaitPresences("alice", "online")
	_, _, err := n.chat.AddParticipant(t.Context(), as("zoe", "web"), small, "bob") // 33
	must(t, err)
	large := n.group("zoe", append(people("large", 30), "bob", "eve")...) // 33
	n.awaitAnnounced()
	for _, thread := range []chat.ThreadID{small, large} {
		mark := n.send(as("zoe", "web"), thread, "mark")
		eve.awaitSeq(thread, mark.Seq)
		bob.awaitSeq(thread, mark.Seq)
	}
	alice.wantPresences(map[chat.UserID][]string{"eve": nil, "bob": nil})
	bob.wantPresences(map[chat.UserID][]string{"alice": nil, "eve": nil})
	eve.wantPresences(map[chat.UserID][]string{"alice": {"online"}, "bob": nil})
}
