package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var deviceScenarios = []scenario{
	{"a device's position comes back", testPosition},
	{"changing positions handed in or out changes nothing stored", testPositionIsCallers},
	{"the time at which a user was last seen only rises", testLastSeen},
}

func testPosition(t *testing.T, f *fixture) {
	ctx := t.Context()
	thread := newThreadID()
	positions := map[chat.DeviceID]chat.Position{
		"phone":   {Time: mint(chat.EventID{}, f.clock.Now()), Cursors: map[chat.ThreadID]chat.Seq{thread: 7, newThreadID(): 1 << 40}},
		"phone.2": {Time: mint(chat.EventID{}, f.clock.Now())},
	}
	for device, p := range positions {
		if _, found, err := f.store.Position(ctx, "ann", device); found || err != nil {
			t.Errorf("before the first connect: found %v, %v", found, err)
		}
		if err := f.store.PutPosition(ctx, "ann", device, chat.Position{Cursors: map[chat.ThreadID]chat.Seq{newThreadID(): 1}}); err != nil {
			t.Fatalf("PutPosition: %v", err)
		}
		if err := f.store.PutPosition(ctx, "ann", device, p); err != nil {
			t.Fatalf("PutPosition: %v", err)
		}
	}
	for device, want := range positions {
		got, found, err := f.store.Position(ctx, "ann", device)
		if err != nil || !found || !samePosition(got, want) {
			t.Errorf("position of %s: %+v, %v, %v; want %+v", device, got, found, err, want)
		}
	}
	if _, found, err := f.store.Position(ctx, "bob", "phone"); found || err != nil {
		t.Errorf("another user's device of the same name: found %v, %v", found, err)
	}
}

func samePosition(a, b chat.Position) bool {
	return a.Time == b.Time && len(a.Cursors) == len(b.Cursors) && (len(a.Cursors) == 0 || reflect.DeepEqual(a.Cursors, b.Cursors))
}

func testPositionIsCallers(t *testing.T, f *fixture) {
	thread := newThreadID()
	p := chat.Position{Cursors: map[chat.ThreadID]chat.Seq{thread: 7}}
	if err := f.store.PutPosition(t.Context(), "ann", "phone", p); err != nil {
		t.Fatalf("PutPosition: %v", err)
	}
	p.Cursors[thread] = 99
	for range 2 {
		got, _, err := f.store.Position(t.Context(), "ann", "phone")
		if err != nil || got.Cursors[thread] != 7 {
			t.Errorf("the cursor is %d, %v; want 7", got.Cursors[thread], err)
		}
		got.Cursors[thread] = 98
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
