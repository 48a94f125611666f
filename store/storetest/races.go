package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// racers is how many goroutines do the same thing at once.
const racers = 10

var raceScenarios = []scenario{
	{"racing appends leave a log without gaps", testRacingAppends},
	{"readers see whole prefixes of the log while it grows", testReadersDuringAppends},
	{"racing sends with one key store one message", testRacingKey},
	{"racing creations of a 1:1 make one thread", testRacingPairs},
	{"racing marks end at the highest, each stored once", testRacingMarks},
	{"racing changes of one message are all kept", testRacingChanges},
	{"an edit is never read with the content that it replaced", testReadersDuringEdits},
	{"racing blocks store one, with the time of one of them", testRacingBlocks},
	{"a block is found once it is put, also while others look for it", testAskingDuringBlocks},
	{"of racing last-seen times the latest is kept", testRacingLastSeen},
}

// race runs do for each racer and waits for all.
func race(do func(i int)) { raceOf(racers, do) }

func raceOf(racers int, do func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	wg.Wait()
}

func testRacingAppends(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	var mu sync.Mutex
	stored := make(map[chat.Seq]chat.Event)
	race(func(i int) {
		for n := range 6 {
			events, count, err := f.tryAppend(thread, drafts(chat.UserID(fmt.Sprintf("user%d", i)), 1+n%3)...)
			if err != nil || count != len(events) {
				t.Errorf("Append = %d, %v", count, err)
				return
			}
			mu.Lock()
			for _, e := range events {
				stored[e.Seq] = e
			}
			mu.Unlock()
		}
	})
	log := f.log(thread)
	if len(log) != len(stored)+1 {
		t.Errorf("the log has %d events, %d were acknowledged", len(log)-1, len(stored))
	}
	for i, e := range log {
		if e.Seq != chat.Seq(i+1) || i > 0 && e.ID.Compare(log[i-1].ID) <= 0 {
			t.Fatalf("event %d of the log has seq %d and id %s", i+1, e.Seq, e.ID)
		}
		if i > 0 && !sameEvent(e, stored[e.Seq]) {
			t.Errorf("event %d is not the one that was acknowledged", e.Seq)
		}
	}
}

// While one goroutine appends, others read the head and then the log. The log has
// every event up to the head, and the head never falls.
func testReadersDuringAppends(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	var done atomic.Bool
	race(func(i int) {
		if i == 0 {
			defer done.Store(true)
			for range 40 {
				if _, n, err := f.tryAppend(thread, drafts("ann", 2)...); n != 2 {
					t.Errorf("Append = %d, %v", n, err)
					return
				}
			}
			return
		}
		var seen chat.Seq
		for !done.Load() {
			head := f.userThread("bob", thread).Head
			if head.Seq < seen || head.Seq%2 == 0 {
				t.Errorf("head %d after %d, in batches of two from 1", head.Seq, seen)
				return
			}
			seen = head.Seq
			log := f.events(thread, max(seen, 3)-3, seen, chat.Limit{Count: 10, Bytes: 1 << 20})
			if len(log) == 0 || log[len(log)-1].Seq != head.Seq || log[len(log)-1].ID != head.ID {
				t.Errorf("the head is event %d, the log has %v", head.Seq, seqs(log))
				return
			}
		}
	})
}

func testRacingKey(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	key := draft("ann", "")
	var mu sync.Mutex
	var stored, existing []chat.Event
	race(func(int) {
		events, n, err := f.tryAppend(thread, resend(key, draft("ann", "")))
		var dup *chat.DuplicateError
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			stored = append(stored, events[0])
		case n == 0 && errors.As(err, &dup) && dup.By == chat.ByIdempotencyKey:
			existing = append(existing, dup.Existing)
		default:
			t.Errorf("Append = %d, %v", n, err)
		}
	})
	if len(stored) != 1 {
		t.Fatalf("%d sends were stored, want 1", len(stored))
	}
	for _, e := range existing {
		if !sameEvent(e, stored[0]) {
			t.Errorf("a retry was told of %+v, stored is %+v", e, stored[0])
		}
	}
	if total := len(f.log(thread)); total != 2 {
		t.Errorf("the log has %d events, want its creation and one message", total)
	}
}

func testRacingPairs(t *testing.T, f *fixture) {
	var mu sync.Mutex
	var made, told []chat.ThreadID
	race(func(i int) {
		users := []chat.UserID{"ann", "bob"}
		if i%2 == 1 {
			slices.Reverse(users)
		}
		e := f.creation(chat.OneToOne, users...)
		err := f.store.CreateThread(t.Context(), e)
		var exists *chat.PairExistsError
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			made = append(made, e.Thread)
		case errors.As(err, &exists):
			told = append(told, exists.Thread)
		default:
			t.Errorf("CreateThread: %v", err)
		}
	})
	if len(made) != 1 {
		t.Fatalf("%d threads were made, want 1", len(made))
	}
	for _, thread := range told {
		if thread != made[0] {
			t.Errorf("one was told of %s, made is %s", thread, made[0])
		}
	}
	if lines, err := f.store.UserThreads(t.Context(), "ann"); err != nil || len(lines) != 1 {
		t.Errorf("ann is in %d threads, %v; want 1", len(lines), err)
	}
}

func testRacingMarks(t *testing.T, f *fixture) {
	const each = 6
	thread := f.group("ann", "bob")
	var mu sync.Mutex
	moved := make(map[chat.Seq]chat.Mark)
	race(func(i int) {
		for n := range each {
			m := chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Seq: chat.Seq(1 + (i+n*racers)*7%(each*racers))}
			stored, prev, rose := f.putMark(m)
			if rose != (prev.Seq < m.Seq) {
				t.Errorf("mark %d after %d: moved is %v", m.Seq, prev.Seq, rose)
			}
			if rose {
				mu.Lock()
				if _, twice := moved[m.Seq]; twice {
					t.Errorf("mark %d was stored twice", m.Seq)
				}
				moved[m.Seq] = stored
				mu.Unlock()
			}
		}
	})
	f.wantMarks(thread, 0, chat.Marks{User: "bob", Read: moved[each*racers]})
	for seq := range chat.Seq(each * racers) {
		at := seq + 1
		for moved[at].Seq == 0 {
			at++
		}
		f.wantMarks(thread, seq+1, chat.Marks{User: "bob", Read: moved[at]})
	}
}

func testRacingChanges(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, draft("ann", "hello"))[0]
	race(func(i int) {
		user := chat.UserID(fmt.Sprintf("user%d", i))
		for _, d := range []chat.Event{
			reaction(sent, user, "+1"), edit(sent, string(user)), reaction(sent, user, string(user)), unreaction(sent, user, string(user)),
		} {
			if _, n, err := f.tryAppend(thread, d); n != 1 || err != nil {
				t.Errorf("Append = %d, %v", n, err)
				return
			}
		}
	})
	log := Verify(t, f.store, thread)
	var last chat.Event
	for _, e := range log {
		if e.Kind == chat.KindEdit {
			last = e
		}
	}
	m := f.message(sent.ID).Message
	if len(log) != 2+4*racers || len(m.Reactions) != 1 || len(m.Reactions[0].By) != racers {
		t.Errorf("%d events led to the reactions %+v", len(log), m.Reactions)
	}
	if !m.EditedAt.Equal(last.At) {
		t.Errorf("edited at %v, the last edit was at %v", m.EditedAt, last.At)
	}
}

// While one goroutine edits, others read the log. No edit comes with content that is
// older than the edit: its reader would keep it.
func testReadersDuringEdits(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, draft("ann", "2"))[0]
	var done atomic.Bool
	race(func(i int) {
		if i == 0 {
			defer done.Store(true)
			for range 40 {
				next := f.thread(thread).Head.Seq + 1
				if _, n, err := f.tryAppend(thread, edit(sent, fmt.Sprint(next))); n != 1 {
					t.Errorf("Append = %d, %v", n, err)
					return
				}
			}
			return
		}
		for !done.Load() {
			head := f.userThread("bob", thread).Head
			log := f.events(thread, head.Seq-1, head.Seq, chat.Limit{Count: 1, Bytes: 1 << 20})
			if len(log) != 1 || log[0].Kind == chat.KindThread {
				t.Errorf("the head is event %d, the log has %v", head.Seq, seqs(log))
				return
			}
			for what, m := range map[string]*chat.Message{"the log": log[0].Message, "Message": f.message(sent.ID).Message} {
				if shown, err := strconv.Atoi(string(m.Ciphertext)); err != nil || chat.Seq(shown) < head.Seq {
					t.Errorf("%s has content %q though event %d is there", what, m.Ciphertext, head.Seq)
					return
				}
			}
		}
	})
}

func testAskingDuringBlocks(t *testing.T, f *fixture) {
	for round := range 5 {
		user := chat.UserID(fmt.Sprint("user", round))
		race(func(i int) {
			if i > 0 {
				if _, err := f.store.HasBlocked(t.Context(), user, "bob"); err != nil {
					t.Error(err)
				}
				return
			}
			f.putBlock(user, "bob")
			if has, err := f.store.HasBlocked(t.Context(), user, "bob"); err != nil || !has {
				t.Errorf("after the block: %v, %v", has, err)
			}
		})
		if has, err := f.store.HasBlocked(t.Context(), user, "bob"); err != nil || !has {
			t.Errorf("after all: %v, %v", has, err)
		}
		f.deleteBlock(user, "bob")
		f.wantBlocks(user)
	}
}

func testRacingBlocks(t *testing.T, f *fixture) {
	now := f.clock.Now()
	var told [racers]chat.Block
	race(func(i int) {
		b := chat.Block{User: "ann", Blocked: "bob", At: now.Add(time.Duration(i) * time.Second)}
		if err := f.store.PutBlock(t.Context(), b); err != nil {
			t.Errorf("PutBlock: %v", err)
			return
		}
		if blocks, err := f.store.Blocks(t.Context(), "ann", "", 10); err != nil || len(blocks) != 1 {
			t.Errorf("Blocks = %+v, %v", blocks, err)
		} else {
			told[i] = blocks[0]
		}
	})
	for _, b := range told {
		if b != told[0] {
			t.Errorf("the block was %+v and %+v", told[0], b)
		}
	}
	f.wantBlocks("ann", sortedBlocks(told[:1])...)
}

func testRacingLastSeen(t *testing.T, f *fixture) {
	now := f.clock.Now()
	race(func(i int) {
		for n := range 6 {
			if err := f.store.PutLastSeen(t.Context(), "ann", now.Add(time.Duration((i+n*racers)*7%60)*time.Second)); err != nil {
				t.Errorf("PutLastSeen: %v", err)
			}
		}
	})
	if got, err := f.store.LastSeen(t.Context(), "ann"); err != nil || !got.Equal(now.Add(59*time.Second)) {
		t.Errorf("last seen at %v, %v; want %v", got, err, now.Add(59*time.Second))
	}
}
