package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var expiryScenarios = []scenario{
	{"expired messages of all threads are listed, the longest expired first", testExpired},
	{"a deleted message does not expire", testExpiredDeleted},
	{"an expired message is listed with its changes folded in", testExpiredIsFolded},
	{"an expired message is not unread, whether it is deleted or not", testExpiredUnread},
}

// expired lists the messages that have expired at the clock's time.
func (f *fixture) expired(count int) []chat.Event {
	f.tb.Helper()
	events, err := f.store.Expired(f.tb.Context(), f.clock.Now(), count)
	if err != nil {
		f.tb.Fatalf("Expired: %v", err)
	}
	return events
}

func testExpired(t *testing.T, f *fixture) {
	one, two := f.group("ann", "bob"), f.group("ann", "bob")
	now := f.clock.Now()
	in := func(thread chat.ThreadID, d time.Duration) chat.Event {
		return f.append(thread, expiring(draft("ann", d.String()), now.Add(d)))[0]
	}
	late, soon := in(one, 28*24*time.Hour), in(one, 2*time.Second)
	other, precise := in(two, time.Second), in(two, 2*time.Second+time.Millisecond)
	f.append(one, draft("ann", "for ever"))
	for _, tt := range []struct {
		after time.Duration
		count int
		want  []chat.Event
	}{
		{0, 10, nil},
		{time.Second - time.Millisecond, 10, nil},
		{time.Second, 10, []chat.Event{other}},
		{2 * time.Second, 10, []chat.Event{other, soon}},
		{2*time.Second + time.Millisecond, 10, []chat.Event{other, soon, precise}},
		{2*time.Second + time.Millisecond, 2, []chat.Event{other, soon}},
		{2*time.Second + time.Millisecond, 0, nil},
		{28*24*time.Hour - time.Millisecond, 10, []chat.Event{other, soon, precise}},
		{365 * 24 * time.Hour, 10, []chat.Event{other, soon, precise, late}},
	} {
		f.clock.Advance(now.Add(tt.after).Sub(f.clock.Now()))
		got := f.expired(tt.count)
		if !slices.EqualFunc(got, tt.want, sameEvent) {
			t.Errorf("after %v, at most %d: %d messages %v, want %d", tt.after, tt.count, len(got), seqs(got), len(tt.want))
		}
	}
}

func testExpiredDeleted(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	now := f.clock.Now()
	log := f.append(thread, expiring(draft("ann", "2"), now.Add(time.Second)), expiring(draft("ann", "3"), now.Add(time.Second)),
		expiring(draft("ann", "4"), now.Add(2*time.Second)))
	f.append(thread, deletion(log[0], chat.DeletedBySender)) // before its time is up
	f.clock.Advance(time.Minute)
	if got := seqs(f.expired(10)); !slices.Equal(got, []chat.Seq{3, 4}) {
		t.Errorf("expired are %v, want 3 and 4", got)
	}
	f.append(thread, deletion(log[1], chat.DeletedByExpiry))
	if got := seqs(f.expired(1)); !slices.Equal(got, []chat.Seq{4}) {
		t.Errorf("expired are %v, want 4", got)
	}
	f.append(thread, deletion(log[2], chat.DeletedByExpiry))
	f.append(thread, deletion(log[2], chat.DeletedByExpiry)) // once more, as two who sweep would
	if got := seqs(f.expired(10)); len(got) > 0 {
		t.Errorf("expired are %v, want none", got)
	}
}

func testExpiredIsFolded(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, hiding(expiring(draft("ann", "2"), f.clock.Now().Add(time.Second)), "bob"))
	for _, then := range []chat.Event{edit(log[0], "changed"), reaction(log[0], "bob", "+1"), redelivery(log[0])} {
		log = append(log, f.append(thread, then)...)
	}
	f.clock.Advance(time.Second)
	wantEvents(f.tb, "Expired", f.expired(10), folded(log)[:1])
	f.wantFolded(thread, log) // time alone changes nothing that is stored
}

func testExpiredUnread(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	now := f.clock.Now()
	log := f.append(thread, draft("ann", "2"), expiring(draft("ann", "3"), now.Add(time.Second)), expiring(draft("ann", "4"), now.Add(2*time.Second)))
	for _, want := range []int{3, 2, 1} {
		if n := f.unread(thread, "bob"); n != want {
			t.Errorf("unread after %v: %d, want %d", f.clock.Now().Sub(now), n, want)
		}
		f.clock.Advance(time.Second)
	}
	f.append(thread, deletion(log[1], chat.DeletedByExpiry))
	if n := f.unread(thread, "bob"); n != 1 {
		t.Errorf("unread once one is deleted: %d, want 1", n)
	}
}
