package feed

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// slowStore has threads of two events, which take time to read.
type slowStore struct {
	Store

	threads int
	pause   time.Duration
	reading *atomic.Int64 // logs, now
	most    *atomic.Int64 // that were read at once
}

func (s slowStore) UserThreads(context.Context, chat.UserID) ([]chat.UserThread, error) {
	lines := make([]chat.UserThread, s.threads)
	for i := range lines {
		id := chat.ThreadID{15: byte(i + 1)}
		lines[i] = chat.UserThread{Thread: id, JoinedSeq: 1, Head: chat.Head{Seq: 2, ID: eventID(2)}}
	}
	return lines, nil
}

func (s slowStore) Position(context.Context, chat.UserID, chat.DeviceID) (chat.Position, bool, error) {
	through := make(map[chat.ThreadID]chat.Seq)
	for i := range s.threads {
		through[chat.ThreadID{15: byte(i + 1)}] = 1
	}
	return chat.Position{Through: through, Acknowledged: true}, true, nil
}

func (s slowStore) Events(ctx context.Context, thread chat.ThreadID, _, _ chat.Seq, _ chat.Limit) ([]chat.Event, error) {
	now := s.reading.Add(1)
	defer s.reading.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	select {
	case <-time.After(s.pause):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return []chat.Event{{Thread: thread, Seq: 2, ID: eventID(2), Kind: chat.KindMessage, By: "alice", Message: &chat.Message{}}}, nil
}

func eventID(seq chat.Seq) chat.EventID { return chat.EventID{15: byte(seq)} }

// readTimeout is for one read. A reader of many threads gets them all in its first
// Resync, also from a store that needs longer for all of them. It reads several at once, and
// no more than a bound.
func TestEachReadHasItsOwnTimeout(t *testing.T) {
	const threads = 20 * readsAtOnce
	synctest.Test(t, func(t *testing.T) {
		store := slowStore{threads: threads, pause: time.Second, reading: new(atomic.Int64), most: new(atomic.Int64)}
		f := New(&Logs{Store: store, Tails: NewTailCache()}, Reader{User: "bob", Device: "phone"})
		all := func(chat.ThreadID) bool { return true }
		f.CatchUp()
		if err := f.Resync(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		got := 0
		for next := new(Next); ; got++ {
			ok, err := f.Next(t.Context(), all, next)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if err := f.Pass(t.Context(), next); err != nil {
				t.Fatal(err)
			}
		}
		if !f.CaughtUp() || got != threads {
			t.Errorf("the feed gave %d events, want %d", got, threads)
		}
		if most := store.most.Load(); most != readsAtOnce {
			t.Errorf("%d logs were read at once, want %d", most, readsAtOnce)
		}
	})
}
