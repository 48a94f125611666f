package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// seed makes a random test repeatable: it is printed and taken back from
// PARLEY_E2E_SEED.
func seed(t testing.TB) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if given := os.Getenv("PARLEY_E2E_SEED"); given != "" {
		var err error
		if n, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PARLEY_E2E_SEED=%d", n)
	return n
}

// Four senders at full speed into three threads, while receivers of every family
// come and go fifty times each. In the end nobody misses anything.
func TestHammer(t *testing.T) {
	const senders = 4
	perSender, reconnects := bulk(250), bulk(50)
	n := seed(t)
	s := startServer(t)
	people := make([]*device, senders)
	for i := range people {
		people[i] = s.device(t, fmt.Sprint("sender-", i), "d")
	}
	receivers := make([]*device, len(oneOfEach))
	members := []string{}
	for i, p := range oneOfEach {
		receivers[i] = s.device(t, "receiver-"+p.name, "d")
		members = append(members, receivers[i].user)
	}
	for _, p := range people[1:] {
		members = append(members, p.user)
	}
	threads := make([]string, 3)
	for i := range threads {
		threads[i] = people[0].createGroup(t, members...).ID
	}

	var mu sync.Mutex
	var accepted []message
	events := map[string]int{}
	for _, th := range threads {
		events[th] = 1 // its creation
	}
	var sending sync.WaitGroup
	for i, p := range people {
		sending.Go(func() {
			random := rand.New(rand.NewPCG(n, uint64(i)))
			for range perSender {
				m, _, err := p.post(t.Context(), threads[random.IntN(len(threads))], outgoing{Ciphertext: []byte("x")})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				accepted = append(accepted, m)
				events[m.ThreadID]++
				mu.Unlock()
			}
		})
	}
	sent := make(chan struct{})
	go func() { sending.Wait(); close(sent) }()

	var receiving sync.WaitGroup
	for i, p := range oneOfEach {
		receiving.Go(func() {
			random := rand.New(rand.NewPCG(n, uint64(100+i)))
			seen := comeAndGo(t, p, receivers[i], random, reconnects)
			<-sent
			stay(t, p, receivers[i], seen, events)
			for th, count := range events {
				seen.checkComplete(t, th, count)
			}
			seen.checkMessages(t, accepted)
		})
	}
	receiving.Wait()
}

// comeAndGo connects again and again, each time for a random number of frames or
// a random moment, and leaves politely or not.
func comeAndGo(t *testing.T, p protocol, d *device, random *rand.Rand, times int) *union {
	t.Helper()
	seen := &union{name: p.name}
	for range times {
		c, err := p.connect(d, options{})
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			return seen
		}
		enough := 1 + random.IntN(40)
		c.watch(time.Duration(5+random.IntN(60))*time.Millisecond, func(f []frame) bool { return len(f) >= enough })
		if random.IntN(2) == 0 {
			c.drop()
		} else {
			c.close()
		}
		seen.take(t, c.record)
	}
	return seen
}

// stay connects once more until everything has come.
func stay(t *testing.T, p protocol, d *device, seen *union, events map[string]int) {
	t.Helper()
	c, err := p.connect(d, options{})
	if err != nil {
		t.Errorf("%s: %v", p.name, err)
		return
	}
	defer c.close()
	read := 0
	c.watch(patience, func(f []frame) bool {
		seen.add(f[read:])
		read = len(f)
		for th, count := range events {
			if !seen.complete(th, count) {
				return false
			}
		}
		return true
	})
	seen.take(t, c.record)
}
