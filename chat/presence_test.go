package chat_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func TestPresence(t *testing.T) {
	w := newWorld(t)
	online := map[chat.UserID]bool{"bob": true}
	var fails error
	s := chat.New(chat.Config{
		Store: w.store, Bus: w.bus, Now: w.clock.Now,
		Online: func(_ context.Context, u chat.UserID) (bool, error) { return online[u], fails },
	})
	defer s.Close(t.Context())
	pair := w.newPair("alice", "bob")
	group := w.newGroup("alice", "carol")
	must(t, w.accept("bob", pair))
	must(t, w.accept("carol", group))
	seen := w.clock.Now().Add(-time.Hour)
	must(t, w.store.PutLastSeen(t.Context(), "bob", seen))
	must(t, w.store.PutLastSeen(t.Context(), "carol", seen))
	presence := func(by, user chat.UserID) chat.Presence {
		t.Helper()
		p, err := s.Presence(t.Context(), as(by), user)
		must(t, err)
		return p
	}
	same(t, "online", presence("alice", "bob"), chat.Presence{User: "bob", Online: true})
	same(t, "offline", presence("alice", "carol"), chat.Presence{User: "carol", LastSeen: seen})
	same(t, "never seen", presence("bob", "alice"), chat.Presence{User: "alice"})
	same(t, "oneself", presence("bob", "bob"), chat.Presence{User: "bob", Online: true})

	for _, stranger := range []chat.UserID{"carol", "nobody"} {
		_, err := s.Presence(t.Context(), as("bob"), stranger)
		refused(t, err, chat.CodeNoSharedThread)
	}
	_, err := s.Presence(t.Context(), with("alice", chat.ScopeWrite), "bob")
	refused(t, err, chat.CodeMissingScope)

	w.block("bob", "alice")
	w.block("carol", "alice")
	same(t, "to one whom bob blocks, who is online", presence("alice", "bob"), chat.Presence{User: "bob"})
	same(t, "to one whom carol blocks, who was seen", presence("alice", "carol"), chat.Presence{User: "carol"})
	online["alice"] = true
	same(t, "to one who blocks", presence("bob", "alice"), chat.Presence{User: "alice", Online: true})
	w.unblock("bob", "alice")
	same(t, "no longer blocked", presence("alice", "bob").Online, true)

	online["bob"] = false
	same(t, "gone offline", presence("alice", "bob"), chat.Presence{User: "bob", LastSeen: seen})
	fails = errDisk
	_, err = s.Presence(t.Context(), as("alice"), "bob")
	unavailable(t, err, errDisk)

	fails = nil
	w.remove("alice", group, "carol")
	_, err = s.Presence(t.Context(), as("alice"), "carol")
	refused(t, err, chat.CodeNoSharedThread)
	p, err := w.Presence(t.Context(), as("alice"), "bob") // of a service that knows of no connections
	must(t, err)
	same(t, "nobody is online", p, chat.Presence{User: "bob", LastSeen: seen})
}

// If two threads bring people together at once, the first event is the one that does,
// whichever is looked at first.
func TestNewPeersAreOfTheFirstThreadTheyShare(t *testing.T) {
	w := newWorld(t)
	s := chat.New(chat.Config{
		Store: w.store, Bus: w.bus, Now: w.clock.Now,
		Online: func(_ context.Context, u chat.UserID) (bool, error) { return u != "away", nil },
	})
	defer s.Close(t.Context())
	pair := w.newPair("alice", "bob")
	must(t, w.accept("bob", pair))
	w.clock.advance(time.Second)
	group := w.newGroup("bob", "alice", "carol", "away")
	must(t, w.accept("carol", group))
	w.clock.advance(time.Second)
	w.add("bob", group, "dan")
	must(t, w.accept("dan", group))
	w.block("carol", "dan")
	created, added := w.log(group)[0], w.log(group)[1]
	for _, c := range []struct {
		user chat.UserID
		by   chat.Event
		want []chat.UserID
	}{
		{"alice", created, []chat.UserID{"carol"}},
		{"bob", created, []chat.UserID{"carol"}},
		{"carol", created, []chat.UserID{"bob", "alice"}},
		{"alice", w.log(pair)[0], []chat.UserID{"bob"}},
		{"bob", w.log(pair)[0], []chat.UserID{"alice"}},
		{"dan", created, nil},
		{"alice", added, []chat.UserID{"dan"}},
		{"dan", added, []chat.UserID{"bob", "alice"}}, // carol blocks dan
		{"mallory", added, nil},
	} {
		got, err := s.NewPeers(t.Context(), c.user, c.by.Thread, c.by.ID)
		must(t, err)
		sameList(t, "met by "+string(c.user), got, c.want...)
	}
	w.remove("bob", group, "dan")
	got, err := s.NewPeers(t.Context(), "dan", group, added.ID)
	must(t, err)
	sameList(t, "met by one who has left", got)
}

// Presence and devices of a person show only in threads that this person has accepted, and its
// typing too; signals reach only those who have accepted.
func TestWhatIsNotAcceptedHides(t *testing.T) {
	w := newWorld(t)
	online := map[chat.UserID]bool{"ann": true, "bob": true, "cid": true}
	s := chat.New(chat.Config{
		Store: w.store, Bus: w.bus, Now: w.clock.Now,
		Online: func(_ context.Context, u chat.UserID) (bool, error) { return online[u], nil },
	})
	defer s.Close(t.Context())
	pair, group := w.newPair("ann", "bob"), w.newGroup("ann", "bob", "cid")
	announced := func(by chat.UserID) (told []chat.UserID) {
		t.Helper()
		w.heard.drain()
		must(t, s.AnnouncePresence(t.Context(), chat.Presence{User: by, Online: true}))
		for _, n := range w.heard.drain() {
			told = append(told, n.Audience...)
		}
		slices.Sort(told)
		return told
	}
	typed := func(by chat.UserID, in chat.ThreadID) (told []chat.UserID) {
		t.Helper()
		w.heard.drain()
		w.clock.advance(time.Minute)
		must(t, s.Typing(t.Context(), as(by), in))
		for _, n := range w.heard.drain() {
			told = append(told, n.Audience...)
		}
		slices.Sort(told)
		return told
	}
	signalled := func(by chat.UserID, in chat.ThreadID) (told []chat.UserID) {
		t.Helper()
		w.heard.drain()
		must(t, s.Signal(t.Context(), as(by), ring(in)))
		for _, n := range w.heard.drain() {
			told = append(told, n.Audience...)
		}
		slices.Sort(told)
		return told
	}
	sees := func(by, user chat.UserID) bool {
		t.Helper()
		p, err := s.Presence(t.Context(), as(by), user)
		must(t, err)
		peers, err := s.OnlinePeers(t.Context(), by)
		must(t, err)
		same(t, "what "+string(by)+" is greeted with of "+string(user), slices.Contains(peers, user), p.Online)
		return p.Online
	}
	sameList(t, "of ann, who has accepted, hear", announced("ann"), "bob", "cid")
	sameList(t, "of bob, who has not", announced("bob"))
	same(t, "bob sees ann", sees("bob", "ann"), true)
	same(t, "ann sees bob", sees("ann", "bob"), false)
	same(t, "cid sees bob", sees("cid", "bob"), false)
	sameList(t, "ann types in the group", typed("ann", group), "bob", "cid")
	sameList(t, "bob types in the group", typed("bob", group))
	sameList(t, "ann signals in the group", signalled("ann", group), "ann")
	sameList(t, "bob signals in the group", signalled("bob", group), "ann")
	met, err := s.NewPeers(t.Context(), "ann", pair, w.log(pair)[0].ID)
	must(t, err)
	sameList(t, "ann meets", met)

	w.heard.drain()
	_, err = s.SetOwnState(t.Context(), as("bob"), pair, chat.StateChange{Accepted: new(true)})
	must(t, err)
	n := w.heard.one(t) // that he is there, since she may know it now
	sameList(t, "who is told", n.Audience, "ann")
	same(t, "what", *n.Presence, chat.Presence{User: "bob", Online: true, Again: true})
	sameList(t, "of bob hear", announced("bob"), "ann")
	same(t, "ann sees bob", sees("ann", "bob"), true)
	same(t, "cid sees bob", sees("cid", "bob"), false)
	sameList(t, "bob types in the group", typed("bob", group))
	sameList(t, "bob types in the 1:1", typed("bob", pair), "ann")
	sameList(t, "ann signals in the 1:1", signalled("ann", pair), "ann", "bob")
	sameList(t, "ann signals in the group", signalled("ann", group), "ann")

	w.heard.drain()
	_, err = s.SetOwnState(t.Context(), as("bob"), group, chat.StateChange{Accepted: new(true)})
	must(t, err)
	sameList(t, "who is told", w.heard.one(t).Audience, "cid") // ann knew
	same(t, "cid sees bob", sees("cid", "bob"), true)
	sameList(t, "ann signals in the group", signalled("ann", group), "ann", "bob")
	_, err = s.SetOwnState(t.Context(), as("bob"), pair, chat.StateChange{Accepted: new(false)})
	must(t, err)
	_, err = s.SetOwnState(t.Context(), as("bob"), group, chat.StateChange{Accepted: new(false)})
	must(t, err)
	same(t, "ann sees bob", sees("ann", "bob"), false)
	sameList(t, "bob types in the 1:1", typed("bob", pair))
	sameList(t, "ann signals in the 1:1", signalled("ann", pair), "ann")
	sameList(t, "of bob hear", announced("bob"))
}
