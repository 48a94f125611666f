package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/test/cluster"
	"github.com/parleyhq/parley/test/mongod"
	"github.com/parleyhq/parley/test/natsd"
)

// costPairs are the pairs of people in TestCostOfSeveralNodes.
const costPairs = 30

// costLoads are the loads of TestCostOfSeveralNodes.
var costLoads = []struct {
	messages int // of each pair
	pause    time.Duration
}{{20, 400 * time.Millisecond}, {80, 100 * time.Millisecond}}

// TestCostOfSeveralNodes measures what a message from one person to another costs the nodes:
// over three nodes and over one, at the same load in all, and at the same load for each node. The
// two of a pair are at different nodes. It prints what docs/performance.md shows.
func TestCostOfSeveralNodes(t *testing.T) {
	needsMongo(t)
	ofTheLongRun(t)
	binary, err := plainBinary()
	if err != nil {
		t.Fatalf("building the server: %v", err)
	}
	one, three := measureNodes(t, binary, 1, costPairs), measureNodes(t, binary, clusterNodes, costPairs)
	full := measureNodes(t, binary, clusterNodes, clusterNodes*costPairs)
	for i, load := range costLoads {
		for _, m := range []nodesCost{one[i], three[i], full[i]} {
			t.Logf("%d pairs, each a message every %v, %d nodes: %.2f ms of CPU and %.1f MongoDB commands a message", m.pairs, load.pause, m.nodes, m.cpu*1000, m.commands)
		}
		t.Logf("three nodes take %.2f times the CPU of one, and %.2f times if each has the load of the one", three[i].cpu/one[i].cpu, full[i].cpu/one[i].cpu)
	}
}

// nodesCost is what one delivered message costs all nodes together.
type nodesCost struct {
	nodes, pairs  int
	cpu, commands float64
}

func measureNodes(t *testing.T, binary string, n, pairs int) (costs []nodesCost) {
	t.Helper()
	uri, bus := mongod.Start(t).URI(), natsd.Start(t)
	host, _, _ := strings.Cut(strings.TrimPrefix(uri, "mongodb://"), "/")
	mongo := cluster.NewMongo(t, host)
	nodes := make([]*server, n)
	for i := range nodes {
		nodes[i] = &server{dir: t.TempDir(), store: mongo.URI(uri), extra: []string{"--bus", "nats://" + bus.Addr()}, http: "127.0.0.1:0", tcp: "127.0.0.1:0", binary: binary}
		nodes[i].begin(t)
		nodes[i].awaitHealth(t, "ok")
	}
	senders, threads, lines := make([]*device, pairs), make([]string, pairs), make([]*client, pairs)
	for i := range pairs {
		senders[i] = nodes[i%n].device(t, fmt.Sprint("a", i), "d")
		senders[i].bulk = true
		threads[i] = senders[i].createOneToOne(t, fmt.Sprint("b", i)).ID
		jsonProtocol.live(t, senders[i], options{}) // is told of the receipts
		lines[i] = mqtt5TCP.live(t, nodes[(i+1)%n].device(t, fmt.Sprint("b", i), "d"), options{})
		lines[i].untilMessage(t, senders[i].send(t, threads[i], "warm").ID)
	}
	cpu := func() (seconds float64) {
		for _, s := range nodes {
			seconds += s.metric(t, "process_cpu_seconds_total")
		}
		return seconds
	}
	for _, load := range costLoads {
		before, asked := cpu(), mongo.Commands()
		var sending sync.WaitGroup
		for i, d := range senders {
			sending.Go(func() {
				for range load.messages {
					<-time.After(load.pause)
					lines[i].untilMessage(t, d.send(t, threads[i], "hello").ID)
				}
			})
		}
		sending.Wait()
		messages := float64(pairs * load.messages)
		costs = append(costs, nodesCost{n, pairs, (cpu() - before) / messages, float64(mongo.Commands()-asked) / messages})
	}
	return costs
}
