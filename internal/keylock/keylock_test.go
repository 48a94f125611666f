package keylock

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

func mustLock(ctx context.Context, t *testing.T, l *Locks, names ...string) (unlock func()) {
	t.Helper()
	unlock, err := l.Lock(ctx, names...)
	if err != nil {
		t.Fatalf("Lock(%q): %v", names, err)
	}
	return unlock
}

func TestOneHoldsAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks
		unlock := mustLock(t.Context(), t, &l, "b", "a", "b")
		mustLock(t.Context(), t, &l, "c")() // other names are free

		second := make(chan struct{})
		go func() {
			defer close(second)
			mustLock(context.Background(), t, &l, "a", "b")()
		}()
		synctest.Wait()
		select {
		case <-second:
			t.Fatal("two callers hold the same names")
		default:
		}
		if n := l.Wanted("a"); n != 2 {
			t.Errorf("%d callers hold a or wait for it, want 2", n)
		}
		unlock()
		<-second
		if len(l.names) != 0 || l.Wanted("a") != 0 {
			t.Errorf("%d names are kept that nobody wants", len(l.names))
		}
	})
}

// A caller whose context ends while it waits holds none of the names that it asked for.
func TestWaitingEndsWithItsContext(t *testing.T) {
	var l Locks
	unlock := mustLock(t.Context(), t, &l, "b")
	tired := errors.New("tired")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(tired)
	if _, err := l.Lock(ctx, "a", "b"); !errors.Is(err, tired) {
		t.Errorf("Lock of a held name: %v, want %v", err, tired)
	}
	mustLock(t.Context(), t, &l, "a")() // a, which was locked before the wait for b, is free again
	unlock()
	if len(l.names) != 0 {
		t.Errorf("%d names are kept that nobody wants", len(l.names))
	}
}

func ExampleLocks() {
	var accounts Locks
	balance := map[string]int{"ann": 5, "bob": 0}
	transfer := func(ctx context.Context, from, to string, amount int) error {
		unlock, err := accounts.Lock(ctx, from, to) // both at once, in any order
		if err != nil {
			return err
		}
		defer unlock()
		balance[from] -= amount
		balance[to] += amount
		return nil
	}
	err := transfer(context.Background(), "ann", "bob", 3)
	fmt.Println(balance["ann"], balance["bob"], err)
	// Output: 2 3 <nil>
}
