package chat_test

import (
	"context"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// nowhere is a thread that does not exist.
var nowhere = chat.ThreadID{0x01, 15: 1}

func TestAddParticipant(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.heard.drain()
	joined := w.clock.advance(time.Minute)

	v, added, err := w.AddParticipant(t.Context(), as("bob"), id, "carol") // any member may add
	must(t, err)
	same(t, "added", added, true)
	n := w.heard.one(t)
	same(t, "participant", v.Participant, chat.Participant{
		User: "carol", Role: chat.Member, JoinedSeq: 2, JoinedID: n.Event.ID, JoinedAt: joined, Pending: true,
	})
	sameList(t, "audience", n.Audience, "alice", "bob", "carol")
	same(t, "event", n.Event.Change.Event, chat.ParticipantAdded)
	same(t, "by", n.Event.By, chat.UserID("bob"))

	w.clock.advance(time.Minute)
	again, added, err := w.AddParticipant(t.Context(), as("alice"), id, "carol")
	must(t, err)
	same(t, "added again", added, false)
	same(t, "participant", again.Participant, v.Participant)
	w.heard.nothing(t)
	same(t, "a no-op takes no seq", w.view("alice", id).Head.Seq, 2)
}

func TestAddParticipantTellsItsMarks(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	w.read("bob", m)
	v, _, err := w.AddParticipant(t.Context(), as("alice"), id, "bob")
	must(t, err)
	same(t, "read up to", v.ReadUpTo, m.ID)
	same(t, "delivered up to", v.DeliveredUpTo, m.ID)
}

// Each line also breaks every rule that comes after the one it names.
func TestAddParticipantRefusalsInOrder(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{Participants: 2}})
	pair, full := w.newPair("alice", "bob"), w.newGroup("alice", "bob")
	for name, c := range map[string]struct {
		by   chat.Caller
		in   chat.ThreadID
		user chat.UserID
		code chat.Code
	}{
		"1 no right to write":      {with("mallory", chat.ScopeRead), nowhere, "me", chat.CodeMissingScope},
		"2 a bad name":             {as("mallory"), nowhere, "me", chat.CodeInvalidRequest},
		"3 no such thread":         {as("mallory"), nowhere, "carol", chat.CodeThreadNotFound},
		"4 a stranger to a 1:1":    {as("mallory"), pair, "carol", chat.CodeNotAParticipant},
		"4 a stranger to a group":  {as("mallory"), full, "carol", chat.CodeNotAParticipant},
		"5 a 1:1 stays two":        {as("alice"), pair, "carol", chat.CodeNotAGroup},
		"5 also for who is in it":  {as("alice"), pair, "bob", chat.CodeNotAGroup},
		"6 the group is full":      {as("alice"), full, "carol", chat.CodeThreadFull},
		"6 for a stranger's own":   {as("carol"), full, "carol", chat.CodeNotAParticipant},
		"2 an empty name":          {as("alice"), full, "", chat.CodeInvalidRequest},
		"2 a name with wrong sign": {as("alice"), full, "b@b", chat.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.AddParticipant(t.Context(), c.by, c.in, c.user)
			refused(t, err, c.code)
		})
	}
	_, added, err := w.AddParticipant(t.Context(), as("alice"), full, "bob")
	must(t, err) // who is in already needs no room
	same(t, "added", added, false)

	w.remove("bob", full, "bob")
	w.add("alice", full, "carol") // there is room again
}

func TestRemoveParticipantRefusalsInOrder(t *testing.T) {
	w := newWorld(t)
	pair, group := w.newPair("alice", "bob"), w.newGroup("alice", "bob", "carol")
	w.heard.drain()
	for name, c := range map[string]struct {
		by   chat.Caller
		in   chat.ThreadID
		user chat.UserID
		code chat.Code
	}{
		"1 no right to write":             {with("mallory", chat.ScopeRead), nowhere, "dave", chat.CodeMissingScope},
		"2 no such thread":                {as("mallory"), nowhere, "dave", chat.CodeThreadNotFound},
		"3 a stranger to a 1:1":           {as("mallory"), pair, "dave", chat.CodeNotAParticipant},
		"3 a stranger to a group":         {as("mallory"), group, "dave", chat.CodeNotAParticipant},
		"3 a stranger cannot leave":       {as("mallory"), group, "mallory", chat.CodeNotAParticipant},
		"4 a 1:1 stays two":               {as("alice"), pair, "dave", chat.CodeNotAGroup},
		"4 nobody leaves a 1:1":           {as("alice"), pair, "alice", chat.CodeNotAGroup},
		"5 a member removes nobody":       {as("bob"), group, "carol", chat.CodeNotAnAdmin},
		"5 not the admin either":          {as("bob"), group, "alice", chat.CodeNotAnAdmin},
		"5 nor learns who is in":          {as("bob"), group, "dave", chat.CodeNotAnAdmin},
		"6 who is not in is not removed":  {as("alice"), group, "dave", chat.CodeParticipantNotFound},
		"6 nor is what no name could be":  {as("alice"), group, "d/e", chat.CodeParticipantNotFound},
		"6 nor the name for the caller":   {as("alice"), group, "me", chat.CodeParticipantNotFound},
		"3 an admin of another is no one": {as("dave"), group, "bob", chat.CodeNotAParticipant},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, w.RemoveParticipant(t.Context(), c.by, c.in, c.user), c.code)
		})
	}
	w.heard.nothing(t)
	same(t, "no seq was taken", w.view("alice", group).Head.Seq, 1)
}

func TestAdminRemovesMember(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	w.heard.drain()
	w.remove("alice", id, "bob")

	n := w.heard.one(t)
	same(t, "event", n.Event.Change.Event, chat.ParticipantRemoved)
	same(t, "by", n.Event.By, chat.UserID("alice"))
	same(t, "whom", n.Event.Change.User, chat.UserID("bob"))
	sameList(t, "audience: those who stay and the one removed", n.Audience, "alice", "carol", "bob")
	sameList(t, "participants", w.view("alice", id).Users(), "alice", "carol")
	refused(t, w.RemoveParticipant(t.Context(), as("alice"), id, "bob"), chat.CodeParticipantNotFound)

	w.send("alice", id, "without bob")
	sameList(t, "later audience", w.heard.one(t).Audience, "alice", "carol")
}

func TestLastAdminLeavesAndTheLongestStandingFollows(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "carol", "bob") // carol is named before bob
	w.add("alice", id, "dave")
	w.heard.drain()

	w.remove("alice", id, "alice")

	heard := w.heard.drain()
	same(t, "events", len(heard), 2)
	role, removal := heard[0].Event, heard[1].Event
	same(t, "first", role.Change.Event, chat.RoleChanged)
	same(t, "heir", role.Change.User, chat.UserID("carol"))
	same(t, "its role", role.Change.Role, chat.Admin)
	same(t, "by", role.By, chat.UserID("alice"))
	same(t, "then", removal.Change.Event, chat.ParticipantRemoved)
	same(t, "seq", removal.Seq, role.Seq+1)
	sameList(t, "audience of the role", heard[0].Audience, "alice", "carol", "bob", "dave")
	sameList(t, "audience of the removal", heard[1].Audience, "carol", "bob", "dave", "alice")

	w.remove("carol", id, "bob") // carol has the right now
	refused(t, w.RemoveParticipant(t.Context(), as("dave"), id, "carol"), chat.CodeNotAnAdmin)
}

func TestReJoiningLosesStanding(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	w.remove("bob", id, "bob")
	w.add("alice", id, "bob")
	w.remove("alice", id, "alice")
	carol, _ := w.view("carol", id).Participant("carol")
	same(t, "carol's role", carol.Role, chat.Admin)
	bob, _ := w.view("carol", id).Participant("bob")
	same(t, "bob's role", bob.Role, chat.Member)
}

func TestAdminWhoReturnsIsAMember(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.remove("alice", id, "alice")
	w.add("bob", id, "alice")
	refused(t, w.RemoveParticipant(t.Context(), as("alice"), id, "bob"), chat.CodeNotAnAdmin)
}

func TestGroupDownToOneAndToNone(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.remove("alice", id, "alice")
	sameList(t, "down to one", w.view("bob", id).Users(), "bob")
	w.send("bob", id, "all mine")
	w.heard.drain()

	w.remove("bob", id, "bob")
	n := w.heard.one(t) // nobody is left to become admin
	same(t, "event", n.Event.Change.Event, chat.ParticipantRemoved)
	sameList(t, "audience", n.Audience, "bob")

	for _, user := range []chat.UserID{"alice", "bob"} {
		_, _, err := w.AddParticipant(t.Context(), as(user), id, user)
		refused(t, err, chat.CodeNotAParticipant)
	}
	w.soundLog(id)
}

func TestConcurrentLeaversLeaveAnAdmin(t *testing.T) {
	w := newWorld(t)
	users := people(8)
	id := w.newGroup(users[0], users[1:]...)
	done := make(chan error)
	for _, u := range users[:7] {
		go func() { done <- w.RemoveParticipant(t.Context(), as(u), id, u) }()
	}
	for range 7 {
		if err := <-done; err != nil {
			t.Errorf("leaving: %v", err)
		}
	}
	last := w.view(users[7], id)
	same(t, "who is left", len(last.Participants), 1)
	same(t, "its role", last.Participants[0].Role, chat.Admin)
	w.soundLog(id)
}

// Of those who joined together, the first in the creating request becomes admin, even if
// that is who made the request.
func TestSuccessionFollowsTheCreatingRequest(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		participants []chat.UserID
		heir         chat.UserID
	}{
		{[]chat.UserID{"dora", "alice", "bob", "carol"}, "dora"},
		{[]chat.UserID{"bob", "alice", "dora", "carol"}, "bob"},
		{[]chat.UserID{"carol", "dora", "bob"}, "alice"}, // not listed: first
	} {
		id := w.newThread("alice", chat.CreateThread{Type: chat.Group, Participants: c.participants})
		_, err := w.SetRole(t.Context(), as("alice"), id, "carol", chat.Admin)
		must(t, err)
		_, err = w.SetRole(t.Context(), as("alice"), id, "alice", chat.Member)
		must(t, err)
		w.remove("carol", id, "carol")
		p, _ := w.view("alice", id).Participant(c.heir)
		same(t, string(c.heir), p.Role, chat.Admin)
	}
}

// lookingUp is a store that does something before it looks up a user's line of a thread.
type lookingUp struct {
	chat.Store

	before func()
}

func (s *lookingUp) UserThread(ctx context.Context, u chat.UserID, id chat.ThreadID) (chat.UserThread, error) {
	if s.before != nil {
		before := s.before
		s.before = nil
		before()
	}
	return s.Store.UserThread(ctx, u, id)
}

func TestWhoIsAddedByTwoNodesAtOnceIsIn(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	store := &lookingUp{Store: w.store, before: func() { w.add("alice", id, "carol") }}
	other := chat.New(chat.Config{Store: store, Bus: w.bus, Now: w.clock.Now})
	t.Cleanup(func() { other.Close(context.Background()) })
	p, added, err := other.AddParticipant(t.Context(), as("bob"), id, "carol")
	must(t, err)
	same(t, "added by the second", added, false)
	same(t, "who is in", p.User, chat.UserID("carol"))
	same(t, "the first was in between", store.before == nil, true)
}
