package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Kept subscriptions are in the store, so a server that was killed finds them. Their time counts
// from the connection's end or, for a connection that the server's end cut off, from the restart.
func TestKeptSubscriptionsSurviveARestart(t *testing.T) {
	n := newNode(t, Limits{KeepSubscriptions: time.Hour})
	g := n.group("alice", "bob")
	keep := func(_ *device, p *Params) { p.KeepFor = 2 * time.Hour } // more than it gets
	kill := func() {                                                 // what sessions do at their end does not reach the store
		n.sessions.cancel()
		n.sessions = NewRegistry(Config{Store: n.store, Bus: local.New(), Chat: n.chat, Limits: Limits{KeepSubscriptions: time.Hour}, Now: n.now})
	}
	leave := func(phone *device) {
		before := n.now().Truncate(time.Millisecond)
		phone.disconnect()
		n.eventually("the end of the connection in the store", func() bool {
			k, err := n.store.Subscriptions(t.Context(), "bob", "phone")
			return err == nil && !k.Connected && !k.At.Before(before)
		})
	}
	phone := n.connect(as("bob", "phone"), mqtt, keep)
	phone.subscribe("v1/#")
	phone.sess.KeepSubscriptions(t.Context())
	phone.awaitSeq(g, 1)
	n.pass(3 * time.Hour)
	kill()
	n.pass(time.Hour - time.Minute)
	n.send(as("alice", "web"), g, "2")
	phone = n.connect(as("bob", "phone"), mqtt, keep) // subscribes nothing
	if !phone.sess.Resumed() {
		t.Fatal("the subscriptions of a live connection are gone with the server")
	}
	phone.awaitSeq(g, 2)
	leave(phone)
	n.pass(time.Hour - time.Minute)
	kill()
	phone = n.connect(as("bob", "phone"), mqtt, keep)
	if !phone.sess.Resumed() {
		t.Fatal("the subscriptions are gone before their time")
	}
	leave(phone)
	n.pass(30 * time.Minute)
	kill()
	n.pass(30 * time.Minute)
	if late := n.connect(as("bob", "phone"), mqtt, keep); late.sess.Resumed() {
		t.Error("the restart prolonged the time of a connection that had ended before it")
	}
}

// Subscriptions are bounded: in number, and by their names together.
func TestSubscriptionsAreBounded(t *testing.T) {
	var byCount, byBytes interest
	name := func(i, length int) string {
		n := fmt.Sprintf("v1/threads/%d", i)
		return n + strings.Repeat("x", length-len(n))
	}
	for i := range maxFilters {
		if ok, _, _ := byCount.add(name(i, 55), contracts.Filter{}, 0); !ok {
			t.Fatalf("filter %d is refused", i)
		}
	}
	if ok, _, _ := byCount.add(name(maxFilters, 55), contracts.Filter{}, 0); ok {
		t.Error("one filter too many is granted")
	}
	if ok, fresh, changed := byCount.add(name(3, 55), contracts.Filter{}, 1); !ok || fresh || !changed {
		t.Error("a filter that is there cannot be replaced")
	}
	if ok, fresh, changed := byCount.add(name(3, 55), contracts.Filter{}, 1); !ok || fresh || changed {
		t.Error("the same filter again changes something")
	}
	for i := range maxFiltersBytes / maxFilterBytes {
		if ok, _, _ := byBytes.add(name(i, maxFilterBytes), contracts.Filter{}, 0); !ok {
			t.Fatalf("long filter %d is refused", i)
		}
	}
	if ok, _, _ := byBytes.add("v1/#", contracts.Filter{}, 0); ok {
		t.Error("more bytes of filters than may be are granted")
	}
}

// The filters of all connections of a user have a bound together; what one gives up another
// may have.
func TestSubscriptionsOfAUserAreBoundedTogether(t *testing.T) {
	n := newNode(t, Limits{})
	fill := func(d *device) (granted int) {
		for i := 0; d.sess.Subscribe(fmt.Sprintf("v1/threads/%0245d", i), contracts.Filter{}, 0); i++ {
			granted++
		}
		return granted
	}
	connect := func(user chat.UserID, name chat.DeviceID) *device { return n.connect(as(user, name), mqtt) }
	phone, web, tablet := connect("bob", "phone"), connect("bob", "web"), connect("bob", "tablet")
	whole, rest := maxFiltersBytes/256, (maxUserFiltersBytes-2*maxFiltersBytes)/256
	for i, d := range []*device{phone, web, tablet, connect("bob", "late"), connect("alice", "phone")} {
		if got, want := fill(d), []int{whole, whole, rest, 0, whole}[i]; got != want {
			t.Errorf("connection %d is granted %d filters of 256 bytes, want %d", i, got, want)
		}
	}
	if !tablet.sess.Subscribe(fmt.Sprintf("v1/threads/%0245d", 3), contracts.Filter{}, 1) {
		t.Error("a filter that is there cannot be replaced")
	}
	if !phone.sess.Unsubscribe(fmt.Sprintf("v1/threads/%0245d", 7)) || fill(tablet) != rest+1 {
		t.Error("what one connection gives up is not granted to another")
	}
	web.disconnect()
	if got := fill(tablet); got != whole {
		t.Error("what an ended connection had is not granted to another")
	}
}

// What a connection stores when it begins may come to the store late. It does not undo what the
// connection's end has stored: its time would count from a restart.
func TestBeginOfAConnectionIsNotStoredAfterItsEnd(t *testing.T) {
	n := newNode(t, Limits{KeepSubscriptions: time.Hour})
	phone := n.connect(as("bob", "phone"), mqtt, func(_ *device, p *Params) { p.KeepFor = time.Hour })
	phone.subscribe("v1/#")
	phone.disconnect()
	n.eventually("the end of the connection in the store", func() bool {
		k, err := n.store.Subscriptions(t.Context(), "bob", "phone")
		return err == nil && !k.Connected
	})
	phone.sess.storeSubscriptions(t.Context(), chat.KeptSubscriptions{Connected: true, At: phone.sess.started})
	if k, err := n.store.Subscriptions(t.Context(), "bob", "phone"); err != nil || k.Connected || len(k.Filters) != 1 {
		t.Errorf("after that the store has %+v, %v", k, err)
	}
}
