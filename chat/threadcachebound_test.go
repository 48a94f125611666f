package chat

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// However many threads are remembered, and whatever is forgotten of them, it is
// counted right and bounded.
func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(nil, nil)
	sh, now := &m.shards[0], time.Unix(0, 0)
	full := 0
	for i := range 4000 {
		id := ThreadID{byte(i >> 8), byte(i)}
		n := 1 + rand.IntN(250)
		sh.learn(id, now, sh.changes, func(r *remembered) { r.participants = make([]Participant, n) })
		sh.learn(id, now, sh.changes, func(r *remembered) { r.read = map[UserID]Seq{UserID(strconv.Itoa(i)): 1} })
		switch rand.IntN(4) {
		case 0:
			m.forget(id, func(r *remembered) { r.participants = nil })
		case 1:
			sh.recall(id, now.Add(rememberedFor), nil)
		}
		people := 0
		for _, r := range sh.threads.Values() {
			people += r.people()
		}
		if sh.people != people || people > rememberedPeople || sh.threads.Len() > rememberedThreads {
			t.Fatalf("after %d: %d people counted, %d there, in %d threads", i, sh.people, people, sh.threads.Len())
		}
		if people > rememberedPeople-250 {
			full++
		}
	}
	if full == 0 {
		t.Error("the bound was never reached")
	}
	m.HandleLoss()
	if sh.people != 0 || sh.threads.Len() != 0 {
		t.Errorf("after a loss, %d people in %d threads are remembered", sh.people, sh.threads.Len())
	}
}
