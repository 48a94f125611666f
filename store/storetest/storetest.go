// Package storetest is the contract of [chat.Store] in executable form. Every store
// runs all of it from its own tests: [Run] has a scenario for each promise of the port,
// [RunModel] compares the store with a plain model over random histories, [Benchmark]
// measures what the product does most. [Verify] is for tests of a store's own, after a
// crash for example.
//
// The data are small (a few hundred events per test), so that a store behind a network
// can run the same suite.
package storetest

import (
	"cmp"
	"context"
	"errors"
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
	// Open opens an empty store with the default idempotency window, which takes the
	// time from now. It closes the store when the test ends.
	Open func(tb TB, now func() time.Time) chat.Store
	// Reopen, if not nil, ends a store that Open opened as a crash would, and opens it
	// again. Run then checks that everything acknowledged is still stored.
	Reopen func(tb TB, s chat.Store) chat.Store
	// Shared says that several processes may have the store open at once.
	Shared bool
}

// window is the idempotency window that the suite expects.
var window = chat.DefaultLimits.IdempotencyWindow

// Run runs every scenario, each on a new store.
func Run(t *testing.T, s Subject) {
	for _, group := range [][]scenario{
		threadScenarios, pinScenarios, logScenarios, messageChangeScenarios, hiddenScenarios, expiryScenarios, duplicateScenarios, controlScenarios, ownStateScenarios,
		receiptScenarios, deviceScenarios, removalScenarios, subscriptionScenarios, prekeyScenarios, blockScenarios, strangerScenarios, listScenarios, moderationScenarios, raceScenarios,
	} {
		for _, sc := range group {
			t.Run(sc.name, func(t *testing.T) { sc.test(t, newFixture(t, s)) })
		}
	}
	t.Run("another node's change holds at once", func(t *testing.T) { testOtherNode(t, s) })
	t.Run("what was acknowledged survives a crash", func(t *testing.T) {
		if s.Reopen == nil {
			t.Skip("this store is not reopened")
		}
		testReopen(t, s)
	})
}

// scenario is a promise of the port and the test of it.
type scenario struct {
	name string
	test func(t *testing.T, f *fixture)
}

// Clock is a clock that only moves when told.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows an afternoon, so that the idempotency window, of a
// day, does not begin at midnight.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)}
}

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a store with methods that write to it and read from it in a line. They end
// the test on an error that they do not return.
type fixture struct {
	tb     TB
	store  chat.Store
	clock  *Clock
	shared bool
}

func newFixture(tb TB, s Subject) *fixture {
	tb.Helper()
	c := NewClock()
	return &fixture{tb: tb, store: s.Open(tb, c.Now), clock: c, shared: s.Shared}
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

// tryAppend stamps drafts for the thread's head and appends them, again as long as
// others have appended first.
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

// append appends all of the drafts and returns the events that they became.
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

// participantsAt gives the stints that cover an event, in order of their users.
func (f *fixture) participantsAt(thread chat.ThreadID, seq chat.Seq) []chat.Stint {
	f.tb.Helper()
	stints, err := f.store.ParticipantsAt(f.tb.Context(), thread, seq)
	if err != nil {
		f.tb.Fatalf("ParticipantsAt(%d): %v", seq, err)
	}
	return sortedStints(stints)
}

func sortedStints(stints []chat.Stint) []chat.Stint {
	slices.SortFunc(stints, func(a, b chat.Stint) int { return cmp.Compare(a.User, b.User) })
	return stints
}

func (f *fixture) messages(thread chat.ThreadID, r chat.MessageRange) []chat.Event {
	f.tb.Helper()
	messages, err := f.store.Messages(f.tb.Context(), thread, r)
	if err != nil {
		f.tb.Fatalf("Messages(%+v): %v", r, err)
	}
	return messages
}

func (f *fixture) message(id chat.MessageID) chat.Event {
	f.tb.Helper()
	e, err := f.store.Message(f.tb.Context(), id)
	in, errIn := f.store.MessageIn(f.tb.Context(), e.Thread, id)
	if errIn != nil || in.ID != id || in.Seq != e.Seq {
		f.tb.Errorf("message %s is %s, %d, in its thread, %v", id, in.ID, in.Seq, errIn)
	}
	if _, errIn = f.store.MessageIn(f.tb.Context(), newThreadID(), id); !errors.Is(errIn, chat.ErrNotFound) {
		f.tb.Errorf("message %s in another thread: %v", id, errIn)
	}
	if err != nil {
		f.tb.Fatalf("Message(%s): %v", id, err)
	}
	return e
}

// unread counts the unread messages of a user at the clock's time, up to 1000.
func (f *fixture) unread(thread chat.ThreadID, user chat.UserID) int {
	f.tb.Helper()
	n, err := countUnread(f.tb.Context(), f.store, thread, user, 0, f.clock.Now(), 1000)
	if err != nil {
		f.tb.Fatalf("CountUnread of %s: %v", user, err)
	}
	return n
}

// countUnread counts the unread messages of one thread, up to its end.
func countUnread(ctx context.Context, s chat.Store, thread chat.ThreadID, user chat.UserID, after chat.Seq, now time.Time, most int) (int, error) {
	counts, err := s.CountUnreadIn(ctx, user, []chat.UnreadRange{{Thread: thread, After: after, Through: 1 << 20}}, now, most)
	if err != nil {
		return 0, err
	}
	return counts[0], nil
}

// putMark puts a mark with the clock's time and returns it as it should be stored.
func (f *fixture) putMark(m chat.Mark) (stored, prev chat.Mark, moved bool) {
	f.tb.Helper()
	m.At = f.clock.Now()
	prev, moved, err := f.store.PutMark(f.tb.Context(), m)
	if err != nil {
		f.tb.Fatalf("PutMark(%+v): %v", m, err)
	}
	return m, prev, moved
}
