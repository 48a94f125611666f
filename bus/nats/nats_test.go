package nats

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parleyhq/parley/bus/bustest"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster are nodes on a NATS server of their own.
type cluster struct {
	server *natsd.Server
	prefix string
}

func (c cluster) Join(t *testing.T) chat.Bus {
	return join(t, Config{URL: "nats://" + c.server.Addr(), Prefix: c.prefix})
}
func (c cluster) Cut(t *testing.T)  { c.server.Kill(t) }
func (c cluster) Mend(t *testing.T) { c.server.Restart(t) }

// frozen is a cluster whose server stands still in a cut.
type frozen struct{ cluster }

func (f frozen) Cut(t *testing.T)  { f.server.Pause(t) }
func (f frozen) Mend(t *testing.T) { f.server.Resume(t) }

// sharing is a cluster whose nodes share a log.
type sharing struct{ cluster }

func (s sharing) Join(t *testing.T, l *bustest.Log) (chat.Bus, chat.NodeID) {
	b := join(t, Config{URL: "nats://" + s.server.Addr(), Prefix: s.prefix, Register: l, Standing: l.Standing})
	return b, b.node
}

// join opens a bus and waits until it is connected.
func join(t *testing.T, cfg Config) *Bus {
	t.Helper()
	cfg.Node = chat.NewNodeID()
	b, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); b.Ping(t.Context()) != nil; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(b.Ping(t.Context()))
		}
	}
	return b
}

func TestConformance(t *testing.T) {
	s := natsd.Start(t)
	bustest.Run(t, func(t *testing.T) chat.Bus { return join(t, Config{URL: "nats://" + s.Addr(), Prefix: "one"}) })
}

func TestNodes(t *testing.T) {
	bustest.RunNodes(t, func(t *testing.T) bustest.Nodes { return cluster{natsd.Start(t), "p.q"} })
}

func TestNodesWithAFrozenServer(t *testing.T) {
	bustest.RunNodes(t, func(t *testing.T) bustest.Nodes { return frozen{cluster{natsd.Start(t), "p"}} })
}

func TestRepairs(t *testing.T) {
	bustest.RunRepairs(t, func(t *testing.T) bustest.SharingNodes { return sharing{cluster{natsd.Start(t), "p"}} })
}
