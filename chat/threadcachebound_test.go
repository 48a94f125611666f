package chat

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// However many threads the cache is given, and whatever it forgets of them, what it
// keeps is counted right and bounded.
func TestThreadCacheIsBounded(t *testing.T) {
	c := newThreadCache(nil, nil)
	sh, now := &c.shards[0], time.Unix(0, 0)
	full := 0
	for i := range 4000 {
		id := ThreadID{byte(i >> 8), byte(i)}
		n := 1 + rand.IntN(250)
		sh.keep(id, now, sh.changes, func(r *cachedThread) { r.participants = make([]Participant, n) })
		sh.keep(id, now, sh.changes, func(r *cachedThread) { r.marks = map[UserID]cachedMarks{UserID(strconv.Itoa(i)): {}} })
		switch rand.IntN(4) {
		case 0:
			c.forget(id, func(r *cachedThread) { r.participants = nil })
		case 1:
			sh.look(id, now.Add(cachedFor), nil)
		}
		people := 0
		for _, r := range sh.threads.Values() {
			people += r.people()
		}
		if sh.people != people || people > cachedPeople || sh.threads.Len() > cachedThreads {
			t.Fatalf("after %d: %d people counted, %d there, in %d threads", i, sh.people, people, sh.threads.Len())
		}
		if people > cachedPeople-250 {
			full++
		}
	}
	if full == 0 {
		t.Error("the bound was never reached")
	}
	c.HandleLoss()
	if sh.people != 0 || sh.threads.Len() != 0 {
		t.Errorf("after a loss, %d people in %d threads are remembered", sh.people, sh.threads.Len())
	}
}
