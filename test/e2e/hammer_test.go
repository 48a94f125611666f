package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// seed is the start of a test's random numbers. It is printed, and PARLEY_E2E_SEED sets it,
// so that a failure can be repeated.
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

// Sizes of TestHammer. On mongodb those of messages and reconnects are a tenth (see bulk).
// The long backlog is for the long run.
const (
	hammerSenders    = 8
	hammerAtOnce     = 5     // backlog messages of one sender at a time
	hammerMessages   = 1_000 // while receivers come and go and the server is killed
	hammerBacklog    = 5_000 // while all receivers are away; see backlogSize
	hammerLong       = 20_000
	hammerReconnects = 50
	hammerKills      = 5
)

// backlogSize is smaller on mongodb: it is what the test server can serve in time.
func backlogSize() int {
	switch {
	case onMongo:
		return 1_500
	case longRun:
		return hammerLong
	}
	return hammerBacklog
}

// Senders write at full speed into three threads, while receivers of every client family
// come and go and the server is killed again and again. Then all receivers are away, a long
// backlog is written, and all read it at once. In the end no receiver has missed an event
// or was sent one that is not in the log, and no receipt was told before the
// acknowledgement that it stands for.
func TestHammer(t *testing.T) {
	h := newHammer(t, seed(t), startServer(t))
	sent, done := make(chan struct{}), make(chan struct{})
	var sending, receiving, watching sync.WaitGroup
	h.send(&sending, 1, bulk(hammerMessages)/hammerSenders, "x")
	go func() { sending.Wait(); close(sent) }()

	unions := make([]*union, len(h.receivers))
	for i, p := range h.protocols {
		receiving.Go(func() {
			unions[i] = h.comeAndGo(t, p, h.receivers[i], bulk(hammerReconnects), rand.New(rand.NewPCG(h.seed, uint64(100+i))))
		})
	}
	desk := &union{name: "the author's desk", user: h.desk.user}
	watching.Go(func() { h.hold(t, desk, done) })
	receiving.Go(func() { h.askForReceipts(sent) })
	h.killAgainAndAgain(t)
	<-sent
	receiving.Wait()

	started, before := time.Now(), len(h.accepted)
	h.send(&sending, hammerAtOnce, backlogSize()/hammerSenders/hammerAtOnce, "backlog")
	sending.Wait()
	t.Logf("%d messages of backlog written in %v", len(h.accepted)-before, time.Since(started).Round(time.Millisecond))
	started = time.Now()
	for i, p := range h.protocols {
		receiving.Go(func() { h.stay(t, p, h.receivers[i], unions[i]) })
	}
	receiving.Wait()
	close(done)
	watching.Wait()
	t.Logf("%d receivers had all of it after %v", len(unions), time.Since(started).Round(time.Millisecond))

	h.check(t, desk, unions)
}

// check compares all that was seen with the logs in the end.
func (h *hammer) check(t *testing.T, desk *union, unions []*union) {
	t.Helper()
	final := historyOf(t, h.people[0], h.threads, unions...)
	final.witnesses = []*union{desk}
	final.accepted, final.states, final.reads = h.accepted, h.states, h.reads
	final.check(t)
	told := 0
	for range desk.receipts() {
		told++
	}
	t.Logf("%d messages, %d receipt frames, %d states asked for, %d readings", len(h.accepted), told, len(h.states), len(h.reads))
}

// hammer is what the goroutines of TestHammer share.
type hammer struct {
	seed      uint64
	srv       *server
	people    []*device // the senders; they are never connected
	desk      *device   // another device of the first sender; it subscribes the first thread, for its receipts
	protocols []protocol
	receivers []*device
	threads   []string

	mu       sync.Mutex
	up       chan struct{} // closed while the server runs
	progress chan struct{} // closed and renewed with every accepted message
	accepted []message
	events   map[string]int
	states   []state
	reads    []reading
	problems []error
}

func newHammer(t *testing.T, seed uint64, s *server) *hammer {
	t.Helper()
	// The tokens outlast every step of the clock.
	device := func(user, id string) *device {
		return s.device(t, user, id).withClaims(t, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(100 * 24 * time.Hour).Unix() })
	}
	h := &hammer{seed: seed, srv: s, desk: device("sender-0", "desk"), protocols: oneOfEach, progress: make(chan struct{}), events: map[string]int{}}
	h.up = make(chan struct{})
	close(h.up)
	members := []string{}
	for i := range hammerSenders {
		d := device(fmt.Sprint("sender-", i), "d")
		d.bulk = true
		h.people = append(h.people, d)
		members = append(members, d.user)
	}
	for _, p := range h.protocols {
		d := device("receiver-"+p.name, "d")
		h.receivers = append(h.receivers, d)
		members = append(members, d.user)
	}
	for range 3 {
		th := h.people[0].createGroup(t, members[1:]...).ID
		h.threads = append(h.threads, th)
		h.events[th] = 1 // its creation
	}
	t.Cleanup(func() {
		for _, err := range h.problems {
			t.Error(err)
		}
	})
	return h
}

// awaitServer waits until the server runs, and returns false after patience.
func (h *hammer) awaitServer() bool {
	h.mu.Lock()
	up := h.up
	h.mu.Unlock()
	select {
	case <-up:
		return true
	case <-time.After(patience):
		return false
	}
}

// send starts each goroutines for every sender. Every goroutine sends n messages, and
// retries each until it is accepted.
func (h *hammer) send(sending *sync.WaitGroup, each, n int, text string) {
	for i := range each * len(h.people) {
		p := h.people[i%len(h.people)]
		sending.Go(func() {
			random := rand.New(rand.NewPCG(h.seed, uint64(i)))
			for range n {
				out := outgoing{ClientSeq: p.sent.Add(1), Ciphertext: []byte(text)}
				m, err := h.sendUntilAccepted(p, h.threads[random.IntN(len(h.threads))], out)
				h.mu.Lock()
				if err != nil {
					h.problems = append(h.problems, err)
					h.mu.Unlock()
					return
				}
				h.accepted = append(h.accepted, m)
				h.events[m.ThreadID]++
				close(h.progress)
				h.progress = make(chan struct{})
				h.mu.Unlock()
			}
		})
	}
}

// sendUntilAccepted sends a message until the answer says that it is stored. To a second
// attempt that may be a 409 with the message: the server forgets the idempotency key of the
// first when its clock is set on by more than a day, and then knows the client_seq.
func (h *hammer) sendUntilAccepted(p *device, thread string, out outgoing) (message, error) {
	deadline := time.Now().Add(2 * patience)
	for again := false; ; again = true {
		a, err := p.try(context.Background(), thread, out)
		switch breach := (contractError{}); {
		case err == nil && (a.status == http.StatusAccepted || again && a.status == http.StatusConflict):
			var m message
			return m, json.Unmarshal(a.body, &m)
		case err == nil:
			return message{}, fmt.Errorf("%w: %d %s", errRefused, a.status, a.body)
		case errors.As(err, &breach) || time.Now().After(deadline):
			return message{}, err
		}
		h.awaitServer()
	}
}

// killAgainAndAgain kills the server hammerKills times, each time after some more messages
// are accepted, and starts it again.
func (h *hammer) killAgainAndAgain(t *testing.T) {
	t.Helper()
	for n := 1; n <= hammerKills; n++ {
		h.awaitAccepted(t, n*bulk(hammerMessages)/(hammerKills+1))
		h.killAndStart(t)
	}
}

// killAndStart kills the server and starts it again.
func (h *hammer) killAndStart(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	h.up = make(chan struct{})
	h.mu.Unlock()
	h.srv.kill(t)
	h.srv.start(t)
	h.mu.Lock()
	close(h.up)
	h.mu.Unlock()
}

func (h *hammer) awaitAccepted(t *testing.T, n int) {
	t.Helper()
	for deadline := time.After(2 * patience); ; {
		h.mu.Lock()
		enough, progress := len(h.accepted) >= n, h.progress
		h.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-progress:
		case <-deadline:
			t.Fatalf("fewer than %d messages were accepted in %v", n, 2*patience)
		}
	}
}

// connect connects a device, and tries again while the server is down.
func (h *hammer) connect(t *testing.T, p protocol, d *device, filters ...string) *client {
	t.Helper()
	for deadline := time.Now().Add(4 * patience); ; {
		c, err := p.connect(d, options{filters: filters})
		if err == nil {
			return c
		}
		if refusedWith(err) >= 0 || time.Now().After(deadline) {
			t.Errorf("%s: %v", p.name, err)
			return nil
		}
		h.awaitServer()
	}
}

// comeAndGo connects again and again, each time for a random number of frames or a random
// time, and then closes the connection or drops it. Sometimes it marks a message as read.
func (h *hammer) comeAndGo(t *testing.T, p protocol, d *device, times int, random *rand.Rand) *union {
	t.Helper()
	seen := &union{name: p.name, user: d.user}
	for range times {
		c := h.connect(t, p, d)
		if c == nil {
			return seen
		}
		enough := 1 + random.IntN(40)
		c.watch(time.Duration(5+random.IntN(60))*time.Millisecond, func(f []frame) bool { return len(f) >= enough })
		if frames := c.all(); random.IntN(2) == 0 && len(frames) > 0 {
			h.read(d, frames[random.IntN(len(frames))])
		}
		if random.IntN(2) == 0 {
			c.drop()
		} else {
			c.close()
		}
		seen.take(t, c.record)
	}
	return seen
}

// read marks the message of a frame as read. Frames of another type are passed over. The
// server may be down, so the answer does not matter.
func (h *hammer) read(d *device, f frame) {
	if f.T != "msg" {
		return
	}
	h.mu.Lock()
	h.reads = append(h.reads, reading{now(), d.user, f.ThreadID, f.ID})
	h.mu.Unlock()
	_, _ = d.call(context.Background(), http.MethodPost, "/v1/threads/"+f.ThreadID+"/read", map[string]any{"up_to_msg_id": f.ID})
}

// hold keeps the desk connected until done, and connects again after each kill.
func (h *hammer) hold(t *testing.T, seen *union, done <-chan struct{}) {
	t.Helper()
	for going := true; going; {
		c := h.connect(t, mqtt5TCP, h.desk, "v1/threads/"+h.threads[0]+"/frames")
		if c == nil {
			return
		}
		lost := make(chan struct{})
		go func() {
			defer close(lost)
			c.watch(10*patience, func([]frame) bool { return false })
		}()
		select {
		case <-lost:
		case <-done:
			going = false
		}
		c.close()
		<-lost
		seen.take(t, c.record)
	}
}

// askForReceipts asks again and again where the recipients stand with some of the
// first messages.
func (h *hammer) askForReceipts(sent <-chan struct{}) {
	d := h.people[0]
	for n := 0; ; n++ {
		h.mu.Lock()
		candidates, progress := h.accepted[:min(len(h.accepted), 20)], h.progress
		h.mu.Unlock()
		if len(candidates) > 0 {
			h.ask(d, candidates[n%len(candidates)])
		}
		select {
		case <-sent:
			return
		case <-progress:
		}
	}
}

func (h *hammer) ask(d *device, m message) {
	a, err := d.call(context.Background(), http.MethodGet, "/v1/messages/"+m.ID+"/receipts", nil)
	var got receipts
	if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &got) != nil {
		return // the server is down
	}
	at := now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range got.States {
		h.states = append(h.states, state{at, m.ThreadID, m.ID, r})
	}
}

// stay connects once more, and stays connected until everything has come.
func (h *hammer) stay(t *testing.T, p protocol, d *device, seen *union) {
	t.Helper()
	c := h.connect(t, p, d)
	if c == nil {
		return
	}
	defer c.close()
	read := 0
	c.watch(4*patience, func(f []frame) bool {
		seen.add(f[read:])
		read = len(f)
		for th, count := range h.events {
			if !seen.complete(th, count) {
				return false
			}
		}
		return true
	})
	seen.take(t, c.record)
}
