package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func people(n int) []chat.UserID {
	users := make([]chat.UserID, n)
	for i := range users {
		users[i] = chat.UserID(fmt.Sprintf("user-%d", i))
	}
	return users
}

func TestCreateGroup(t *testing.T) {
	w := newWorld(t)
	v, created, err := w.CreateThread(t.Context(), as("alice"), chat.CreateThread{
		Type: chat.Group, Participants: []chat.UserID{"bob", "carol", "bob", "alice"}, Title: "weekend",
	})
	must(t, err)
	same(t, "outcome", created, chat.Created)
	same(t, "type", v.Type, chat.Group)
	same(t, "title", v.Title, "weekend")
	same(t, "created by", v.CreatedBy, chat.UserID("alice"))
	same(t, "created at", v.CreatedAt, w.clock.Now())
	same(t, "last activity", v.LastActivity(), w.clock.Now())
	same(t, "unread", v.Unread, 0)
	same(t, "last message", v.LastMessage.IsZero(), true)
	sameList(t, "participants, duplicates merged", v.Users(), "bob", "carol", "alice")
	for i, role := range []chat.Role{chat.Member, chat.Member, chat.Admin} {
		same(t, "role", v.Views[i].Role, role)
		same(t, "joined at", v.Views[i].JoinedAt, w.clock.Now())
		same(t, "marks", v.Views[i].DeliveredUpTo.IsZero() && v.Views[i].ReadUpTo.IsZero(), true)
	}

	stored := w.view("bob", v.ID)
	same(t, "stored title", stored.Title, "weekend")
	sameList(t, "stored participants", stored.Participants, v.Participants...)

	n := w.heard.one(t)
	sameList(t, "audience", n.Audience, "bob", "carol", "alice")
	same(t, "event", n.Event.Change.Event, chat.ThreadCreated)
	same(t, "seq", n.Event.Seq, 1)
	same(t, "members told", len(n.Event.Change.Members), 3)
}

func TestGroupOfOne(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	w.send("alice", id, "a note")
	sameList(t, "history", w.history("alice", id), "a note")
}

func TestCreatePair(t *testing.T) {
	w := newWorld(t)
	id := w.newThread("alice", chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{"bob", "alice", "bob"}})
	v := w.view("alice", id)
	sameList(t, "participants", v.Users(), "bob", "alice")
	for _, p := range v.Participants {
		same(t, "role in a 1:1", p.Role, chat.Member)
	}
}

func TestPairThatExistsIsReturned(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	m := w.send("alice", id, "hello")
	w.heard.drain()
	for _, ask := range []struct{ by, with chat.UserID }{{"alice", "bob"}, {"bob", "alice"}} {
		// The right to write is enough: the answer is the thread made here.
		v, created, err := w.CreateThread(t.Context(), with(ask.by, chat.ScopeWrite),
			chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{ask.with}})
		must(t, err)
		same(t, "outcome", created, chat.AlreadyExists)
		same(t, "thread", v.ID, id)
		same(t, "last message", v.LastMessage, m.ID)
		same(t, "participants shown", len(v.Views), 2)
	}
	w.heard.nothing(t)
	same(t, "another pair is another thread", w.newPair("alice", "carol") != id, true)
	same(t, "a group of the two is another thread", w.newGroup("alice", "bob") != id, true)
}

func TestRacingCreationsGiveOnePair(t *testing.T) {
	w := newWorld(t)
	const racers = 32
	var (
		wg      sync.WaitGroup
		ids     [racers]chat.ThreadID
		created [racers]bool
	)
	for i := range racers {
		wg.Go(func() {
			by, other := chat.UserID("alice"), chat.UserID("bob")
			if i%2 == 1 {
				by, other = other, by
			}
			v, isNew, err := w.CreateThread(t.Context(), as(by), chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{other}})
			if err != nil {
				t.Errorf("creation %d: %v", i, err)
			}
			ids[i], created[i] = v.ID, isNew == chat.Created
		})
	}
	wg.Wait()
	made := 0
	for i := range racers {
		same(t, "thread", ids[i], ids[0])
		if created[i] {
			made++
		}
	}
	same(t, "threads made", made, 1)
	same(t, "creations told", len(w.heard.drain()), 1)
}

func TestCreateThreadRefusals(t *testing.T) {
	w := newWorld(t)
	pair := func(others ...chat.UserID) chat.CreateThread {
		return chat.CreateThread{Type: chat.OneToOne, Participants: others}
	}
	group := func(title string, others ...chat.UserID) chat.CreateThread {
		return chat.CreateThread{Type: chat.Group, Participants: others, Title: title}
	}
	for name, c := range map[string]struct {
		req   chat.CreateThread
		field string
	}{
		"1:1 with nobody":            {pair(), "participants"},
		"1:1 with oneself":           {pair("alice"), "participants"},
		"1:1 of three":               {pair("bob", "carol"), "participants"},
		"no type":                    {chat.CreateThread{Participants: []chat.UserID{"bob"}}, "type"},
		"wrongly cased type":         {chat.CreateThread{Type: "group", Participants: []chat.UserID{"bob"}}, "type"},
		"the reserved name":          {group("", "me"), "participants"},
		"an empty name":              {group("", ""), "participants"},
		"a name with a slash":        {group("", "a/b"), "participants"},
		"a name of 65":               {group("", chat.UserID(strings.Repeat("a", 65))), "participants"},
		"251 people":                 {group("", people(250)...), "participants"},
		"title of 257":               {group(strings.Repeat("é", 257), "bob"), "title"},
		"a bad name among good ones": {group("", "bob", "-carol"), "participants"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.CreateThread(t.Context(), as("alice"), c.req)
			invalid(t, err, c.field)
		})
	}
	_, _, err := w.CreateThread(t.Context(), with("alice", chat.ScopeRead, chat.ScopeSystem, chat.ScopeAdmin), group("", "bob"))
	refused(t, err, chat.CodeMissingScope)
	_, _, err = w.CreateThread(t.Context(), with("alice"), chat.CreateThread{Type: "nonsense"})
	refused(t, err, chat.CodeMissingScope) // the token comes before the request
	w.heard.nothing(t)
}

func TestCreateThreadBoundsFromInside(t *testing.T) {
	w := newWorld(t)
	t.Run("250 people, the caller and duplicates named too", func(t *testing.T) {
		others := people(249)
		v := w.view("alice", w.newGroup("alice", slices.Concat(others, []chat.UserID{"alice"}, others)...))
		same(t, "participants", len(v.Participants), 250)
	})
	t.Run("title of 256 characters, not bytes", func(t *testing.T) {
		title := strings.Repeat("é", 256)
		id := w.newThread("alice", chat.CreateThread{Type: chat.Group, Title: title})
		same(t, "title", w.view("alice", id).Title, title)
	})
	t.Run("a name of 64", func(t *testing.T) {
		name := chat.UserID(strings.Repeat("a", 64))
		sameList(t, "participants", w.view("alice", w.newGroup("alice", name)).Users(), "alice", name)
	})
}

func TestRetriedCreation(t *testing.T) {
	w := newWorld(t)
	req := chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"bob"}, Title: "tea", IdempotencyKey: "k"}
	const tries = 32
	var made atomic.Int32
	ids := make([]chat.ThreadID, tries)
	var racing sync.WaitGroup
	for i := range tries {
		racing.Go(func() {
			v, outcome, err := w.CreateThread(t.Context(), as("alice"), req)
			if err != nil {
				t.Error(err)
			}
			if outcome == chat.Created {
				made.Add(1)
			}
			ids[i] = v.ID
		})
	}
	racing.Wait()
	same(t, "threads made by the same key at once", made.Load(), 1)
	for _, id := range ids {
		same(t, "thread", id, ids[0])
	}

	other := req
	other.Title = "coffee"
	_, _, err := w.CreateThread(t.Context(), as("alice"), other)
	refused(t, err, chat.CodeIdempotencyKeyReused)
	message := w.request(ids[0], "x")
	message.IdempotencyKey = "k"
	sent, err := w.Send(t.Context(), as("alice"), message)
	must(t, err)
	same(t, "a message with the key of a creation", sent.Outcome, chat.Sent)
	_, outcome, err := w.CreateThread(t.Context(), as("carol"), req)
	must(t, err)
	same(t, "another user's", outcome, chat.Created)

	w.clock.advance(25 * time.Hour)
	v, outcome, err := w.CreateThread(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "after the window", outcome == chat.Created && v.ID != ids[0], true)

	req.IdempotencyKey = strings.Repeat("x", 65)
	_, _, err = w.CreateThread(t.Context(), as("alice"), req)
	refused(t, err, chat.CodeInvalidRequest)
}
