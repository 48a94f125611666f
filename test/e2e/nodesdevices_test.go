package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/test/cluster"
	"github.com/parleyhq/parley/test/mongod"
	"github.com/parleyhq/parley/test/natsd"
)

// twoNodes runs two servers on one database and one NATS.
func twoNodes(t *testing.T) (one, two *server) {
	t.Helper()
	needsMongo(t)
	store, bus := mongod.Shared(t).URI(), "nats://"+natsd.Start(t).Addr()
	return startServerOn(t, store, "--bus", bus), startServerOn(t, store, "--bus", bus)
}

// A device that connects to another node takes its connection over, in every protocol, and
// gets what it has not acknowledged.
func TestTakeoverAtAnotherNode(t *testing.T) {
	one, two := twoNodes(t)
	ends := map[string]int{jsonProtocol.name: 4409, mqtt5TCP.name: 0x8E, mqtt311TCP.name: 0}
	for _, old := range oneOfEach {
		for _, next := range oneOfEach {
			name := old.name + "-" + next.name
			ann := one.device(t, "ann-"+name, "a")
			th := ann.createOneToOne(t, "bob-"+name)
			first := old.live(t, one.device(t, "bob-"+name, "b"), options{manual: true})
			unacked := ann.send(t, th.ID, "one")
			first.untilMessage(t, unacked.ID)
			second := next.open(t, two.device(t, "bob-"+name, "b"), options{})
			first.awaitEnd(t, ends[old.name])
			second.untilMessage(t, unacked.ID)
			second.untilMessage(t, ann.send(t, th.ID, "two").ID)
			second.close()
		}
	}
}

// A device is removed at one node while the other hears nothing: it is cut off there all the same,
// in every protocol, and the user's other device stays.
func TestRemovedDeviceWhileNATSIsDown(t *testing.T) {
	needsMongo(t)
	bus := natsd.Start(t)
	store, url := mongod.Shared(t).URI(), "nats://"+bus.Addr()
	one, two := startServerOn(t, store, "--bus", url), startServerOn(t, store, "--bus", url)
	ends := map[string]int{jsonProtocol.name: 4403, mqtt5TCP.name: 0x98, mqtt311TCP.name: 0}
	bob := one.device(t, "bob", "main")
	stays := jsonProtocol.live(t, two.device(t, "bob", "stays"), options{})
	lost := make(map[string]*client)
	for _, p := range oneOfEach {
		lost[p.name] = p.live(t, two.device(t, "bob", p.name), options{})
	}
	bus.Kill(t)
	for _, p := range oneOfEach {
		bob.must(t, http.StatusNoContent, http.MethodDelete, "/v1/users/me/devices/"+p.name, nil)
	}
	for _, p := range oneOfEach {
		lost[p.name].awaitEnd(t, ends[p.name])
	}
	th := bob.createGroup(t, "ann")
	stays.untilMessage(t, bob.send(t, th.ID, "still here").ID)
}

// People hear of users at the other node, also that they are gone when it was killed.
func TestPresenceOfUsersAtAnotherNode(t *testing.T) {
	one, two := twoNodes(t)
	ann := one.device(t, "ann", "a")
	acceptAll(t, one, ann.createGroup(t, "bob", "cyd").ID, "bob", "cyd")
	watcher := jsonProtocol.live(t, ann, options{})
	told := func(user, status string) {
		t.Helper()
		watcher.until(t, user+" is "+status, func(f frame) bool { return f.T == "presence" && f.UserID == user && f.Status == status })
	}
	jsonProtocol.live(t, two.device(t, "bob", "b"), options{})
	told("bob", "online")
	mqtt5TCP.live(t, two.device(t, "cyd", "c"), options{})
	jsonProtocol.live(t, one.device(t, "cyd", "c-too"), options{})
	told("cyd", "online")
	two.kill(t)
	told("bob", "offline")
	if got := ann.presenceOf(t, "bob"); got.Status != "offline" || got.LastSeenAt == nil {
		t.Errorf("bob, whose node was killed, is %+v", got)
	}
	if got := ann.presenceOf(t, "cyd"); got.Status != "online" {
		t.Errorf("cyd, who has a device at the other node, is %+v", got)
	}
	statuses := 0
	for _, f := range watcher.all() {
		if f.T == "presence" {
			statuses++
		}
	}
	if statuses != 3 {
		t.Errorf("%d presence frames came, want 3", statuses)
	}
}

// Two nodes change what bob keeps of a thread at once, again and again, while hints are lost and
// overtake each other: each time every device of his is told last what is stored.
func TestOwnStateChangedAtTwoNodesAtOnce(t *testing.T) {
	needsMongo(t)
	const nodes, rounds = 3, 12
	store, bus := mongod.Shared(t).URI(), natsd.Start(t)
	var bobs []*device
	var lines []*client
	for i := range nodes {
		way := cluster.NewNATS(t, uint64(i), bus.Addr())
		way.Set(cluster.In, cluster.Way{Lose: 0.1, Delay: 0.4, By: 200 * time.Millisecond, Hints: true})
		s := startServerOn(t, store, "--bus", "nats://"+way.Addr())
		bobs = append(bobs, s.device(t, "bob", fmt.Sprint("device-", i)))
		lines = append(lines, oneOfEach[i].live(t, bobs[i], options{}))
	}
	th := bobs[0].createGroup(t, "ann")
	for round := range rounds {
		var changing sync.WaitGroup
		for i, bob := range bobs[:2] {
			changing.Go(func() {
				change := map[string]any{"custom": fmt.Appendf(nil, "round %d, node %d", round, i)}
				if a, err := bob.call(t.Context(), http.MethodPatch, "/v1/threads/"+th.ID+"/me", change); err != nil || a.status != http.StatusOK {
					t.Errorf("node %d: %v, %v", i, a.status, err)
				}
			})
		}
		changing.Wait()
		stored := string(bobs[2].me(t, th.ID).Custom)
		for i, line := range lines {
			eventually(t, fmt.Sprintf("device %d is told %q last", i, stored), func() bool {
				last := ""
				for _, f := range line.all() {
					if f.T == "thread_state" {
						last = string(f.Me.Custom)
					}
				}
				return last == stored
			})
		}
	}
}
