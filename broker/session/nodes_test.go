package session

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

// lossy is a bus of several nodes that can lose what they tell each other of connections. One
// node does not close it for the others.
type lossy struct {
	chat.Bus
	loses *atomic.Bool
}

func (b lossy) Publish(n chat.Notice) {
	if n.Node == nil || !b.loses.Load() {
		b.Bus.Publish(n)
	}
}

func (lossy) Close() error { return nil }

// cluster is two nodes on one MongoDB and one bus.
type cluster struct {
	a, b  *node
	bus   *local.Bus
	loses atomic.Bool // what nodes tell each other
}

func newCluster(t testing.TB, limits Limits) *cluster {
	t.Helper()
	return newClusterOver(t, limits, func(s chat.Store) chat.Store { return s })
}

// newClusterOver is newCluster with something between the first node and the store.
func newClusterOver(t testing.TB, limits Limits, over func(chat.Store) chat.Store) *cluster {
	t.Helper()
	c := new(cluster)
	bus := local.New()
	c.bus = bus
	t.Cleanup(func() { _ = bus.Close() })
	url := newDatabase(t)
	unchanged := func(s chat.Store) chat.Store { return s }
	c.a = newNodeAmong(t, url, lossy{bus, &c.loses}, limits, 0, over)
	c.b = newNodeAmong(t, url, lossy{bus, &c.loses}, limits, 0, unchanged)
	return c
}

// nodes are both, the one whose turn it is first.
func (c *cluster) nodes(turn int) [2]*node {
	if turn%2 == 1 {
		return [2]*node{c.b, c.a}
	}
	return [2]*node{c.a, c.b}
}

func (d *device) reason() Reason {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// open lists the sessions of a device on both nodes.
func (c *cluster) open(user chat.UserID, name chat.DeviceID) (sessions []*Session) {
	for _, n := range []*node{c.a, c.b} {
		for _, s := range n.sessions.of(user) {
			if s.device == name {
				sessions = append(sessions, s)
			}
		}
	}
	return sessions
}

// Of the connections of a device to two nodes, the one that was admitted last stays, and it
// alone, also when both connect at once.
func TestOneOfTwoConnectionsAtOnceStays(t *testing.T) {
	const devices, atOnce = 200, 20 // a slow store refuses what waits for seconds
	c := newCluster(t, Limits{ConnectionsPerUser: devices})
	both := make([][2]*device, devices)
	for first := 0; first < devices; first += atOnce {
		var connected sync.WaitGroup
		for i := first; i < first+atOnce; i++ {
			who := as(chat.UserID(fmt.Sprint("u", i%20)), chat.DeviceID(fmt.Sprint("d", i)))
			for j, n := range c.nodes(i) {
				connected.Go(func() { both[i][j] = n.connect(who) })
			}
		}
		connected.Wait()
	}
	late := 0
	for i, pair := range both {
		newer, older := pair[0], pair[1]
		if newer.sess.conn < older.sess.conn {
			newer, older = older, newer
		}
		if older.sess.beaten {
			late++
		}
		older.awaitClosed(TakenOver)
		if open := c.open(newer.sess.user, newer.sess.device); len(open) != 1 || open[0] != newer.sess {
			t.Errorf("device %d: %d sessions are open", i, len(open))
		}
		if reason := newer.reason(); reason != 0 {
			t.Errorf("device %d: the later connection was closed, too: %v", i, reason)
		}
	}
	t.Logf("of %d connections that were closed, %d were admitted before the other and registered behind it", devices, late)
}

// late is a store that numbers a connection and keeps the number back.
type late struct {
	chat.Store
	numbered, goOn chan struct{}
}

func (l late) AdmitDevice(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Admitted, error) {
	admitted, err := l.Store.AdmitDevice(ctx, user, device)
	close(l.numbered)
	<-l.goOn
	return admitted, err
}

// A connection that was numbered first and is ready last finds the later one, and gives way.
func TestConnectionThatIsReadyLastGivesWay(t *testing.T) {
	slow := late{numbered: make(chan struct{}), goOn: make(chan struct{})}
	c := newClusterOver(t, Limits{}, func(s chat.Store) chat.Store {
		slow.Store = s
		return slow
	})
	var first *device
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		first = c.a.connect(as("bob", "phone"))
	}()
	<-slow.numbered
	second := c.b.connect(as("bob", "phone"))
	second.awaitCaughtUp()
	close(slow.goOn)
	<-ready
	first.awaitClosed(TakenOver)
	if len(first.frames) > 0 || second.reason() != 0 || len(c.open("bob", "phone")) != 1 {
		t.Errorf("the first was sent %d frames, the second ended with %v, %d are open", len(first.frames), second.reason(), len(c.open("bob", "phone")))
	}
}

// What a device acknowledged on one node does not come again on the other, to which it moves.
func TestAcknowledgementsMoveWithTheDevice(t *testing.T) {
	for _, protocol := range []option{func(*device, *Params) {}, both(mqtt, filters("v1/threads/+/frames", "v1/devices/phone/frames"))} {
		c := newCluster(t, Limits{})
		c.b.keys = 1000
		g := c.a.group("alice", "bob")
		for i := range 20 {
			c.a.send(as("alice", "web"), g, fmt.Sprint("m", i))
		}
		old := c.a.connect(as("bob", "phone"), protocol, manualAcks)
		frames := old.awaitSeq(g, 21)
		for _, f := range frames {
			if f.Seq > 0 && f.Seq <= 15 {
				old.ack(f)
			}
		}
		moved := c.b.connect(as("bob", "phone"), protocol)
		old.awaitClosed(TakenOver)
		got := moved.awaitSeq(g, 21)
		if want := []int{16, 17, 18, 19, 20, 21}; !slices.Equal(seqs(got, g), want) {
			t.Errorf("after 15 were acknowledged, the device gets %v, want %v", seqs(got, g), want)
		}
		c.b.send(as("alice", "web"), g, "live")
		moved.awaitSeq(g, 22)
	}
}

func both(options ...option) option {
	return func(d *device, p *Params) {
		for _, o := range options {
			o(d, p)
		}
	}
}

func filters(names ...string) option { return func(d *device, _ *Params) { d.filters = names } }

// If no notice comes, the older connection learns of the newer one from the store.
func TestOlderConnectionLearnsFromTheStore(t *testing.T) {
	c := newCluster(t, Limits{})
	g := c.a.group("alice", "bob")
	c.loses.Store(true)
	by := map[string]func(old *device){
		"acknowledging": func(old *device) {
			old.release() // what came before counts, and need not come again
		},
		"subscribing": func(old *device) {
			old.subscribe("v1/presence/alice")
			old.sess.KeepSubscriptions(t.Context())
		},
	}
	for what, act := range by {
		phone := as("bob", chat.DeviceID(what))
		keeps := both(mqtt, filters("v1/threads/+/frames"), keptFor(time.Hour))
		seq := c.a.send(as("alice", "web"), g, what).Seq
		old := c.a.connect(phone, keeps, manualAcks)
		old.awaitSeq(g, seq)
		c.b.connect(phone, keeps).awaitSeq(g, seq)
		c.b.eventually("the subscriptions of the newer one", func() bool {
			_, err := c.b.store.Subscriptions(t.Context(), phone.User, phone.Device)
			return err == nil
		})
		if reason := old.reason(); reason != 0 {
			t.Fatalf("%s: the older connection was told: %v", what, reason)
		}
		act(old)
		old.awaitClosed(TakenOver)
	}
}

func keptFor(d time.Duration) option { return func(_ *device, p *Params) { p.KeepFor = d } }

// A session that asked to be kept goes on at another node, whether its connection has ended or
// is taken over.
func TestSubscriptionsHoldOnEveryNode(t *testing.T) {
	c := newCluster(t, Limits{KeepSubscriptions: time.Hour})
	g := c.a.group("alice", "bob")
	phone := as("bob", "phone")
	first := c.a.connect(phone, mqtt, keptFor(time.Hour))
	first.subscribe("v1/threads/+/frames")
	first.sess.KeepSubscriptions(t.Context())
	if first.sess.Resumed() {
		t.Error("the first connection found a session")
	}
	first.awaitSeq(g, 1)
	c.b.pass(30 * 24 * time.Hour) // the connection is old, and open
	c.a.pass(30 * 24 * time.Hour)
	second := c.b.connect(phone, mqtt, keptFor(time.Hour))
	if !second.sess.Resumed() {
		t.Error("a session is not resumed while its connection is taken over")
	}
	first.awaitClosed(TakenOver)
	c.a.send(as("alice", "web"), g, "two")
	second.awaitSeq(g, 2)
	second.disconnect()
	c.a.eventually("the stored end of the connection", func() bool {
		k, err := c.a.store.Subscriptions(t.Context(), phone.User, phone.Device)
		return err == nil && !k.Connected
	})
	third := c.a.connect(phone, mqtt, keptFor(time.Hour))
	if !third.sess.Resumed() {
		t.Error("a session is not resumed after the end of its connection to another node")
	}
	c.a.send(as("alice", "web"), g, "three")
	third.awaitSeq(g, 3)
	c.b.connect(phone, mqtt, func(_ *device, p *Params) { p.CleanStart = true }).disconnect()
	if c.a.connect(phone, mqtt, keptFor(time.Hour)).sess.Resumed() {
		t.Error("a clean start at another node left the session")
	}
}

// A user's connections count at all nodes together, each device once.
func TestConnectionsCountOverAllNodes(t *testing.T) {
	c := newCluster(t, Limits{ConnectionsPerUser: 3})
	c.a.connect(as("bob", "one"))
	c.b.connect(as("bob", "two"))
	three := c.b.connect(as("bob", "three"))
	refused := func(n *node, device chat.DeviceID) bool {
		_, err := n.sessions.Open(Params{Caller: as("bob", device), Transport: three, SubscribesAll: true})
		if err != nil && chat.CodeOf(err) != chat.CodeRateLimited {
			t.Errorf("refused for %v", err)
		}
		return err != nil && n.sessions.Admits(as("bob", device)) != nil
	}
	if !refused(c.a, "four") || !refused(c.b, "four") {
		t.Error("a fourth device is admitted")
	}
	c.b.connect(as("bob", "one")) // taken over, and no fourth
	c.a.connect(as("bob", "two"))
	three.disconnect()
	c.a.eventually("room for another device", func() bool { return c.a.sessions.Admits(as("bob", "four")) == nil })
	c.a.connect(as("bob", "four"))
	if !refused(c.b, "five") {
		t.Error("a fourth device is admitted after a takeover")
	}
}

// People at all nodes are told once who comes and who goes, wherever that is.
func TestPresenceOverAllNodes(t *testing.T) {
	c := newCluster(t, Limits{PresenceGrace: time.Millisecond})
	for _, watcher := range []chat.UserID{"alice", "carol"} {
		c.a.pair(watcher, "bob")
	}
	alice, carol := c.a.connect(as("alice", "web")), c.b.connect(as("carol", "web"))
	alice.awaitCaughtUp()
	carol.awaitCaughtUp()
	told := func(want ...string) {
		t.Helper()
		alice.awaitPresences("bob", want...)
		carol.awaitPresences("bob", want...)
	}
	phone := c.b.connect(as("bob", "phone"))
	told("online")
	c.a.wantOnline("bob", true)
	web := c.a.connect(as("bob", "web"))
	moved := c.a.connect(as("bob", "phone"))
	phone.awaitClosed(TakenOver)
	web.disconnect()
	c.a.pass(time.Hour)
	c.b.pass(time.Hour)
	told("online")
	late := c.b.connect(as("carol", "tablet")) // is greeted with who is at another node
	late.awaitPresences("bob", "online")
	moved.disconnect()
	told("online", "offline")
	for _, n := range []*node{c.a, c.b} { // one of them told; the other one's grace may not be over yet
		n.eventually("the end of the grace", func() bool {
			online, err := n.sessions.Online(t.Context(), "bob")
			must(t, err)
			return !online
		})
	}
	c.b.connect(as("bob", "phone"))
	told("online", "offline", "online")
	late.awaitPresences("bob", "online", "offline", "online")
}

// If a node dies, its users go offline who are connected nowhere else. If it ends in an
// orderly way, they do after the grace.
func TestUsersOfANodeThatEnds(t *testing.T) {
	for what, end := range map[string]func(c *cluster){
		"dies":  func(c *cluster) { c.loses.Store(true); c.bus.NodeGone(c.b.sessions.node) },
		"stops": func(c *cluster) { c.b.stop() },
	} {
		c := newCluster(t, Limits{PresenceGrace: time.Millisecond})
		c.a.pair("alice", "bob")
		c.a.pair("alice", "carol")
		alice := c.a.connect(as("alice", "web"))
		alice.awaitCaughtUp()
		c.b.connect(as("bob", "phone"))
		c.b.connect(as("carol", "phone"))
		c.a.connect(as("carol", "web"))
		alice.awaitPresences("bob", "online")
		alice.awaitPresences("carol", "online")
		end(c)
		alice.awaitPresences("bob", "online", "offline")
		c.a.wantOnline("bob", false)
		c.a.wantOnline("carol", true)
		alice.awaitPresences("carol", "online")
		if c.a.lastSeen("bob").IsZero() {
			t.Errorf("a node %s: it is not stored when bob was last seen", what)
		}
	}
}
