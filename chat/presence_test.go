package chat_test

import (
	"context"
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
	w.newPair("alice", "bob")
	group := w.newGroup("alice", "carol")
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
	w.clock.advance(time.Second)
	group := w.newGroup("bob", "alice", "carol", "away")
	w.clock.advance(time.Second)
	w.add("bob", group, "dan")
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
