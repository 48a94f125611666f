package chat_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// An append that comes through long after its caller got an error is told then, though
// nobody sends anything else.
func TestAppendThatLandsLateIsTold(t *testing.T) {
	for _, late := range []time.Duration{0, 500 * time.Millisecond, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			id := w.newGroup("alice", "bob")
			w.heard.drain()
			var landing func()
			heal := w.store.failAppends(func(_ context.Context, events []chat.Event, commit appendCall) (int, error) {
				landing = func() {
					_, err := commit(context.Background(), events)
					must(t, err)
				}
				return 0, errDisk
			})
			_, err := w.Send(t.Context(), as("alice"), w.request(id, "late"))
			unavailable(t, err, errDisk)
			heal()
			time.Sleep(late)
			synctest.Wait()
			w.heard.nothing(t)
			landing()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			n := w.heard.one(t)
			same(t, "told", string(n.Event.Message.Ciphertext), "late")
			sameList(t, "audience", n.Audience, "alice", "bob")

			w.send("bob", id, "next")
			same(t, "what comes next is told alone", string(w.heard.one(t).Event.Message.Ciphertext), "next")
			time.Sleep(time.Minute)
			synctest.Wait()
			w.heard.nothing(t)
		})
	}
}

// A doubt ends when something else has taken the place in the log: nothing is told twice.
func TestDoubtEndsWithTheNextEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice", "bob")
		w.heard.drain()
		heal := w.store.failAppends(func(context.Context, []chat.Event, appendCall) (int, error) { return 0, errDisk })
		_, err := w.Send(t.Context(), as("alice"), w.request(id, "lost"))
		unavailable(t, err, errDisk)
		heal()
		w.send("bob", id, "instead")
		same(t, "told", string(w.heard.one(t).Event.Message.Ciphertext), "instead")
		time.Sleep(time.Minute)
		synctest.Wait()
		w.heard.nothing(t)
	})
}

func TestCreationThatLandsLateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.heard.drain()
		late := &lateCreations{Store: w.store}
		s := chat.New(chat.Config{Store: late, Bus: w.bus, Now: w.clock.Now})
		defer s.Close(context.Background())
		_, _, err := s.CreateThread(t.Context(), as("alice"), chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"bob"}})
		unavailable(t, err, errDisk)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		w.heard.nothing(t)
		must(t, w.store.CreateThread(t.Context(), late.created))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		n := w.heard.one(t)
		same(t, "told", n.Event.ID, late.created.ID)
		sameList(t, "audience", n.Audience, "alice", "bob")
	})
}

// lateCreations is a store that does not answer when a thread is created.
type lateCreations struct {
	chat.Store

	created chat.Event
}

func (s *lateCreations) CreateThread(_ context.Context, created chat.Event) error {
	s.created = created
	return errors.Join(errDisk)
}
