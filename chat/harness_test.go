package chat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/pebble"
)

// TB is what *testing.T, *testing.B and *rapid.T have in common.
type TB interface {
	rapid.TB
	Context() context.Context
	Cleanup(func())
}

// world is a Service on the embedded store and the local bus, with a recorder that
// listens to the bus. Its helpers end the test on an error they do not return.
type world struct {
	*chat.Service
	tb    TB
	store *faultyStore
	bus   *local.Bus
	heard *recorder
	clock *clock
	stop  func() // ends it before the test does
	sends atomic.Int64
	again chat.SendRequest // see pairWithAll
}

// setup is what a world may be given; the zero value is good.
type setup struct {
	dir       string // in memory if ""
	limits    chat.Limits
	realClock bool
	start     time.Time // of the clock
}

func newWorld(tb TB) *world {
	tb.Helper()
	return newWorldOf(tb, setup{})
}

func newWorldOf(tb TB, s setup) *world {
	tb.Helper()
	w := &world{tb: tb, bus: local.New(), heard: &recorder{}, clock: &clock{now: time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)}}
	if !s.start.IsZero() {
		w.clock.now = s.start
	}
	now := w.clock.Now
	if s.realClock {
		now = time.Now
	}
	opts := pebble.Options{Now: now, IdempotencyWindow: s.limits.IdempotencyWindow}
	if s.dir == "" {
		s.dir, opts.FS = "db", vfs.NewMem()
	}
	store, err := pebble.Open(s.dir, opts)
	must(tb, err)
	w.store = &faultyStore{Store: store}
	newest, err := store.NewestID(tb.Context())
	must(tb, err)
	w.Service = chat.New(chat.Config{Store: w.store, Bus: w.bus, Limits: s.limits, Now: now, Newest: newest})
	stop := w.bus.Subscribe(w.heard)
	w.stop = sync.OnceFunc(func() {
		w.Close(context.Background())
		stop()
		if err := errors.Join(w.bus.Close(), store.Close()); err != nil {
			tb.Errorf("closing: %v", err)
		}
	})
	tb.Cleanup(w.stop)
	return w
}

// as is a user on its phone, with the rights of a user.
func as(user chat.UserID) chat.Caller {
	return chat.Caller{User: user, Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
}

// with is a user on its phone with nothing but the given scopes.
func with(user chat.UserID, scopes ...chat.Scope) chat.Caller {
	return chat.Caller{User: user, Device: "phone", Scopes: scopes}
}

// newGroup makes a group; the first user is its admin.
func (w *world) newGroup(admin chat.UserID, others ...chat.UserID) chat.ThreadID {
	w.tb.Helper()
	return w.newThread(admin, chat.CreateThread{Type: chat.Group, Participants: others})
}

// newPair makes a 1:1.
func (w *world) newPair(a, b chat.UserID) chat.ThreadID {
	w.tb.Helper()
	return w.newThread(a, chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{b}})
}

func (w *world) newThread(by chat.UserID, req chat.CreateThread) chat.ThreadID {
	w.tb.Helper()
	v, created, err := w.CreateThread(w.tb.Context(), as(by), req)
	must(w.tb, err)
	if created != chat.Created {
		w.tb.Fatalf("thread %s existed already", v.ID)
	}
	return v.ID
}

// request is a message with a key and a client_seq that no other has.
func (w *world) request(thread chat.ThreadID, text string) chat.SendRequest {
	n := w.sends.Add(1)
	return chat.SendRequest{Thread: thread, IdempotencyKey: fmt.Sprintf("key-%d", n), ClientSeq: n, Ciphertext: []byte(text)}
}

func (w *world) send(by chat.UserID, thread chat.ThreadID, text string) chat.Event {
	w.tb.Helper()
	res, err := w.Send(w.tb.Context(), as(by), w.request(thread, text))
	must(w.tb, err)
	if res.Outcome != chat.Sent {
		w.tb.Fatalf("%q: outcome %d, want a new message", text, res.Outcome)
	}
	return res.Event
}

func (w *world) sendMany(by chat.UserID, thread chat.ThreadID, n int) (sent []chat.Event) {
	w.tb.Helper()
	for i := range n {
		sent = append(sent, w.send(by, thread, fmt.Sprintf("message %d", i+1)))
	}
	return sent
}

func (w *world) add(by chat.UserID, thread chat.ThreadID, user chat.UserID) {
	w.tb.Helper()
	_, added, err := w.AddParticipant(w.tb.Context(), as(by), thread, user)
	must(w.tb, err)
	if !added {
		w.tb.Fatalf("%s was in already", user)
	}
}

func (w *world) remove(by chat.UserID, thread chat.ThreadID, user chat.UserID) {
	w.tb.Helper()
	must(w.tb, w.RemoveParticipant(w.tb.Context(), as(by), thread, user))
}

// accept accepts a thread that somebody else has put the user into.
func (w *world) accept(by chat.UserID, thread chat.ThreadID) error {
	_, err := w.SetOwnState(w.tb.Context(), as(by), thread, chat.StateChange{Accepted: new(true)})
	return err
}

func (w *world) read(by chat.UserID, m chat.Event) {
	w.tb.Helper()
	must(w.tb, w.MarkRead(w.tb.Context(), as(by), m.Thread, m.ID))
}

// history is all that a user sees of a thread in one page, newest first.
func (w *world) history(user chat.UserID, thread chat.ThreadID) []string {
	w.tb.Helper()
	page, err := w.History(w.tb.Context(), as(user), thread, chat.PageRequest{Size: 100})
	must(w.tb, err)
	if page.Next != "" {
		w.tb.Fatal("more than one page of history")
	}
	return texts(page.Messages)
}

func (w *world) view(user chat.UserID, thread chat.ThreadID) chat.ThreadView {
	w.tb.Helper()
	v, err := w.Thread(w.tb.Context(), as(user), thread)
	must(w.tb, err)
	return v
}

// log is a thread's whole log as it is stored.
func (w *world) log(thread chat.ThreadID) []chat.Event {
	w.tb.Helper()
	events, err := w.store.Events(w.tb.Context(), thread, 0, 1<<40, chat.Limit{Count: 1 << 20, Bytes: 1 << 30})
	must(w.tb, err)
	return events
}

// soundLog checks that a log has no gap and that its ids rise, and gives it back.
func (w *world) soundLog(thread chat.ThreadID) []chat.Event {
	w.tb.Helper()
	events := w.log(thread)
	for i, e := range events {
		if e.Seq != chat.Seq(i+1) {
			w.tb.Fatalf("event %d of the log has seq %d", i+1, e.Seq)
		}
		if i > 0 && e.ID.Compare(events[i-1].ID) <= 0 {
			w.tb.Fatalf("the id of event %d, %s, is not above %s", e.Seq, e.ID, events[i-1].ID)
		}
	}
	return events
}

func texts(messages []chat.Event) []string {
	all := make([]string, len(messages))
	for i, m := range messages {
		all[i] = string(m.Message.Ciphertext)
	}
	return all
}

func must(tb TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// refused checks that err is a refusal with the given code.
func refused(tb TB, err error, code chat.Code) {
	tb.Helper()
	e, ok := errors.AsType[*chat.Error](err)
	if !ok || e.Code != code {
		tb.Fatalf("got %v, want a refusal %s", err, code)
	}
}

// invalid checks that err refuses exactly the given fields.
func invalid(tb TB, err error, fields ...string) {
	tb.Helper()
	refused(tb, err, chat.CodeInvalidRequest)
	e, _ := errors.AsType[*chat.Error](err)
	var named []string
	for _, f := range e.Fields {
		named = append(named, f.Field)
	}
	if !slices.Equal(named, fields) {
		tb.Fatalf("the fields %q were refused, want %q", named, fields)
	}
}

// same compares with a readable message.
func same[T comparable](tb TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func sameList[T comparable](tb TB, what string, got []T, want ...T) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// clock only moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// advance moves the clock, backwards too, and gives the new time.
func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// recorder listens to the bus.
type recorder struct {
	mu      sync.Mutex
	notices []chat.Notice
	states  []chat.Notice
}

// drainStates gives the changes of own states that were heard since the last time.
func (r *recorder) drainStates() []chat.Notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.states
	r.states = nil
	return heard
}

func (r *recorder) HandleNotice(n chat.Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.State != nil { // which tests ask for by itself
		r.states = append(r.states, n)
		return
	}
	r.notices = append(r.notices, n)
}

func (r *recorder) HandleLoss() {}

// drain gives what was heard since the last time.
func (r *recorder) drain() []chat.Notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.notices
	r.notices = nil
	return heard
}

// nothing checks that nothing was heard since the last drain.
func (r *recorder) nothing(tb TB) {
	tb.Helper()
	if heard := r.drain(); len(heard) > 0 {
		tb.Fatalf("%d notices were published, want none", len(heard))
	}
}

// one gives the only notice heard since the last drain.
func (r *recorder) one(tb TB) chat.Notice {
	tb.Helper()
	heard := r.drain()
	if len(heard) != 1 {
		tb.Fatalf("%d notices were published, want one", len(heard))
	}
	return heard[0]
}

// receipt gives the only notice heard, which must be a receipt.
func (r *recorder) receipt(tb TB) (chat.Receipt, []chat.UserID) {
	tb.Helper()
	n := r.one(tb)
	if n.Receipt == nil {
		tb.Fatal("the notice is no receipt")
	}
	return *n.Receipt, n.Audience
}

// faultyStore is a store of which single writes can be made to fail or to wait.
// A fault is called in place of the write; calling commit goes through with it.
// Of the reads, those that operations make can be made to fail.
type faultyStore struct {
	chat.Store
	onMessage atomic.Pointer[func(chat.MessageID) error]
	onBlocked atomic.Pointer[func() error]
	onAppend  atomic.Pointer[appendFault]
	onPutMark atomic.Pointer[markFault]
	onCreate  atomic.Pointer[createFault]
}

type (
	appendFault func(ctx context.Context, events []chat.Event, commit func(context.Context, []chat.Event) (int, error)) (int, error)
	markFault   func(commit func() (chat.Mark, bool, error)) (chat.Mark, bool, error)
	createFault func(commit func() error) error
)

var errDisk = errors.New("the disk is gone")

func (s *faultyStore) Append(ctx context.Context, head chat.Head, events []chat.Event) (int, error) {
	commit := func(ctx context.Context, events []chat.Event) (int, error) { return s.Store.Append(ctx, head, events) }
	if fault := s.onAppend.Load(); fault != nil {
		return (*fault)(ctx, events, commit)
	}
	return commit(ctx, events)
}

func (s *faultyStore) PutMark(ctx context.Context, m chat.Mark) (chat.Mark, bool, error) {
	commit := func() (chat.Mark, bool, error) { return s.Store.PutMark(ctx, m) }
	if fault := s.onPutMark.Load(); fault != nil {
		return (*fault)(commit)
	}
	return commit()
}

func (s *faultyStore) CreateThread(ctx context.Context, created chat.Event) error {
	commit := func() error { return s.Store.CreateThread(ctx, created) }
	if fault := s.onCreate.Load(); fault != nil {
		return (*fault)(commit)
	}
	return commit()
}

func (s *faultyStore) MessageIn(ctx context.Context, thread chat.ThreadID, id chat.MessageID) (chat.Event, error) {
	if fault := s.onMessage.Load(); fault != nil {
		if err := (*fault)(id); err != nil {
			return chat.Event{}, err
		}
	}
	return s.Store.MessageIn(ctx, thread, id)
}

func (s *faultyStore) HasBlocked(ctx context.Context, user, other chat.UserID) (bool, error) {
	if fault := s.onBlocked.Load(); fault != nil {
		if err := (*fault)(); err != nil {
			return false, err
		}
	}
	return s.Store.HasBlocked(ctx, user, other)
}

// failAppends puts a fault in the place of every append until heal is called.
func (s *faultyStore) failAppends(f appendFault) (heal func()) {
	s.onAppend.Store(&f)
	return func() { s.onAppend.Store(nil) }
}
