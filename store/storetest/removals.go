package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var removalScenarios = []scenario{
	{"a device is known from its first connection or upload on", testDevicesAreSeen},
	{"a device that is removed is forgotten whole, and remembered as removed", testRemoveDevice},
	{"a connection is above a removal behind which its device's position was begun", testBeginBehindRemoval},
	{"a device that was seen meanwhile is not forgotten", testForgetDevice},
	{"removing devices makes room for others with keys", testRemovedMakeRoom},
	{"of a user's removals the newest are remembered", testManyRemovals},
	{"when devices with keys changed is kept by user", testKeysChanged},
	{"a device that comes back is above its removal, whatever the clock says", testBackAfterRemoval},
}

// devicesOf describes a user's devices: id, minutes of the clock since start at which it was
// first and last seen.
func (f *fixture) devicesOf(user chat.UserID, start time.Time) string {
	f.tb.Helper()
	devices, err := f.store.Devices(f.tb.Context(), user)
	if err != nil {
		f.tb.Fatalf("Devices: %v", err)
	}
	var all []string
	for _, d := range devices {
		if d.User != user {
			f.tb.Errorf("a device of %s is %+v", user, d)
		}
		all = append(all, fmt.Sprintf("%s %d-%d", d.Device, d.FirstSeen.Sub(start)/time.Minute, d.LastSeen.Sub(start)/time.Minute))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (f *fixture) wantDevices(user chat.UserID, start time.Time, want string) {
	f.tb.Helper()
	if got := f.devicesOf(user, start); got != want {
		f.tb.Errorf("the devices of %s are %q, want %q", user, got, want)
	}
}

func testDevicesAreSeen(t *testing.T, f *fixture) {
	start := f.clock.Now()
	f.wantDevices("ann", start, "")
	if a, err := f.store.AdmitDevice(t.Context(), "ann", "phone"); err != nil || !a.New {
		t.Errorf("the first admission is %+v, %v", a, err)
	}
	f.clock.Advance(time.Minute)
	f.mustPut("ann", "tablet", f.upload("x"))
	f.beginPosition("phone", chat.Position{})
	f.clock.Advance(time.Minute)
	f.wantDevices("ann", start, "phone 0-1, tablet 1-1")
	if a, err := f.store.AdmitDevice(t.Context(), "ann", "tablet"); err != nil || a.New {
		t.Errorf("the first admission of a device that uploaded is %+v, %v", a, err)
	}
	if err := f.store.RaisePosition(t.Context(), "ann", "phone", 0, chat.Position{}); err != nil {
		t.Fatal(err)
	}
	if a, err := f.store.AdmitDevice(t.Context(), "ann", "phone"); err != nil || a.New {
		t.Errorf("the second admission is %+v, %v", a, err)
	}
	f.wantDevices("ann", start, "phone 0-2, tablet 1-2")
	f.wantDevices("an", start, "")
	f.wantDevices("bob", start, "")
}

// A device may be removed between its admission and its first look at the logs.
func testBeginBehindRemoval(t *testing.T, f *fixture) {
	f.admit("phone", nil)
	f.clock.Advance(time.Second)
	r, _, err := f.store.RemoveDevice(t.Context(), "ann", "phone", f.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.beginPosition("phone", chat.Position{})
	if a, err := f.store.AdmitDevice(t.Context(), "ann", "phone"); err != nil || a.Conn <= r.Conn {
		t.Errorf("it comes back as %+v, %v; it was removed with %d", a, err, r.Conn)
	}
}

func testRemoveDevice(t *testing.T, f *fixture) {
	start := f.clock.Now()
	thread := newThreadID()
	before := f.admit("phone", nil)
	f.admit("phone.2", nil)
	f.beginPosition("phone", chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: 7}, Acknowledged: true})
	u := f.upload("x", oneTime("a", 1, 3)...)
	u.PQOneTime, u.PQLastResort = pqKeys("q", 1, 2), &u.Signed
	f.mustPut("ann", "phone", u)
	f.mustPut("bob", "phone", u)
	if err := f.store.PutSubscriptions(t.Context(), "ann", "phone", before, kept(start, "v1/#")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.take("ann", "phone"); err != nil {
		t.Fatal(err)
	}
	if at, err := f.store.RemovedAt(t.Context(), "ann", "phone"); err != nil || !at.IsZero() {
		t.Errorf("before, it was removed at %v, %v", at, err)
	}

	f.clock.Advance(time.Minute)
	at := f.clock.Now()
	r, hadKeys, err := f.store.RemoveDevice(t.Context(), "ann", "phone", at)
	if err != nil || !hadKeys || r.User != "ann" || r.Device != "phone" || !r.At.Equal(at) || r.Conn <= before {
		t.Fatalf("RemoveDevice = %+v, %v, %v; the connection was %d", r, hadKeys, err, before)
	}
	f.wantDevices("ann", start, "phone.2 0-0")
	f.wantDevices("bob", start, "phone 0-0")
	f.wantNoPosition("ann", "phone")
	f.wantKept("ann", "phone", nil)
	f.wantPrekeys("ann")
	if got := f.prekeysOf("bob"); len(got) != 1 || got[0].Left != (chat.PrekeyCounts{3, 2}) {
		t.Errorf("bob's device of that name has %+v", got)
	}
	if got, err := f.store.RemovedAt(t.Context(), "ann", "phone"); err != nil || !got.Equal(at) {
		t.Errorf("it was removed at %v, %v; want %v", got, err, at)
	}
	if got, err := f.store.RemovedAt(t.Context(), "bob", "phone"); err != nil || !got.IsZero() {
		t.Errorf("bob's was removed at %v, %v", got, err)
	}
	all, err := f.store.RemovedSince(t.Context(), at)
	if err != nil || len(all) != 1 || all[0].User != "ann" || all[0].Device != "phone" || !all[0].At.Equal(at) {
		t.Errorf("removed since are %+v, %v", all, err)
	}
	if all, err = f.store.RemovedSince(t.Context(), at.Add(time.Millisecond)); err != nil || len(all) != 0 {
		t.Errorf("removed later are %+v, %v", all, err)
	}

	for _, device := range []chat.DeviceID{"phone", "never", ""} {
		if _, _, err := f.store.RemoveDevice(t.Context(), "ann", device, at); !errors.Is(err, chat.ErrNotFound) {
			t.Errorf("removing %q, which is not there: %v", device, err)
		}
	}

	f.clock.Advance(time.Minute)
	a, err := f.store.AdmitDevice(t.Context(), "ann", "phone") // a newer token
	if err != nil || !a.New || a.Conn <= r.Conn || a.Stored != nil && a.Stored.Found {
		t.Errorf("it comes back as %+v, %v; it was removed with %d", a, err, r.Conn)
	}
	f.wantDevices("ann", start, "phone 2-2, phone.2 0-0")
	f.wantNoPosition("ann", "phone")
	if got := f.mustPut("ann", "phone", u); got.Change != chat.DeviceAdded || len(got.Ignored) != 0 || got.Left != (chat.PrekeyCounts{3, 2}) {
		t.Errorf("its upload gave %+v", got)
	}
	if r, hadKeys, err = f.store.RemoveDevice(t.Context(), "ann", "phone.2", f.clock.Now()); err != nil || hadKeys {
		t.Errorf("removing one without keys: %+v, %v, %v", r, hadKeys, err)
	}
}

func testForgetDevice(t *testing.T, f *fixture) {
	start := f.clock.Now()
	f.admit("phone", nil)
	f.mustPut("ann", "tablet", f.upload("x", oneTime("a", 1, 2)...))
	unseen := func() []chat.SeenDevice {
		t.Helper()
		devices, err := f.store.UnseenDevices(t.Context(), f.clock.Now(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return devices
	}
	if got := unseen(); len(got) != 0 {
		t.Errorf("unseen are %+v", got)
	}
	f.clock.Advance(time.Minute)
	listed := unseen()
	if len(listed) != 2 {
		t.Fatalf("unseen for a minute are %+v", listed)
	}
	f.mustPut("ann", "tablet", f.upload("x"))
	for _, d := range listed {
		forgotten, hadKeys, err := f.store.ForgetDevice(t.Context(), d, f.clock.Now())
		if err != nil || forgotten != (d.Device == "phone") || hadKeys {
			t.Errorf("forgetting %s: %v, %v, %v", d.Device, forgotten, hadKeys, err)
		}
	}
	f.wantDevices("ann", start, "tablet 0-1")
	if at, err := f.store.RemovedAt(t.Context(), "ann", "phone"); err != nil || !at.IsZero() {
		t.Errorf("what is forgotten counts as removed at %v, %v", at, err)
	}
	f.clock.Advance(time.Minute)
	if forgotten, hadKeys, err := f.store.ForgetDevice(t.Context(), unseen()[0], f.clock.Now()); err != nil || !forgotten || !hadKeys {
		t.Errorf("forgetting one with keys: %v, %v, %v", forgotten, hadKeys, err)
	}
	f.wantPrekeys("ann")
	f.wantDevices("ann", start, "")
}

func testRemovedMakeRoom(t *testing.T, f *fixture) {
	for round := range 2 {
		for i := range chat.MaxPrekeyDevices {
			f.mustPut("ann", chat.DeviceID(fmt.Sprintf("d-%d-%d", round, i)), f.upload("x"))
		}
		if _, err := f.store.PutPrekeys(t.Context(), "ann", "more", f.upload("x")); !errors.Is(err, chat.ErrTooManyDevices) {
			t.Errorf("in round %d one more: %v", round, err)
		}
		for i := range chat.MaxPrekeyDevices {
			if _, hadKeys, err := f.store.RemoveDevice(t.Context(), "ann", chat.DeviceID(fmt.Sprintf("d-%d-%d", round, i)), f.clock.Now()); err != nil || !hadKeys {
				t.Fatalf("RemoveDevice: %v, %v", hadKeys, err)
			}
		}
	}
	f.putPrekeys("ann", "the 33rd", f.upload("x", oneTime("a", 1, 1)...), 1)
}

func testManyRemovals(t *testing.T, f *fixture) {
	if f.shared {
		t.Skip("each look at a thousand documents costs the test server too much")
	}
	for i := range chat.MaxRemovals + 2 {
		device := chat.DeviceID(fmt.Sprintf("d-%d", i))
		f.clock.Advance(time.Second)
		f.admit(device, nil)
		if _, _, err := f.store.RemoveDevice(t.Context(), "ann", device, f.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for device, want := range map[chat.DeviceID]bool{"d-0": false, "d-1": false, "d-2": true, "d-1025": true} {
		if at, err := f.store.RemovedAt(t.Context(), "ann", device); err != nil || at.IsZero() == want {
			t.Errorf("%s was removed at %v, %v; remembered: want %v", device, at, err, want)
		}
	}
}

func testKeysChanged(t *testing.T, f *fixture) {
	start := f.clock.Now()
	want := func(ann, bob int) {
		t.Helper()
		got, err := f.store.KeysChangedAt(t.Context(), []chat.UserID{"bob", "nobody", "ann"})
		if err != nil || len(got) != 3 {
			t.Fatalf("KeysChangedAt = %v, %v", got, err)
		}
		for i, minutes := range []int{bob, -1, ann} {
			if minutes < 0 && !got[i].IsZero() || minutes >= 0 && !got[i].Equal(start.Add(time.Duration(minutes)*time.Minute)) {
				t.Errorf("changed at %v, want minute %d", got[i], minutes)
			}
		}
	}
	want(-1, -1)
	f.admit("quiet", nil)
	want(-1, -1)
	f.mustPut("ann", "phone", f.upload("x"))
	want(0, -1)
	f.clock.Advance(time.Minute)
	f.mustPut("ann", "phone", f.upload("y")) // the same installation
	f.mustPut("bob", "phone", f.upload("y"))
	want(0, 1)
	f.clock.Advance(time.Minute)
	other := f.upload("z")
	other.Identity = []byte("another")
	f.mustPut("ann", "phone", other)
	want(2, 1)
	f.clock.Advance(time.Minute)
	if _, _, err := f.store.RemoveDevice(t.Context(), "ann", "quiet", f.clock.Now()); err != nil {
		t.Fatal(err)
	}
	want(2, 1)
	if _, _, err := f.store.RemoveDevice(t.Context(), "bob", "phone", f.clock.Now()); err != nil {
		t.Fatal(err)
	}
	want(2, 3)
}

func testBackAfterRemoval(t *testing.T, f *fixture) {
	for _, device := range []chat.DeviceID{"phone", "tablet"} {
		f.admit(device, nil)
		r, _, err := f.store.RemoveDevice(t.Context(), "ann", device, f.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(-time.Hour)
		if device == "tablet" { // it uploads keys before it connects
			f.mustPut("ann", device, f.upload("x"))
		}
		a, err := f.store.AdmitDevice(t.Context(), "ann", device)
		if err != nil || a.Conn < r.Conn {
			t.Errorf("the %s is back with connection %d, %v; the removal ends those below %d", device, a.Conn, err, r.Conn)
		}
	}
}
