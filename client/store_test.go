package client_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/test/process"
)

// alone reports calls that come while another one is under way.
type alone struct {
	*client.MemoryStore
	inside atomic.Int32
	twice  atomic.Bool
	stays  atomic.Bool   // the next call of SavePosition does
	inSave chan struct{} // closed when the one that stays is inside
	put    chan struct{} // told of calls of PutOutgoing
}

func (s *alone) SavePosition(ctx context.Context, thread string, seq uint64) error {
	s.enter()
	defer s.inside.Add(-1)
	if s.stays.CompareAndSwap(true, false) {
		close(s.inSave)
		select { // a call that comes beside this one finds it here
		case <-s.put:
		case <-time.After(100 * time.Millisecond):
		}
	}
	return s.MemoryStore.SavePosition(ctx, thread, seq)
}

func (s *alone) PutOutgoing(ctx context.Context, item client.Outgoing) error {
	s.enter()
	defer s.inside.Add(-1)
	select {
	case s.put <- struct{}{}:
	default:
	}
	return s.MemoryStore.PutOutgoing(ctx, item)
}

func (s *alone) enter() {
	if s.inside.Add(1) > 1 {
		s.twice.Store(true)
	}
}

// A Store is called by one goroutine at a time, though one sends while events come.
func TestAStoreIsCalledOnceAtATime(t *testing.T) {
	s := process.Start(t)
	store := &alone{MemoryStore: client.NewMemoryStore(), inSave: make(chan struct{}), put: make(chan struct{})}
	ann := join(t, s, "ann", client.JSON{}, func(o *client.Options) { o.Store = store })
	thread := ann.create(t, client.OneToOne, "bob")
	store.stays.Store(true)
	ann.say(t, thread, "one")
	<-store.inSave
	ann.say(t, thread, "two")
	ann.flush(t)
	if store.twice.Load() {
		t.Error("two calls of the store were under way at once")
	}
}

// A page of the log may hold nothing but hidden events: what is behind it comes all the same.
func TestAPageOfHiddenEventsIsPassed(t *testing.T) {
	s := process.Start(t, "--rate-send=0")
	ann, bob := join(t, s, "ann", client.JSON{}), join(t, s, "bob", client.JSON{})
	thread := ann.create(t, client.OneToOne, "bob")
	bob.await(t, "the thread", func(events, _ []client.Frame) bool { return len(events) == 1 })
	if err := bob.API.Block(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	for i := range 120 { // a page has 100
		ann.say(t, thread, strconv.Itoa(i))
	}
	ann.flush(t)
	bob.say(t, thread, "and you?")
	bob.flush(t)
	bob.await(t, "its own message", func(events, _ []client.Frame) bool { return len(texts(events, thread)) == 1 })
}
