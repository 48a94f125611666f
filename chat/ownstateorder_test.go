package chat_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/parleyhq/parley/chat"
)

// storedState is a store that does something after it has stored a user's state of a thread, or
// fails then.
type storedState struct {
	chat.Store

	then  func()
	fails error
}

func (s *storedState) PutOwnState(ctx context.Context, u chat.UserID, id chat.ThreadID, st chat.OwnState) (bool, error) {
	stored, err := s.Store.PutOwnState(ctx, u, id, st)
	if s.then != nil {
		then := s.then
		s.then = nil
		then()
	}
	if s.fails != nil {
		return false, s.fails
	}
	return stored, err
}

// What the devices are told last of a thread's state is what is stored.
func TestStatesAreToldInTheOrderInWhichTheyAreStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("ann", "bob")
		mark := func(s *chat.Service, unread bool) error {
			_, err := s.SetOwnState(t.Context(), as("ann"), id, chat.StateChange{MarkedUnread: new(unread)})
			return err
		}
		store, second := &storedState{Store: w.store}, make(chan error, 1)
		s := chat.New(chat.Config{Store: store, Bus: w.bus, Now: w.clock.Now})
		defer s.Close(context.Background())
		store.then = func() { // the first is stored and not told yet
			go func() { second <- mark(s, false) }()
			synctest.Wait()
		}
		must(t, mark(s, true))
		must(t, <-second)
		told := w.heard.drainStates()
		same(t, "states told", len(told), 2)
		same(t, "marked as unread, as stored", w.me("ann", id).MarkedUnread, false)
		same(t, "marked as unread, as told last", told[1].State.Me.MarkedUnread, false)
	})
}
