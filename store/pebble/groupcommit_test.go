package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

// gate stands before the syncs of the log. While it is shut they wait, and tell
// so; failing, they fail.
type gate struct {
	mu      sync.Mutex
	shut    chan struct{} // nil: open
	arrived chan struct{}
	failure error
}

func newGate() *gate { return &gate{arrived: make(chan struct{}, 100)} }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

// open lets syncs through, or makes them fail from now on.
func (g *gate) open(failure error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failure = failure
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) pass() error {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		g.arrived <- struct{}{}
		<-shut
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failure
}

// sync lets a sync of the log pass the gate.
func (g *gate) sync(name string, sync func() error) error {
	if !strings.HasSuffix(name, ".log") {
		return sync()
	}
	return errors.Join(g.pass(), sync())
}

// observed is all that readers can tell of the thread 1 and of what is written
// to it in the test below.
func observed(t *testing.T, s *Store) (all struct {
	Thread     chat.Thread
	Events     int
	Messages   int
	Found      bool
	SeqAt      chat.Seq
	Unread     int
	AnnThreads int
	CidWasIn   bool
	CidThreads int
	Then       int
	Marks      chat.Marks
	PairFound  bool
	Text       string // of the message of thread 4
	Shown      int    // events of thread 4 with content
	Due        int
	Pins       int
	Keys       int
	Blocks     int
	Blocked    bool
	Reports    int
	Denied     bool
},
) {
	t.Helper()
	ctx, thread := t.Context(), chat.ThreadID{15: 1}
	check := func(err error) bool {
		t.Helper()
		if err != nil && !errors.Is(err, chat.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	var err error
	all.Thread, err = s.Thread(ctx, thread)
	check(err)
	events, err := s.Events(ctx, thread, 0, 100, chat.Limit{Count: 100, Bytes: 1000})
	check(err)
	messages, err := s.Messages(ctx, thread, chat.MessageRange{NewestFirst: true, Count: 100})
	check(err)
	all.Events, all.Messages = len(events), len(messages)
	_, err = s.Message(ctx, messageOf(1, 2, "").ID)
	all.Found = check(err)
	all.SeqAt, err = s.SeqAt(ctx, thread, ulid.ULID{0: 0xff})
	check(err)
	all.Unread, err = s.countUnread(ctx, "bob", chat.UnreadRange{Thread: thread, Through: lastSeq}, testTime, 100)
	check(err)
	lines, err := s.UserThreads(ctx, "ann")
	check(err)
	all.AnnThreads = len(lines)
	_, err = s.UserThread(ctx, "cid", thread)
	all.CidWasIn = check(err)
	lines, err = s.UserThreads(ctx, "cid")
	check(err)
	all.CidThreads = len(lines)
	users, err := s.ParticipantsAt(ctx, thread, 3)
	check(err)
	all.Then = len(users)
	marks, err := s.Marks(ctx, thread, []chat.UserID{"bob"})
	check(err)
	all.Marks = marks[0]
	_, err = s.Thread(ctx, chat.ThreadID{15: 2})
	all.PairFound = check(err)

	other := chat.ThreadID{15: 4}
	if m, err := s.Message(ctx, messageOf(4, 2, "").ID); check(err) {
		all.Text = string(m.Message.Ciphertext)
	}
	events, err = s.Events(ctx, other, 1, 100, chat.Limit{Count: 100, Bytes: 1000})
	check(err)
	all.Shown = len(events)
	due, err := s.Expired(ctx, testTime.Add(time.Hour), 100)
	check(err)
	all.Due = len(due)
	pinned, err := s.Thread(ctx, other)
	check(err)
	all.Pins = len(pinned.Pins)
	keys, err := s.PrekeyDevices(ctx, []chat.UserID{"ann"})
	check(err)
	left, err := s.CountPrekeys(ctx, keys)
	check(err)
	for _, n := range left {
		all.Keys += n[chat.PlainPrekeys]
	}
	blocks, err := s.Blocks(ctx, "ann", "", 100)
	check(err)
	all.Blocks = len(blocks)
	all.Blocked, err = s.HasBlocked(ctx, "ann", "bob")
	check(err)
	reports, err := s.Reports(ctx, chat.ReportID{}, 100)
	check(err)
	all.Reports = len(reports)
	all.Denied, err = s.AttachmentDenied(ctx, "hash")
	check(err)
	return all
}

// Pebble shows a batch before its log is synced. A reader of the store must not
// see it until then, nor may a retry be told that it is a duplicate.
func TestReadersSeeOnlyWhatIsSynced(t *testing.T) {
	g := newGate()
	s := open(t, Options{FS: syncFS{vfs.NewMem(), g.sync}, Now: func() time.Time { return testTime }})
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	create(t, s, creationOf(chat.Group, 3, "ann", "bob"))
	create(t, s, creationOf(chat.Group, 4, "ann", "bob"))
	sent := messageOf(4, 2, "another")
	sent.Message.ExpiresAt = testTime.Add(time.Minute)
	mustAppend(t, s, sent)
	keys := chat.PrekeyUpload{OneTime: []chat.Prekey{{ID: 1}, {ID: 2}}, At: testTime}
	if _, err := s.PutPrekeys(t.Context(), "ann", "phone", keys); err != nil {
		t.Fatal(err)
	}
	before := observed(t, s)

	g.close()
	joining := chat.Event{
		Thread: chat.ThreadID{15: 1}, Seq: 3, ID: numberedID(3), Kind: chat.KindThread, By: "ann", Device: "d",
		Change: &chat.ThreadChange{Event: chat.ParticipantAdded, User: "cid", Role: chat.Member},
	}
	writes := []func() error{
		func() error {
			_, err := s.Append(t.Context(), before.Thread.Head, []chat.Event{messageOf(1, 2, "key"), joining})
			return err
		},
		func() error { return s.CreateThread(t.Context(), creationOf(chat.OneToOne, 2, "ann", "eve")) },
		func() error {
			_, _, err := s.PutMark(t.Context(), chat.Mark{Thread: chat.ThreadID{15: 1}, User: "bob", Kind: chat.Read, Seq: 2, At: testTime})
			return err
		},
	}
	writes = append(writes, writesAside(t, s, sent)...)
	var synced atomic.Bool
	var wg sync.WaitGroup
	t.Cleanup(func() { // before the store is closed, which waits for them
		g.open(nil)
		wg.Wait()
	})
	first := func(i int) {
		err := writes[i]()
		if err != nil || !synced.Load() {
			t.Errorf("write %d returned %v, synced is %v", i, err, synced.Load())
		}
	}
	wg.Go(func() { first(0) })
	<-g.arrived
	waitUntilPebbleShows(t, s, eventKey(chat.ThreadID{15: 1}, 2))
	for i := range writes[1:] {
		wg.Go(func() { first(1 + i) })
	}
	wg.Go(func() { // the retry of the first
		n, err := s.Append(t.Context(), before.Thread.Head, []chat.Event{messageOf(1, 2, "key")})
		if n != 0 || !errors.Is(err, chat.ErrStaleHead) || !synced.Load() {
			t.Errorf("a retry got %d, %v, synced is %v", n, err, synced.Load())
		}
	})
	waitUntilTwoWant(t, s, string(threadKey(chat.ThreadID{15: 1})))
	for range 100 {
		if now := observed(t, s); !reflect.DeepEqual(now, before) {
			t.Fatalf("readers see what is not synced:\n%+v, before:\n%+v", now, before)
		}
	}

	synced.Store(true)
	g.open(nil)
	wg.Wait()
	after := observed(t, s)
	if after.Thread.Head.Seq != 3 || after.Events != 3 || after.Messages != 1 || !after.Found || after.SeqAt != 4 ||
		after.Unread != 1 || after.AnnThreads != 4 || !after.CidWasIn || after.CidThreads != 1 || after.Then != 3 ||
		after.Marks.Read.Seq != 2 || !after.PairFound || len(after.Thread.Participants) != 3 {
		t.Errorf("after the sync readers see %+v", after)
	}
	if after.Text != "" || after.Shown != 4 || after.Due != 0 || after.Pins != 0 || after.Keys != 1 || after.Blocks != 1 ||
		!after.Blocked || after.Reports != 1 || !after.Denied {
		t.Errorf("after the sync readers see beside it %+v", after)
	}
}

// writesAside change a message of thread 4 and what is kept beside threads.
func writesAside(t *testing.T, s *Store, sent chat.Event) []func() error {
	return []func() error{
		func() error {
			_, err := s.Append(t.Context(), chat.Head{Seq: 2}, []chat.Event{editOf(sent, 3, "edited"), pinOf(sent, 4), deletionOf(sent, 5)})
			return err
		},
		func() error {
			_, err := takeOne(t.Context(), s, "phone")
			return err
		},
		func() error { return s.PutBlock(t.Context(), chat.Block{User: "ann", Blocked: "bob", At: testTime}) },
		func() error { _, _, err := s.PutReport(t.Context(), chat.Report{ID: numberedID(1)}); return err },
		func() error { return s.DenyAttachment(t.Context(), "hash") },
	}
}

// waitUntilPebbleShows waits until Pebble itself would let a reader see a key:
// from then on a store that read it directly would fail the test.
func waitUntilPebbleShows(t *testing.T, s *Store, key []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if value, closer, err := s.db.Get(key); err == nil {
			shown := len(value) > 0
			_ = closer.Close()
			if shown {
				return
			}
		}
	}
	t.Fatal("pebble does not show what is not synced any more: groupcommit.go can be simpler")
}

// waitUntilTwoWant waits until one operation holds a name and another waits for it.
func waitUntilTwoWant(t *testing.T, s *Store, name string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		if s.locks.Wanted(name) >= 2 {
			return
		}
	}
	t.Error("the second operation does not wait for the first")
}

// After a failed sync nobody knows what is on disk: the writer is told, readers
// keep what was durable, and nothing more is written.
func TestFailedSyncStopsWrites(t *testing.T) {
	g := newGate()
	s, err := Open("db", Options{FS: syncFS{vfs.NewMem(), g.sync}, Now: func() time.Time { return testTime }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }() // it cannot sync either
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))

	broken := errors.New("the disk is gone")
	g.open(broken)
	for range 2 {
		n, err := s.Append(t.Context(), chat.Head{Seq: 1}, []chat.Event{messageOf(1, 2, "key")})
		if n != 0 || err == nil || !strings.Contains(err.Error(), broken.Error()) {
			t.Errorf("Append = %d, %v; want that %v", n, err, broken)
		}
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("Ping says that the store can serve")
	}
	if _, err := s.BeginPosition(t.Context(), "ann", "d", chat.Position{}); err == nil {
		t.Error("BeginPosition succeeded")
	}
	if head := observed(t, s).Thread.Head.Seq; head != 1 {
		t.Errorf("readers see the head %d, want 1", head)
	}
}

func TestCallsAfterCloseFail(t *testing.T) {
	s, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if _, err := s.Thread(t.Context(), chat.ThreadID{}); !errors.Is(err, errClosed) {
		t.Errorf("Thread: %v", err)
	}
	if err := s.CreateThread(t.Context(), creationOf(chat.Group, 1, "ann")); !errors.Is(err, errClosed) {
		t.Errorf("CreateThread: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("Ping: %v", err)
	}
}

// What an operation writes does not depend on how many people it concerns.
func TestWritesPerOperation(t *testing.T) {
	var keys, logBytes [2]int
	for i, people := range []int{2, 250} {
		s := open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime }})
		users := make([]chat.UserID, people)
		for j := range users {
			users[j] = chat.UserID(fmt.Sprintf("user%03d", j))
		}
		create(t, s, creationOf(chat.Group, 1, users...))
		keys[i], logBytes[i] = written(t, s, func() { mustAppend(t, s, messageOf(1, 2, "key")) })

		receipt, _ := written(t, s, func() {
			if _, moved, err := s.PutMark(t.Context(), chat.Mark{Thread: chat.ThreadID{15: 1}, User: "user001", Kind: chat.Read, Seq: 2, At: testTime}); !moved || err != nil {
				t.Fatalf("PutMark: %v, %v", moved, err)
			}
		})
		if receipt != 1 {
			t.Errorf("a receipt in a group of %d writes %d keys, want 1", people, receipt)
		}
	}
	if keys[0] != keys[1] || keys[0] != 6 || logBytes[0] != logBytes[1] {
		t.Errorf("a message to 2 writes %d keys and %d bytes, to 250 %d keys and %d bytes; want 6 keys for both",
			keys[0], logBytes[0], keys[1], logBytes[1])
	}
}

// written counts the keys that differ after an operation, and the bytes it gave
// to the log.
func written(t *testing.T, s *Store, operation func()) (keys, logBytes int) {
	t.Helper()
	before, bytesBefore := dump(t, s), s.db.Metrics().WAL.BytesIn
	operation()
	for key, value := range dump(t, s) {
		if old, there := before[key]; !there || !bytes.Equal(old, value) {
			keys++
		}
	}
	return keys, int(s.db.Metrics().WAL.BytesIn - bytesBefore)
}

func dump(t *testing.T, s *Store) map[string][]byte {
	t.Helper()
	v, err := s.state.view()
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	all := make(map[string][]byte)
	err = v.scan(t.Context(), keyRange{}, false, func(key, value []byte) (bool, error) {
		all[string(key)] = bytes.Clone(value)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
