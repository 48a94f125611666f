package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var subscriptionScenarios = []scenario{
	{"subscriptions that are kept come back", testSubscriptions},
	{"subscriptions are kept for the devices of a user that left last", testSubscriptionsBound},
	{"the filters that are kept for a user's devices have a bound together", testSubscriptionsBytes},
	{"subscriptions whose time is over are swept", testSubscriptionsSweep},
}

func kept(at time.Time, names ...string) chat.KeptSubscriptions {
	k := chat.KeptSubscriptions{Filters: []chat.KeptFilter{}, Keep: time.Hour, At: at}
	for i, name := range names {
		k.Filters = append(k.Filters, chat.KeptFilter{Name: name, QoS: byte(i % 2)})
	}
	return k
}

func (f *fixture) putKept(user chat.UserID, device chat.DeviceID, k chat.KeptSubscriptions) {
	f.tb.Helper()
	if err := f.store.PutSubscriptions(f.tb.Context(), user, device, 0, k); err != nil {
		f.tb.Fatalf("PutSubscriptions of %s/%s: %v", user, device, err)
	}
}

// wantKept sees what is kept for a device; nil is nothing.
func (f *fixture) wantKept(user chat.UserID, device chat.DeviceID, want *chat.KeptSubscriptions) {
	f.tb.Helper()
	got, err := f.store.Subscriptions(f.tb.Context(), user, device)
	switch {
	case want == nil:
		if !errors.Is(err, chat.ErrNotFound) {
			f.tb.Errorf("for %s/%s are kept %+v, %v; want ErrNotFound", user, device, got, err)
		}
	case err != nil || !got.At.Equal(want.At) || !reflect.DeepEqual(append([]chat.KeptFilter{}, got.Filters...), want.Filters) ||
		got.Keep != want.Keep || got.Connected != want.Connected:
		f.tb.Errorf("for %s/%s are kept %+v, %v; want %+v", user, device, got, err, *want)
	}
}

func testSubscriptions(t *testing.T, f *fixture) {
	now := f.clock.Now()
	f.wantKept("ann", "phone", nil)
	phone := kept(now, "v1/#", "v1/presence/böb", "v1/threads/+/frames")
	phone.Connected, phone.Keep = true, 1500*time.Millisecond
	watch, others := kept(now.Add(time.Second)), kept(now, "v1/threads/+/typing")
	f.putKept("ann", "phone", kept(now, "v1/old"))
	f.putKept("ann", "phone", phone)
	f.putKept("ann", "phone2", watch)
	f.putKept("an", "phone", others)
	f.wantKept("ann", "phone", &phone)
	f.wantKept("ann", "phone2", &watch)
	f.wantKept("an", "phone", &others)
	for range 2 {
		if err := f.store.DeleteSubscriptions(t.Context(), "ann", "phone", 0); err != nil {
			t.Fatalf("DeleteSubscriptions: %v", err)
		}
	}
	f.wantKept("ann", "phone", nil)
	f.wantKept("ann", "phone2", &watch)
	f.wantKept("an", "phone", &others)
}

func testSubscriptionsBound(_ *testing.T, f *fixture) {
	at := f.clock.Now()
	device := func(i int) chat.DeviceID { return chat.DeviceID(fmt.Sprintf("d%d", i)) }
	of := func(i int) chat.KeptSubscriptions { return kept(at.Add(time.Duration(i)*time.Second), "v1/#") }
	other := kept(at.Add(-time.Hour), "v1/#")
	f.putKept("bob", "phone", other)
	for i := range chat.MaxKeptDevices {
		f.putKept("ann", device(i), of(i))
	}
	latest := of(100)
	f.putKept("ann", device(0), latest) // which is one of them already
	for i := 1; i < chat.MaxKeptDevices; i++ {
		want := of(i)
		f.wantKept("ann", device(i), &want)
	}
	old := of(-1)
	f.putKept("ann", "new", old) // the oldest, and the one just put
	f.wantKept("ann", "new", &old)
	f.wantKept("ann", device(1), nil)
	for i := 2; i < chat.MaxKeptDevices; i++ {
		want := of(i)
		f.wantKept("ann", device(i), &want)
	}
	f.wantKept("ann", device(0), &latest)
	f.wantKept("bob", "phone", &other)
}

// The filters of all devices have a bound together: the oldest make room, as many as have to.
func testSubscriptionsBytes(_ *testing.T, f *fixture) {
	at := f.clock.Now()
	device := func(i int) chat.DeviceID { return chat.DeviceID(fmt.Sprintf("d%d", i)) }
	of := func(i, bytes int) chat.KeptSubscriptions {
		k := kept(at.Add(time.Duration(i) * time.Second))
		for ; bytes > 0; bytes -= 256 {
			k.Filters = append(k.Filters, chat.KeptFilter{Name: strings.Repeat("x", min(bytes, 256))})
		}
		return k
	}
	want := make(map[int]chat.KeptSubscriptions)
	put := func(i int, k chat.KeptSubscriptions, forgotten ...int) {
		f.putKept("ann", device(i), k)
		want[i] = k
		for _, gone := range forgotten {
			delete(want, gone)
			f.wantKept("ann", device(gone), nil)
		}
		for i, k := range want {
			f.wantKept("ann", device(i), &k)
		}
	}
	others := of(0, 90<<10)
	f.putKept("bob", "phone", others)
	put(0, of(0, 90<<10))
	put(1, of(1, 90<<10))
	put(2, of(2, 76<<10)) // which is as much as may be
	put(3, of(3, 1), 0)
	put(3, of(4, 80<<10)) // one that is there grows, and fits
	put(1, of(5, 96<<10)) // and so does the next, which is the oldest itself
	put(4, of(-9, 5<<10), 2)
	put(5, of(6, 96<<10), 4, 3)
	f.wantKept("bob", "phone", &others)
}

func testSubscriptionsSweep(t *testing.T, f *fixture) {
	now := f.clock.Now()
	over, last, long, connected := kept(now.Add(-time.Hour), "v1/#"), kept(now.Add(time.Millisecond-time.Hour), "v1/#"), kept(now.Add(-time.Hour)), kept(now.Add(-time.Hour), "v1/#")
	long.Keep, connected.Connected = 2*time.Hour, true
	f.putKept("ann", "over", over)
	f.putKept("ann", "last", last)
	f.putKept("ann", "long", long)
	f.putKept("ann", "connected", connected)
	f.putKept("bob", "over", over)
	for range 2 {
		if err := f.store.SweepSubscriptions(t.Context(), now); err != nil {
			t.Fatalf("SweepSubscriptions: %v", err)
		}
		f.wantKept("ann", "over", nil)
		f.wantKept("bob", "over", nil)
		f.wantKept("ann", "last", &last)
		f.wantKept("ann", "long", &long)
		f.wantKept("ann", "connected", &connected)
	}
}
