package storetest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var listScenarios = []scenario{
	{"threads that are listed are whole, as they are since their lines were read", testListedSince},
	{"what is asked of many threads at once is what each of them says", testLists},
	{"unread messages of many threads are counted up to a bound", testUnreadInMany},
}

// crowd makes threads of ann's, of growing length, with one that is not there between them.
func (f *fixture) crowd() []chat.ThreadID {
	var ids []chat.ThreadID
	for n := range 4 {
		thread := f.group("ann", "bob")
		for range 3 * n {
			f.append(thread, draft("bob", "hello"))
		}
		ids = append(ids, thread)
	}
	return slices.Insert(ids, 2, newThreadID())
}

func withoutHeads(ids []chat.ThreadID) (lines []chat.UserThread) {
	for _, id := range ids {
		lines = append(lines, chat.UserThread{Thread: id})
	}
	return lines
}

// What has happened since the lines were read is seen or not, but of each thread whole.
func testListedSince(t *testing.T, f *fixture) {
	ids := []chat.ThreadID{f.group("ann", "bob"), f.group("ann", "bob"), f.group("ann", "bob"), f.group("ann", "bob")}
	var lines []chat.UserThread
	for _, id := range ids {
		f.append(id, draft("bob", "before"))
		lines = append(lines, f.userThread("ann", id))
	}
	f.append(ids[1], draft("bob", "a message since"))
	f.append(ids[2], addition("cid"))
	f.append(ids[3], draft("bob", "two"), addition("cid"), draft("cid", "three"))
	threads, err := f.store.Threads(t.Context(), lines)
	if err != nil || len(threads) != len(ids) {
		t.Fatalf("%d threads, %v; want %d", len(threads), err, len(ids))
	}
	for i, got := range threads {
		want := chat.Thread{ID: ids[i]}
		for _, e := range f.log(ids[i]) {
			if e.Seq <= got.Head.Seq {
				want = want.Apply(e)
			}
		}
		if got.Head.Seq < lines[i].Head.Seq || !reflect.DeepEqual(got.Participants, want.Participants) || got.Head != want.Head {
			t.Errorf("thread %d, of which a line ended at %d, is\n%+v, its log says\n%+v", i, lines[i].Head.Seq, got, want)
		}
	}
}

func testLists(t *testing.T, f *fixture) {
	ids := f.crowd()
	for i, id := range ids {
		if i%2 == 0 {
			f.putMark(chat.Mark{Thread: id, User: "ann", Kind: chat.Read, Seq: chat.Seq(i + 1), Message: mint(chat.EventID{}, f.clock.Now()), At: f.clock.Now()})
		}
	}
	for round := range 2 { // the second time some of it may be remembered
		threads, err := f.store.Threads(t.Context(), withoutHeads(ids))
		if err != nil || len(threads) != len(ids) {
			t.Fatalf("%d threads, %v; want %d", len(threads), err, len(ids))
		}
		marks, err := f.store.MarksOf(t.Context(), "ann", ids)
		if err != nil || len(marks) != len(ids) {
			t.Fatalf("the marks of %d threads, %v; want %d", len(marks), err, len(ids))
		}
		floor := chat.EventIDAt(f.clock.Now().Add(-2 * time.Second))
		seqs, err := f.store.SeqsAt(t.Context(), ids, floor)
		if err != nil || len(seqs) != len(ids) {
			t.Fatalf("the places in %d threads, %v; want %d", len(seqs), err, len(ids))
		}
		for i, id := range ids {
			one, err := f.store.Thread(t.Context(), id)
			if i == 2 {
				if threads[i].ID != (chat.ThreadID{}) {
					t.Errorf("a thread that is not there is %+v", threads[i])
				}
			} else if err != nil || !reflect.DeepEqual(threads[i], one) {
				t.Errorf("round %d: thread %d is\n%+v in the list,\n%+v alone, %v", round, i, threads[i], one, err)
			}
			alone, err := f.store.Marks(t.Context(), id, []chat.UserID{"ann"})
			if err != nil || !reflect.DeepEqual(marks[i], alone[0]) {
				t.Errorf("the marks of thread %d are %+v in the list, %+v alone, %v", i, marks[i], alone, err)
			}
			seq, err := f.store.SeqAt(t.Context(), id, floor)
			if err != nil || seqs[i] != seq {
				t.Errorf("the place in thread %d is %d in the list, %d alone, %v", i, seqs[i], seq, err)
			}
		}
	}
}

func testUnreadInMany(t *testing.T, f *fixture) {
	ids := f.crowd()
	for _, most := range []int{0, 1, 4, 100} {
		ranges := make([]chat.UnreadRange, len(ids))
		for i, id := range ids {
			ranges[i] = chat.UnreadRange{Thread: id, After: 2, Through: 1 << 20}
		}
		got, err := f.store.CountUnreadIn(t.Context(), "ann", ranges, f.clock.Now(), most)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range ranges {
			one, err := countUnread(t.Context(), f.store, r.Thread, "ann", r.After, f.clock.Now(), most)
			if err != nil || got[i] != one {
				t.Errorf("of thread %d, up to %d: %d unread in the list, %d alone, %v", i, most, got[i], one, err)
			}
		}
	}
	short, err := f.store.CountUnreadIn(t.Context(), "ann", []chat.UnreadRange{{Thread: ids[4], After: 3, Through: 6}}, f.clock.Now(), 100)
	if err != nil || short[0] != 3 {
		t.Errorf("from 4 through 6 %v are unread, %v; want 3", short, err)
	}
	none, err := f.store.CountUnreadIn(t.Context(), "ann", nil, f.clock.Now(), 100)
	if err != nil || len(none) != 0 {
		t.Errorf("in no thread: %v, %v", none, err)
	}
}
