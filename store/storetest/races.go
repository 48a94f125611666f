package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

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
}

// race runs do for each racer and waits for all.
func race(do func(i int)) {
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

// While one goroutine appends, others read the head and then the log: all up to
// the head is there, and everything they were told of stays.
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
	threads := []chat.ThreadID{f.group("ann", "bob"), f.group("ann", "cid")}
	key := draft("ann", "")
	var mu sync.Mutex
	var stored, existing []chat.Event
	race(func(i int) {
		events, n, err := f.tryAppend(threads[i%2], resend(key, draft("ann", "")))
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
	total := len(f.log(threads[0])) + len(f.log(threads[1]))
	if total != 3 {
		t.Errorf("the logs have %d events, want two creations and one message", total)
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

func testPing(t *testing.T, f *fixture) {
	if err := f.store.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.store.Ping(ended); err == nil {
		t.Error("Ping with an ended context says that the store can serve")
	}
}

func testEndedContext(t *testing.T, f *fixture) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	thread := f.group("ann", "bob")
	head := f.thread(thread).Head
	if n, err := f.store.Append(ended, head, f.stamp(thread, head, drafts("ann", 1))); n != 0 || err == nil {
		t.Errorf("Append = %d, %v; want an error", n, err)
	}
	if _, moved, err := f.store.PutMark(ended, chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Seq: 1, At: f.clock.Now()}); moved || err == nil {
		t.Errorf("PutMark moved %v, %v; want an error", moved, err)
	}
	if err := f.store.CreateThread(ended, f.creation(chat.OneToOne, "ann", "bob")); err == nil {
		t.Error("CreateThread succeeded")
	}
	if got := f.thread(thread).Head; got != head {
		t.Errorf("the head moved to %+v", got)
	}
	f.wantMarks(thread, 0, chat.Marks{User: "bob"})
	if lines, err := f.store.UserThreads(t.Context(), "ann"); err != nil || len(lines) != 1 {
		t.Errorf("ann is in %d threads, %v; want 1", len(lines), err)
	}
}

func testReopen(t *testing.T, s Subject) {
	f := newFixture(t, s)
	pair := f.creation(chat.OneToOne, "ann", "bob")
	if err := f.store.CreateThread(t.Context(), pair); err != nil {
		t.Fatalf("CreateThread: %v", err)
	}
	group := f.group("ann", "bob", "cid")
	sent := f.append(group, draft("ann", "hello"), removal("ann", "cid"), draft("bob", "hi"))
	mark, _, _ := f.putMark(chat.Mark{Thread: group, User: "bob", Kind: chat.Read, Seq: 2, Message: sent[0].ID})
	before := f.thread(group)

	f.store = s.Reopen(t, f.store)
	if got := f.thread(group); !sameThread(got, before) {
		t.Errorf("the thread is %+v, was %+v", got, before)
	}
	wantEvents(t, "the log", f.log(group)[1:], sent)
	f.wantMarks(group, 1, chat.Marks{User: "bob", Read: mark})
	f.wantDuplicate("a retry", group, resend(sent[0], draft("ann", "")), chat.ByIdempotencyKey, sent[0])
	f.wantDuplicate("its client_seq", group, resend(draft("ann", ""), sent[0]), chat.ByClientSeq, sent[0])
	var exists *chat.PairExistsError
	if err := f.store.CreateThread(t.Context(), f.creation(chat.OneToOne, "bob", "ann")); !errors.As(err, &exists) || exists.Thread != pair.Thread {
		t.Errorf("the pair is %v, want %s", err, pair.Thread)
	}
}
