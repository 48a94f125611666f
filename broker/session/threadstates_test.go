package session

import (
	"sync"
	"testing"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// slowBus keeps what a node publishes of own states back until it is told to go on.
type slowBus struct {
	chat.Bus
	mu   sync.Mutex
	slow bool
	kept []chat.Notice
}

func (b *slowBus) Publish(n chat.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.slow && n.State != nil {
		b.kept = append(b.kept, n)
		return
	}
	b.Bus.Publish(n)
}

func (b *slowBus) setSlow(slow bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slow = slow
	for _, n := range b.kept {
		b.Bus.Publish(n)
	}
	b.kept = nil
}

func (*slowBus) Close() error { return nil }

// change changes what a user keeps of a thread.
func (n *node) change(user chat.UserID, thread chat.ThreadID, change chat.StateChange) {
	n.t.Helper()
	if _, err := n.chat.SetOwnState(n.t.Context(), as(user, "rest"), thread, change); err != nil {
		n.t.Fatal(err)
	}
}

// states lists the frames about a thread's own state, once one about another thread has come
// behind them.
func (d *device) states(thread, behind chat.ThreadID) (states []ownState) {
	d.n.t.Helper()
	d.awaitFrame(contracts.FrameThreadState, func(f frame) bool { return f.Thread == behind.String() })
	for _, f := range d.all() {
		if f.T == contracts.FrameThreadState && f.Thread == thread.String() {
			states = append(states, *f.Me)
		}
	}
	return states
}

// Two nodes change what a user keeps of a thread at once, and their notices come the other way
// round: no device ends with the older.
func TestTheLastStateThatDevicesAreToldIsTheStored(t *testing.T) {
	bus, url := local.New(), newDatabase(t)
	t.Cleanup(func() { _ = bus.Close() })
	slow := &slowBus{Bus: bus}
	unchanged := func(s chat.Store) chat.Store { return s }
	a := newNodeAmong(t, url, slow, Limits{}, 0, unchanged)
	b := newNodeAmong(t, url, &slowBus{Bus: bus}, Limits{}, 0, unchanged)
	thread, other := a.group("ann", "bob"), a.group("ann", "bob")
	devices := []*device{a.connect(as("ann", "phone")), b.connect(as("ann", "tablet"))}
	for _, d := range devices {
		d.awaitCaughtUp()
	}
	slow.setSlow(true)
	a.change("ann", thread, chat.StateChange{Pinned: new(true)}) // stored first
	b.change("ann", thread, chat.StateChange{MarkedUnread: new(true), Pinned: new(false)})
	slow.setSlow(false) // told last
	b.change("ann", other, chat.StateChange{Pinned: new(true)})
	for _, d := range devices {
		if states := d.states(thread, other); len(states) != 1 || states[0] != (ownState{MarkedUnread: true}) {
			t.Errorf("%s was told %+v, want what is stored, once", d.sess.device, states)
		}
	}
	a.change("ann", thread, chat.StateChange{Pinned: new(true)})
	b.change("ann", other, chat.StateChange{Pinned: new(false)})
	for _, d := range devices {
		d.awaitFrame(contracts.FrameThreadState, func(f frame) bool { return f.Thread == other.String() && !f.Me.Pinned })
		if states := d.states(thread, other); len(states) != 2 || states[1] != (ownState{MarkedUnread: true, Pinned: true}) {
			t.Errorf("%s was told %+v in the end", d.sess.device, states)
		}
	}
}
