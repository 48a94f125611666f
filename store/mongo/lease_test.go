package mongo

import (
	"context"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

// sweeper is a node that sweeps when it has the lease.
type sweeper struct {
	*chat.Service
	lease *chat.Lease
	uri   string
}

// newSweepers makes nodes on one database, each with a store of its own.
func newSweepers(t *testing.T, n int, clock *storetest.Clock) []sweeper {
	server := mongod.Shared(t)
	uri := server.URI()
	nodes := make([]sweeper, n)
	for i := range nodes {
		s := open(t, server, uri, Options{Now: clock.Now})
		lease := chat.NewLease(s, "sweeps", chat.NodeID(i+1), clock.Now)
		nodes[i] = sweeper{chat.New(chat.Config{Store: s, Bus: silent{}, Now: clock.Now, Sweeps: lease}), lease, uri}
		t.Cleanup(func() { nodes[i].Close(context.Background()) })
	}
	return nodes
}

// holders have all nodes look, in turn, and lists those that hold the lease then.
func holders(t *testing.T, nodes ...sweeper) (held []int) {
	t.Helper()
	for i, n := range nodes {
		if err := n.lease.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n.lease.Held() {
			held = append(held, i)
		}
	}
	return held
}

func only(t *testing.T, want int, got []int) {
	t.Helper()
	if len(got) != 1 || got[0] != want {
		t.Fatalf("%v hold the lease, want %d alone", got, want)
	}
}

// One node holds the lease as long as it renews it. If it does not for the term, another takes
// it; if it leaves it, at once.
func TestLease(t *testing.T) {
	clock := storetest.NewClock()
	nodes := newSweepers(t, 2, clock)
	for range 20 {
		only(t, 0, holders(t, nodes...))
		clock.Advance(time.Second)
	}
	only(t, 0, holders(t, nodes...))
	// The holder dies. The other saw its last turn a moment ago.
	clock.Advance(chat.LeaseTerm - time.Millisecond)
	if got := holders(t, nodes[1]); len(got) > 0 {
		t.Fatal("the lease was taken before its term was over")
	}
	clock.Advance(time.Millisecond)
	only(t, 0, holders(t, nodes[1]))
	// The first one was only slow, and finds that out.
	if !nodes[0].lease.Held() {
		t.Fatal("a node knows that it lost the lease without looking")
	}
	if got := holders(t, nodes[0]); len(got) > 0 {
		t.Fatal("two nodes hold the lease, and both have looked")
	}
	if err := nodes[1].lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	only(t, 0, holders(t, nodes...))
	if err := nodes[1].lease.Release(t.Context()); err != nil { // it holds none
		t.Fatal(err)
	}
	only(t, 0, holders(t, nodes...))
}

// Of several nodes that take a lease at once one gets it.
func TestLeaseIsTakenOnce(t *testing.T) {
	clock := storetest.NewClock()
	nodes := newSweepers(t, 4, clock)
	for round := range 3 {
		done := make(chan error)
		for _, n := range nodes {
			go func() { done <- n.lease.Keep(t.Context()) }()
		}
		for range nodes {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		held := 0
		for _, n := range nodes {
			if n.lease.Held() {
				held++
			}
		}
		if held != 1 {
			t.Fatalf("round %d: %d nodes hold the lease", round, held)
		}
		for _, n := range nodes {
			if err := n.lease.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Only the node with the lease looks for expired messages. When it has died the other one
// does, and finds what expired meanwhile. Two that sweep at once do it once.
func TestExpiryByALease(t *testing.T) {
	clock := storetest.NewClock()
	nodes := newSweepers(t, 2, clock)
	one, two := nodes[0], nodes[1]
	group, _, err := one.CreateThread(t.Context(), user("ann"), chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	sends := 0
	expiring := func() chat.MessageID {
		sends++
		res, err := one.Send(t.Context(), user("ann"), chat.SendRequest{
			Thread: group.ID, IdempotencyKey: string(rune('a' + sends)), ClientSeq: int64(sends), Ciphertext: []byte("x"), TTL: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		return res.Event.ID
	}
	sweep := func(nodes ...sweeper) {
		t.Helper()
		for _, n := range nodes {
			if err := n.ExpireInTurn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	tombstones := func(want int) {
		t.Helper()
		page, err := two.Events(t.Context(), user("bob"), group.ID, 0, chat.PageRequest{Size: 100})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range page.Events {
			if e.Kind == chat.KindDelete {
				n++
			}
		}
		if n != want {
			t.Fatalf("%d messages were expired, want %d", n, want)
		}
	}
	sweep(one, two)
	expiring()
	clock.Advance(time.Second)
	sweep(two)
	tombstones(0) // it is not its turn
	sweep(one)
	tombstones(1)
	expiring()
	clock.Advance(time.Second)
	sweep(two) // sees the last turn of the other, which has died
	clock.Advance(chat.LeaseTerm)
	tombstones(1)
	sweep(two)
	tombstones(2)
	expiring()
	clock.Advance(time.Second)
	both := make(chan error)
	for _, n := range nodes { // as if both had the lease
		go func() { both <- n.ExpireDue(t.Context()) }()
	}
	for range nodes {
		if err := <-both; err != nil {
			t.Fatal(err)
		}
	}
	tombstones(3)
}

// fast is the time of a database whose clock is far ahead of the nodes'.
type fast struct{ now func() time.Time }

func (f fast) Time(context.Context) (time.Time, error) { return f.now().Add(2 * chat.MaxSkew), nil }

// A node whose clock is wrong stores nothing. So it cannot sweep, and leaves that to others at
// once, again and again.
func TestLeaseIsLeftByANodeThatCannotSweep(t *testing.T) {
	clock := storetest.NewClock()
	nodes := newSweepers(t, 1, clock)
	good := nodes[0]
	s := open(t, mongod.Shared(t), good.uri, Options{Now: clock.Now})
	skew := chat.NewSkew(chat.SkewConfig{Keeper: fast{clock.Now}, Now: clock.Now})
	if err := skew.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	lease := chat.NewLease(s, "sweeps", 9, clock.Now)
	wrong := sweeper{Service: chat.New(chat.Config{Store: s, Bus: silent{}, Now: clock.Now, Sweeps: lease, Skew: skew}), lease: lease}
	t.Cleanup(func() { wrong.Close(context.Background()) })
	group, _, err := good.CreateThread(t.Context(), user("ann"), chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	req := chat.SendRequest{Thread: group.ID, IdempotencyKey: "key", Ciphertext: []byte("x"), TTL: time.Second}
	if _, err := good.Send(t.Context(), user("ann"), req); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second)
	if err := wrong.ExpireInTurn(t.Context()); err == nil || lease.Held() {
		t.Fatalf("%v; it holds the lease: %v", err, lease.Held())
	}
	if err := good.ExpireInTurn(t.Context()); err != nil || !good.lease.Held() {
		t.Fatalf("the other: %v; it holds the lease: %v", err, good.lease.Held())
	}
}
