package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// handed counts the keys of one device that fetchers were given.
type handed struct {
	mu         sync.Mutex
	once       map[uint32]int
	lastResort int
	none       int
}

func (h *handed) add(k *prekey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case k == nil:
		h.none++
	case k.LastResort:
		h.lastResort++
	default:
		h.once[k.KeyID]++
	}
}

// enough reports whether that many different keys were given, or none is left.
func (h *handed) enough(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.once) >= n || h.none > 0
}

// checkOnce checks that no key was given twice, and returns how many were given.
func (h *handed) checkOnce(t *testing.T) int {
	t.Helper()
	for id, times := range h.once {
		if times != 1 || id < 1 || id > 100 {
			t.Errorf("key %d was given %d times", id, times)
		}
	}
	return len(h.once)
}

// 32 people who fetch at the same time from 100 keys get each key once. Later fetches get
// the last-resort key, or nothing if there is none.
func TestPrekeysUnderConcurrentFetches(t *testing.T) {
	const fetchers, each = 32, 4
	s := startServer(t)
	for _, lastResort := range []bool{true, false} {
		t.Run(fmt.Sprintf("last resort %t", lastResort), func(t *testing.T) {
			bob := s.device(t, fmt.Sprintf("bob-%t", lastResort), "b")
			upload := bob.keysFrom(1, 100)
			if lastResort {
				upload = upload.withLastResort(1000)
			}
			bob.upload(t, upload)
			got := &handed{once: map[uint32]int{}}
			var fetching sync.WaitGroup
			for i := range fetchers {
				caller := s.device(t, fmt.Sprint("caller-", i), "d")
				fetching.Go(func() {
					for range each {
						k, err := caller.tryFetch(t.Context(), bob.user)
						if err != nil {
							t.Error(err)
							return
						}
						got.add(k)
					}
				})
			}
			fetching.Wait()
			if n := got.checkOnce(t); n != 100 {
				t.Errorf("%d different keys of 100 were given", n)
			}
			wantLast, wantNone := fetchers*each-100, 0
			if !lastResort {
				wantLast, wantNone = wantNone, wantLast
			}
			if got.lastResort != wantLast || got.none != wantNone {
				t.Errorf("then %d last resorts and %d times nothing, want %d and %d", got.lastResort, got.none, wantLast, wantNone)
			}
			if left := bob.counts(t)["b"]; left != 0 {
				t.Errorf("%d keys are left", left)
			}
		})
	}
}

// fetchAll has many callers fetch a user's keys, each as often as the limit allows, until
// no key is left or the server is gone.
func (h *handed) fetchAll(t *testing.T, s *server, round, user string) {
	var fetching sync.WaitGroup
	for i := range crashFetchers {
		caller := s.device(t, fmt.Sprint("caller-", round, i), "d")
		fetching.Go(func() {
			for n := 0; n < 6 && !h.enough(100); n++ {
				k, err := caller.tryFetch(context.Background(), user)
				if breach := (contractError{}); errors.As(err, &breach) || errors.Is(err, errRefused) {
					t.Error(err)
				}
				if err != nil {
					return
				}
				h.add(k)
			}
		})
	}
	fetching.Wait()
}

const crashFetchers = 16

// In a crash keys may be lost, but no key is given twice, not even after the same ids are
// uploaded again.
func TestPrekeysOverACrash(t *testing.T) {
	s := startServer(t)
	bob := s.device(t, "bob", "b")
	bob.upload(t, bob.keysFrom(1, 100))
	got := &handed{once: map[uint32]int{}}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		got.fetchAll(t, s, "before-", bob.user)
	}()
	eventually(t, "40 keys are given", func() bool { return got.enough(40) })
	s.kill(t)
	<-gone
	s.start(t)
	before := got.checkOnce(t)
	left := bob.counts(t)["b"]
	if lost := 100 - before - left; lost < 0 || lost > crashFetchers {
		t.Errorf("%d keys were given and %d are left of 100", before, left)
	}
	// After the same ids are uploaded again, only those count that were never handed out.
	if c := bob.upload(t, bob.keysFrom(1, 100)); c.OneTimePrekeys > 100-before {
		t.Errorf("%d keys were given, and after the same upload there are %d", before, c.OneTimePrekeys)
	}
	got.fetchAll(t, s, "after-", bob.user)
	late := 0
	if onMongo { // what the killed server had asked for may be done after the keys left were counted
		late = crashFetchers
	}
	if n := got.checkOnce(t); n < before+left-late {
		t.Errorf("%d keys were given in all, %d before the crash and %d were left", n, before, left)
	}
}
