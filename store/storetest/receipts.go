package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var receiptScenarios = []scenario{
	{"marks only rise", testMarksRise},
	{"a mark names the newest message that a mark of its kind ever named", testMarkMessage},
	{"the first mark at or above a seq is exact, however old", testMarksAt},
	{"marks come in the order asked for", testMarksOrder},
	{"marks of different threads, users and kinds stay apart", testMarksApart},
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

// wantMarks fails the test unless each user's first marks at or above seq are the
// given ones. For a seq of zero it is the present marks.
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
		m, _, _ := f.putMark(chat.Mark{Thread: thread, User: "bob", Kind: chat.Delivered, Seq: seq, Message: mint(chat.EventID{}, f.clock.Now()), Beside: seq / 2})
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
