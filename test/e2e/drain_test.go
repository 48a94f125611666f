package e2e

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/parleyhq/parley/test/cluster"
)

// A node stops under traffic, as in a rolling restart, and its devices go to the other one.
// Nothing is lost on the way, and a sender who watches at the other node is told once of each
// receipt, and of the last.
func TestNodeIsDrained(t *testing.T) {
	t.Parallel()
	one, two, bus := startNodes(t)
	c := &nodesAtOnce{
		t: t, seed: seed(t), bus: bus, nodes: []*server{one, two}, reconnect: true,
		stop: make(chan struct{}), finished: make(chan struct{}), rising: make(chan struct{}),
	}
	c.front = &server{http: cluster.NewBalancer(t, c.seed, one.http, two.http).Addr()}
	var names []string
	for i := range 3 {
		d := c.front.device(t, fmt.Sprint("sender-", i), "d")
		d.bulk = true
		c.people, names = append(c.people, d), append(names, d.user)
	}
	for _, p := range oneOfEach {
		for _, id := range []string{"a", "b"} {
			user := "receiver-" + p.name + "-" + id
			c.stayers = append(c.stayers, &staying{
				p: p, d: one.device(t, user, id), other: two.device(t, user, id),
				seen: &union{name: user, user: user}, line: make(chan *client, 1),
			})
			names = append(names, user)
		}
	}
	receivers := c.stayers
	group := c.people[0].createGroup(t, names[1:]...).ID
	c.groups = []string{group}
	watcher := &staying{p: jsonProtocol, d: two.device(t, "sender-0", "watch"), seen: &union{name: "watcher", user: "sender-0"}, line: make(chan *client, 1)}
	c.stayers = append(c.stayers, watcher)
	c.begin()
	everybodyAt := func(s *server, n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d devices are at the node", n), func() bool { return s.metric(t, "parley_sessions") == float64(n) })
	}
	everybodyAt(one, len(receivers))
	c.more(40)
	one.stop(t)
	everybodyAt(two, len(receivers)+1)
	c.more(20)
	one.start(t)
	one.awaitHealth(t, "ok")
	c.more(10)
	c.end()
	watcher.awaitReceipts(t, c.lastOf("sender-0"), receivers)
	c.check()
	watcher.checkReceiptsOnce(t)
}

// lastOf is the last message of a user that was accepted.
func (c *nodesAtOnce) lastOf(user string) (last message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.accepted {
		if m.SenderID == user && m.Seq > last.Seq {
			last = m
		}
	}
	return last
}

// awaitReceipts waits until a receiver has been told that a message was delivered to others.
func (s *staying) awaitReceipts(t *testing.T, m message, to []*staying) {
	t.Helper()
	line := s.now()
	for _, r := range to {
		told := func(f frame) bool {
			return f.T == "delivered" && text(f.By) == r.seen.user && cmp.Or(f.UpTo, f.ID) == m.ID
		}
		eventually(t, "the sender is told that its last message was delivered to "+r.seen.user, func() bool { return line.has(told) })
	}
}

// checkReceiptsOnce checks that a receiver was told of no receipt twice.
func (s *staying) checkReceiptsOnce(t *testing.T) {
	t.Helper()
	times := map[string]int{}
	for f := range s.seen.receipts() {
		what := f.T + " " + f.ThreadID + " " + text(f.By) + " " + cmp.Or(f.UpTo, f.ID)
		if times[what]++; times[what] == 2 {
			t.Errorf("%s: %s was told twice", s.seen.name, what)
		}
	}
	if len(times) == 0 {
		t.Errorf("%s was told of no receipt", s.seen.name)
	}
}
