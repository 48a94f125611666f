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
)

// unreadable is a store whose reads of one thread's log fail for a while.
type unreadable struct {
	chat.Store
	thread chat.ThreadID
	fail   atomic.Bool
	after  chat.Seq // reads from this seq on fail
	heads  atomic.Int64
}

var errUnreadable = errors.New("the disk is away")

func (u *unreadable) Events(ctx context.Context, thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) ([]chat.Event, error) {
	if u.fail.Load() && thread == u.thread && after >= u.after {
		return nil, errUnreadable
	}
	return u.Store.Events(ctx, thread, after, through, limit)
}

func (u *unreadable) UserThreads(ctx context.Context, user chat.UserID) ([]chat.UserThread, error) {
	u.heads.Add(1)
	return u.Store.UserThreads(ctx, user)
}

// restart gives the node a new registry, which has cached nothing, on a store.
func (n *node) restart(st chat.Store) {
	n.t.Helper()
	n.sessions.Close(context.Background())
	n.sessions = NewRegistry(Config{Store: st, Bus: local.New(), Chat: n.chat})
}

func TestNothingIsSentPastWhatCannotBeRead(t *testing.T) {
	n := newNode(t, Limits{})
	g, later := n.group("alice", "bob"), n.group("alice", "bob")
	for range 99 {
		n.send(as("alice", "web"), g, "x")
	}
	for range 10 {
		n.send(as("alice", "web"), later, "y")
	}
	st := &unreadable{Store: n.store, thread: g, after: 60}
	st.fail.Store(true)
	n.restart(st)
	bob := n.connect(as("bob", "phone"))
	bob.awaitSeq(g, 60)
	st.fail.Store(false)
	if c := bob.awaitCaughtUp(); c.Replayed != 111 {
		t.Errorf("caught up after %d frames, want 111", c.Replayed)
	}
	frames := bob.awaitSeq(later, 11)
	if got := seqs(frames, g); !slices.Equal(got, oneTo(100)) {
		t.Errorf("got %v, want 1 to 100", got)
	}
}

func TestFailedReadIsRetriedOnceASecondHoweverOftenWoken(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	st := &unreadable{Store: n.store, thread: g}
	st.fail.Store(true)
	n.restart(st)
	bob := n.connect(as("bob", "phone"))
	bob.await("the first try", func([]frame) bool { return st.heads.Load() > 0 || len(bob.frames) > 0 })
	before := st.heads.Load()
	for range 200 {
		bob.Wake()
	}
	st.fail.Store(false)
	bob.awaitSeq(g, 1) // by the retry
	if tries := st.heads.Load() - before; tries > 3 {
		t.Errorf("the heads were read %d times until the retry", tries)
	}
}

func TestSubscriptionCoversOnlyWhatIsSentAfterThePumpTookIt(t *testing.T) {
	n := newNode(t, Limits{})
	old, recent := n.group("alice", "bob"), n.group("alice", "bob")
	n.send(as("alice", "web"), old, "2")
	n.send(as("alice", "web"), recent, "2")
	phone := n.connect(as("bob", "phone"), mqtt, manualAcks)
	phone.subscribe("v1/threads/" + recent.String() + "/frames")
	frames := phone.awaitSeq(recent, 2)
	phone.mu.Lock()
	phone.stall = true // the writer does not run while the next subscription comes
	phone.mu.Unlock()
	phone.subscribe("v1/threads/+/frames")
	phone.ack(frames...)
	phone.disconnect()
	phone = n.connect(as("bob", "phone"))
	if got := seqs(phone.awaitCaughtUpFrames(), old); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("of the thread it was never sent it got %v, want 1 and 2", got)
	}
}

func TestNothingIsSentBeforeTheClientKnowsThatItIsConnected(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	m := n.send(as("alice", "web"), g, "2")
	keep := func(_ *device, p *Params) { p.KeepFor = time.Hour }
	phone := n.connect(as("alice", "phone"), mqtt, keep)
	phone.subscribe("v1/#")
	phone.awaitSeq(g, 2)
	phone.disconnect()

	quiet := &device{n: n}
	quiet.cond = sync.NewCond(&quiet.mu)
	s, err := n.sessions.Open(Params{Caller: as("alice", "phone"), Transport: quiet, KeepFor: time.Hour})
	must(t, err)
	defer s.End()
	must(t, n.chat.MarkRead(t.Context(), as("bob", "web"), g, m.ID))
	b := &batch{n: n}
	s.Fill(b)
	if len(b.frames) > 0 {
		t.Errorf("before Start it was sent %+v", b.frames)
	}
}

func TestTakeoverOfACleanSessionInheritsNothing(t *testing.T) {
	n := newNode(t, Limits{})
	clean := n.connect(as("bob", "phone"), mqtt)
	clean.subscribe("v1/#")
	next := n.connect(as("bob", "phone"), mqtt, func(_ *device, p *Params) { p.KeepFor = time.Hour })
	if next.sess.Resumed() {
		t.Error("a session that was to end with its connection was resumed")
	}
}

// Whoever wins the race for a device, nobody is left behind, and the expiry of
// other people's tokens stints watched.
func TestRacingTakeoversLeaveNothingBehind(t *testing.T) {
	n := newNode(t, Limits{})
	bystander := n.connect(as("carol", "phone"))
	var racing sync.WaitGroup
	for range 8 {
		racing.Go(func() {
			for range 200 {
				d := &device{n: n}
				d.cond = sync.NewCond(&d.mu)
				s, err := n.sessions.Open(Params{
					Caller: as("bob", "phone"), Transport: d, SubscribesAll: true, Pings: true, Expires: time.Now().Add(time.Hour),
				})
				if err != nil {
					t.Error(err)
					return
				}
				s.End()
			}
		})
	}
	racing.Wait()
	h := &n.sessions.beat
	h.mu.Lock()
	defer h.mu.Unlock()
	watched := len(h.expiring)
	for i := range h.slots {
		if left := len(h.slots[i]); left > 0 {
			t.Errorf("%d dead sessions in slot %d of the wheel", left, i)
		}
	}
	if watched != 1 || h.expiring[0] != bystander.sess {
		t.Errorf("%d expiries are watched, want the bystander's alone", watched)
	}
}

// crammed is a store on a full disk, as far as devices' first positions go.
type crammed struct {
	chat.Store
	full  atomic.Bool
	tries atomic.Int64
}

func (c *crammed) BeginPosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) (chat.Position, error) {
	c.tries.Add(1)
	if c.full.Load() {
		return chat.Position{}, fmt.Errorf("begin a position: %w", chat.ErrStoreFull)
	}
	return c.Store.BeginPosition(ctx, user, device, p)
}

// A device that comes for the first time while the disk is full gets all there is. Where it
// started is stored once there is room, whatever another device has acknowledged by then.
func TestFirstConnectOnAFullDisk(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	n.send(as("alice", "web"), g, "2")
	st := &crammed{Store: n.store}
	st.full.Store(true)
	n.restart(st)
	bob := n.connect(as("bob", "phone"), manualAcks)
	if got := seqs(bob.awaitCaughtUpFrames(), g); !slices.Equal(got, []int{1, 2}) {
		t.Fatalf("on a full disk it gets %v, want 1 and 2", got)
	}
	if _, found, err := n.store.Position(t.Context(), "bob", "phone"); found || err != nil {
		t.Fatalf("it has a position: %v, %v", found, err)
	}
	n.eventually("another try", func() bool { return st.tries.Load() > 1 })
	st.full.Store(false)
	n.eventually("its position", func() bool {
		_, found, err := n.store.Position(t.Context(), "bob", "phone")
		return found && err == nil
	})
	bob.disconnect()
	web := n.connect(as("bob", "web"))
	web.awaitCaughtUp()
	web.disconnect()
	n.eventually("what the other device has acknowledged", func() bool {
		marks, err := n.store.Marks(t.Context(), g, []chat.UserID{"bob"})
		return err == nil && marks[0].Delivered.Seq == 2
	})
	if got := seqs(n.connect(as("bob", "phone")).awaitCaughtUpFrames(), g); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("when it comes again it gets %v, want 1 and 2", got)
	}
}
