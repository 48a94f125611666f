// Package storetest is the contract of [chat.Store] in executable form. Every
// store runs it whole: Run for what the port promises, RunModel for a random
// comparison with a plain model, Benchmark for what it costs.
//
// The data are kept small (a few hundred events per test), so that a store
// behind a network runs the same suite.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// TB is what *testing.T, *testing.B and *rapid.T have in common.
type TB interface {
	rapid.TB
	Context() context.Context
	Cleanup(func())
}

// Subject is a store under test.
type Subject struct {
	// Open opens an empty store that asks now for the time and has the default
	// idempotency window. It closes the store when the test ends.
	Open func(tb TB, now func() time.Time) chat.Store
	// Reopen, if set, ends a store of Open's the way a crash does and opens it
	// again: what was acknowledged is still there.
	Reopen func(tb TB, s chat.Store) chat.Store
}

// window is the idempotency window the suite expects.
var window = chat.DefaultLimits.IdempotencyWindow

// Run runs the suite, one store for each test.
func Run(t *testing.T, s Subject) {
	for _, group := range [][]scenario{threadScenarios, logScenarios, duplicateScenarios, receiptScenarios, deviceScenarios, raceScenarios} {
		for _, sc := range group {
			t.Run(sc.name, func(t *testing.T) { sc.play(t, newFixture(t, s)) })
		}
	}
	t.Run("what was acknowledged survives a crash", func(t *testing.T) {
		if s.Reopen == nil {
			t.Skip("this store is not reopened")
		}
		testReopen(t, s)
	})
}

// scenario is one test with a fixture of its own.
type scenario struct {
	name string
	play func(t *testing.T, f *fixture)
}

// clock is a clock that only moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a store with what a test needs to write to it in a line or two.
// Its methods end the test on an error they do not return.
type fixture struct {
	tb    TB
	store chat.Store
	clock *clock
}

// newFixture opens a store. Its clock stands at an afternoon, so that windows of
// a day and more begin and end within days.
func newFixture(tb TB, s Subject) *fixture {
	tb.Helper()
	c := &clock{now: time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)}
	return &fixture{tb: tb, store: s.Open(tb, c.Now), clock: c}
}

// mint makes the id after prev: of the given time, or of prev's if that is later.
func mint(prev chat.EventID, now time.Time) chat.EventID {
	id := chat.EventIDAt(now)
	_, _ = rand.Read(id[6:]) // never fails
	if id.Compare(prev) > 0 {
		return id
	}
	id = prev
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

func newThreadID() (id chat.ThreadID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// creation is the first event of a new thread; the first user makes it.
func (f *fixture) creation(kind chat.ThreadType, users ...chat.UserID) chat.Event {
	change := &chat.ThreadChange{Event: chat.ThreadCreated, Type: kind}
	for i, u := range users {
		role := chat.Member
		if i == 0 && kind == chat.Group {
			role = chat.Admin
		}
		change.Members = append(change.Members, chat.InitialMember{User: u, Role: role})
	}
	if kind == chat.Group {
		change.Title = "the group"
	}
	return chat.Event{
		Thread: newThreadID(), Seq: 1, ID: mint(chat.EventID{}, f.clock.Now()),
		Kind: chat.KindThread, By: users[0], Device: "phone", Change: change,
	}
}

// group makes a group of the given users.
func (f *fixture) group(users ...chat.UserID) chat.ThreadID {
	f.tb.Helper()
	e := f.creation(chat.Group, users...)
	if err := f.store.CreateThread(f.tb.Context(), e); err != nil {
		f.tb.Fatalf("CreateThread: %v", err)
	}
	return e.Thread
}

// draft is a message that is not stamped with thread, seq and id yet. No two
// drafts share a client_seq or a key.
func draft(by chat.UserID, text string) chat.Event {
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails
	n := int64(0)
	for _, b := range unique[:7] {
		n = n<<8 | int64(b)
	}
	return chat.Event{Kind: chat.KindMessage, By: by, Device: "phone", Message: &chat.Message{
		Ciphertext: []byte(text), ContentType: chat.Text, ClientSeq: n,
		IdempotencyKey: fmt.Sprintf("key-%x", unique), BodyHash: [32]byte{1, 2, 3},
	}}
}

// drafts are n drafts of one sender.
func drafts(by chat.UserID, n int) []chat.Event {
	events := make([]chat.Event, n)
	for i := range events {
		events[i] = draft(by, fmt.Sprintf("message %d", i+1))
	}
	return events
}

func change(by chat.UserID, c chat.ThreadChange) chat.Event {
	return chat.Event{Kind: chat.KindThread, By: by, Device: "phone", Change: &c}
}

func addition(user chat.UserID) chat.Event {
	return change("ann", chat.ThreadChange{Event: chat.ParticipantAdded, User: user, Role: chat.Member})
}

func removal(by, user chat.UserID) chat.Event {
	return change(by, chat.ThreadChange{Event: chat.ParticipantRemoved, User: user})
}

// stamp gives drafts their places after a head.
func (f *fixture) stamp(thread chat.ThreadID, head chat.Head, drafts []chat.Event) []chat.Event {
	events := slices.Clone(drafts)
	last := head.ID
	for i := range events {
		last = mint(last, f.clock.Now())
		events[i].Thread, events[i].Seq, events[i].ID = thread, head.Seq+1+chat.Seq(i), last
	}
	return events
}

// tryAppend stamps drafts for the thread's present head and appends them, again
// while others are faster.
func (f *fixture) tryAppend(thread chat.ThreadID, drafts ...chat.Event) ([]chat.Event, int, error) {
	f.tb.Helper()
	for {
		head := f.thread(thread).Head
		events := f.stamp(thread, head, drafts)
		n, err := f.store.Append(f.tb.Context(), head, events)
		if !errors.Is(err, chat.ErrStaleHead) || n > 0 {
			return events, n, err
		}
	}
}

// append appends drafts, all of them, and gives the events they became.
func (f *fixture) append(thread chat.ThreadID, drafts ...chat.Event) []chat.Event {
	f.tb.Helper()
	events, n, err := f.tryAppend(thread, drafts...)
	if err != nil || n != len(drafts) {
		f.tb.Fatalf("Append stored %d of %d events: %v", n, len(drafts), err)
	}
	return events
}

func (f *fixture) thread(id chat.ThreadID) chat.Thread {
	f.tb.Helper()
	t, err := f.store.Thread(f.tb.Context(), id)
	if err != nil {
		f.tb.Fatalf("Thread(%s): %v", id, err)
	}
	return t
}

func (f *fixture) userThread(user chat.UserID, thread chat.ThreadID) chat.UserThread {
	f.tb.Helper()
	line, err := f.store.UserThread(f.tb.Context(), user, thread)
	if err != nil {
		f.tb.Fatalf("UserThread(%s): %v", user, err)
	}
	return line
}

// log is a thread's whole log.
func (f *fixture) log(thread chat.ThreadID) []chat.Event {
	f.tb.Helper()
	return f.events(thread, 0, f.thread(thread).Head.Seq, chat.Limit{Count: 1 << 20, Bytes: 1 << 30})
}

func (f *fixture) events(thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) []chat.Event {
	f.tb.Helper()
	events, err := f.store.Events(f.tb.Context(), thread, after, through, limit)
	if err != nil {
		f.tb.Fatalf("Events(%d, %d, %+v): %v", after, through, limit, err)
	}
	return events
}

func (f *fixture) participantsAt(thread chat.ThreadID, seq chat.Seq) []chat.UserID {
	f.tb.Helper()
	users, err := f.store.ParticipantsAt(f.tb.Context(), thread, seq)
	if err != nil {
		f.tb.Fatalf("ParticipantsAt(%d): %v", seq, err)
	}
	slices.Sort(users)
	return users
}

// putMark puts a mark at the clock's time and gives it as it should be stored.
func (f *fixture) putMark(m chat.Mark) (stored, prev chat.Mark, moved bool) {
	f.tb.Helper()
	m.At = f.clock.Now()
	prev, moved, err := f.store.PutMark(f.tb.Context(), m)
	if err != nil {
		f.tb.Fatalf("PutMark(%+v): %v", m, err)
	}
	return m, prev, moved
}

// seqs are the seqs of events, for messages of failed tests.
func seqs(events []chat.Event) []chat.Seq {
	out := make([]chat.Seq, len(events))
	for i, e := range events {
		out[i] = e.Seq
	}
	return out
}

// sameEvent compares events by all they hold.
func sameEvent(a, b chat.Event) bool {
	if (a.Message == nil) != (b.Message == nil) || (a.Change == nil) != (b.Change == nil) {
		return false
	}
	if a.Message != nil {
		x, y := *a.Message, *b.Message
		if !bytes.Equal(x.Ciphertext, y.Ciphertext) || !x.ExpiresAt.Equal(y.ExpiresAt) {
			return false
		}
		x.Ciphertext, y.Ciphertext, x.ExpiresAt, y.ExpiresAt = nil, nil, time.Time{}, time.Time{}
		if fmt.Sprintf("%+v", x) != fmt.Sprintf("%+v", y) {
			return false
		}
	}
	if a.Change != nil && fmt.Sprintf("%+v", *a.Change) != fmt.Sprintf("%+v", *b.Change) {
		return false
	}
	return a.Thread == b.Thread && a.Seq == b.Seq && a.ID == b.ID && a.Kind == b.Kind && a.By == b.By && a.Device == b.Device
}

// wantEvents fails the test unless got is exactly want, in order.
func wantEvents(tb TB, what string, got, want []chat.Event) {
	tb.Helper()
	if !slices.EqualFunc(got, want, sameEvent) {
		tb.Errorf("%s: events %v, want %v (or their contents differ)", what, seqs(got), seqs(want))
	}
}
