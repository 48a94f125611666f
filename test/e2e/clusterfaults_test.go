package e2e

import (
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/parleyhq/parley/test/cluster"
)

// ofTheLongRun leaves a test to make test-long: it takes long, and finds little that the
// others do not.
func ofTheLongRun(t *testing.T) {
	t.Helper()
	if !longRun {
		t.Skip("make test-long runs it")
	}
}

func TestClusterWithoutFaults(t *testing.T) {
	ofTheLongRun(t)
	c := startCluster(t)
	c.more(150)
	c.reached()
	c.check()
}

// Every node is killed and started again, while the others serve. Right after that every node
// says of everybody who is there that it is, those who are there have been told so of each
// other, and when all have gone every node says that.
func TestClusterWhoseNodesAreKilled(t *testing.T) {
	c := startCluster(t)
	c.mayReconnect()
	for _, s := range c.stayers {
		for _, group := range c.groups {
			s.d.accept(t, group)
		}
	}
	for _, s := range c.nodes {
		c.more(30)
		s.kill(t)
		c.more(30)
		s.start(t)
	}
	c.more(30)
	c.awaitPresence("online")
	watcher := c.stayers[0]
	for _, s := range c.stayers[1:] {
		eventually(t, watcher.seen.name+" was told last that "+s.seen.name+" is online", func() bool {
			told := watcher.now().presences(s.d.user)
			return len(told) > 0 && told[len(told)-1] == "online"
		})
	}
	c.check()
	c.awaitPresence("offline")
}

// awaitPresence waits until every node says that of everybody who stays.
func (c *nodesAtOnce) awaitPresence(status string) {
	c.t.Helper()
	for i, node := range c.nodes {
		asking := node.device(c.t, c.people[0].user, "asking")
		for _, s := range c.stayers {
			eventually(c.t, fmt.Sprintf("node %d says that %s is %s", i, s.seen.name, status), func() bool {
				return asking.presenceOf(c.t, s.d.user).Status == status
			})
		}
	}
}

// NATS is gone, is cut from one node, hears one node and does not tell it, or the other way
// round; and it loses and delays single messages. What is stored reaches everybody who
// stays, on the connection they have, while each fault lasts.
func TestClusterWhoseNATSFails(t *testing.T) {
	c := startCluster(t)
	c.more(20)
	all := cluster.Way{Lose: 1}
	for _, fault := range []struct {
		what       string
		begin, end func()
	}{
		{"NATS is killed", func() { c.bus.Kill(t) }, func() { c.bus.Restart(t) }},
		{"NATS is cut from a node", c.nats[0].Cut, c.nats[0].Mend},
		{"a node is not heard", func() { c.nats[1].Set(cluster.Out, all) }, func() { c.nats[1].Set(cluster.Out, cluster.Way{}) }},
		{"a node hears nothing", func() { c.nats[2].Set(cluster.In, all) }, func() { c.nats[2].Set(cluster.In, cluster.Way{}) }},
		{"hints are lost and overtaken", func() { c.everyWay(cluster.Way{Lose: 0.02, Delay: 0.02, By: 700 * time.Millisecond, Hints: true}) }, func() { c.everyWay(cluster.Way{}) }},
	} {
		t.Log(fault.what)
		fault.begin()
		c.more(30)
		c.reached()
		fault.end()
		c.more(10)
		c.reached()
	}
	c.check()
	for i, s := range c.nodes {
		if losses := s.metric(t, "parley_bus_losses_total"); losses > clusterNodes {
			t.Errorf("node %d had all its sessions look %v times", i, losses)
		}
	}
}

func (c *nodesAtOnce) everyWay(w cluster.Way) {
	for _, n := range c.nats {
		n.Set(cluster.Out, w)
		n.Set(cluster.In, w)
	}
}

// A node stands still for 20 s after it has minted an id and before it has stored the event,
// and after it has stored and before it has told.
func TestClusterWithAFrozenNode(t *testing.T) {
	ofTheLongRun(t)
	c := startCluster(t)
	for i, point := range []string{"before", "after"} {
		s := c.nodes[i]
		c.more(20)
		if err := os.WriteFile(s.pause, []byte(point), 0o600); err != nil {
			t.Fatal(err)
		}
		s.awaitStopped(t)
		thaw := time.Now().Add(20 * time.Second)
		c.more(30)
		c.reached(c.stayers[2], c.stayers[1-i]) // those of the others
		awaitTime(t, thaw)
		if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	c.more(10)
	c.reached()
	c.check()
}

// An insert comes through 20 s after its node has given it up.
func TestClusterWithALateInsert(t *testing.T) {
	ofTheLongRun(t)
	c := startCluster(t)
	c.more(20)
	_, landed := c.mongo[1].HoldInsert("log", 20*time.Second)
	c.more(30)
	c.reached()
	select {
	case <-landed:
	case <-time.After(patience):
		t.Fatal("no insert was held")
	}
	c.more(10)
	c.reached()
	c.check()
}

// The clock of a node is 10 s off, which it says, and 90 s, with which it stores nothing. With
// the clocks of all nodes 90 s from the database's, they go on.
func TestClusterWhoseClocksAreWrong(t *testing.T) {
	ofTheLongRun(t)
	c := startCluster(t)
	c.more(20)
	one := c.nodes[1]
	one.setClock(t, 10*time.Second)
	one.awaitHealth(t, "degraded", "clock")
	c.more(20)
	c.reached()
	one.setClock(t, -90*time.Second)
	eventually(t, "the node stores nothing", func() bool { return one.health(t).status == http.StatusServiceUnavailable })
	c.more(20)
	c.reached()
	for _, s := range c.nodes {
		s.setClock(t, -90*time.Second)
	}
	for _, s := range c.nodes {
		s.awaitHealth(t, "degraded", "clock")
	}
	c.more(20)
	c.reached()
	for _, s := range c.nodes {
		s.setClock(t, 0)
	}
	for _, s := range c.nodes {
		s.awaitHealth(t, "ok")
	}
	c.more(10)
	c.reached()
	c.check()
}

// The nodes are restarted one after another, as an operator does for a new version.
func TestClusterThatIsRestartedNodeByNode(t *testing.T) {
	ofTheLongRun(t)
	c := startCluster(t)
	c.mayReconnect()
	for _, s := range c.nodes {
		c.more(30)
		s.stop(t)
		c.more(10)
		s.start(t)
		s.awaitHealth(t, "ok")
	}
	c.more(20)
	c.check()
}
