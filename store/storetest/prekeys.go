package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var prekeyScenarios = []scenario{
	{"every field of a device's prekeys comes back", testPrekeyFields},
	{"an upload adds one-time keys and replaces everything else", testPrekeysAddUp},
	{"one-time keys are taken in order of their ids, each once", testTakePrekeys},
	{"a key that was ever taken never comes back", testTakenStaysTaken},
	{"prekeys of devices and users stay apart", testPrekeysApart},
	{"a device keeps up to 1000 one-time keys", testTooManyPrekeys},
	{"a user has keys of up to 16 devices", testTooManyDevices},
	{"racing takers get each key once", testRacingTakers},
	{"racing uploads never store keys of too many devices", testRacingDevices},
	{"another identity is a new installation", testNewInstallation},
	{"post-quantum keys are kept and given beside the others", testPQPrekeys},
	{"devices of many users are listed and counted together", testManyUsersPrekeys},
	{"racing installations and takers never mix two installations", testRacingInstallations},
	{"changing prekeys handed in or out changes nothing stored", testPrekeysAreCallers},
}

// oneTime makes one-time keys with the ids from first to last. The mark makes those of
// different uploads differ.
func oneTime(mark string, first, last uint32) (keys []chat.Prekey) {
	for id := first; id <= last; id++ {
		keys = append(keys, chat.Prekey{ID: id, Public: fmt.Appendf(nil, "%s-%d", mark, id)})
	}
	return keys
}

// upload makes an upload with the clock's time.
func (f *fixture) upload(mark string, keys ...chat.Prekey) chat.PrekeyUpload {
	return chat.PrekeyUpload{
		Identity: []byte("identity"),
		Signed:   chat.SignedPrekey{Prekey: chat.Prekey{ID: 7, Public: []byte("signed " + mark)}, Signature: []byte("signature " + mark)},
		OneTime:  keys, At: f.clock.Now(),
	}
}

// storedPrekeys is what the store should say of a device after an upload.
func storedPrekeys(device chat.DeviceID, u chat.PrekeyUpload, left int) chat.PrekeyDevice {
	return chat.PrekeyDevice{
		Device: device, Identity: u.Identity, Signed: u.Signed, LastResort: u.LastResort, PQLastResort: u.PQLastResort,
		Left: chat.PrekeyCounts{chat.PlainPrekeys: left}, UpdatedAt: u.At,
	}
}

// putPrekeys uploads prekeys and fails the test unless the device has left one-time
// keys then.
func (f *fixture) putPrekeys(user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload, left int) {
	f.tb.Helper()
	got, err := f.store.PutPrekeys(f.tb.Context(), user, device, u)
	if err != nil {
		f.tb.Fatalf("PutPrekeys: %v", err)
	}
	if want := storedPrekeys(device, u, left); !reflect.DeepEqual(plain(got.PrekeyDevice), want) || got.User != user {
		f.tb.Errorf("PutPrekeys gave %+v, want %+v", got, want)
	}
}

// plain is a device without what the tests of single fields look at.
func plain(d chat.PrekeyDevice) chat.PrekeyDevice {
	d.User, d.IdentityAt, d.Installation = "", time.Time{}, 0
	return d
}

// prekeysOf lists the devices of users that have keys, with what is left.
func (f *fixture) prekeysOf(users ...chat.UserID) []chat.PrekeyDevice {
	f.tb.Helper()
	devices, err := f.store.PrekeyDevices(f.tb.Context(), users)
	if err != nil {
		f.tb.Fatalf("PrekeyDevices: %v", err)
	}
	left, err := f.store.CountPrekeys(f.tb.Context(), devices)
	if err != nil || len(left) != len(devices) {
		f.tb.Fatalf("CountPrekeys = %v, %v", left, err)
	}
	for i := range devices {
		devices[i].Left = left[i]
	}
	return devices
}

// take takes what is given of a device.
func (f *fixture) take(user chat.UserID, device chat.DeviceID) (b chat.DeviceBundle, left chat.PrekeyCounts, err error) {
	f.tb.Helper()
	listed := chat.PrekeyDevice{User: user, Device: device}
	for _, d := range f.prekeysOf(user) {
		if d.Device == device {
			listed = d
		}
	}
	if b, err = f.store.TakePrekey(f.tb.Context(), listed); err != nil {
		return b, left, err
	}
	counts, err := f.store.CountPrekeys(f.tb.Context(), []chat.PrekeyDevice{listed})
	if err != nil {
		f.tb.Fatalf("CountPrekeys: %v", err)
	}
	return b, counts[0], nil
}

func (f *fixture) wantPrekeys(user chat.UserID, want ...chat.PrekeyDevice) {
	f.tb.Helper()
	got := f.prekeysOf(user)
	for i := range got {
		got[i] = plain(got[i])
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		f.tb.Errorf("the devices of %s are\n%+v, want\n%+v", user, got, want)
	}
}

// wantTake takes all one-time keys of a device and fails the test unless they are
// exactly these, in this order.
func (f *fixture) wantTake(user chat.UserID, device chat.DeviceID, want ...chat.Prekey) {
	f.tb.Helper()
	for i, k := range want {
		got, left, err := f.take(user, device)
		if err != nil || got.OneTime == nil || !reflect.DeepEqual(*got.OneTime, k) || left[chat.PlainPrekeys] != len(want)-i-1 {
			f.tb.Fatalf("taken was %+v, %d left, %v; want %d %q, %d left", got.OneTime, left, err, k.ID, k.Public, len(want)-i-1)
		}
	}
	if got, _, err := f.take(user, device); err == nil && got.OneTime != nil || err != nil && !errors.Is(err, chat.ErrNotFound) {
		f.tb.Fatalf("after the last one: %+v, %v; want none, or ErrNotFound", got, err)
	}
}

func testPrekeyFields(_ *testing.T, f *fixture) {
	f.wantPrekeys("ann")
	f.wantTake("ann", "phone")
	u := f.upload("first", oneTime("a", 1, 2)...)
	u.OneTime = append(u.OneTime, chat.Prekey{ID: 1<<32 - 1, Public: slices.Repeat([]byte{0, 0xff}, chat.MaxPrekeyBytes/2)})
	u.LastResort = &chat.SignedPrekey{Prekey: chat.Prekey{ID: 1<<32 - 1, Public: []byte("last")}, Signature: []byte{0}}
	f.putPrekeys("ann", "phone", u, 3)
	f.clock.Advance(time.Second)
	bare := f.upload("second")
	f.putPrekeys("ann", "Tablet_2.0", bare, 0)
	f.wantPrekeys("ann", storedPrekeys("Tablet_2.0", bare, 0), storedPrekeys("phone", u, 3)) // in order of the ids
	f.wantTake("ann", "phone", u.OneTime...)
	f.wantTake("ann", "Tablet_2.0")
	f.wantPrekeys("ann", storedPrekeys("Tablet_2.0", bare, 0), storedPrekeys("phone", u, 0))
}

func testPrekeysAddUp(_ *testing.T, f *fixture) {
	u := f.upload("first", oneTime("a", 10, 14)...)
	u.LastResort = &chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: []byte("last")}, Signature: []byte("s")}
	f.putPrekeys("ann", "phone", u, 5)
	f.clock.Advance(time.Hour)
	u = f.upload("second", oneTime("b", 13, 16)...)
	u.Signed.ID = 8
	f.putPrekeys("ann", "phone", u, 7)
	f.wantPrekeys("ann", storedPrekeys("phone", u, 7)) // without a last resort now
	f.clock.Advance(time.Hour)
	u = f.upload("third")
	f.putPrekeys("ann", "phone", u, 7)
	f.wantPrekeys("ann", storedPrekeys("phone", u, 7))
	f.wantTake("ann", "phone", append(oneTime("a", 10, 12), oneTime("b", 13, 16)...)...)
}

func testTakePrekeys(_ *testing.T, f *fixture) {
	f.putPrekeys("ann", "phone", f.upload("first", append(oneTime("a", 300, 303), oneTime("a", 1, 3)...)...), 7)
	f.putPrekeys("ann", "phone", f.upload("second", oneTime("b", 255, 256)...), 9)
	f.wantTake("ann", "phone", slices.Concat(oneTime("a", 1, 3), oneTime("b", 255, 256), oneTime("a", 300, 303))...)
}

func testTakenStaysTaken(_ *testing.T, f *fixture) {
	keys := oneTime("a", 1, 4)
	f.putPrekeys("ann", "phone", f.upload("first", keys...), 4)
	f.wantTake("ann", "phone", keys...)
	again := f.upload("second", oneTime("b", 3, 6)...)
	f.putPrekeys("ann", "phone", again, 2)
	f.wantPrekeys("ann", storedPrekeys("phone", again, 2))
	f.wantTake("ann", "phone", oneTime("b", 5, 6)...)
	f.putPrekeys("ann", "phone", f.upload("third", oneTime("c", 1, 6)...), 0)
	f.wantTake("ann", "phone")
	f.putPrekeys("ann", "tablet", f.upload("other", oneTime("d", 1, 2)...), 2) // ids are a device's own
	f.wantTake("ann", "tablet", oneTime("d", 1, 2)...)
}

func testPrekeysApart(_ *testing.T, f *fixture) {
	type owner struct {
		user   chat.UserID
		device chat.DeviceID
	}
	owners := []owner{{"a", "p"}, {"a", "p.2"}, {"a.", "p"}, {"aa", "p"}, {"A", "p"}}
	for i, o := range owners {
		f.putPrekeys(o.user, o.device, f.upload(string(o.user)+string(o.device), oneTime(string(o.user), 1, uint32(i+1))...), i+1)
	}
	f.wantTake("a", "p", oneTime("a", 1, 1)...)
	f.wantPrekeys("a", storedPrekeys("p", f.upload("ap"), 0), storedPrekeys("p.2", f.upload("ap.2"), 2))
	for i, o := range owners[1:] {
		f.wantTake(o.user, o.device, oneTime(string(o.user), 1, uint32(i+2))...)
	}
}

func testTooManyPrekeys(t *testing.T, f *fixture) {
	const uploaded = chat.MaxPrekeysUploaded
	first := f.upload("first", oneTime("a", 1, uploaded)...)
	f.putPrekeys("ann", "phone", first, uploaded)
	given, _, err := f.take("ann", "phone")
	if err != nil {
		t.Fatal(err)
	}
	taken := *given.OneTime
	for n := uint32(uploaded); n+uploaded <= chat.MaxOneTimePrekeys; n += uploaded {
		f.putPrekeys("ann", "phone", f.upload("first", oneTime("a", n+1, n+uploaded)...), int(n)+uploaded-1)
	}
	full := f.upload("full", chat.Prekey{ID: 1001, Public: []byte("a-1001")})
	f.putPrekeys("ann", "phone", full, chat.MaxOneTimePrekeys)

	f.clock.Advance(time.Second)
	over := f.upload("over", oneTime("b", 1001, 1002)...) // one replaced, one too many
	if got, err := f.store.PutPrekeys(t.Context(), "ann", "phone", over); !errors.Is(err, chat.ErrTooManyPrekeys) {
		t.Errorf("a key too many: %+v, %v; want ErrTooManyPrekeys", got, err)
	}
	f.wantPrekeys("ann", storedPrekeys("phone", full, chat.MaxOneTimePrekeys))
	replaced := f.upload("replaced", append(oneTime("b", 902, 1001-1), taken)...) // none of them is new
	f.putPrekeys("ann", "phone", replaced, chat.MaxOneTimePrekeys)
	got, left, err := f.take("ann", "phone")
	if err != nil || got.OneTime.ID != 2 || left[chat.PlainPrekeys] != chat.MaxOneTimePrekeys-1 {
		t.Errorf("taken was %+v, %d left, %v; want 2 and %d left", got.OneTime, left, err, chat.MaxOneTimePrekeys-1)
	}
	f.putPrekeys("ann", "phone", f.upload("room", oneTime("b", 1002, 1002)...), chat.MaxOneTimePrekeys)
}

func testTooManyDevices(t *testing.T, f *fixture) {
	var want []chat.PrekeyDevice
	for i := range chat.MaxPrekeyDevices {
		device := chat.DeviceID(fmt.Sprintf("device-%02d", i))
		u := f.upload(string(device), oneTime(string(device), 1, 2)...)
		f.putPrekeys("ann", device, u, 2)
		want = append(want, storedPrekeys(device, u, 2))
	}
	if _, err := f.store.PutPrekeys(t.Context(), "ann", "one-more", f.upload("over", oneTime("a", 1, 2)...)); !errors.Is(err, chat.ErrTooManyDevices) {
		t.Errorf("a device too many: %v; want ErrTooManyDevices", err)
	}
	f.wantTake("ann", "one-more")
	f.wantPrekeys("ann", want...)
	seen, err := f.store.Devices(t.Context(), "ann")
	if err != nil || len(seen) != chat.MaxPrekeyDevices || seen[len(seen)-1].Device != want[len(want)-1].Device {
		t.Errorf("the devices are %+v, %v; want only those that have keys", seen, err)
	}
	f.clock.Advance(time.Second)
	u := f.upload("again", oneTime("again", 3, 3)...)
	f.putPrekeys("ann", "device-07", u, 3) // one of those that are there
	want[7] = storedPrekeys("device-07", u, 3)
	f.wantPrekeys("ann", want...)
	f.putPrekeys("bob", "one-more", u, 1)
}

func testRacingTakers(t *testing.T, f *fixture) {
	const takers, keys = 32, 100
	f.putPrekeys("ann", "phone", f.upload("first", oneTime("a", 1, keys)...), keys)
	listed := f.prekeysOf("ann")[0]
	var mu sync.Mutex
	taken := make(map[uint32]int)
	raceOf(takers, func(int) {
		for {
			b, err := f.store.TakePrekey(t.Context(), listed)
			if errors.Is(err, chat.ErrNotFound) {
				return
			}
			if err != nil || string(b.OneTime.Public) != fmt.Sprintf("a-%d", b.OneTime.ID) {
				t.Errorf("taken was %+v, %v", b, err)
				return
			}
			mu.Lock()
			taken[b.OneTime.ID]++
			mu.Unlock()
		}
	})
	for id, times := range taken {
		if times != 1 || id < 1 || id > keys {
			t.Errorf("key %d was given %d times", id, times)
		}
	}
	if len(taken) != keys {
		t.Errorf("%d keys were given, want %d", len(taken), keys)
	}
	f.wantPrekeys("ann", storedPrekeys("phone", f.upload("first"), 0))
}

func testRacingDevices(t *testing.T, f *fixture) {
	const devices = chat.MaxPrekeyDevices + 8
	var mu sync.Mutex
	var stored []chat.DeviceID
	raceOf(devices, func(i int) {
		device := chat.DeviceID(fmt.Sprintf("device-%02d", i))
		_, err := f.store.PutPrekeys(t.Context(), "ann", device, f.upload("racer", oneTime("a", 1, 2)...))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			stored = append(stored, device)
		case !errors.Is(err, chat.ErrTooManyDevices):
			t.Errorf("PutPrekeys: %v", err)
		}
	})
	slices.Sort(stored)
	if len(stored) != chat.MaxPrekeyDevices {
		t.Errorf("%d devices were stored, want %d", len(stored), chat.MaxPrekeyDevices)
	}
	var want []chat.PrekeyDevice
	for _, device := range stored {
		want = append(want, storedPrekeys(device, f.upload("racer"), 2))
	}
	f.wantPrekeys("ann", want...)
}

func testPrekeysAreCallers(_ *testing.T, f *fixture) {
	u := f.upload("first", oneTime("a", 1, 1)...)
	f.putPrekeys("ann", "phone", u, 1)
	copy(u.Identity, "XXXXXX")
	copy(u.OneTime[0].Public, "XXX")
	devices := f.prekeysOf("ann")
	copy(devices[0].Signed.Public, "XXXXXX")
	f.wantPrekeys("ann", storedPrekeys("phone", f.upload("first"), 1))
	f.wantTake("ann", "phone", oneTime("a", 1, 1)...)
}
