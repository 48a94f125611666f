package storetest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// RunDifferential plays the same random histories, with the same ids, on two
// stores and fails where one answers anything else than the other: a value that
// means something else, or an error of another kind. It compares both with the
// model of RunModel, too, and has the same needs.
func RunDifferential(t *testing.T, a, b Subject, effort Effort) {
	t.Helper()
	effort.apply(t)
	both := Subject{Open: func(tb TB, now func() time.Time) chat.Store {
		return &twins{tb: tb, a: a.Open(tb, now), b: b.Open(tb, now)}
	}}
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt, both)
		actions := m.actions()
		actions["ask oddly"] = m.askOddly
		actions["append late"] = m.appendLate
		actions["create oddly"] = m.createAgain
		rt.Repeat(actions)
		m.atEnd(rt)
	})
}

// askOddly asks for what is not there or never was. The twins compare.
func (m *model) askOddly(rt *rapid.T) {
	ctx, nowhere := rt.Context(), newThreadID()
	thread := nowhere
	if len(m.threads) > 0 && rapid.Bool().Draw(rt, "a thread that is") {
		thread = m.anyThread(rt)
	}
	user := rapid.SampledFrom([]chat.UserID{"ann", "an", "eve"}).Draw(rt, "user")
	number := rapid.Uint64Range(0, 70)
	after, before := chat.Seq(number.Draw(rt, "after")), chat.Seq(number.Draw(rt, "before"))
	id := mint(chat.EventID{}, m.clock.Now())
	_, _ = m.store.Thread(ctx, nowhere)
	_, _ = m.store.UserThreads(ctx, user)
	_, _ = m.store.UserThread(ctx, user, thread)
	_, _ = m.store.Peers(ctx, user, int(after%4))
	_, _ = m.store.ParticipantsAt(ctx, thread, before)
	_, _ = m.store.Events(ctx, thread, after, before, chat.Limit{Count: 3, Bytes: 50})
	_, _ = m.store.Messages(ctx, thread, chat.MessageRange{After: after, Before: before, Viewer: user, Count: 3})
	_, _ = m.store.Message(ctx, id)
	_, _ = m.store.SeqAt(ctx, thread, id)
	_, _ = m.store.CountUnread(ctx, thread, user, after, m.clock.Now(), 3)
	_, _ = m.store.Expired(ctx, m.clock.Now(), 3)
	_, _ = m.store.Marks(ctx, thread, []chat.UserID{user, "bob"})
	_, _ = m.store.MarksAt(ctx, thread, before, []chat.UserID{"bob", user})
	_, _, _ = m.store.Position(ctx, user, "phone")
	_, _ = m.store.LastSeen(ctx, user)
	_, _ = m.store.PrekeyDevices(ctx, user)
	_, _, _ = m.store.TakeOneTimePrekey(ctx, user, "no device")
	_, _ = m.store.Blocks(ctx, user)
	_, _ = m.store.Reports(ctx, id, 2)
}

// appendLate appends for a head that the log has grown past.
func (m *model) appendLate(rt *rapid.T) {
	id := m.anyThread(rt)
	log := m.logs[id]
	if len(log) < 2 {
		return
	}
	var old chat.Thread
	for _, e := range log[:rapid.IntRange(1, len(log)-1).Draw(rt, "head")] {
		old = old.Apply(e)
	}
	batch := []chat.Event{draft("ann", "late"), addition("late")}
	if n, err := m.store.Append(rt.Context(), old.Head, m.stamp(id, old.Head, batch)); n != 0 || err == nil {
		rt.Fatalf("Append behind the head = %d, %v", n, err)
	}
}

// createAgain repeats a creation, which changes nothing.
func (m *model) createAgain(rt *rapid.T) {
	if err := m.store.CreateThread(rt.Context(), m.logs[m.anyThread(rt)][0]); err != nil {
		rt.Fatalf("CreateThread, repeated: %v", err)
	}
}
