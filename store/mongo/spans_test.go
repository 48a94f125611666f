package mongo

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// Two nodes allow together what one may do in a span, whoever is asked and how many at once.
func TestSpansHoldOverAllNodes(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	nodes := []chat.SpanLimiter{open(t, server, uri, Options{}), open(t, server, uri, Options{})}
	start := time.Date(2026, 5, 30, 17, 42, 11, 0, time.UTC)
	spend := func(node int, who string, at time.Duration) time.Duration {
		t.Helper()
		wait, err := nodes[node].SpendInSpan(t.Context(), who, 6, 10*time.Minute, start.Add(at))
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	var spending sync.WaitGroup
	var allowed atomic.Int64
	for i := range 20 {
		spending.Go(func() {
			if spend(i%2, "prekeys_of/ann/bob", 0) == 0 {
				allowed.Add(1)
			}
		})
	}
	spending.Wait()
	if allowed.Load() != 6 {
		t.Errorf("%d of 20 at once were allowed, want 6", allowed.Load())
	}
	for at, want := range map[time.Duration]time.Duration{time.Minute: 9 * time.Minute, 10*time.Minute - time.Second: time.Second} {
		if wait := spend(1, "prekeys_of/ann/bob", at); wait != want {
			t.Errorf("after %v it takes %v, want %v", at, wait, want)
		}
	}
	if spend(0, "prekeys_of/ann/cyd", time.Minute) != 0 || spend(0, "prekeys_of/ann/bob", 10*time.Minute) != 0 {
		t.Error("another one, and one after the span, is refused")
	}
}
