package pebble

import (
	"context"
	"errors"
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
	taken  []uint32 // ids of prekeys
}

// sofar is what was acknowledged before this moment.
func (a *acknowledged) sofar() *acknowledged {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &acknowledged{events: slices.Clone(a.events), marks: slices.Clone(a.marks), taken: slices.Clone(a.taken)}
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
	for crash := range 6 {
		before := len(ack.sofar().events)
		var writing sync.WaitGroup
		for _, w := range writers {
			writing.Go(func() { w.write(t, 6) })
		}
		writing.Go(func() { takePrekeys(t, s, &ack, uint32(100*crash)) })
		waitForEvents(t, &ack, before+random.IntN(24)) // they write at least 24
		told := ack.sofar()
		copied := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(101), RNG: random})
		writing.Wait()
		if crash%3 == 2 { // so that some crashes find tables and several logs
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(fmt.Sprintf("after %d events", len(told.events)), func(t *testing.T) {
			checkAfterCrash(t, open(t, Options{FS: copied, Now: now}), told)
		})
	}
}

func waitForEvents(t *testing.T, ack *acknowledged, n int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if len(ack.sofar().events) >= n || t.Failed() {
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
	sent    []chat.Event // messages that are stored
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
		for _, e := range batch {
			if e.Kind == chat.KindMessage {
				w.sent = append(w.sent, e)
			}
		}
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

// batch is one to three events, about different messages.
func (w *crashWriter) batch() (events []chat.Event) {
	free := slices.Clone(w.sent)
	for i := range chat.Seq(1 + w.random.IntN(3)) {
		seq := w.head + 1 + i
		e := messageOf(w.thread, seq, fmt.Sprintf("%d-%d", w.thread, seq))
		what := w.random.IntN(8)
		switch {
		case what < 2: // cid comes or goes
			e.Kind, e.Message, e.Change = chat.KindThread, nil, &chat.ThreadChange{Event: chat.ParticipantAdded, User: "cid", Role: chat.Member}
			if w.cidIsIn {
				e.Change = &chat.ThreadChange{Event: chat.ParticipantRemoved, User: "cid"}
			}
			w.cidIsIn = !w.cidIsIn
		case what < 6 && len(free) > 0:
			at := w.random.IntN(len(free))
			e = crashOverlay(free[at], seq, what)
			free = slices.Delete(free, at, at+1)
		}
		events = append(events, e)
	}
	return events
}

func crashOverlay(message chat.Event, seq chat.Seq, what int) chat.Event {
	switch what {
	case 2:
		return deletionOf(message, seq)
	case 3:
		return reactionOf(message, seq, fmt.Sprintf("%d", seq))
	}
	return editOf(message, seq, editedText(seq))
}

// editedText is what an edit of that seq says.
func editedText(seq chat.Seq) string { return fmt.Sprintf("edited by %d", seq) }

// takeOne takes a one-time prekey of a device of ann's.
func takeOne(ctx context.Context, s *Store, device chat.DeviceID) (chat.Prekey, error) {
	b, err := s.TakePrekey(ctx, chat.PrekeyDevice{User: "ann", Device: device})
	if err != nil {
		return chat.Prekey{}, err
	}
	return *b.OneTime, nil
}

// takePrekeys uploads some keys and takes half of them.
func takePrekeys(t *testing.T, s *Store, ack *acknowledged, from uint32) {
	u := chat.PrekeyUpload{At: testTime}
	for id := from; id < from+20; id++ {
		u.OneTime = append(u.OneTime, chat.Prekey{ID: id, Public: []byte("public")})
	}
	if _, err := s.PutPrekeys(t.Context(), "ann", "phone", u); err != nil {
		t.Errorf("PutPrekeys: %v", err)
	}
	for range 10 {
		k, err := takeOne(t.Context(), s, "phone")
		if err != nil {
			t.Errorf("TakePrekey: %v", err)
			return
		}
		ack.mu.Lock()
		ack.taken = append(ack.taken, k.ID)
		ack.mu.Unlock()
	}
}

func checkAfterCrash(t *testing.T, s *Store, told *acknowledged) {
	logs := make(map[chat.ThreadID][]chat.Event)
	for thread := range byte(crashThreads) {
		id := chat.ThreadID{15: thread}
		logs[id] = storetest.Verify(t, s, id)
		checkEdits(t, logs[id])
	}
	for _, e := range told.events {
		log := logs[e.Thread]
		if chat.Seq(len(log)) < e.Seq || log[e.Seq-1].ID != e.ID {
			t.Errorf("event %d of %s was acknowledged and is lost", e.Seq, e.Thread)
		}
	}
	for _, m := range told.marks {
		got, err := s.MarksAt(t.Context(), m.Thread, m.Seq, []chat.UserID{m.User})
		if err != nil || got[0].Read != m {
			t.Errorf("mark %+v was acknowledged, there is %+v, %v", m, got, err)
		}
	}
	checkPrekeys(t, s, told.taken)
}

// checkEdits fails unless each message says what its last edit in the log does.
func checkEdits(t *testing.T, log []chat.Event) {
	for _, e := range log {
		if e.Kind != chat.KindMessage {
			continue
		}
		want := "sealed"
		for _, later := range log {
			switch {
			case later.Target.Seq != e.Seq:
			case later.Kind == chat.KindDelete:
				want = ""
			case later.Kind == chat.KindEdit && want != "":
				want = editedText(later.Seq)
			}
		}
		if string(e.Message.Ciphertext) != want {
			t.Errorf("message %d of %s says %q, want %q", e.Seq, e.Thread, e.Message.Ciphertext, want)
		}
	}
}

// checkPrekeys takes all keys that are left: none of them was given before, and
// an upload of those that were brings none of them back.
func checkPrekeys(t *testing.T, s *Store, taken []uint32) {
	given := make(map[uint32]bool)
	for _, id := range taken {
		given[id] = true
	}
	for range 2 {
		for {
			k, err := takeOne(t.Context(), s, "phone")
			if errors.Is(err, chat.ErrNotFound) {
				break
			}
			if err != nil || given[k.ID] {
				t.Errorf("prekey %d is given twice, or %v", k.ID, err)
				return
			}
			given[k.ID] = true
		}
		u := chat.PrekeyUpload{At: testTime}
		for _, id := range taken {
			u.OneTime = append(u.OneTime, chat.Prekey{ID: id})
		}
		if _, err := s.PutPrekeys(t.Context(), "ann", "phone", u); err != nil {
			t.Error(err)
		}
	}
}
