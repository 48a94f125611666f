package chat_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

// losingBus can lose what is published, and be down.
type losingBus struct {
	chat.Bus
	loses, down atomic.Bool
}

func (b *losingBus) Publish(n chat.Notice) {
	if !b.loses.Load() && !b.down.Load() {
		b.Bus.Publish(n)
	}
}

func (b *losingBus) Ping(ctx context.Context) error {
	if b.down.Load() {
		return errors.New("the bus is down")
	}
	return b.Bus.Ping(ctx)
}

// A state of which the notice was lost, however long the bus was down, or which the store
// stored without an answer, comes to the devices as it is stored then.
func TestStatesAreToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, setup{realClock: true})
		id := w.newGroup("ann", "bob")
		bus, store := &losingBus{Bus: w.bus}, &storedState{Store: w.store}
		s := chat.New(chat.Config{Store: store, Bus: bus})
		defer s.Close(context.Background())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			s.TellStatesAgain(ctx)
			close(ended)
		}()
		pin := func(pinned bool) error {
			_, err := s.SetOwnState(t.Context(), as("ann"), id, chat.StateChange{Pinned: new(pinned)})
			return err
		}
		told := func(what string, pinned bool, revision uint64) {
			t.Helper()
			heard := w.heard.drainStates()
			if len(heard) == 0 {
				t.Fatalf("%s: nothing was told", what)
			}
			for _, n := range heard {
				sameList(t, what, n.Audience, "ann")
				same(t, what, *n.State, chat.ThreadState{Thread: id, Revision: revision, Me: chat.Me{Accepted: true, Pinned: pinned}})
			}
		}
		nothing := func(what string) { t.Helper(); same(t, what, len(w.heard.drainStates()), 0) }

		bus.loses.Store(true)
		must(t, pin(true))
		bus.loses.Store(false)
		nothing("lost")
		time.Sleep(6 * time.Second)
		told("6 s after it was lost", true, 1)

		bus.down.Store(true)
		must(t, pin(false))
		time.Sleep(10 * time.Minute)
		nothing("while the bus is down")
		bus.down.Store(false)
		time.Sleep(6 * time.Second)
		told("once the bus is there", false, 2)

		store.fails = errDisk
		same(t, "the answer", chat.CodeOf(pin(true)), chat.CodeUnavailable)
		nothing("not known to be stored")
		store.fails = nil
		must(t, pin(true)) // changes nothing, so tells nothing
		nothing("stored before")
		time.Sleep(6 * time.Second)
		told("stored without an answer", true, 3)
		time.Sleep(time.Minute)
		w.heard.drainStates()
		time.Sleep(time.Hour)
		nothing("in the end")
		stop()
		<-ended
	})
}

// Who takes back at one node that it has accepted a thread, and sends at another one that did not
// hear of it, has accepted it again by what it sends once 5 s are over.
func TestSendingAcceptsWhereTheTakingBackWasNotHeard(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("ann", "bob")
	bus := &losingBus{Bus: local.New()}
	deaf := chat.New(chat.Config{Store: w.store, Bus: bus, Now: w.clock.Now})
	defer deaf.Close(context.Background())
	sendThere := func() {
		t.Helper()
		_, err := deaf.Send(t.Context(), as("bob"), w.request(id, "hello"))
		must(t, err)
	}
	sendThere()
	same(t, "accepted by sending", w.me("bob", id).Accepted, true)
	sendThere()
	w.change("bob", id, chat.StateChange{Accepted: new(false)})
	w.clock.advance(5 * time.Second)
	sendThere()
	same(t, "accepted by sending later", w.me("bob", id).Accepted, true)
}
