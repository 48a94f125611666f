package e2e

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/test/cluster"
	"github.com/parleyhq/parley/test/mongod"
	"github.com/parleyhq/parley/test/natsd"
)

// repairCrowd is how many devices are connected in TestCostOfARepair. Of 18,000 their connections
// need 20,000 open files, here and in the server.
var repairCrowd = flag.Int("repair.devices", 300, "devices that are connected while TestCostOfARepair's repair is under way")

// newsOfRepair is in how many threads there is news.
const newsOfRepair = 200

// TestCostOfARepair measures what it costs a node with many devices to find what another has stored
// while there is no NATS: for the devices with news, and for nobody else. It prints what
// docs/performance.md shows.
func TestCostOfARepair(t *testing.T) {
	needsMongo(t)
	ofTheLongRun(t)
	binary, err := plainBinary()
	if err != nil {
		t.Fatalf("building the server: %v", err)
	}
	uri, bus := mongod.Start(t).URI(), natsd.Start(t)
	host, _, _ := strings.Cut(strings.TrimPrefix(uri, "mongodb://"), "/")
	node := func() (*server, *cluster.Mongo) {
		mongo := cluster.NewMongo(t, host)
		s := &server{dir: t.TempDir(), store: mongo.URI(uri), extra: []string{"--bus", "nats://" + bus.Addr(), "--rate-send", "0"}, http: "127.0.0.1:0", tcp: "127.0.0.1:0", binary: binary}
		s.begin(t)
		return s, mongo
	}
	one, mongo := node()
	two, _ := node()
	for _, s := range []*server{one, two} {
		s.awaitHealth(t, "ok")
	}
	connectCrowd(t, one, *repairCrowd) // first: the test server looks at all threads for each
	threads, lines := make([]string, newsOfRepair), make([]*client, newsOfRepair)
	sender := two.device(t, "sender", "d")
	sender.bulk = true
	for i := range newsOfRepair {
		user := fmt.Sprint("r", i)
		threads[i] = sender.createOneToOne(t, user).ID
		lines[i] = mqtt5TCP.live(t, one.device(t, user, "d"), options{})
	}
	bus.Kill(t)
	one.awaitHealth(t, "degraded", "bus")

	measure := func(what string, do func()) {
		cpu, asked := one.metric(t, "process_cpu_seconds_total"), mongo.Commands()
		looks, found := one.metric(t, "parley_bus_repairs_total"), one.metric(t, "parley_bus_repaired_threads_total")
		began := time.Now()
		do()
		t.Logf("%s: %.1f s, %.2f s of CPU, %d MongoDB commands, %.0f looks, %.0f threads found", what, time.Since(began).Seconds(),
			one.metric(t, "process_cpu_seconds_total")-cpu, mongo.Commands()-asked, one.metric(t, "parley_bus_repairs_total")-looks, one.metric(t, "parley_bus_repaired_threads_total")-found)
	}
	t.Logf("%d devices are connected, %d threads have news", *repairCrowd+newsOfRepair, newsOfRepair)
	looks := func(n float64) {
		before := one.metric(t, "parley_bus_repairs_total")
		eventually(t, "the node has looked again", func() bool { return one.metric(t, "parley_bus_repairs_total") >= before+n })
	}
	looks(1)
	measure("without NATS, nothing new", func() { looks(3) })
	sent := make([]message, newsOfRepair)
	measure("without NATS, with news", func() {
		for i, id := range threads {
			sent[i] = sender.send(t, id, "while there is no NATS")
		}
		for i, c := range lines {
			c.untilMessage(t, sent[i].ID)
		}
		looks(1)
	})
	if all := one.metric(t, "parley_bus_losses_total"); all > 1 { // the first is the node's start
		t.Errorf("all devices were looked at %v times", all)
	}
	measure("NATS comes back", func() {
		bus.Restart(t)
		one.awaitHealth(t, "ok")
		for i, c := range lines {
			c.untilMessage(t, sender.send(t, threads[i], "with NATS").ID)
		}
	})
}

// connectCrowd connects devices of as many users, who are in no thread.
func connectCrowd(t *testing.T, s *server, n int) {
	t.Helper()
	const atOnce = 32
	var connecting sync.WaitGroup
	for first := range atOnce {
		connecting.Go(func() {
			for i := first; i < n; i += atOnce {
				r := dialRaw(t, s, mqtt5)
				if ack := r.connect(t, helloOf(s.device(t, fmt.Sprint("crowd-", i), "d"))); ack.code != 0 {
					t.Errorf("connection %d: CONNACK %#x", i, ack.code)
				}
			}
		})
	}
	connecting.Wait()
}
