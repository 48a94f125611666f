package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// lateStore is a store behind a network that holds one append back. Its caller is told that
// nobody knows what became of it, and later it comes through.
type lateStore struct {
	chat.Store

	mu    sync.Mutex
	swift bool         // the next append is not held back
	held  []chat.Event // what was
	land  func() error // has it come through
}

var errNoAnswer = errors.New("the store does not answer")

func (s *lateStore) Append(ctx context.Context, head chat.Head, events []chat.Event) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swift {
		return s.Store.Append(ctx, head, events)
	}
	s.swift, s.held = true, slices.Clone(events)
	s.land = func() error {
		_, err := s.Store.Append(context.WithoutCancel(ctx), head, s.held)
		return err
	}
	return 0, errNoAnswer
}

// holdNext has the next append held back.
func (s *lateStore) holdNext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swift = false
}

// lateBy is how much later it comes through: more than the window of replays by time.
const lateBy = 20 * time.Second

// An append comes through 20 s after its sender was told 503. Until then nobody has it and
// nothing of it is DELIVERED. Then a connected device hears of it though nobody sends
// anything else, and devices that have newer messages of other threads get it when they
// connect again, whatever they name as the newest that they have.
func TestAppendThatLandsLateComesToEveryDevice(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			late := &lateStore{swift: true}
			n := newNodeOver(t, store.url(t), Limits{}, 0, func(s chat.Store) chat.Store {
				late.Store = s
				return late
			})
			landsLate(t, n, late)
		})
	}
}

func landsLate(t *testing.T, n *node, late *lateStore) {
	people := []chat.UserID{"live", "named", "silent"}
	slow, quick := n.group("alice", people...), n.group("alice", people...)
	n.send(as("alice", "web"), slow, "before")
	for _, user := range people {
		d := n.connect(as(user, "phone"))
		d.awaitSeq(slow, 2)
		d.awaitSeq(quick, 1)
		d.disconnect()
	}
	live := n.connect(as("live", "phone"), manualAcks)
	live.awaitCaughtUp()

	request := chat.SendRequest{Thread: slow, IdempotencyKey: "late", ClientSeq: 1_000_000, Ciphertext: []byte("late")}
	late.holdNext()
	_, err := n.chat.Send(t.Context(), as("alice", "web"), request)
	if chat.CodeOf(err) != chat.CodeUnavailable || !errors.Is(err, errNoAnswer) {
		t.Fatalf("the send that nobody knows of: %v", err)
	}
	landing := time.After(lateBy)
	var newest chat.Event
	held := late.held[0]
	for i := 0; i < 3 || newest.ID.Compare(held.ID) <= 0; i++ { // minted after it, and stored before
		newest = n.send(as("alice", "web"), quick, fmt.Sprint("meanwhile ", i))
	}
	for _, user := range people[1:] {
		d := n.connect(as(user, "phone"))
		d.awaitSeq(quick, newest.Seq)
		d.disconnect()
	}
	<-landing
	if got := seqs(live.awaitSeq(quick, newest.Seq), slow); len(got) > 0 {
		t.Errorf("events %v came before they were stored", got)
	}

	landed := time.Now()
	if err := late.land(); err != nil {
		t.Fatal(err)
	}
	live.awaitSeq(slow, held.Seq)
	t.Logf("the connected device had it %v after it landed", time.Since(landed).Round(time.Millisecond))
	for _, user := range people {
		if got := n.stateFor(held, user); got != chat.StateSent {
			t.Errorf("it is %s to %s, of whom no device has acknowledged it", got, user)
		}
	}
	again, err := n.chat.Send(t.Context(), as("alice", "web"), request)
	if err != nil || again.Outcome != chat.Replayed || again.Event.ID != held.ID {
		t.Errorf("the retry: %+v, %v; want %s again", again, err, held.ID)
	}

	live.release()
	devices := map[chat.UserID]*device{
		"live":   live,
		"named":  n.connect(as("named", "phone"), lastSeen(newest.ID)),
		"silent": n.connect(as("silent", "phone")),
	}
	for user, d := range devices {
		if got := seqs(d.awaitSeq(slow, held.Seq), slow); !slices.Equal(got, []int{int(held.Seq)}) && user != "named" {
			t.Errorf("%s got events %v of the thread, want %d once", user, got, held.Seq)
		}
		n.eventually("DELIVERED to "+string(user), func() bool { return n.stateFor(held, user) == chat.StateDelivered })
		d.disconnect()
		d = n.connect(as(user, "phone"))
		if c := d.awaitCaughtUp(); c.Replayed != 0 {
			t.Errorf("%s is told %d events again", user, c.Replayed)
		}
		d.disconnect()
	}
}
