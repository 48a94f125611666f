package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store"
)

// The clock is set, by seconds or by a month, forward or back, while the server runs or
// while it is down. Whatever a device was doing then, it gets what was sent before and
// after, once each and in order, and nothing is DELIVERED before a device has
// acknowledged it.
func TestSteppedClocksLoseNothing(t *testing.T) {
	t.Parallel()
	forEachStep(t, steppedClock)
}

// forEachStep runs a test for each step of the clock on each store.
func forEachStep(t *testing.T, test func(t *testing.T, url string, by time.Duration, restart bool)) {
	for i, step := range []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, time.Hour, 30 * 24 * time.Hour} {
		for j, by := range []time.Duration{step, -step} {
			for k, restart := range []bool{false, true} {
				for _, store := range stores {
					// The test server of MongoDB runs one command at a time: half of the table is for it.
					if store.name == "mongodb" && (i+j+k)%2 == 1 {
						continue
					}
					t.Run(fmt.Sprintf("%s, by %v, restart %v", store.name, by, restart), func(t *testing.T) {
						t.Parallel()
						test(t, store.url(t), by, restart)
					})
				}
			}
		}
	}
}

func steppedClock(t *testing.T, url string, by time.Duration, restart bool) {
	n := newNodeOn(t, url, Limits{}, -by) // so that the step is to the true time
	people := []chat.UserID{"connected", "away", "fresh", "named", "renamed"}
	before, after := n.group("alice", people...), n.group("alice", people...)
	first := n.send(as("alice", "web"), before, "before the step")
	for _, user := range people { // each has one device that has everything
		d := n.connect(as(user, "phone"))
		d.awaitSeq(before, first.Seq)
		d.awaitSeq(after, 1)
		d.disconnect()
	}
	var connected *device
	if !restart {
		connected = n.connect(as("connected", "phone"), manualAcks)
		connected.awaitCaughtUp()
		n.pass(by)
	} else {
		n.stop()
		n = newNodeOn(t, url, Limits{}, 0)
		connected = n.connect(as("connected", "phone"), manualAcks)
		connected.awaitCaughtUp()
	}

	var sent []chat.Event
	var texts []string
	for _, thread := range []chat.ThreadID{after, after, before, after} {
		text := fmt.Sprint("after the step ", len(sent))
		sent, texts = append(sent, n.send(as("alice", "web"), thread, text)), append(texts, text)
	}
	for _, m := range sent {
		for _, user := range people {
			if got := n.stateFor(m, user); got != chat.StateSent {
				t.Errorf("%s is %s to %s before a device has it", m.Message.Ciphertext, got, user)
			}
		}
	}
	devices := map[chat.UserID]*device{
		"connected": connected,
		"away":      n.connect(as("away", "phone"), manualAcks),
		"fresh":     n.connect(as("fresh", "tablet"), manualAcks),
		// What the client names cannot take it past what it has not acknowledged.
		"named":   n.connect(as("named", "phone"), manualAcks, lastSeen(first.ID)),
		"renamed": n.connect(as("renamed", "phone"), manualAcks, lastSeen(sent[len(sent)-1].ID)),
	}
	for user, d := range devices {
		frames := d.await("the last message to "+string(user), func(frames []frame) bool { return len(newTexts(frames)) >= len(texts) })
		if got := newTexts(frames); !slices.Equal(sortedTexts(got), texts) {
			t.Errorf("%s got %q, want %q", user, got, texts)
		}
		for _, thread := range []chat.ThreadID{before, after} {
			if got := seqs(frames, thread); !slices.IsSorted(got) {
				t.Errorf("%s got events %v of a thread, which are not in order", user, got)
			}
		}
		d.release()
		for _, m := range sent {
			n.eventually(fmt.Sprintf("DELIVERED of %s to %s", m.Message.Ciphertext, user), func() bool { return n.stateFor(m, user) == chat.StateDelivered })
		}
		d.disconnect()
	}
	for user := range devices { // all of it is behind the positions
		device := chat.DeviceID("phone")
		if user == "fresh" {
			device = "tablet"
		}
		d := n.connect(as(user, device))
		if c := d.awaitCaughtUp(); c.Replayed != 0 {
			t.Errorf("%s is told %d events again", user, c.Replayed)
		}
		d.disconnect()
	}
}

// Over a step of the clock, what is counted by it stays exact: when a message was sent, how long
// it is there and may be edited, when a participant joined, and for how long the key of a
// message is remembered. What was sent before is not stored twice, remembered or not.
func TestTimesAreExactOverASteppedClock(t *testing.T) {
	t.Parallel()
	forEachStep(t, exactTimes)
}

// stillClock stands where a test sets it.
type stillClock struct{ at atomic.Int64 }

func (c *stillClock) now() time.Time       { return time.UnixMilli(c.at.Load()).UTC() }
func (c *stillClock) set(to time.Time)     { c.at.Store(to.UnixMilli()) }
func (c *stillClock) step(d time.Duration) { c.set(c.now().Add(d)) }

// serveBy serves the store of a URL by a clock.
func serveBy(t *testing.T, url string, c *stillClock) (service *chat.Service, stop func()) {
	t.Helper()
	st, err := store.Open(t.Context(), url, store.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	newest, err := st.NewestID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bus := local.New()
	service = chat.New(chat.Config{Store: st, Bus: bus, Now: c.now, Newest: newest})
	stop = sync.OnceFunc(func() {
		service.Close(context.Background())
		if err := errors.Join(bus.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return service, stop
}

func exactTimes(t *testing.T, url string, by time.Duration, restart bool) {
	const ttl, editWindow, keyWindow = time.Hour, 15 * time.Minute, 24 * time.Hour
	clock := new(stillClock)
	clock.set(time.Now())
	clock.step(-by) // so that the step is to the true time
	s, stop := serveBy(t, url, clock)
	alice := as("alice", "web")
	thread, _, err := s.CreateThread(t.Context(), alice, chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	request := func(n int, ttl time.Duration) chat.SendRequest {
		return chat.SendRequest{Thread: thread.ID, IdempotencyKey: fmt.Sprint("k", n), ClientSeq: int64(n), Ciphertext: []byte("text"), TTL: ttl}
	}
	send := func(n int, ttl time.Duration) chat.SendResult {
		t.Helper()
		r, err := s.Send(t.Context(), alice, request(n, ttl))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	edit := func(m chat.Event) bool {
		t.Helper()
		_, err := s.Edit(t.Context(), alice, m.ID, chat.EditRequest{Ciphertext: []byte("edited")})
		if err != nil && chat.CodeOf(err) != chat.CodeEditWindowClosed {
			t.Fatal(err)
		}
		return err == nil
	}
	before := []chat.Event{send(1, 0).Event, send(2, ttl).Event}

	clock.step(by)
	if restart {
		stop()
		s, _ = serveBy(t, url, clock)
	}
	now := clock.now()
	carol, _, err := s.AddParticipant(t.Context(), alice, thread.ID, "carol")
	if err != nil || !carol.JoinedAt.Equal(now) {
		t.Errorf("carol joined at %v (%v), want %v", carol.JoinedAt, err, now)
	}
	outcome := chat.Replayed
	if by > keyWindow {
		outcome = chat.ClientSeqTaken
	}
	if again := send(1, 0); again.Event.ID != before[0].ID || again.Outcome != outcome || again.Differs {
		t.Errorf("the retry: %+v, want %s again, outcome %v", again, before[0].ID, outcome)
	}
	if got, want := edit(before[0]), by <= editWindow; got != want {
		t.Errorf("what was sent before the step is edited: %v, want %v", got, want)
	}
	after := []chat.Event{send(3, 0).Event, send(4, ttl).Event}
	for _, m := range after {
		if !m.At.Equal(now) {
			t.Errorf("sent at %v, want %v", m.At, now)
		}
	}
	for _, m := range []chat.Event{before[1], after[1]} {
		if want := m.At.Add(ttl); !m.Message.ExpiresAt.Equal(want) {
			t.Errorf("sent at %v it expires at %v, want %v", m.At, m.Message.ExpiresAt, want)
		}
	}
	clock.set(now.Add(editWindow))
	if !edit(after[0]) {
		t.Error("at the end of its window a message cannot be edited")
	}
	clock.step(time.Millisecond)
	if edit(after[0]) {
		t.Error("a message is edited after its window")
	}
	expiring := []chat.Event{before[1], after[1]}
	slices.SortFunc(expiring, func(a, b chat.Event) int { return a.Message.ExpiresAt.Compare(b.Message.ExpiresAt) })
	for _, m := range expiring {
		for _, early := range []time.Duration{time.Millisecond, 0} {
			clock.set(m.Message.ExpiresAt.Add(-early))
			if err := s.ExpireDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := s.Message(t.Context(), alice, m.ID)
			if err != nil || (got.Message.Deleted == "") != (early > 0) {
				t.Errorf("sent at %v for %v, at %v it is %q (%v)", m.At, ttl, clock.now(), got.Message.Deleted, err)
			}
		}
	}
	page, err := s.History(t.Context(), alice, thread.ID, chat.PageRequest{})
	if err != nil || len(page.Messages) != 4 {
		t.Errorf("%d messages are stored (%v), want 4", len(page.Messages), err)
	}
}

// Two nodes of one store have clocks that differ by nearly ten seconds. A device that comes
// and goes between their messages gets all of them, whichever node has stored them.
func TestSkewedNodesLoseNothing(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			skewedNodes(t, store.url(t))
		})
	}
}

func skewedNodes(t *testing.T, url string) {
	n := newNodeOn(t, url, Limits{}, 4900*time.Millisecond)
	behind := &node{t: t, store: n.store, bus: n.bus}
	behind.pass(-4900 * time.Millisecond)
	behind.chat = chat.New(chat.Config{Store: n.store, Bus: n.bus, Now: behind.now})
	t.Cleanup(func() { behind.chat.Close(context.Background()) })
	behind.keys = 1_000_000 // its own

	threads := []chat.ThreadID{n.group("alice", "bob"), n.group("alice", "bob"), n.group("alice", "bob")}
	var texts, got []string
	for round := range 12 {
		for i, by := range []*node{n, behind, n, behind} {
			text := fmt.Sprintf("%02d-%d", round, i)
			by.send(as("alice", "web"), threads[(round+i)%len(threads)], text)
			texts = append(texts, text)
		}
		d := n.connect(as("bob", "phone"))
		d.awaitCaughtUp()
		got = append(got, newTexts(d.await("caught_up", func([]frame) bool { return true }))...)
		d.disconnect()
	}
	if !slices.Equal(sortedTexts(got), texts) {
		t.Errorf("bob got %q, want %q", sortedTexts(got), texts)
	}
}

// newTexts are the messages of frames that were sent after the step.
func newTexts(frames []frame) (texts []string) {
	for _, f := range frames {
		if text := string(f.Ciphertext); f.T == "msg" && text != "before the step" {
			texts = append(texts, text)
		}
	}
	return texts
}

func sortedTexts(texts []string) []string {
	texts = slices.Clone(texts)
	slices.Sort(texts)
	return texts
}

// stateFor is where a user stands with a message.
func (n *node) stateFor(m chat.Event, user chat.UserID) chat.RecipientState {
	n.t.Helper()
	receipts, err := n.chat.Receipts(n.t.Context(), as("alice", "web"), m.ID)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, r := range receipts {
		if r.User == user {
			return r.State
		}
	}
	n.t.Fatalf("%s is no recipient of %s", user, m.ID)
	return ""
}
