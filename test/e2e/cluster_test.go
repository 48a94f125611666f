package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/internal/steppedclock"
	"github.com/parleyhq/parley/test/cluster"
	"github.com/parleyhq/parley/test/mongod"
	"github.com/parleyhq/parley/test/natsd"
)

// The tests of a cluster run three nodes over one MongoDB and one NATS, behind a balancer that
// hands each connection to a node at random. People send, edit, join and leave all the time,
// through the balancer. Of the receivers, of every client family, some stay at one node and
// others hop from node to node. Meanwhile the test makes faults. In the end the history of
// all that anybody was told is held against the log.

const clusterNodes = 3

// clusterEvents bounds the messages of a run: it is what the test server can serve in time.
const clusterEvents = 1000

// nodesAtOnce are the parts of a cluster.
type nodesAtOnce struct {
	t     *testing.T
	seed  uint64
	nodes []*server
	nats  []*cluster.NATS  // before each node
	mongo []*cluster.Mongo // before each node
	bus   *natsd.Server
	front *server // the balancer, as clients see a server

	people    []*device // they send, and are never connected
	groups    []string
	stayers   []*staying
	hoppers   []*staying
	reconnect bool // the stayers may lose their connections

	ending   sync.Once
	stop     chan struct{} // closed when nobody is to send any more
	finished chan struct{} // closed when events holds
	events   map[string]int
	sending  sync.WaitGroup
	watching sync.WaitGroup

	mu       sync.Mutex
	accepted []message
	reads    []reading
	retried  int
	rising   chan struct{} // closed and renewed with every accepted message
}

// staying is a receiver.
type staying struct {
	p     protocol
	d     *device
	other *device // it again, at the node that it goes to when its own stops; nil: it waits for its own
	seen  *union
	line  chan *client // has its present connection
}

// present says which connection the receiver has now.
func (s *staying) present(line *client) {
	select {
	case <-s.line:
	default:
	}
	select {
	case s.line <- line:
	default: // there is a later one
	}
}

// now is the receiver's present connection.
func (s *staying) now() *client {
	line := <-s.line
	select {
	case s.line <- line:
	default: // there is a later one
	}
	return line
}

// move has a receiver go to its other node, if it has one.
func (s *staying) move() {
	if s.other != nil {
		s.d, s.other = s.other, s.d
	}
}

// startCluster starts a cluster, its receivers and its traffic.
func startCluster(t *testing.T) *nodesAtOnce {
	t.Helper()
	needsMongo(t)
	t.Parallel() // these tests mostly wait
	c := &nodesAtOnce{
		t: t, seed: seed(t), bus: natsd.Start(t),
		stop: make(chan struct{}), finished: make(chan struct{}), rising: make(chan struct{}),
	}
	c.startNodes()
	c.meet()
	c.begin()
	return c
}

// begin begins to watch and to send.
func (c *nodesAtOnce) begin() {
	for i, s := range c.stayers {
		c.watching.Go(func() { c.stay(s, i) })
	}
	for i, s := range c.hoppers {
		c.watching.Go(func() { c.hop(s, rand.New(rand.NewPCG(c.seed, uint64(100+i)))) })
	}
	for i, d := range c.people {
		c.sending.Go(func() { c.send(d, rand.New(rand.NewPCG(c.seed, uint64(i)))) })
	}
}

func (c *nodesAtOnce) startNodes() {
	c.t.Helper()
	binary, err := clockBinary()
	if err != nil {
		c.t.Fatalf("building the server: %v", err)
	}
	db := mongod.Start(c.t)
	uri := db.URI()
	host, _, _ := strings.Cut(strings.TrimPrefix(uri, "mongodb://"), "/")
	var http, tcp []string
	for i := range clusterNodes {
		nats, mongo := cluster.NewNATS(c.t, c.seed+uint64(i), c.bus.Addr()), cluster.NewMongo(c.t, host)
		dir := c.t.TempDir()
		s := &server{
			dir: dir, store: mongo.URI(uri), extra: []string{"--bus", "nats://" + nats.Addr(), "--log-level", "debug"}, http: "127.0.0.1:0", tcp: "127.0.0.1:0",
			binary: binary, clock: filepath.Join(dir, "clock"), pause: filepath.Join(dir, "pause"),
		}
		if err := steppedclock.Write(s.clock, 0); err != nil {
			c.t.Fatal(err)
		}
		s.begin(c.t)
		c.nodes, c.nats, c.mongo = append(c.nodes, s), append(c.nats, nats), append(c.mongo, mongo)
		http, tcp = append(http, s.http), append(tcp, s.tcp)
	}
	for _, s := range c.nodes {
		s.awaitHealth(c.t, "ok")
	}
	c.front = &server{
		http: cluster.NewBalancer(c.t, c.seed, http...).Addr(), tcp: cluster.NewBalancer(c.t, c.seed, tcp...).Addr(),
	}
}

// meet makes the people, the receivers and their groups.
func (c *nodesAtOnce) meet() {
	c.t.Helper()
	var names []string
	for i := range 3 {
		d := c.front.device(c.t, fmt.Sprint("sender-", i), "d")
		d.bulk = true
		c.people = append(c.people, d)
		names = append(names, d.user)
	}
	for i, p := range oneOfEach {
		stayer := c.nodes[i].device(c.t, "stayer-"+p.name, "d")
		hopper := c.front.device(c.t, "hopper-"+p.name, "d")
		hopper.bulk = true
		c.stayers = append(c.stayers, &staying{p: p, d: stayer, seen: &union{name: "stayer " + p.name, user: stayer.user}, line: make(chan *client, 1)})
		c.hoppers = append(c.hoppers, &staying{p: p, d: hopper, seen: &union{name: "hopper " + p.name, user: hopper.user}})
		names = append(names, stayer.user, hopper.user)
	}
	for range 3 {
		c.groups = append(c.groups, c.people[0].createGroup(c.t, names[1:]...).ID)
	}
}

// send has somebody send, edit, add and remove until the end. What is not answered is tried
// again, with the same key, at whichever node.
func (c *nodesAtOnce) send(d *device, random *rand.Rand) {
	for n := int64(1); ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(time.Duration(30+random.IntN(120)) * time.Millisecond): // so that a run has few events for its time
		}
		group := c.groups[random.IntN(len(c.groups))]
		m, ok := c.sendUntilAccepted(d, group, outgoing{Key: fmt.Sprint(d.user, "-", n), ClientSeq: n, Ciphertext: []byte(d.user)})
		if !ok {
			return
		}
		c.mu.Lock()
		c.accepted = append(c.accepted, m)
		full := len(c.accepted) >= clusterEvents
		close(c.rising)
		c.rising = make(chan struct{})
		c.mu.Unlock()
		if full {
			return
		}
		switch random.IntN(12) {
		case 0: // the answers do not matter: the log says what came of it
			c.call(d, http.MethodPatch, "/v1/messages/"+m.ID, map[string]any{"ciphertext": []byte("edited")})
		case 1:
			c.call(d, http.MethodPost, "/v1/messages/"+m.ID+"/reactions", map[string]any{"emoji": "+1"})
		case 2:
			c.call(c.people[0], http.MethodPost, "/v1/threads/"+group+"/participants", map[string]any{"user_id": "guest"})
		case 3:
			c.call(c.people[0], http.MethodDelete, "/v1/threads/"+group+"/participants/guest", nil)
		}
	}
}

// callTimeout is for one call: a node that stands still answers none.
const callTimeout = 8 * time.Second

func (c *nodesAtOnce) call(d *device, method, path string, body any) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return d.call(ctx, method, path, body)
}

func (c *nodesAtOnce) sendUntilAccepted(d *device, group string, out outgoing) (m message, ok bool) {
	for deadline := time.Now().Add(2 * patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		a, err := d.try(ctx, group, out)
		cancel()
		switch {
		case err == nil && a.status == http.StatusAccepted:
			if err := json.Unmarshal(a.body, &m); err != nil {
				c.t.Error(err)
				return m, false
			}
			return m, true
		case err == nil && a.status != http.StatusServiceUnavailable || time.Now().After(deadline):
			c.t.Errorf("a send as %s: %d %s, %v", d.user, a.status, a.body, err)
			return m, false
		}
		c.mu.Lock()
		c.retried++
		c.mu.Unlock()
		transport.CloseIdleConnections() // so that the balancer chooses again
		<-time.After(100 * time.Millisecond)
	}
}

// connect connects a receiver, and tries again while its node is down.
func (c *nodesAtOnce) connect(s *staying) *client {
	for deadline := time.Now().Add(2 * patience); ; <-time.After(100 * time.Millisecond) {
		line, err := s.p.connect(s.d, options{})
		if err == nil {
			return line
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%s does not connect: %v", s.seen.name, err)
			return nil
		}
		s.move()
	}
}

// stay keeps a receiver at its node, until it has got all there is in the end.
func (c *nodesAtOnce) stay(s *staying, node int) {
	for {
		line := c.connect(s)
		if line == nil {
			return
		}
		lost := make(chan struct{})
		go func() {
			defer close(lost)
			line.watch(time.Hour, func([]frame) bool { return false })
		}()
		s.present(line)
		select {
		case <-lost:
			c.mu.Lock()
			mayBe := c.reconnect
			c.mu.Unlock()
			if !mayBe {
				c.t.Errorf("%s lost its connection to node %d (%#x)", s.seen.name, node, line.end)
			}
			s.seen.take(c.t, line.record)
			s.move()
			continue
		case <-c.finished:
		}
		c.awaitAll(s, line)
		line.close()
		<-lost
		s.seen.take(c.t, line.record)
		return
	}
}

// awaitAll waits until a receiver has got all events on its present connection and those
// before it.
func (c *nodesAtOnce) awaitAll(s *staying, line *client) {
	read := 0
	line.watch(patience, func(f []frame) bool {
		s.seen.add(f[read:])
		read = len(f)
		for group, count := range c.events {
			if !s.seen.complete(group, count) {
				return false
			}
		}
		return true
	})
}

// hop has a receiver connect again and again, to any node, each time for some frames or some
// time; at the end it stays.
func (c *nodesAtOnce) hop(s *staying, random *rand.Rand) {
	for {
		line := c.connect(s)
		if line == nil {
			return
		}
		select {
		case <-c.finished:
			c.awaitAll(s, line)
			line.close()
			s.seen.take(c.t, line.record)
			return
		default:
		}
		enough := 1 + random.IntN(60)
		line.watch(time.Duration(500+random.IntN(1500))*time.Millisecond, func(f []frame) bool { return len(f) >= enough })
		if f := line.all(); random.IntN(3) == 0 && len(f) > 0 {
			c.read(s.d, f[random.IntN(len(f))])
		}
		if random.IntN(2) == 0 {
			line.drop()
		} else {
			line.close()
		}
		s.seen.take(c.t, line.record)
	}
}

// read marks the message of a frame as read. Whether that is answered does not matter.
func (c *nodesAtOnce) read(d *device, f frame) {
	if f.T != "msg" {
		return
	}
	c.mu.Lock()
	c.reads = append(c.reads, reading{now(), d.user, f.ThreadID, f.ID})
	c.mu.Unlock()
	_, _ = c.call(d, http.MethodPost, "/v1/threads/"+f.ThreadID+"/read", map[string]any{"up_to_msg_id": f.ID})
}

// more waits until some more messages are accepted.
func (c *nodesAtOnce) more(n int) {
	c.t.Helper()
	c.mu.Lock()
	enough := min(len(c.accepted)+n, clusterEvents)
	c.mu.Unlock()
	for deadline := time.After(2 * patience); ; {
		c.mu.Lock()
		have, rising := len(c.accepted), c.rising
		c.mu.Unlock()
		if have >= enough || c.t.Failed() {
			return
		}
		select {
		case <-rising:
		case <-deadline:
			c.t.Fatalf("%d of %d messages were accepted within %v", have, enough, 2*patience)
		}
	}
}

// reached waits until every stayer has what is accepted by now, on whatever connection:
// while a fault lasts, it is the fault's way that brings it.
func (c *nodesAtOnce) reached(stayers ...*staying) {
	c.t.Helper()
	c.mu.Lock()
	last := c.accepted[len(c.accepted)-1]
	c.mu.Unlock()
	if len(stayers) == 0 {
		stayers = c.stayers
	}
	started := time.Now()
	for _, s := range stayers {
		line := s.now()
		if !line.watch(patience, func(f []frame) bool {
			for i := len(f) - 1; i >= 0; i-- {
				if f[i].T == "msg" && f[i].ID == last.ID {
					return true
				}
			}
			return false
		}) {
			c.t.Errorf("%s did not get %s (seq %d) within %v", s.seen.name, last.ID, last.Seq, patience)
		}
	}
	c.t.Logf("everybody who stayed had it after %v", time.Since(started).Round(100*time.Millisecond))
}

// end ends the traffic.
func (c *nodesAtOnce) end() {
	c.ending.Do(func() { close(c.stop) })
	c.sending.Wait()
}

// check ends the traffic, waits until everybody has everything without any more of it, and
// checks the history.
func (c *nodesAtOnce) check() {
	c.t.Helper()
	c.end()
	ended := time.Now()
	reader := c.people[0]
	c.events = make(map[string]int)
	total := 0
	for _, group := range c.groups {
		c.events[group] = len(reader.events(c.t, group, 0, 100))
		total += c.events[group]
	}
	close(c.finished)
	c.watching.Wait()
	took := time.Since(ended)
	var unions []*union
	for _, s := range append(c.stayers, c.hoppers...) {
		unions = append(unions, s.seen)
	}
	final := historyOf(c.t, reader, c.groups, unions...)
	final.accepted, final.reads = c.accepted, c.reads
	final.check(c.t)
	c.t.Logf("%d events, %d messages, %d sends tried again; all was there %v after the last send", total, len(c.accepted), c.retried, took.Round(100*time.Millisecond))
	for i, s := range c.nodes {
		c.t.Logf("node %d: %v repairs, %v threads, %v losses", i, s.metric(c.t, "parley_bus_repairs_total"),
			s.metric(c.t, "parley_bus_repaired_threads_total"), s.metric(c.t, "parley_bus_losses_total"))
	}
}

// mayReconnect says that stayers lose their connections from here on.
func (c *nodesAtOnce) mayReconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reconnect = true
}

// awaitStopped waits until a node's process stands still.
func (s *server) awaitStopped(t *testing.T) {
	t.Helper()
	stat := fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid)
	eventually(t, "the process stands still", func() bool {
		raw, err := os.ReadFile(stat)
		if err != nil {
			t.Fatal(err)
		}
		_, state, _ := strings.Cut(string(raw), ") ")
		return strings.HasPrefix(state, "T")
	})
}
