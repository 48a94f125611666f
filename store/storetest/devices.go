package storetest

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var deviceScenarios = []scenario{
	{"a device's position is begun once", testBeginPosition},
	{"a device's connections are numbered upwards", testAdmitDevice},
	{"a connection learns that a later one was admitted", testTakenOver},
	{"a device's position only rises", testRaisePosition},
	{"changing positions handed in or out changes nothing stored", testPositionIsCallers},
	{"positions that are not used are forgotten", testForgetPositions},
	{"a position that is read is used", testReadPositionIsUsed},
	{"the time at which a user was last seen only rises", testLastSeen},
}

func testBeginPosition(t *testing.T, f *fixture) {
	one, two := newThreadID(), newThreadID()
	positions := map[chat.DeviceID]chat.Position{
		"phone":   {Through: map[chat.ThreadID]chat.Seq{one: 7, two: 1 << 40}},
		"phone.2": {},
	}
	for device, p := range positions {
		f.wantNoPosition("ann", device)
		for _, begun := range []chat.Position{p, {Through: map[chat.ThreadID]chat.Seq{one: 99}}} {
			stored, err := f.store.BeginPosition(t.Context(), "ann", device, begun)
			if err != nil || !samePosition(stored, p) {
				t.Errorf("BeginPosition of %s: %+v, %v; want %+v", device, stored, err, p)
			}
			f.wantPosition(device, p)
		}
	}
	f.wantNoPosition("bob", "phone")
	f.wantNoPosition("ann", "phon")
}

// admit admits a connection, and sees the position that comes along, if one does.
func (f *fixture) admit(device chat.DeviceID, want *chat.Position) chat.Conn {
	f.tb.Helper()
	admitted, err := f.store.AdmitDevice(f.tb.Context(), "ann", device)
	conn, stored := admitted.Conn, admitted.Stored
	if err != nil || conn <= 0 {
		f.tb.Fatalf("AdmitDevice: %d, %v", conn, err)
	}
	if stored != nil && (stored.Found != (want != nil) || want != nil && !samePosition(stored.Position, *want)) {
		f.tb.Errorf("AdmitDevice gives the position %+v, want %+v", stored, want)
	}
	return conn
}

func testAdmitDevice(t *testing.T, f *fixture) {
	thread := newThreadID()
	first := f.admit("phone", nil)
	f.wantNoPosition("ann", "phone") // it did not look at the logs
	second := f.admit("phone", nil)
	if err := f.store.RaisePosition(t.Context(), "ann", "phone", second, chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: 1}}); err != nil {
		t.Errorf("RaisePosition: %v", err)
	}
	f.wantNoPosition("ann", "phone")
	p := chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: 7}}
	f.beginPosition("phone", p)
	f.wantPosition("phone", p)
	third := f.admit("phone", &p)
	if first >= second || second >= third {
		t.Errorf("the connections have the numbers %d, %d, %d", first, second, third)
	}
	f.beginPosition("tablet", chat.Position{})
	f.admit("tablet", &chat.Position{})
	f.wantPosition("tablet", chat.Position{})

	var admitted sync.WaitGroup
	numbers := make([]chat.Conn, 16)
	for i := range numbers {
		admitted.Go(func() {
			a, _ := f.store.AdmitDevice(t.Context(), "ann", "watch")
			numbers[i] = a.Conn
		})
	}
	admitted.Wait()
	slices.Sort(numbers)
	if slices.Contains(numbers, 0) || len(slices.Compact(numbers)) != 16 {
		t.Errorf("16 connections at once have the numbers %d", numbers)
	}

	f.clock.Advance(chat.ForgetDevicesAfter)
	f.forgetUnseen(f.clock.Now().Add(time.Hour))
	if again := f.admit("phone", nil); again <= third {
		t.Errorf("a device that was forgotten has a connection %d, and one of %d may be open", again, third)
	}
}

// What an earlier connection acknowledged counts. What it subscribed does not.
func testTakenOver(t *testing.T, f *fixture) {
	thread := newThreadID()
	f.beginPosition("phone", chat.Position{})
	older := f.admit("phone", &chat.Position{})
	raise := func(conn chat.Conn, seq chat.Seq, taken bool) {
		t.Helper()
		p := chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: seq}}
		err := f.store.RaisePosition(t.Context(), "ann", "phone", conn, p)
		if f.shared && errors.Is(err, chat.ErrTakenOver) != taken || err != nil && !errors.Is(err, chat.ErrTakenOver) {
			t.Errorf("RaisePosition to %d by connection %d: %v", seq, conn, err)
		}
		f.wantPosition("phone", p)
	}
	raise(older, 1, false)
	newer := f.admit("phone", &chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: 1}})
	raise(older, 2, true)
	raise(newer, 3, false)
	if !f.shared {
		return
	}
	now := f.clock.Now()
	put := func(conn chat.Conn, k chat.KeptSubscriptions) error {
		return f.store.PutSubscriptions(t.Context(), "ann", "phone", conn, k)
	}
	of := map[chat.Conn]chat.KeptSubscriptions{older: kept(now, "v1/presence/bob"), newer: kept(now, "v1/#")}
	if err := errors.Join(put(older, of[older]), put(newer, of[newer])); err != nil {
		t.Fatal(err)
	}
	if err := put(older, of[older]); !errors.Is(err, chat.ErrTakenOver) {
		t.Errorf("an earlier connection puts its subscriptions: %v", err)
	}
	if err := f.store.DeleteSubscriptions(t.Context(), "ann", "phone", older); !errors.Is(err, chat.ErrTakenOver) {
		t.Errorf("an earlier connection deletes subscriptions: %v", err)
	}
	k := of[newer]
	f.wantKept("ann", "phone", &k)
	if err := f.store.DeleteSubscriptions(t.Context(), "ann", "phone", newer); err != nil {
		t.Fatal(err)
	}
	f.wantKept("ann", "phone", nil)
	if err := put(older, of[older]); !errors.Is(err, chat.ErrTakenOver) {
		t.Errorf("an earlier connection puts what a later one deleted: %v", err)
	}
	f.wantKept("ann", "phone", nil)
	if err := put(newer, k); err != nil {
		t.Fatal(err)
	}
	f.wantKept("ann", "phone", &k)
}

func testRaisePosition(t *testing.T, f *fixture) {
	one, two, three := newThreadID(), newThreadID(), newThreadID()
	raise := func(acknowledged bool, through map[chat.ThreadID]chat.Seq) {
		t.Helper()
		if err := f.store.RaisePosition(t.Context(), "ann", "phone", 0, chat.Position{Through: through, Acknowledged: acknowledged}); err != nil {
			t.Fatalf("RaisePosition: %v", err)
		}
	}
	raise(true, map[chat.ThreadID]chat.Seq{one: 1})
	f.wantNoPosition("ann", "phone") // it was not begun
	f.beginPosition("phone", chat.Position{Through: map[chat.ThreadID]chat.Seq{one: 7, two: 3}})
	f.beginPosition("tablet", chat.Position{Through: map[chat.ThreadID]chat.Seq{one: 7}})

	raise(false, map[chat.ThreadID]chat.Seq{two: 300, three: 1})
	f.wantPosition("phone", chat.Position{Through: map[chat.ThreadID]chat.Seq{one: 7, two: 300, three: 1}})
	raise(true, map[chat.ThreadID]chat.Seq{one: 6, two: 299, three: 2})
	raise(false, nil)
	want := chat.Position{Through: map[chat.ThreadID]chat.Seq{one: 7, two: 300, three: 2}, Acknowledged: true}
	f.wantPosition("phone", want)
	f.wantPosition("tablet", chat.Position{Through: map[chat.ThreadID]chat.Seq{one: 7}})
}

func testForgetPositions(t *testing.T, f *fixture) {
	thread := newThreadID()
	p := chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: 7}, Acknowledged: true}
	for _, device := range []chat.DeviceID{"old", "old.2", "raised", "young"} {
		if device == "young" {
			f.clock.Advance(time.Hour)
		}
		f.admit(device, nil)
		f.beginPosition(device, p)
	}
	since := f.clock.Now()
	if err := f.store.RaisePosition(t.Context(), "ann", "raised", 0, p); err != nil {
		t.Fatal(err)
	}
	forgotten := 0
	for {
		n := f.forgetUnseen(since)
		if forgotten += n; n == 0 {
			break
		}
	}
	if forgotten != 2 {
		t.Errorf("%d positions were forgotten, want 2", forgotten)
	}
	f.wantNoPosition("ann", "old")
	f.wantNoPosition("ann", "old.2")
	f.wantPosition("raised", p)
	f.wantPosition("young", p)
	begun := f.beginPosition("old", chat.Position{})
	if len(begun.Through) != 0 || begun.Acknowledged {
		t.Errorf("a device that was forgotten begins with %+v", begun)
	}
}

// A device that connects now and then, and is sent nothing that it could acknowledge, is
// no device that is gone.
func testReadPositionIsUsed(t *testing.T, f *fixture) {
	p := chat.Position{Through: map[chat.ThreadID]chat.Seq{newThreadID(): 7}, Acknowledged: true}
	for _, device := range []chat.DeviceID{"quiet", "gone"} {
		f.admit(device, nil)
		f.beginPosition(device, p)
	}
	f.clock.Advance(chat.ForgetDevicesAfter - time.Hour)
	f.wantPosition("quiet", p)
	f.clock.Advance(2 * time.Hour)
	if n := f.forgetUnseen(f.clock.Now().Add(-chat.ForgetDevicesAfter)); n != 1 {
		t.Errorf("%d devices were forgotten, want 1", n)
	}
	f.wantPosition("quiet", p)
	f.wantNoPosition("ann", "gone")
}

// forgetUnseen forgets the devices that were not seen since a time, and counts them.
func (f *fixture) forgetUnseen(since time.Time) (n int) {
	f.tb.Helper()
	unseen, err := f.store.UnseenDevices(f.tb.Context(), since, 100)
	if err != nil {
		f.tb.Fatalf("UnseenDevices: %v", err)
	}
	for _, d := range unseen {
		forgotten, _, err := f.store.ForgetDevice(f.tb.Context(), d, f.clock.Now())
		if err != nil {
			f.tb.Fatalf("ForgetDevice: %v", err)
		}
		if forgotten {
			n++
		}
	}
	return n
}

func (f *fixture) beginPosition(device chat.DeviceID, p chat.Position) chat.Position {
	f.tb.Helper()
	stored, err := f.store.BeginPosition(f.tb.Context(), "ann", device, p)
	if err != nil {
		f.tb.Fatalf("BeginPosition: %v", err)
	}
	return stored
}

func (f *fixture) wantPosition(device chat.DeviceID, want chat.Position) {
	f.tb.Helper()
	got, found, err := f.store.Position(f.tb.Context(), "ann", device)
	if err != nil || !found || !samePosition(got, want) {
		f.tb.Errorf("position of ann/%s: %+v, %v, %v; want %+v", device, got, found, err, want)
	}
}

func (f *fixture) wantNoPosition(user chat.UserID, device chat.DeviceID) {
	f.tb.Helper()
	if p, found, err := f.store.Position(f.tb.Context(), user, device); found || err != nil {
		f.tb.Errorf("position of %s/%s: %+v, %v, %v; want none", user, device, p, found, err)
	}
}

func samePosition(a, b chat.Position) bool {
	return a.Acknowledged == b.Acknowledged && maps.Equal(a.Through, b.Through)
}

func testPositionIsCallers(t *testing.T, f *fixture) {
	thread := newThreadID()
	p := chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: 7}}
	f.beginPosition("phone", p).Through[thread] = 98
	p.Through[thread] = 99
	for range 2 {
		got, _, err := f.store.Position(t.Context(), "ann", "phone")
		if err != nil || got.Through[thread] != 7 {
			t.Errorf("the entry is %d, %v; want 7", got.Through[thread], err)
		}
		got.Through[thread] = 98
	}
}

func testLastSeen(t *testing.T, f *fixture) {
	want := func(user chat.UserID, at time.Time) {
		t.Helper()
		if got, err := f.store.LastSeen(t.Context(), user); err != nil || !got.Equal(at) || got.IsZero() != at.IsZero() {
			t.Errorf("%s was last seen at %v, %v; want %v", user, got, err, at)
		}
	}
	put := func(user chat.UserID, at time.Time) {
		t.Helper()
		if err := f.store.PutLastSeen(t.Context(), user, at); err != nil {
			t.Fatalf("PutLastSeen: %v", err)
		}
	}
	now := f.clock.Now()
	want("ann", time.Time{})
	put("ann", now)
	want("ann", now)
	for range 2 {
		put("ann", now.Add(time.Second))
		want("ann", now.Add(time.Second))
	}
	put("ann", now)
	want("ann", now.Add(time.Second))
	want("an", time.Time{})
	put("an", now)
	want("ann", now.Add(time.Second))
}
