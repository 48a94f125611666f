package chat

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// roll folds changes into a thread, one event after the other, a second apart.
func roll(t Thread, changes ...ThreadChange) Thread {
	for _, c := range changes {
		id := nextEventID(t.Head.ID, IDTime(t.Head.ID).Add(time.Second))
		t = t.Apply(Event{Thread: t.ID, Seq: t.Head.Seq + 1, ID: id, At: IDTime(id), Kind: KindThread, By: "alice", Change: &c})
	}
	return t
}

func created(members ...InitialMember) ThreadChange {
	return ThreadChange{Event: ThreadCreated, Type: Group, Title: "before", Members: members}
}

func added(u UserID) ThreadChange {
	return ThreadChange{Event: ParticipantAdded, User: u, Role: Member}
}

func removed(u UserID) ThreadChange { return ThreadChange{Event: ParticipantRemoved, User: u} }

func given(u UserID, r Role) ThreadChange {
	return ThreadChange{Event: RoleChanged, User: u, Role: r}
}

func TestApply(t *testing.T) {
	group := roll(Thread{ID: ThreadID{1}}, created(InitialMember{User: "alice", Role: Admin}, InitialMember{User: "bob", Role: Member}))
	if group.Type != Group || group.Title != "before" || group.CreatedBy != "alice" || group.Head.Seq != 1 {
		t.Errorf("created: %+v", group)
	}
	if group.LastActivity() != group.CreatedAt || group.CreatedAt.IsZero() {
		t.Errorf("with no message the last activity is %v, the creation %v", group.LastActivity(), group.CreatedAt)
	}

	titled := roll(group, ThreadChange{Event: TitleChanged, Title: "after"})
	if titled.Title != "after" || group.Title != "before" {
		t.Errorf("titles %q and %q", titled.Title, group.Title)
	}
	joined := roll(titled, added("carol"))
	carol, in := joined.Participant("carol")
	if !in || carol.JoinedSeq != 3 || !carol.JoinedAt.Equal(IDTime(joined.Head.ID)) {
		t.Errorf("carol joined as %+v", carol)
	}
	promoted := roll(joined, given("bob", Admin))
	if bob, _ := promoted.Participant("bob"); bob.Role != Admin || bob.JoinedSeq != 1 {
		t.Errorf("bob became %+v", bob)
	}
	left := roll(promoted, removed("alice"))
	if got := left.Users(); !slices.Equal(got, []UserID{"bob", "carol"}) {
		t.Errorf("left are %v", got)
	}
	if got := roll(left, removed("alice"), given("alice", Admin)).Users(); !slices.Equal(got, left.Users()) {
		t.Errorf("who was not in changed the participants to %v", got)
	}

	m := Event{Thread: group.ID, Seq: left.Head.Seq + 1, ID: nextEventID(left.Head.ID, IDTime(left.Head.ID).Add(time.Hour)), At: IDTime(left.Head.ID).Add(time.Minute), Kind: KindMessage, Message: &Message{}}
	sent := left.Apply(m)
	if want := (Head{Seq: m.Seq, ID: m.ID, LastMessage: m.ID, LastMessageSeq: m.Seq, LastMessageAt: m.At}); sent.Head != want {
		t.Errorf("the head is %+v, want %+v", sent.Head, want)
	}
	after := roll(sent, added("dave"))
	if after.Head.LastMessage != m.ID || after.Head.LastMessageSeq != m.Seq || !after.LastActivity().Equal(m.At) {
		t.Errorf("a change of members moved the last message: %+v", after.Head)
	}
}

// Threads are shared between goroutines: a change makes a new one and leaves the
// old one, and every other made of it, as they were.
func TestApplyWritesIntoNoSharedThread(t *testing.T) {
	users := []UserID{"alice", "bob", "carol", "dave"}
	rapid.Check(t, func(rt *rapid.T) {
		var threads []Thread
		var copies [][]Participant
		keep := func(t Thread) {
			threads, copies = append(threads, t), append(copies, slices.Clone(t.Participants))
		}
		keep(roll(Thread{}, created(InitialMember{User: "alice", Role: Admin}, InitialMember{User: "bob", Role: Member})))
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			from := rapid.SampledFrom(threads).Draw(rt, "from")
			u := rapid.SampledFrom(users).Draw(rt, "user")
			change := rapid.SampledFrom([]ThreadChange{added(u), removed(u), given(u, Admin), given(u, Member)}).Draw(rt, "change")
			keep(roll(from, change))
		}
		for i := range threads {
			if !slices.Equal(threads[i].Participants, copies[i]) {
				rt.Fatalf("thread %d was written into: %v, was %v", i, threads[i].Participants, copies[i])
			}
		}
	})
}

func TestSuccessor(t *testing.T) {
	group := roll(Thread{}, created(InitialMember{User: "alice", Role: Admin}, InitialMember{User: "carol", Role: Member}, InitialMember{User: "bob", Role: Member}), added("dave"))
	for name, c := range map[string]struct {
		thread  Thread
		leaving UserID
		heir    UserID // "" is none
	}{
		"the longest-standing, in the order of the request": {group, "alice", "carol"},
		"a member leaves, the admin stays":                  {group, "bob", ""},
		"another admin stays":                               {roll(group, given("dave", Admin)), "alice", ""},
		"the heir apparent is gone":                         {roll(group, removed("carol")), "alice", "bob"},
		"those of the request are gone":                     {roll(group, removed("carol"), removed("bob")), "alice", "dave"},
		"who came back is last":                             {roll(group, removed("carol"), removed("bob"), added("bob")), "alice", "dave"},
		"nobody is left":                                    {roll(Thread{}, created(InitialMember{User: "alice", Role: Admin})), "alice", ""},
		"one who is not in leaves a group without an admin": {roll(group, removed("alice")), "alice", "carol"},
	} {
		t.Run(name, func(t *testing.T) {
			heir, found := c.thread.successor(c.leaving)
			if heir != c.heir || found != (c.heir != "") {
				t.Errorf("got %q, %v, want %q", heir, found, c.heir)
			}
		})
	}
}

func TestStintCovers(t *testing.T) {
	lasting, ended := Stint{JoinedSeq: 5}, Stint{JoinedSeq: 5, LeftSeq: 9}
	for seq, want := range map[Seq]bool{0: false, 4: false, 5: true, 6: true, 8: true, 9: true, 100: true} {
		if lasting.Covers(seq) != want {
			t.Errorf("a stint since 5 covers %d: %v", seq, !want)
		}
		if want = want && seq < 9; ended.Covers(seq) != want {
			t.Errorf("a stint from 5 until 9 covers %d: %v", seq, !want)
		}
	}
}

func TestIdleQueuesAreForgotten(t *testing.T) {
	sh := &appendShard{queues: make(map[ThreadID]*appendQueue)}
	busy := ThreadID{15: 1}
	sh.queues[busy] = &appendQueue{id: busy, running: true}
	for i := range 3 * maxIdleQueues {
		sh.makeRoom()
		id := ThreadID{byte(i), byte(i >> 8)}
		sh.queues[id] = &appendQueue{id: id}
		if len(sh.queues) > maxIdleQueues {
			t.Fatalf("%d queues are kept", len(sh.queues))
		}
	}
	if sh.queues[busy] == nil {
		t.Error("a queue with a leader was forgotten")
	}
}
