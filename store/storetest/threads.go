package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var threadScenarios = []scenario{
	{"a new thread is the fold of its first event", testCreate},
	{"creating the same thread again changes nothing", testCreateAgain},
	{"a pair of people has one 1:1, whichever of them creates it", testPair},
	{"a thread, user or message that does not exist is not found", testAbsence},
	{"a thread is the fold of its log", testThreadFollowsLog},
	{"a user's list has the threads that the user is or was in", testUserThreads},
	{"the peers of a user are those in a thread with the user now, each once", testPeers},
	{"the peers of a user before an event are those of threads that both had joined", testPeersBefore},
	{"two users share a thread while both are in it", testShareThread},
	{"a user who comes back has joined at the return", testRejoin},
	{"participants at a seq are those whose stint covers it", testParticipantsAt},
	{"ids that begin alike stay apart", testSimilarIDs},
	{"changing threads handed in or out changes nothing stored", testThreadIsCallers},
	{"Ping answers, but not for an ended context", testPing},
}

func testCreate(t *testing.T, f *fixture) {
	e := f.creation(chat.Group, "ann", "bob", "cid")
	if err := f.store.CreateThread(t.Context(), e); err != nil {
		t.Fatalf("CreateThread: %v", err)
	}
	got, want := f.thread(e.Thread), chat.Thread{}.Apply(e)
	if !sameThread(got, want) {
		t.Errorf("the thread is %+v, want %+v", got, want)
	}
	wantEvents(t, "its log", f.log(e.Thread), []chat.Event{e})
}

func testCreateAgain(t *testing.T, f *fixture) {
	for _, kind := range []chat.ThreadType{chat.Group, chat.OneToOne} {
		e := f.creation(kind, "ann", "bob")
		for range 2 {
			if err := f.store.CreateThread(t.Context(), e); err != nil {
				t.Fatalf("CreateThread of a %s: %v", kind, err)
			}
		}
		f.append(e.Thread, draft("ann", "hello"))
		if err := f.store.CreateThread(t.Context(), e); err != nil {
			t.Fatalf("CreateThread of a %s, repeated late: %v", kind, err)
		}
		if head := f.thread(e.Thread).Head; head.Seq != 2 {
			t.Errorf("the log of the %s ends at %d, want 2", kind, head.Seq)
		}
		other := f.creation(kind, "eve", "mal")
		other.Thread = e.Thread
		if err := f.store.CreateThread(t.Context(), other); err == nil {
			t.Errorf("a second %s took the first one's id", kind)
		}
	}
}

func testPair(t *testing.T, f *fixture) {
	first := f.creation(chat.OneToOne, "ann", "bob")
	if err := f.store.CreateThread(t.Context(), first); err != nil {
		t.Fatalf("CreateThread: %v", err)
	}
	for _, users := range [][]chat.UserID{{"ann", "bob"}, {"bob", "ann"}} {
		again := f.creation(chat.OneToOne, users...)
		var exists *chat.PairExistsError
		if err := f.store.CreateThread(t.Context(), again); !errors.As(err, &exists) || exists.Thread != first.Thread {
			t.Errorf("CreateThread of %v = %v; want that %s exists", users, err, first.Thread)
		}
		if _, err := f.store.Thread(t.Context(), again.Thread); !errors.Is(err, chat.ErrNotFound) {
			t.Errorf("the refused thread: %v; want ErrNotFound", err)
		}
	}
	for _, e := range []chat.Event{
		f.creation(chat.OneToOne, "ann", "cid"),
		f.creation(chat.Group, "ann", "bob"),
		f.creation(chat.Group, "ann", "bob"),
	} {
		if err := f.store.CreateThread(t.Context(), e); err != nil {
			t.Errorf("another pair, or a group of the same two: %v", err)
		}
	}
}

func testAbsence(t *testing.T, f *fixture) {
	ctx, nowhere := t.Context(), newThreadID()
	known := f.group("ann", "bob")
	if _, err := f.store.Thread(ctx, nowhere); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("Thread: %v; want ErrNotFound", err)
	}
	if lines, err := f.store.UserThreads(ctx, "nobody"); err != nil || len(lines) != 0 {
		t.Errorf("UserThreads = %v, %v; want none", lines, err)
	}
	for user, thread := range map[chat.UserID]chat.ThreadID{"ann": nowhere, "nobody": known} {
		if _, err := f.store.UserThread(ctx, user, thread); !errors.Is(err, chat.ErrNotFound) {
			t.Errorf("UserThread of %s: %v; want ErrNotFound", user, err)
		}
	}
	if users := f.participantsAt(nowhere, 1); len(users) != 0 {
		t.Errorf("ParticipantsAt = %v; want none", users)
	}
	if _, err := f.store.Message(ctx, mint(chat.EventID{}, f.clock.Now())); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("Message: %v; want ErrNotFound", err)
	}
	if _, err := f.store.Message(ctx, f.thread(known).Head.ID); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("Message with the id of an event that is none: %v; want ErrNotFound", err)
	}
	if events := f.events(nowhere, 0, 100, chat.Limit{Count: 10, Bytes: 1000}); len(events) != 0 {
		t.Errorf("Events = %v; want none", seqs(events))
	}
	if seq, err := f.store.SeqAt(ctx, nowhere, chat.EventID{}); err != nil || seq != 1 {
		t.Errorf("SeqAt = %d, %v; want 1", seq, err)
	}
	if n, err := countUnread(ctx, f.store, nowhere, "ann", 0, f.clock.Now(), 100); err != nil || n != 0 {
		t.Errorf("CountUnread = %d, %v; want 0", n, err)
	}
	events := f.stamp(nowhere, chat.Head{}, drafts("ann", 1))
	if n, err := f.store.Append(ctx, chat.Head{}, events); n != 0 || err == nil {
		t.Errorf("Append to a thread never created = %d, %v; want an error", n, err)
	}
}

func testThreadFollowsLog(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	steps := [][]chat.Event{
		{draft("ann", "hello")},
		{addition("cid"), draft("cid", "hi"), change("ann", chat.ThreadChange{Event: chat.TitleChanged, Title: "the club"})},
		{change("ann", chat.ThreadChange{Event: chat.RoleChanged, User: "bob", Role: chat.Admin}), removal("ann", "ann")},
		{change("bob", chat.ThreadChange{Event: chat.TitleChanged})},
		{draft("bob", "bye")},
	}
	for _, step := range steps {
		f.clock.Advance(time.Second)
		f.append(thread, step...)
		var want chat.Thread
		for _, e := range f.log(thread) {
			want = want.Apply(e)
		}
		if got := f.thread(thread); !sameThread(got, want) {
			t.Fatalf("after event %d the thread is %+v, want %+v", want.Head.Seq, got, want)
		}
		for _, p := range want.Participants {
			line := f.userThread(p.User, thread)
			if line != (chat.UserThread{Thread: thread, JoinedSeq: p.JoinedSeq, Head: want.Head, State: chat.FreshState(p.JoinedSeq, false, 0)}) {
				t.Fatalf("after event %d %s's line is %+v", want.Head.Seq, p.User, line)
			}
		}
	}
}

func testUserThreads(t *testing.T, f *fixture) {
	one, two, left := f.group("ann", "bob"), f.group("bob", "ann"), f.group("bob", "ann")
	f.group("bob", "cid")
	f.append(two, drafts("bob", 3)...)
	f.append(left, removal("bob", "ann"), draft("bob", "she is gone"))

	lines, err := f.store.UserThreads(t.Context(), "ann")
	if err != nil {
		t.Fatalf("UserThreads: %v", err)
	}
	want := map[chat.ThreadID]chat.UserThread{
		one:  {Thread: one, JoinedSeq: 1, Head: f.thread(one).Head},
		two:  {Thread: two, JoinedSeq: 1, Head: f.thread(two).Head},
		left: {Thread: left, JoinedSeq: 1, LeftSeq: 2, Head: f.thread(left).Head},
	}
	for id, line := range want {
		line.State = freshState(line)
		want[id] = line
	}
	if len(lines) != len(want) {
		t.Errorf("%d threads, want %d", len(lines), len(want))
	}
	for _, line := range lines {
		if line != want[line.Thread] {
			t.Errorf("line %+v, want %+v", line, want[line.Thread])
		}
		if one := f.userThread("ann", line.Thread); one != line {
			t.Errorf("UserThread %+v differs from its line %+v", one, line)
		}
	}
}

func testPeers(t *testing.T, f *fixture) {
	f.group("ann", "bob")
	f.group("ann", "bob", "cid")
	full := f.group("dan", "ann", "eve", "fay")
	left := f.group("ann", "gus")
	f.append(left, removal("ann", "ann"))
	f.group("bob", "hal")
	for _, tt := range []struct {
		user chat.UserID
		most int
		want []chat.UserID
	}{
		{"ann", 0, []chat.UserID{"bob", "cid", "dan", "eve", "fay"}},
		{"ann", 4, []chat.UserID{"bob", "cid", "dan", "eve", "fay"}},
		{"ann", 3, []chat.UserID{"bob", "cid"}},
		{"ann", 1, nil},
		{"gus", 0, nil},
		{"nobody", 0, nil},
	} {
		f.wantPeers(t, tt.user, tt.most, tt.want...)
	}
	f.append(full, removal("fay", "fay"), addition("gus"))
	f.wantPeers(t, "ann", 0, "bob", "cid", "dan", "eve", "gus")
	f.wantPeers(t, "gus", 0, "ann", "dan", "eve")
	f.wantPeers(t, "fay", 0)
}

// Who shares a thread since before an event is told apart from who does since then.
func testPeersBefore(t *testing.T, f *fixture) {
	create := func(users ...chat.UserID) chat.Event {
		t.Helper()
		f.clock.Advance(time.Second)
		e := f.creation(chat.Group, users...)
		if err := f.store.CreateThread(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	first, second := create("ann", "bob"), create("ann", "bob", "cid")
	f.clock.Advance(time.Second)
	dan := f.append(first.Thread, addition("dan"))[0]
	want := func(user chat.UserID, before chat.EventID, want ...chat.UserID) {
		t.Helper()
		got, err := f.store.Peers(t.Context(), user, chat.SharedThreads{Before: before})
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("Peers of %s before %s = %v, %v; want %v", user, before, got, err, want)
		}
	}
	want("ann", first.ID)
	want("ann", second.ID, "bob")
	want("ann", dan.ID, "bob", "cid")
	want("ann", chat.NextInOrder(dan.ID), "bob", "cid", "dan")
	want("dan", dan.ID)
	want("cid", second.ID)
	want("cid", dan.ID, "ann", "bob")
	f.append(second.Thread, removal("cid", "cid"))
	want("ann", chat.EventID{}, "bob", "dan")
}

func (f *fixture) wantPeers(t *testing.T, user chat.UserID, most int, want ...chat.UserID) {
	t.Helper()
	got, err := f.store.Peers(t.Context(), user, chat.SharedThreads{Most: most})
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Peers of %s in threads of at most %d = %v, %v; want %v", user, most, got, err, want)
	}
}

func testShareThread(t *testing.T, f *fixture) {
	want := func(a, b chat.UserID, shared bool) {
		t.Helper()
		for _, pair := range [][2]chat.UserID{{a, b}, {b, a}} {
			if got, err := f.store.ShareThread(t.Context(), pair[0], pair[1]); err != nil || got != shared {
				t.Errorf("%s and %s share a thread: %v, %v; want %v", pair[0], pair[1], got, err, shared)
			}
		}
	}
	for range 3 { // in between are threads of one of them only
		f.group("ann", "cid")
		f.group("bob", "dan")
	}
	f.group("ann", "bobby")
	if err := f.store.CreateThread(t.Context(), f.creation(chat.OneToOne, "eve", "ann")); err != nil {
		t.Fatal(err)
	}
	want("ann", "bob", false)
	want("ann", "eve", true)
	want("eve", "bob", false)
	want("ann", "nobody", false)
	want("nobody", "noone", false)
	one, two := f.group("ann", "bob"), f.group("eve", "bob", "ann")
	for range 3 {
		f.group("ann", "cid")
		f.group("bob", "dan")
	}
	want("ann", "bob", true)
	f.append(one, removal("ann", "bob"))
	want("ann", "bob", true) // in the other one
	f.append(two, removal("ann", "ann"))
	want("ann", "bob", false)
	want("eve", "bob", true)
	f.append(two, addition("ann"))
	want("ann", "bob", true)
}

func testRejoin(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	f.append(thread, removal("ann", "bob"), draft("ann", "unseen"))
	if line := f.userThread("bob", thread); line.JoinedSeq != 1 || line.LeftSeq != 2 {
		t.Errorf("removed: joined %d, left %d; want 1, 2", line.JoinedSeq, line.LeftSeq)
	}
	f.append(thread, addition("bob"))
	if line := f.userThread("bob", thread); line.JoinedSeq != 4 || line.LeftSeq != 0 {
		t.Errorf("back: joined %d, left %d; want 4, 0", line.JoinedSeq, line.LeftSeq)
	}
	f.append(thread, removal("ann", "bob"), addition("bob"), removal("bob", "bob"))
	if line := f.userThread("bob", thread); line.JoinedSeq != 6 || line.LeftSeq != 7 {
		t.Errorf("gone, back and gone in one batch: joined %d, left %d; want 6, 7", line.JoinedSeq, line.LeftSeq)
	}
}

func testParticipantsAt(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	f.append(thread, draft("ann", "2"), addition("cid"), removal("ann", "bob"), draft("ann", "5"))
	f.append(thread, addition("bob"), removal("ann", "cid"))
	f.append(thread, removal("ann", "bob"), addition("bob"))
	ann := chat.Stint{User: "ann", JoinedSeq: 1}
	bob := []chat.Stint{{User: "bob", JoinedSeq: 1, LeftSeq: 4}, {User: "bob", JoinedSeq: 6, LeftSeq: 8}, {User: "bob", JoinedSeq: 9}}
	cid := chat.Stint{User: "cid", JoinedSeq: 3, LeftSeq: 7}
	for seq, want := range [][]chat.Stint{
		0: {},
		1: {ann, bob[0]},
		2: {ann, bob[0]},
		3: {ann, bob[0], cid},
		4: {ann, cid},
		5: {ann, cid},
		6: {ann, bob[1], cid},
		7: {ann, bob[1]},
		8: {ann},
		9: {ann, bob[2]},
	} {
		if got := f.participantsAt(thread, chat.Seq(seq)); !slices.Equal(got, want) {
			t.Errorf("at event %d: %v, want %v", seq, got, want)
		}
	}
}

func testSimilarIDs(t *testing.T, f *fixture) {
	users := []chat.UserID{"a", "a.", "aa", "a-b", "A"}
	threads := make(map[chat.UserID]chat.ThreadID)
	for _, u := range users {
		threads[u] = f.group(u)
		f.putMark(chat.Mark{Thread: threads["a"], User: u, Kind: chat.Read, Seq: chat.Seq(10 + len(u) + int(u[0]))})
	}
	for _, u := range users {
		lines, err := f.store.UserThreads(t.Context(), u)
		if err != nil || len(lines) != 1 || lines[0].Thread != threads[u] {
			t.Errorf("threads of %q = %v, %v; want just its own", u, lines, err)
		}
		marks, err := f.store.Marks(t.Context(), threads["a"], []chat.UserID{u})
		if err != nil || marks[0].Read.Seq != chat.Seq(10+len(u)+int(u[0])) {
			t.Errorf("marks of %q = %v, %v; want just its own", u, marks, err)
		}
	}
}

func testThreadIsCallers(t *testing.T, f *fixture) {
	e := f.creation(chat.Group, "ann", "bob")
	if err := f.store.CreateThread(t.Context(), e); err != nil {
		t.Fatalf("CreateThread: %v", err)
	}
	want := f.thread(e.Thread)
	e.Change.Members[0].User, e.Change.Title = "mal", "taken over"
	f.thread(e.Thread).Participants[0].User = "mal"
	f.log(e.Thread)[0].Change.Members[0].User = "mal"
	if got := f.thread(e.Thread); !sameThread(got, want) {
		t.Errorf("the thread became %+v, want %+v", got, want)
	}
	if got := f.log(e.Thread)[0].Change.Members[0].User; got != "ann" {
		t.Errorf("the log names %q as the creator", got)
	}
}
