package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
	"github.com/parleyhq/parley/test/process"
)

// faultSeed draws the faults and the steps. PARLEY_SEED repeats a run.
func faultSeed(t *testing.T) uint64 {
	if text := os.Getenv("PARLEY_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
	return rand.Uint64N(1e9)
}

// ofServer is a thread's log as the server has it.
func ofServer(t *testing.T, p *person, thread string) (all []string) {
	t.Helper()
	for since := uint64(0); ; {
		page, err := p.API.Events(t.Context(), thread, since)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			all = append(all, essence(e))
		}
		if page.NextSinceSeq == nil {
			return all
		}
		since = *page.NextSinceSeq
	}
}

func ofLog(p *person, thread string) (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.ThreadID == thread {
			all = append(all, essence(e))
		}
	}
	return all
}

// essence is what an event says, but for a content: that which comes late is the present one.
func essence(e client.Frame) string {
	return fmt.Sprint(e.Seq, e.Type, e.ID, e.SenderID, e.By, e.Emoji, e.Op, e.Event, e.UserID)
}

// Whatever the network does, each client is given the server's log: all of it, in order, once.
func TestEveryLogIsTheServers(t *testing.T) {
	seed := faultSeed(t)
	t.Logf("PARLEY_SEED=%d", seed)
	steps := 300
	if text := os.Getenv("PARLEY_FAULT_STEPS"); text != "" {
		steps, _ = strconv.Atoi(text)
	}
	random := rand.New(rand.NewPCG(seed, 1))
	s := process.Start(t)
	web := process.StartFaultProxy(t, s.HTTP, seed)
	tcp := process.StartFaultProxy(t, s.MQTT, seed+1)
	people := []string{"ann", "ben", "cleo", "dan"}
	ways := []client.Transport{client.JSON{}, mqtt.Transport{Address: "mqtt://" + tcp.Address}, mqtt.Transport{}, client.JSON{}}
	var clients []*person
	for i, user := range people {
		clients = append(clients, join(t, s, user, ways[i], func(o *client.Options) {
			o.URL, o.OnError = "http://"+web.Address, nil
			if i%2 == 0 {
				store, err := client.OpenFileStore(filepath.Join(t.TempDir(), user))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { store.Close() })
				o.Store = store
			}
		}))
	}
	group := clients[0].create(t, client.Group, people[1:]...)
	couple := clients[0].create(t, client.OneToOne, "ben")
	impatient, calm := context.WithCancel(t.Context())
	defer calm()
	go hurry(impatient, clients)
	setFaults := func(on bool) { web.Faults.Store(on); tcp.Faults.Store(on) }

	setFaults(true)
	sent := make(map[string]int)
	for step := range steps {
		p := clients[random.IntN(len(clients))]
		thread := group
		if p == clients[0] || p == clients[1] {
			thread = []string{group, couple}[random.IntN(2)]
		}
		p.say(t, thread, fmt.Sprint("step ", step))
		sent[thread]++
		if step%10 == 0 { // a change by a call, which the network may break for good
			p.mu.Lock()
			i := slices.IndexFunc(p.events, func(e client.Frame) bool { return e.Type == client.EventMessage && e.ThreadID == thread })
			id := ""
			if i >= 0 {
				id = p.events[i].ID
			}
			p.mu.Unlock()
			if id != "" {
				_, _ = p.API.React(t.Context(), id, []string{"👍", "🎉"}[random.IntN(2)])
				p.Sync(thread)
			}
		}
	}
	for _, p := range clients {
		p.flush(t)
	}
	setFaults(false)
	for _, p := range clients {
		threads := []string{group}
		if p == clients[0] || p == clients[1] {
			threads = append(threads, couple)
		}
		for _, thread := range threads {
			p.Sync(thread)
			want := ofServer(t, clients[0], thread)
			eventually(t, func() bool { return len(ofLog(p, thread)) >= len(want) })
			if got := ofLog(p, thread); !slices.Equal(got, want) {
				t.Errorf("a log of %d events differs from the server's of %d", len(got), len(want))
			}
			if n := len(texts(p.events, thread)); n != sent[thread] {
				t.Errorf("%d messages were sent, %d are there", sent[thread], n)
			}
		}
	}
	t.Logf("%d messages of 4 clients through %d cuts: all logs equal to the server's", steps, web.Cuts.Load()+tcp.Cuts.Load())
}

// hurry has the clients not wait as long as they would with people.
func hurry(ctx context.Context, clients []*person) {
	for tick := time.NewTicker(150 * time.Millisecond); ; {
		select {
		case <-tick.C:
			for _, p := range clients {
				p.Hurry()
			}
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// eventually polls for what nothing announces.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("it never came to be so")
		}
	}
}
