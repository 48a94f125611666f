package pebble

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

var crashSeed = flag.Uint64("crash.seed", 0, "seed of TestCrash; 0 is a new one each time")

// acknowledged is what writers were told is stored.
type acknowledged struct {
	mu     sync.Mutex
	events []chat.Event
	marks  []chat.Mark
}

// sofar is what was acknowledged before this moment.
func (a *acknowledged) sofar() (events []chat.Event, marks []chat.Mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events), slices.Clone(a.marks)
}

const crashThreads = 4

// TestCrash lets several writers write, copies the disk in between as a crash at
// that moment would leave it, and opens the copies: what was acknowledged before
// is there, and everything else the store says agrees with its logs.
func TestCrash(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to play this again as far as scheduling lets: -crash.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	disk := vfs.NewCrashableMem()
	now := func() time.Time { return testTime }
	s := open(t, Options{FS: disk, Now: now})
	var ack acknowledged
	for thread := range byte(crashThreads) {
		e := creationOf(chat.Group, thread, "ann", "bob")
		create(t, s, e)
		ack.events = append(ack.events, e)
	}
	writers := make([]*crashWriter, crashThreads)
	for i := range writers {
		writers[i] = &crashWriter{store: s, ack: &ack, thread: byte(i), head: 1, random: rand.New(rand.NewPCG(seed, 1+uint64(i)))}
	}
	for crash := range 9 {
		events, _ := ack.sofar()
		var writing sync.WaitGroup
		for _, w := range writers {
			writing.Go(func() { w.write(t, 6) })
		}
		waitForEvents(t, &ack, len(events)+random.IntN(24)) // they write at least 24
		events, marks := ack.sofar()
		copied := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(101), RNG: random})
		writing.Wait()
		if crash%3 == 2 { // so that some crashes find tables and several logs
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(fmt.Sprintf("after %d events", len(events)), func(t *testing.T) {
			checkAfterCrash(t, open(t, Options{FS: copied, Now: now}), events, marks)
		})
	}
}

func waitForEvents(t *testing.T, ack *acknowledged, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if events, _ := ack.sofar(); len(events) >= n || t.Failed() {
			return
		}
		runtime.Gosched()
	}
	t.Fatalf("%d events were not written in time", n)
}

// crashWriter is the only writer of one thread.
type crashWriter struct {
	store   *Store
	ack     *acknowledged
	thread  byte
	head    chat.Seq
	cidIsIn bool
	random  *rand.Rand
}

// write appends random batches, each followed by a mark.
func (w *crashWriter) write(t *testing.T, batches int) {
	for range batches {
		batch := w.batch()
		n, err := w.store.Append(t.Context(), chat.Head{Seq: w.head}, batch)
		if n != len(batch) || err != nil {
			t.Errorf("Append = %d, %v", n, err)
			return
		}
		w.head += chat.Seq(n)
		mark := chat.Mark{Thread: chat.ThreadID{15: w.thread}, User: "bob", Kind: chat.Read, Seq: w.head, At: testTime}
		if _, moved, err := w.store.PutMark(t.Context(), mark); !moved || err != nil {
			t.Errorf("PutMark: %v, %v", moved, err)
			return
		}
		w.ack.mu.Lock()
		w.ack.events, w.ack.marks = append(w.ack.events, batch...), append(w.ack.marks, mark)
		w.ack.mu.Unlock()
	}
}

// batch is one to three events; one in four moves cid in or out.
func (w *crashWriter) batch() (events []chat.Event) {
	for i := range chat.Seq(1 + w.random.IntN(3)) {
		seq := w.head + 1 + i
		e := messageOf(w.thread, seq, fmt.Sprintf("%d-%d", w.thread, seq))
		if w.random.IntN(4) == 0 {
			e.Kind, e.Message, e.Change = chat.KindThread, nil, &chat.ThreadChange{Event: chat.ParticipantAdded, User: "cid", Role: chat.Member}
			if w.cidIsIn {
				e.Change = &chat.ThreadChange{Event: chat.ParticipantRemoved, User: "cid"}
			}
			w.cidIsIn = !w.cidIsIn
		}
		events = append(events, e)
	}
	return events
}

func checkAfterCrash(t *testing.T, s *Store, events []chat.Event, marks []chat.Mark) {
	logs := make(map[chat.ThreadID][]chat.Event)
	for thread := range byte(crashThreads) {
		id := chat.ThreadID{15: thread}
		logs[id] = storetest.Verify(t, s, id)
	}
	for _, e := range events {
		log := logs[e.Thread]
		if chat.Seq(len(log)) < e.Seq || log[e.Seq-1].ID != e.ID {
			t.Errorf("event %d of %s was acknowledged and is lost", e.Seq, e.Thread)
		}
	}
	for _, m := range marks {
		got, err := s.MarksAt(t.Context(), m.Thread, m.Seq, []chat.UserID{m.User})
		if err != nil || got[0].Read != m {
			t.Errorf("mark %+v was acknowledged, there is %+v, %v", m, got, err)
		}
	}
}
