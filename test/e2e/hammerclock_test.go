package e2e

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// Sizes of TestHammerWithAClockThatIsSet. The long run has ten times as many messages and
// steps.
const (
	clockMessages   = 400
	clockSteps      = 6
	clockReconnects = 10
	clockLong       = 10
)

// clockStepsOf are the sizes of the steps, each forward or back. A server whose clock is
// more than a minute from that of MongoDB's database stores nothing, so the clock stays
// within that there.
func clockStepsOf() []time.Duration {
	if onMongo {
		return []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}
	}
	return []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, time.Hour, 30 * 24 * time.Hour}
}

// The server's clock is set again and again, forward and back, live and over a kill, while
// senders write and receivers of every client family come and go. The checks are those of
// TestHammer: no event is missing, none comes out of order, and no state or time of a
// receipt changes once it was told.
func TestHammerWithAClockThatIsSet(t *testing.T) {
	t.Parallel()
	h := newHammer(t, seed(t), startServerWithClock(t, 0))
	random := rand.New(rand.NewPCG(h.seed, 99))
	steps, messages, reconnects := clockSteps, clockMessages, clockReconnects
	if onMongo {
		messages, reconnects = messages/4, reconnects/2
	} else if longRun {
		steps, messages, reconnects = clockLong*steps, clockLong*messages, clockLong*reconnects
	}
	sent, done := make(chan struct{}), make(chan struct{})
	var sending, receiving, watching sync.WaitGroup
	each := messages / hammerSenders
	h.send(&sending, 1, each, "x")
	go func() { sending.Wait(); close(sent) }()
	unions := make([]*union, len(h.receivers))
	for i, p := range h.protocols {
		receiving.Go(func() {
			unions[i] = h.comeAndGo(t, p, h.receivers[i], reconnects, rand.New(rand.NewPCG(h.seed, uint64(100+i))))
		})
	}
	desk := &union{name: "the author's desk", user: h.desk.user}
	watching.Go(func() { h.hold(t, desk, done) })
	receiving.Go(func() { h.askForReceipts(sent) })

	ahead := time.Duration(0)
	for n := range steps {
		h.awaitAccepted(t, (n+1)*each*hammerSenders/(steps+1))
		ahead = nextClock(random, ahead)
		overAKill := n%3 == 2
		t.Logf("the clock is set to %v ahead, over a kill: %v", ahead, overAKill)
		h.srv.setClock(t, ahead)
		if overAKill {
			h.killAndStart(t)
		}
	}
	<-sent
	receiving.Wait()
	for i, p := range h.protocols {
		receiving.Go(func() { h.stay(t, p, h.receivers[i], unions[i]) })
	}
	receiving.Wait()
	close(done)
	watching.Wait()
	h.check(t, desk, unions)
}

// nextClock is where the clock is set to next: a step away, forward or back, or right again.
func nextClock(random *rand.Rand, ahead time.Duration) time.Duration {
	steps := clockStepsOf()
	if ahead != 0 && random.IntN(3) == 0 {
		return 0
	}
	step := steps[random.IntN(len(steps))]
	if random.IntN(2) == 0 {
		step = -step
	}
	most := slices.Max(steps)
	return min(max(ahead+step, -most), most)
}
