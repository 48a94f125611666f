package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"
)

// A device that was away comes back to a backlog of many threads and receives it a
// few frames at a time. The server loads as much as the device has room for; it does
// not hold the rest in memory.
func TestBacklogToASmallWindow(t *testing.T) {
	const (
		receiveMax = 10
		size       = 8 << 10
		// goalGrowth is how far the garbage collector's goal may rise. The goal is twice
		// the live heap, and the whole backlog has 28 MB as frames.
		goalGrowth = 24 << 20
	)
	threads, perThread := bulk(50), bulk(50)
	s := startPlainServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	ann.bulk = true
	ids := writeBacklog(t, ann, bob.user, threads, perThread, size)
	s.stop(t) // empties the tail cache
	s.start(t)

	r := dialRaw(t, s, mqtt5)
	h := helloOf(bob)
	h.receiveMax = receiveMax
	r.accepted(t, h)
	goal := newGauge(t, s, "go_memstats_next_gc_bytes")
	heap := newGauge(t, s, "go_memstats_heap_inuse_bytes")
	resident := newGauge(t, s, "process_resident_memory_bytes")
	r.subscribe(t, 1, 1, "v1/threads/+/frames")
	seen := &union{name: "the returning device", user: bob.user}
	var line []frame
	total := threads * (perThread + 1)
	for len(line) < total {
		var inFlight []delivery
		for range min(receiveMax, total-len(line)) {
			inFlight = append(inFlight, r.deliver(t))
		}
		if len(line)%1000 < receiveMax {
			r.nothingComes(t)
			goal.look(t)
			heap.look(t)
			resident.look(t)
		}
		for _, d := range inFlight {
			var f frame
			if err := json.Unmarshal(d.payload, &f); err != nil {
				t.Fatal(err)
			}
			f.moment = now()
			line = append(line, f)
			seen.acks = append(seen.acks, ack{now(), f.ThreadID, f.Seq})
			r.puback(t, d.id)
		}
	}
	t.Logf("%d frames of %d KiB over %d threads, %d at a time", total, size>>10, threads, receiveMax)
	t.Logf("heap %v; collector's goal %v; resident %v", heap, goal, resident)
	if goal.growth() > goalGrowth {
		t.Errorf("the collector's goal grew by %.0f MB, want at most %d", goal.growth()/(1<<20), goalGrowth>>20)
	}
	seen.add(line)
	seen.lines = append(seen.lines, line)
	historyOf(t, ann, ids, seen).check(t)
}

// writeBacklog makes threads with that many messages in each, for a user who is not
// connected.
func writeBacklog(t *testing.T, d *device, to string, threads, perThread, size int) (ids []string) {
	t.Helper()
	for range threads {
		ids = append(ids, d.createGroup(t, to).ID)
	}
	var writing sync.WaitGroup
	next := make(chan string)
	for range 32 {
		writing.Go(func() {
			for id := range next {
				if _, _, err := d.post(t.Context(), id, outgoing{Ciphertext: bytes.Repeat([]byte("x"), size)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range perThread {
		for _, id := range ids {
			next <- id
		}
	}
	close(next)
	writing.Wait()
	return ids
}

// nothingComes checks that no delivery is on its way: the next packet is the answer to a
// ping, and the server sends that after all that it had to send before.
func (r *raw) nothingComes(t testing.TB) {
	t.Helper()
	r.bytes(t, []byte{v5.PINGREQ << 4, 0})
	if p, ok := r.read(t).(*v5.Pingresp); !ok {
		t.Fatalf("more is in flight than the client allows: %v", p)
	}
}

// gauge follows a metric of a server.
type gauge struct {
	srv          *server
	name         string
	before, most float64
}

func newGauge(t testing.TB, s *server, name string) *gauge {
	t.Helper()
	v := s.metric(t, name)
	return &gauge{s, name, v, v}
}

func (g *gauge) look(t testing.TB) {
	t.Helper()
	g.most = max(g.most, g.srv.metric(t, g.name))
}

func (g *gauge) growth() float64 { return g.most - g.before }

func (g *gauge) String() string {
	return fmt.Sprintf("%.1f MB before, at most %.1f MB", g.before/(1<<20), g.most/(1<<20))
}
