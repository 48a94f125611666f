package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var ownStateScenarios = []scenario{
	{"what a user keeps of a thread is stored once for each revision, and is of one stint", testOwnState},
	{"who is put in may have to accept the thread first", testPending},
	{"the largest client_seq of a device is found", testLastClientSeq},
	{"who has accepted a thread, or one that it shares with somebody, is found", testAcceptance},
}

// freshState is what the user of a line keeps of a thread that it has accepted from the start.
func freshState(line chat.UserThread) chat.OwnState {
	return chat.FreshState(line.JoinedSeq, false, 0)
}

func (f *fixture) wantOwn(user chat.UserID, thread chat.ThreadID, want chat.OwnState) {
	f.tb.Helper()
	got, err := f.store.OwnState(f.tb.Context(), user, thread)
	lines, listErr := f.store.UserThreads(f.tb.Context(), user)
	if err := errors.Join(err, listErr); err != nil {
		f.tb.Fatal(err)
	}
	at := slices.IndexFunc(lines, func(l chat.UserThread) bool { return l.Thread == thread })
	for where, got := range map[string]chat.OwnState{
		"OwnState": got, "UserThread": f.userThread(user, thread).State, "UserThreads": lines[at].State,
	} {
		if !got.MutedUntil.Equal(want.MutedUntil) {
			f.tb.Errorf("%s: muted until %s, want %s", where, got.MutedUntil, want.MutedUntil)
		}
		if got.MutedUntil = want.MutedUntil; got != want {
			f.tb.Errorf("%s: %+v, want %+v", where, got, want)
		}
	}
}

func (f *fixture) putOwn(user chat.UserID, thread chat.ThreadID, st chat.OwnState, stored bool) {
	f.tb.Helper()
	got, err := f.store.PutOwnState(f.tb.Context(), user, thread, st)
	if err != nil || got != stored {
		f.tb.Fatalf("PutOwnState(%+v) = %v, %v; want %v", st, got, err, stored)
	}
}

func testOwnState(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	if _, err := f.store.OwnState(t.Context(), "eve", thread); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("OwnState of a stranger: %v", err)
	}
	f.wantOwn("bob", thread, chat.FreshState(1, false, 0))
	all := chat.OwnState{
		Joined: 1, Revision: 1, MutedUntil: f.clock.Now().Add(time.Hour).UTC(), ArchivedAt: 1, Pinned: true, MarkedUnread: true,
		Custom: chat.Custom{Set: true, Bytes: "\x00\xff"},
	}
	f.putOwn("eve", thread, all, false)
	f.putOwn("bob", thread, all, true)
	f.wantOwn("bob", thread, all)
	f.putOwn("bob", thread, all, false) // the revision is taken
	next := chat.OwnState{Joined: 1, Revision: 2, Accepted: true, Custom: chat.Custom{Set: true}}
	other := next
	other.Joined = 2
	f.putOwn("bob", thread, other, false) // of another stint
	f.putOwn("bob", thread, next, true)
	f.wantOwn("bob", thread, next)
	f.append(thread, draft("ann", "2"), removal("ann", "bob"))
	next.Revision = 3
	f.putOwn("bob", thread, next, false)
	if _, err := f.store.OwnState(t.Context(), "bob", thread); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("OwnState of one who has left: %v", err)
	}
	back := f.append(thread, addition("bob"))[0]
	f.wantOwn("bob", thread, chat.FreshState(back.Seq, false, 2))
	next.Joined = back.Seq
	f.putOwn("bob", thread, next, true)
	f.wantOwn("bob", thread, next)
}

func testPending(t *testing.T, f *fixture) {
	e := f.creation(chat.Group, "ann", "bob", "cid")
	e.Change.Members[1].Pending = true
	if err := f.store.CreateThread(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	added := addition("dan")
	added.Change.Pending = true
	dan := f.append(e.Thread, added, addition("eve"))[0]
	f.wantOwn("bob", e.Thread, chat.FreshState(1, true, 0))
	f.wantOwn("cid", e.Thread, chat.FreshState(1, false, 0))
	f.wantOwn("dan", e.Thread, chat.FreshState(dan.Seq, true, 0))
	f.wantOwn("eve", e.Thread, chat.FreshState(dan.Seq+1, false, 0))
	var pending []chat.UserID
	for _, p := range f.thread(e.Thread).Participants {
		if p.Pending {
			pending = append(pending, p.User)
		}
	}
	log := f.log(e.Thread)
	if !slices.Equal(pending, []chat.UserID{"bob", "dan"}) || !log[0].Change.Members[1].Pending || log[0].Change.Members[2].Pending ||
		!log[1].Change.Pending || log[2].Change.Pending {
		t.Errorf("pending are %v, in the log %+v, %+v, %+v", pending, log[0].Change, log[1].Change, log[2].Change)
	}
	f.append(e.Thread, removal("ann", "dan"))
	back := f.append(e.Thread, addition("dan"))[0]
	f.wantOwn("dan", e.Thread, chat.FreshState(back.Seq, false, 0))
}

func testLastClientSeq(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	number := func(n int64, d chat.Event) chat.Event {
		d.Message.ClientSeq = n
		return d
	}
	want := func(user chat.UserID, n int64, found bool) {
		t.Helper()
		got, err := f.store.LastClientSeqs(t.Context(), user, "phone", []chat.ThreadID{thread, {}})
		if err != nil || len(got) != 2 || got[1] != nil || (got[0] != nil) != found || found && *got[0] != n {
			t.Errorf("LastClientSeqs of %s = %v, %v; want %d, %v", user, got, err, n, found)
		}
	}
	want("ann", 0, false)
	f.append(thread, number(7, draft("ann", "2")), number(0, draft("bob", "3")), number(3, draft("ann", "4")), addition("cid"))
	want("ann", 7, true)
	want("bob", 0, true)
	want("cid", 0, false)
	other, third := f.group("bob", "ann"), f.group("ann", "bob")
	f.append(other, number(12, draft("ann", "5")), number(1<<40, draft("bob", "6")))
	got, err := f.store.LastClientSeqs(t.Context(), "ann", "phone", []chat.ThreadID{other, third, thread})
	if err != nil || len(got) != 3 || got[0] == nil || *got[0] != 12 || got[1] != nil || got[2] == nil || *got[2] != 7 {
		t.Errorf("LastClientSeqs of three threads = %v, %v; want 12, none and 7", got, err)
	}
}

func testAcceptance(t *testing.T, f *fixture) {
	create := func(kind chat.ThreadType, users ...chat.UserID) chat.Event { // the first has accepted it
		t.Helper()
		f.clock.Advance(time.Second)
		e := f.creation(kind, users...)
		for i := range e.Change.Members[1:] {
			e.Change.Members[i+1].Pending = true
		}
		if err := f.store.CreateThread(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	bobAccepts := func(e chat.Event, accepted bool) {
		t.Helper()
		st := f.userThread("bob", e.Thread).State
		st.Accepted, st.Revision = accepted, st.Revision+1
		f.putOwn("bob", e.Thread, st, true)
	}
	everybody := []chat.UserID{"ann", "bob", "cid", "dan", "eve"}
	want := func(what string, got []chat.UserID, err error, want ...chat.UserID) {
		t.Helper()
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s = %v, %v; want %v", what, got, err, want)
		}
	}
	acceptedBy := func(e chat.Event, users ...chat.UserID) {
		t.Helper()
		got, err := f.store.AcceptedBy(t.Context(), e.Thread, everybody)
		want("AcceptedBy", got, err, users...)
	}
	peers := func(user chat.UserID, in chat.SharedThreads, users ...chat.UserID) {
		t.Helper()
		others := slices.DeleteFunc(slices.Clone(everybody), func(u chat.UserID) bool { return u == user })
		got, err := f.store.PeersWhoAccepted(t.Context(), user, others, in)
		want("PeersWhoAccepted", got, err, users...)
	}
	accepting := func(user chat.UserID, users ...chat.UserID) {
		t.Helper()
		got, err := f.store.Peers(t.Context(), user, chat.SharedThreads{Accepted: true})
		want("Peers of what is accepted", got, err, users...)
	}
	shown := func(user chat.UserID, in chat.SharedThreads, users ...chat.UserID) {
		t.Helper()
		in.AcceptedByPeer = true
		got, err := f.store.Peers(t.Context(), user, in)
		want("Peers who have accepted", got, err, users...)
	}
	among := func(users ...chat.UserID) func(chat.UserID) bool {
		return func(u chat.UserID) bool { return slices.Contains(users, u) }
	}
	pair, small := create(chat.OneToOne, "ann", "bob"), create(chat.Group, "cid", "ann", "bob")
	large := create(chat.Group, "ann", "bob", "cid", "dan")
	acceptedBy(pair, "ann")
	acceptedBy(large, "ann")
	peers("ann", chat.SharedThreads{}, "cid")
	peers("bob", chat.SharedThreads{}, "ann", "cid")
	shown("ann", chat.SharedThreads{}, "cid")
	shown("bob", chat.SharedThreads{}, "ann", "cid")
	shown("bob", chat.SharedThreads{Among: among("bob", "cid", "dan")}, "cid")
	shown("bob", chat.SharedThreads{Most: 2}, "ann")
	shown("bob", chat.SharedThreads{Accepted: true})
	accepting("ann", "bob", "cid", "dan")
	accepting("bob")
	bobAccepts(large, true)
	acceptedBy(large, "ann", "bob")
	peers("ann", chat.SharedThreads{}, "bob", "cid")
	peers("ann", chat.SharedThreads{Most: 3}, "cid")
	peers("ann", chat.SharedThreads{Before: large.ID}, "cid")
	accepting("bob", "ann", "cid", "dan")
	shown("ann", chat.SharedThreads{}, "bob", "cid")
	shown("ann", chat.SharedThreads{Most: 3}, "cid")
	shown("bob", chat.SharedThreads{Accepted: true}, "ann")
	bobAccepts(pair, true)
	acceptedBy(pair, "ann", "bob")
	peers("ann", chat.SharedThreads{Most: 2}, "bob")
	peers("ann", chat.SharedThreads{Before: small.ID}, "bob")
	peers("ann", chat.SharedThreads{Before: pair.ID})
	bobAccepts(large, false)
	acceptedBy(large, "ann")
	accepting("bob", "ann")
	bobAccepts(pair, false)
	peers("ann", chat.SharedThreads{}, "cid")
	f.append(small.Thread, removal("cid", "cid"))
	peers("ann", chat.SharedThreads{})
	accepting("cid")
	acceptedBy(small)
}
