package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	pahov3 "github.com/eclipse/paho.mqtt.golang"

	"github.com/parleyhq/parley/test/mongod"
)

// outageSends is how many messages go into each library's queue: a part before the store
// fails, the rest while it does.
const (
	outageSends = 150
	beforeFault = 50
)

// queue hands messages to a library, which sends them and connects again by itself.
type queue struct {
	name  string
	start func(t *testing.T, d *device, topic string) (enqueue func(payload string))
}

var queues = []queue{
	{"autopaho", func(t *testing.T, d *device, topic string) func(string) {
		ctx, cancel := context.WithCancel(context.Background())
		m, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
			ServerUrls: []*url.URL{{Scheme: "mqtt", Host: d.srv.tcp}}, KeepAlive: 30, ConnectUsername: d.user, ConnectPassword: []byte(d.token),
			SessionExpiryInterval: 3600, ReconnectBackoff: func(int) time.Duration { return time.Second }, ClientConfig: paho.ClientConfig{ClientID: d.id},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); <-m.Done() })
		return func(payload string) {
			if err := m.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)}}); err != nil {
				t.Error(err)
			}
		}
	}},
	{"paho.mqtt.golang", func(t *testing.T, d *device, topic string) func(string) {
		// Its store on disk resends in the order of the files' times, which is too coarse.
		o := pahov3.NewClientOptions().AddBroker("tcp://" + d.srv.tcp).SetClientID(d.id).SetUsername(d.user).SetPassword(d.token).
			SetCleanSession(false).SetStore(pahov3.NewOrderedMemoryStore()).SetOrderMatters(true).SetMaxReconnectInterval(time.Second)
		c := pahov3.NewClient(o)
		if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatalf("connecting: %v", token.Error())
		}
		t.Cleanup(func() { c.Disconnect(250) })
		return func(payload string) { c.Publish(topic, 1, false, payload) }
	}},
}

// sendThroughOutage has each library send while the store fails, for so long that the server
// ends their connections, and then works again. The libraries lose nothing, and all is stored
// once and in order.
func sendThroughOutage(t *testing.T, s *server, begin, end func()) {
	t.Helper()
	enqueue, threads := make([]func(string), len(queues)), make([]string, len(queues))
	people := make([]*device, len(queues))
	send := func(from, to int) {
		for i := from; i <= to; i++ {
			for _, e := range enqueue {
				e(mqttSend(t, fmt.Sprint("k", i), int64(i), strconv.Itoa(i)))
			}
		}
	}
	for i, q := range queues {
		d := s.device(t, q.name, "d")
		d.bulk = true
		people[i], threads[i] = d, d.createGroup(t).ID
		enqueue[i] = q.start(t, d, messagesTopic(threads[i]))
	}
	send(1, beforeFault)
	for i, d := range people {
		eventually(t, "messages of "+d.user, func() bool { return len(d.texts(t, threads[i])) > 10 })
	}
	first := s.exited
	log := s.log
	begin()
	send(beforeFault+1, outageSends)
	for _, d := range people {
		eventually(t, "the connection of "+d.user+" ends, or the process does, as it may on a full disk", func() bool {
			select {
			case <-first:
				return true
			default:
			}
			return slices.ContainsFunc(log.of("connection ended"), func(l logLine) bool { return ofDevice(d.user, "d")(l) && l.Reason == "store_failing" })
		})
	}
	end()
	eventually(t, "/readyz says 200 again", func() bool { return s.status("/readyz") == http.StatusOK })
	var want []string
	for i := 1; i <= outageSends; i++ {
		want = append(want, strconv.Itoa(i))
	}
	for i, d := range people {
		var got []string
		eventually(t, "all messages of "+d.user, func() bool {
			got = d.texts(t, threads[i])
			return len(got) >= outageSends
		})
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d are stored, want %d in order: %v", d.user, len(got), len(want), got)
		}
		t.Logf("%s: %d are stored", d.user, len(got))
	}
}

func TestQueuesOutlastTheStore(t *testing.T) {
	t.Parallel()
	needsMongo(t)
	mongo := mongod.Start(t)
	s := startServerOn(t, mongo.URI(), "--rate-send", "0", "--rate-read", "0")
	sendThroughOutage(t, s, func() { mongo.Kill(t) }, func() { mongo.Restart(t) })
}

func TestQueuesOutlastAFullDisk(t *testing.T) {
	disk := smallDisk(t, 96)
	s := startServerOn(t, "pebble:"+filepath.Join(disk, "store"), "--rate-send", "0", "--rate-read", "0")
	restarts := supervised(t, s)
	filler := ""
	sendThroughOutage(t, s, func() { filler = fill(t, disk, 0) }, func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d restarts", restarts())
}
