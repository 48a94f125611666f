package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var receiptScenarios = []scenario{
	{"marks only rise", testMarksRise},
	{"a mark keeps the newest message any of its kind had", testMarkMessage},
	{"the first mark at or above a seq is exact, however old", testMarksAt},
	{"marks come in the order asked for", testMarksOrder},
	{"marks of different threads, users and kinds stay apart", testMarksApart},
}

var deviceScenarios = []scenario{
	{"a device's position comes back", testPosition},
	{"positions are the caller's", testPositionIsCallers},
	{"when a user was last seen only rises", testLastSeen},
}

func testMarksRise(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	mark := chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Message: mint(chat.EventID{}, f.clock.Now())}
	var last chat.Mark
	for _, step := range []struct {
		seq   chat.Seq
		moves bool
	}{{5, true}, {5, false}, {4, false}, {6, true}, {1, false}, {300, true}, {299, false}, {70_000, true}} {
		f.clock.Advance(time.Second)
		mark.Seq = step.seq
		stored, prev, moved := f.putMark(mark)
		if moved != step.moves || prev != last {
			t.Errorf("mark %d: moved %v, prev %+v; want %v, %+v", step.seq, moved, prev, step.moves, last)
		}
		if step.moves {
			last = stored
		}
	}
	f.wantMarks(thread, 0, chat.Marks{User: "bob", Read: last})
}

// wantMarks fails unless each user's marks at or above seq, or its present ones
// for seq zero, are the given ones.
func (f *fixture) wantMarks(thread chat.ThreadID, seq chat.Seq, want ...chat.Marks) {
	f.tb.Helper()
	users := make([]chat.UserID, len(want))
	for i, m := range want {
		users[i] = m.User
	}
	var got []chat.Marks
	var err error
	if seq == 0 {
		got, err = f.store.Marks(f.tb.Context(), thread, users)
	} else {
		got, err = f.store.MarksAt(f.tb.Context(), thread, seq, users)
	}
	if err != nil {
		f.tb.Fatalf("the marks at %d: %v", seq, err)
	}
	if !reflect.DeepEqual(got, want) {
		f.tb.Errorf("the marks at %d are\n%+v, want\n%+v", seq, got, want)
	}
}

func testMarkMessage(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	old := mint(chat.EventID{}, f.clock.Now())
	newer := mint(old, f.clock.Now().Add(time.Second))
	newest := mint(newer, newer.Timestamp())
	var none chat.MessageID
	var kept chat.Mark
	for i, step := range []struct{ given, kept chat.MessageID }{
		{none, none}, {newer, newer}, {none, newer}, {old, newer}, {newer, newer}, {newest, newest}, {newer, newest}, {none, newest},
	} {
		mark, prev, moved := f.putMark(chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Seq: chat.Seq(10 + i), Message: step.given})
		if !moved || prev != kept {
			t.Errorf("mark %d: moved %v, prev %+v; want prev %+v", i+1, moved, prev, kept)
		}
		kept = mark
		kept.Message = step.kept
		f.wantMarks(thread, 0, chat.Marks{User: "bob", Read: kept})
		f.wantMarks(thread, chat.Seq(10+i), chat.Marks{User: "bob", Read: kept})
	}
	other, _, _ := f.putMark(chat.Mark{Thread: thread, User: "bob", Kind: chat.Delivered, Seq: 5, Message: old})
	f.wantMarks(thread, 0, chat.Marks{User: "bob", Delivered: other, Read: kept})
}

func testMarksAt(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	var delivered, read []chat.Mark
	for seq := chat.Seq(10); seq <= 300; seq += 10 {
		f.clock.Advance(1234 * time.Millisecond)
		m, _, _ := f.putMark(chat.Mark{Thread: thread, User: "bob", Kind: chat.Delivered, Seq: seq, Message: mint(chat.EventID{}, f.clock.Now())})
		delivered = append(delivered, m)
		if seq%50 == 0 {
			m, _, _ := f.putMark(chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Seq: seq, Message: m.Message})
			read = append(read, m)
		}
	}
	first := func(marks []chat.Mark, seq chat.Seq) chat.Mark {
		for _, m := range marks {
			if m.Seq >= seq {
				return m
			}
		}
		return chat.Mark{}
	}
	for _, seq := range []chat.Seq{1, 9, 10, 11, 50, 51, 255, 256, 257, 290, 291, 300, 301} {
		f.wantMarks(thread, seq, chat.Marks{User: "bob", Delivered: first(delivered, seq), Read: first(read, seq)})
	}
}

func testMarksOrder(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob", "cid")
	bob, _, _ := f.putMark(chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Seq: 7})
	ann, _, _ := f.putMark(chat.Mark{Thread: thread, User: "ann", Kind: chat.Delivered, Seq: 9})
	for _, seq := range []chat.Seq{0, 7} {
		f.wantMarks(thread, seq, chat.Marks{User: "nobody"}, chat.Marks{User: "bob", Read: bob},
			chat.Marks{User: "cid"}, chat.Marks{User: "ann", Delivered: ann}, chat.Marks{User: "bob", Read: bob})
	}
	f.wantMarks(thread, 8, chat.Marks{User: "bob"}, chat.Marks{User: "ann", Delivered: ann})
	f.wantMarks(newThreadID(), 0, chat.Marks{User: "bob"})
}

func testMarksApart(_ *testing.T, f *fixture) {
	one, two := f.group("ann", "bob"), f.group("ann", "bob")
	put := func(thread chat.ThreadID, user chat.UserID, kind chat.MarkKind, seq chat.Seq) chat.Mark {
		m, _, _ := f.putMark(chat.Mark{Thread: thread, User: user, Kind: kind, Seq: seq})
		return m
	}
	want := func(thread chat.ThreadID, first chat.Seq) []chat.Marks {
		return []chat.Marks{
			{User: "ann", Delivered: put(thread, "ann", chat.Delivered, first), Read: put(thread, "ann", chat.Read, first+1)},
			{User: "bob", Delivered: put(thread, "bob", chat.Delivered, first+2), Read: put(thread, "bob", chat.Read, first+3)},
		}
	}
	inOne, inTwo := want(one, 5), want(two, 1)
	f.wantMarks(one, 0, inOne...)
	f.wantMarks(two, 0, inTwo...)
	f.wantMarks(two, 1, inTwo...)
}

func testPosition(t *testing.T, f *fixture) {
	ctx := t.Context()
	thread := newThreadID()
	positions := map[chat.DeviceID]chat.Position{
		"phone":   {Time: mint(chat.EventID{}, f.clock.Now()), Cursors: map[chat.ThreadID]chat.Seq{thread: 7, newThreadID(): 1 << 40}},
		"phone.2": {Time: mint(chat.EventID{}, f.clock.Now())},
	}
	for device, p := range positions {
		if _, found, err := f.store.Position(ctx, "ann", device); found || err != nil {
			t.Errorf("before the first connect: found %v, %v", found, err)
		}
		if err := f.store.PutPosition(ctx, "ann", device, chat.Position{Cursors: map[chat.ThreadID]chat.Seq{newThreadID(): 1}}); err != nil {
			t.Fatalf("PutPosition: %v", err)
		}
		if err := f.store.PutPosition(ctx, "ann", device, p); err != nil {
			t.Fatalf("PutPosition: %v", err)
		}
	}
	for device, want := range positions {
		got, found, err := f.store.Position(ctx, "ann", device)
		if err != nil || !found || !samePosition(got, want) {
			t.Errorf("position of %s: %+v, %v, %v; want %+v", device, got, found, err, want)
		}
	}
	if _, found, err := f.store.Position(ctx, "bob", "phone"); found || err != nil {
		t.Errorf("another user's device of the same name: found %v, %v", found, err)
	}
}

func samePosition(a, b chat.Position) bool {
	return a.Time == b.Time && len(a.Cursors) == len(b.Cursors) && (len(a.Cursors) == 0 || reflect.DeepEqual(a.Cursors, b.Cursors))
}

func testPositionIsCallers(t *testing.T, f *fixture) {
	thread := newThreadID()
	p := chat.Position{Cursors: map[chat.ThreadID]chat.Seq{thread: 7}}
	if err := f.store.PutPosition(t.Context(), "ann", "phone", p); err != nil {
		t.Fatalf("PutPosition: %v", err)
	}
	p.Cursors[thread] = 99
	for range 2 {
		got, _, err := f.store.Position(t.Context(), "ann", "phone")
		if err != nil || got.Cursors[thread] != 7 {
			t.Errorf("the cursor is %d, %v; want 7", got.Cursors[thread], err)
		}
		got.Cursors[thread] = 98
	}
}

func testLastSeen(t *testing.T, f *fixture) {
	want := func(user chat.UserID, at time.Time) {
		t.Helper()
		if got, err := f.store.LastSeen(t.Context(), user); err != nil || !got.Equal(at) || got.IsZero() != at.IsZero() {
			t.Errorf("%s was last seen at %v, %v; want %v", user, got, err, at)
		}
	}
	put := func(user chat.UserID, at time.Time) {
		t.Helper()
		if err := f.store.PutLastSeen(t.Context(), user, at); err != nil {
			t.Fatalf("PutLastSeen: %v", err)
		}
	}
	now := f.clock.Now()
	want("ann", time.Time{})
	put("ann", now)
	want("ann", now)
	for range 2 {
		put("ann", now.Add(time.Second))
		want("ann", now.Add(time.Second))
	}
	put("ann", now)
	want("ann", now.Add(time.Second))
	want("an", time.Time{})
	put("an", now)
	want("ann", now.Add(time.Second))
}
