package chat_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/parleyhq/parley/chat"
)

// fold gives a message with all that was published about it folded in.
func fold(m chat.Event, notices []chat.Notice) chat.Message {
	var about []chat.Event
	for _, n := range notices {
		if n.Event != nil && n.Event.ChangesMessage() && n.Event.Target.ID == m.ID {
			about = append(about, *n.Event)
		}
	}
	slices.SortFunc(about, func(a, b chat.Event) int { return int(a.Seq) - int(b.Seq) })
	now := *m.Message
	for _, e := range about {
		now = now.Apply(e)
	}
	return now
}

// Many change one message at once on two nodes: it ends as its log says.
func TestManyChangeOneMessageAtOnce(t *testing.T) {
	for _, deleting := range []bool{false, true} {
		t.Run(fmt.Sprintf("deleting: %v", deleting), func(t *testing.T) {
			w := newWorld(t)
			id := w.newGroup("alice", people(7)...)
			m, other := w.send("alice", id, "hello"), w.send("alice", id, "another")
			second := chat.New(chat.Config{Store: w.store, Bus: w.bus, Now: w.clock.Now})
			defer second.Close(t.Context())
			w.heard.drain()
			var wg sync.WaitGroup
			for i := range 32 {
				node := []*chat.Service{w.Service, second}[i%2]
				user := chat.UserID(fmt.Sprintf("user-%d", i%7))
				wg.Go(func() {
					for n := range 8 {
						if err := oneChange(t, node, user, m, i*8+n, deleting); err != nil && (!deleting || chat.CodeOf(err) != chat.CodeMessageDeleted) {
							t.Errorf("change %d of %d: %v", n, i, err)
						}
						if _, err := node.React(t.Context(), as(user), other.ID, strconv.Itoa(n)); err != nil {
							t.Errorf("reaction %d of %d: %v", n, i, err)
						}
					}
				})
			}
			wg.Wait()
			log, notices := w.soundLog(id), w.heard.drain()
			same(t, "every event was told once", len(notices), len(log)-3)
			for _, m := range []chat.Event{m, other} {
				if got, want := *w.message("alice", m).Message, fold(m, notices); !reflect.DeepEqual(got, want) {
					t.Errorf("the message is %+v, its log makes it %+v", got, want)
				}
			}
			same(t, "deleted", w.message("alice", m).Message.Deleted != "", deleting)
		})
	}
}

// oneChange does one of several things to a message, by chance. With deleting, the last
// of the 256 changes deletes it, if no earlier one did.
func oneChange(t *testing.T, s *chat.Service, user chat.UserID, m chat.Event, n int, deleting bool) error {
	emoji := strconv.Itoa(n % 5)
	switch chance := rand.IntN(100); {
	case deleting && (n == 255 || chance == 99):
		return s.Delete(t.Context(), as("alice"), m.ID)
	case chance < 40:
		_, err := s.React(t.Context(), as(user), m.ID, emoji)
		return err
	case chance < 70:
		return s.Unreact(t.Context(), as(user), m.ID, emoji)
	case chance < 99:
		_, err := s.Edit(t.Context(), as("alice"), m.ID, chat.EditRequest{Ciphertext: []byte(strconv.Itoa(n))})
		return err
	}
	return nil
}

// held holds up the first append of a thread until release is called, and
// records the batches of all.
type held struct {
	release func()
	mu      sync.Mutex
	batches [][]string
}

func (w *world) hold() *held {
	gate := make(chan struct{})
	h := &held{release: func() { close(gate) }}
	w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		<-gate
		h.mu.Lock()
		h.batches = append(h.batches, briefs(events))
		h.mu.Unlock()
		return commit(ctx, events)
	})
	return h
}

// inOrder starts calls one after the other, each once the one before is queued,
// and gives their answers.
func inOrder(calls ...func() error) []chan error {
	answers := make([]chan error, len(calls))
	for i, call := range calls {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- call() }()
		synctest.Wait()
	}
	return answers
}

// calls are use cases by alice, to be queued.
type calls struct{ w *world }

func (c calls) send(id chat.ThreadID) func() error {
	return func() error {
		_, err := c.w.Send(context.Background(), as("alice"), c.w.request(id, "a message"))
		return err
	}
}

func (c calls) edit(m chat.Event) func() error {
	return func() error {
		_, err := c.w.Edit(context.Background(), as("alice"), m.ID, chat.EditRequest{Ciphertext: []byte("edited")})
		return err
	}
}

func (c calls) react(m chat.Event) func() error {
	return func() error {
		_, err := c.w.React(context.Background(), as("alice"), m.ID, "👍")
		return err
	}
}

func (c calls) pin(m chat.Event) func() error {
	return func() error {
		_, _, err := c.w.Pin(context.Background(), as("alice"), m.Thread, m.ID)
		return err
	}
}

func (c calls) erase(m chat.Event) func() error {
	return func() error { return c.w.Delete(context.Background(), as("alice"), m.ID) }
}

func TestTwoOperationsOnOneMessageShareNoBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice", "bob")
		m := w.sendMany("alice", id, 3) // 2, 3, 4
		h, do := w.hold(), calls{w}
		answers := inOrder(
			do.send(id),                               // a batch of its own, which holds up the rest
			do.edit(m[0]), do.edit(m[1]), do.send(id), // until the first comes again
			do.react(m[0]), do.react(m[1]), // likewise
			do.react(m[0]), do.pin(m[1]), do.send(id), // the first is no change
			do.erase(m[1]), do.edit(m[2]), // a deletion
			do.edit(m[1]), do.edit(m[0]), do.pin(m[2])) // and what comes too late
		h.release()
		for i, answer := range answers {
			if err := <-answer; i == 11 {
				refused(t, err, chat.CodeMessageDeleted)
			} else {
				must(t, err)
			}
		}
		want := [][]string{
			{"5 msg"},
			{"6 edit of 2", "7 edit of 3", "8 msg"},
			{"9 reaction of 2", "10 reaction of 3"},
			{"11 pinned of 3", "12 msg"},
			{"13 del of 3", "14 edit of 4"},
			{"15 edit of 2", "16 pinned of 4"},
		}
		if !reflect.DeepEqual(h.batches, want) {
			t.Errorf("batches %q, want %q", h.batches, want)
		}
		w.soundLog(id)
	})
}

func TestReadThatFailsInAnOperationHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newPair("alice", "bob")
		m := w.sendMany("alice", id, 3)
		w.heard.drain()
		h, do := w.hold(), calls{w}
		answers := inOrder(do.send(id), do.edit(m[0]), do.edit(m[1]), do.send(id), do.send(id), do.react(m[2]))
		fault := func(of chat.MessageID) error {
			if of == m[1].ID {
				return errDisk
			}
			return nil
		}
		w.store.onMessage.Store(&fault)
		asked := 0
		second := func() error { // of the batch; the first of all was decided before it was held
			if asked++; asked == 4 { // behind those of the edit and of the send
				return errDisk
			}
			return nil
		}
		w.store.onBlocked.Store(&second)
		h.release()
		for i, answer := range answers {
			if err := <-answer; i == 2 || i == 4 {
				unavailable(t, err, errDisk)
			} else {
				must(t, err)
			}
		}
		sameList(t, "told", told(w.heard.drain()), "5 msg", "6 edit of 2", "7 msg", "8 reaction of 4")
		w.store.onMessage.Store(nil)
		w.store.onBlocked.Store(nil)
		same(t, "the message that could not be read", string(w.message("bob", m[1]).Message.Ciphertext), "message 2")
		must(t, do.edit(m[1])())
		must(t, do.send(id)())
		w.soundLog(id)
	})
}

func TestChangeOfAMessageFails(t *testing.T) {
	for name, use := range map[string]struct {
		call   func(calls, chat.Event) func() error
		event  string
		repeat bool // the retry makes another event, since it cannot know
	}{
		"edit":   {calls.edit, "edit", true},
		"react":  {calls.react, "reaction", false},
		"pin":    {calls.pin, "pinned", false},
		"delete": {calls.erase, "del", false},
	} {
		t.Run(name+" before it is stored", func(t *testing.T) {
			w := newWorld(t)
			m := w.send("alice", w.newGroup("alice", "bob"), "hello")
			w.heard.drain()
			heal := w.store.failAppends(func(context.Context, []chat.Event, appendCall) (int, error) { return 0, errDisk })
			unavailable(t, use.call(calls{w}, m)(), errDisk)
			w.heard.nothing(t)
			heal()
			must(t, use.call(calls{w}, m)())
			sameList(t, "told", told(w.heard.drain()), fmt.Sprintf("3 %s of 2", use.event))
			w.soundLog(m.Thread)
		})
		t.Run(name+" after it is stored", func(t *testing.T) {
			w := newWorld(t)
			m := w.send("alice", w.newGroup("alice", "bob"), "hello")
			w.heard.drain()
			heal := w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
				_, err := commit(ctx, events)
				return 0, errors.Join(err, errDisk)
			})
			unavailable(t, use.call(calls{w}, m)(), errDisk)
			w.heard.nothing(t)
			heal()
			must(t, use.call(calls{w}, m)()) // finds it done, and what is stored is told
			want := []string{fmt.Sprintf("3 %s of 2", use.event)}
			if use.repeat {
				want = append(want, "4 edit of 2")
			}
			sameList(t, "told", told(w.heard.drain()), want...)
			same(t, "events", len(w.soundLog(m.Thread)), 2+len(want))
		})
	}
}

// An operation that lost the race for its seq decides anew, on the message as the
// winner left it.
func TestOperationThatLostTheRaceDecidesAnew(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	other := w.anotherNode(t, w.clock.Now)
	w.heard.drain()
	var heal func()
	heal = w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		heal()
		must(t, other.Delete(ctx, as("alice"), m.ID))
		return commit(ctx, events)
	})
	_, err := w.React(t.Context(), as("bob"), m.ID, "👍")
	refused(t, err, chat.CodeMessageDeleted)
	w.heard.nothing(t)
	sameList(t, "the log", briefs(w.soundLog(id)), "1 created", "2 msg", "3 del of 2")

	m = w.send("alice", id, "pinned twice at once")
	heal = w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		heal()
		_, _, err := other.Pin(ctx, as("alice"), id, m.ID)
		must(t, err)
		return commit(ctx, events)
	})
	_, added, err := w.Pin(t.Context(), as("bob"), id, m.ID)
	must(t, err)
	same(t, "added by the loser", added, false)
	same(t, "newest event", brief(w.soundLog(id)[4]), "5 pinned of 4")

	m = w.send("alice", id, "again")
	heal = w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		heal()
		must(t, other.RemoveParticipant(ctx, as("alice"), id, "bob"))
		return commit(ctx, events)
	})
	_, err = w.React(t.Context(), as("bob"), m.ID, "👍")
	refused(t, err, chat.CodeNotAParticipant)
}

// The edit window must be open when the operation decides, not only when it is queued.
func TestOperationThatWaitsPastTheEditWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice")
		m := w.send("alice", id, "hello")
		h, do := w.hold(), calls{w}
		answers := inOrder(do.send(id), do.edit(m))
		w.clock.advance(w.Limits().EditWindow + 1e6)
		h.release()
		must(t, <-answers[0])
		refused(t, <-answers[1], chat.CodeEditWindowClosed)
	})
}
