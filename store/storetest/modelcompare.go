package storetest

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

func (m *model) compareMarks(rt *rapid.T) {
	id := m.anyThread(rt)
	seq := chat.Seq(rapid.Uint64Range(0, uint64(m.end(id))+1).Draw(rt, "seq"))
	want := make([]chat.Marks, len(people))
	for i, u := range people {
		want[i].User = u
		for _, k := range slices.Backward(m.marks) { // ends at the first at or above seq, or at the last
			at := &want[i].Delivered
			if k.Kind == chat.Read {
				at = &want[i].Read
			}
			if k.Thread == id && k.User == u && k.Seq >= seq && (seq > 0 || at.Seq == 0) {
				*at = k
			}
		}
	}
	m.wantMarks(id, seq, want...)
}

// compareLog compares Events within random bounds.
func (m *model) compareLog(rt *rapid.T) {
	id := m.anyThread(rt)
	edge := rapid.Uint64Range(0, uint64(m.end(id))+2)
	after, through := chat.Seq(edge.Draw(rt, "after")), chat.Seq(edge.Draw(rt, "through"))
	limit := chat.Limit{
		Count: rapid.IntRange(0, 8).Draw(rt, "count"),
		Bytes: rapid.SampledFrom([]int{0, 20, 60, 1 << 20}).Draw(rt, "bytes"),
	}
	var want []chat.Event
	bytes := 0
	for _, e := range present(m.logs[id]) {
		if e.Seq <= after || e.Seq > through {
			continue
		}
		if e.HasContent() {
			bytes += len(e.Message.Ciphertext)
		}
		if len(want) == limit.Count || len(want) > 0 && bytes > limit.Bytes {
			break
		}
		want = append(want, e)
	}
	wantEvents(rt, "Events", m.events(id, after, through, limit), want)
}

// comparePage compares a thread, Messages within random bounds, and one message.
func (m *model) comparePage(rt *rapid.T) {
	id := m.anyThread(rt)
	if got, want := m.thread(id), m.state(id); !sameThread(got, want) {
		rt.Fatalf("the thread is %+v, want %+v", got, want)
	}
	edge := rapid.Uint64Range(0, uint64(m.end(id))+2)
	r := chat.MessageRange{
		After: chat.Seq(edge.Draw(rt, "after")), Before: chat.Seq(edge.Draw(rt, "before")),
		Viewer:      rapid.SampledFrom([]chat.UserID{"", "ann", "bob", "cid"}).Draw(rt, "viewer"),
		NewestFirst: rapid.Bool().Draw(rt, "newest first"),
		Count:       rapid.IntRange(0, 6).Draw(rt, "count"),
	}
	want := messagesOf(present(m.logs[id]))
	if len(want) > 0 {
		one := rapid.SampledFrom(want).Draw(rt, "one")
		wantEvents(rt, "Message", []chat.Event{m.message(one.ID)}, []chat.Event{one})
	}
	want = slices.DeleteFunc(want, func(e chat.Event) bool {
		return e.Seq <= r.After || r.Before > 0 && e.Seq >= r.Before || !e.VisibleTo(r.Viewer, 0)
	})
	if r.NewestFirst {
		slices.Reverse(want)
	}
	wantEvents(rt, "Messages", m.messages(id, r), want[:min(r.Count, len(want))])
}

func (m *model) compareSeqAt(rt *rapid.T) {
	id := m.anyThread(rt)
	seq := chat.Seq(rapid.Uint64Range(0, uint64(m.end(id))+1).Draw(rt, "seq"))
	if got, want := m.participantsAt(id, seq), covering(stintsOf(m.logs[id]), seq); !slices.Equal(got, want) {
		rt.Fatalf("ParticipantsAt(%d) = %+v, want %+v", seq, got, want)
	}
	at := chat.EventIDAt(m.clock.Now().Add(-rapid.SampledFrom(leaps).Draw(rt, "ago")))
	first := slices.IndexFunc(m.logs[id], func(e chat.Event) bool { return e.ID.Compare(at) >= 0 })
	if first < 0 {
		first = len(m.logs[id])
	}
	if got, err := m.store.SeqAt(rt.Context(), id, at); err != nil || got != chat.Seq(first+1) {
		rt.Fatalf("SeqAt(%s) = %d, %v; want %d", at, got, err, first+1)
	}
}

// compareLists compares a user's list of threads, and what of them is unread.
func (m *model) compareLists(rt *rapid.T) {
	user := rapid.SampledFrom(people).Draw(rt, "user")
	lines, err := m.store.UserThreads(rt.Context(), user)
	if err != nil {
		rt.Fatalf("UserThreads: %v", err)
	}
	got := make(map[chat.ThreadID]chat.UserThread)
	for _, line := range lines {
		got[line.Thread] = line
	}
	want := make(map[chat.ThreadID]chat.UserThread)
	for _, id := range m.threads {
		if line, was := linesOf(stintsOf(m.logs[id]))[user]; was {
			line.Thread, line.Head = id, m.state(id).Head
			want[id] = line
		}
		m.compareUnread(rt, id, user)
	}
	if len(lines) != len(want) || !maps.Equal(got, want) {
		rt.Fatalf("%s's lines are %+v, want %+v", user, lines, want)
	}
}

// comparePeers compares who is in a thread with a user, and in one of a few people.
func (m *model) comparePeers(rt *rapid.T) {
	user := rapid.SampledFrom(people).Draw(rt, "user")
	for _, most := range []int{0, 2} {
		want := make(map[chat.UserID]bool)
		for _, id := range m.threads {
			t := m.state(id)
			if _, in := t.Participant(user); !in || most > 0 && len(t.Participants) > most {
				continue
			}
			for _, u := range t.Users() {
				want[u] = u != user
			}
		}
		maps.DeleteFunc(want, func(_ chat.UserID, peer bool) bool { return !peer })
		got, err := m.store.Peers(rt.Context(), user, most)
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(maps.Keys(want))) {
			rt.Fatalf("Peers of %s in threads of %d = %v, %v; want %v", user, most, got, err, want)
		}
	}
}

func (m *model) compareUnread(rt *rapid.T, id chat.ThreadID, user chat.UserID) {
	const most = 5
	after := chat.Seq(rapid.Uint64Range(0, uint64(m.end(id))).Draw(rt, "after"))
	now := m.clock.Now()
	want := 0
	for _, e := range messagesOf(present(m.logs[id])) {
		if e.Seq > after && e.By != user && e.VisibleTo(user, 0) && e.Message.Deleted == "" && !e.Message.ExpiredAt(now) {
			want++
		}
	}
	if n, err := m.store.CountUnread(rt.Context(), id, user, after, now, most); err != nil || n != min(want, most) {
		rt.Fatalf("CountUnread of %s after %d = %d, %v; want %d up to %d", user, after, n, err, want, most)
	}
}

// compareExpired compares what has expired. What expires at the same time comes
// in any order.
func (m *model) compareExpired(rt *rapid.T) {
	now := m.clock.Now()
	due := make(map[chat.MessageID]chat.Event)
	var at []int64
	for _, log := range m.logs {
		for _, e := range messagesOf(present(log)) {
			if e.Message.ExpiredAt(now) {
				due[e.ID] = e
				at = append(at, e.Message.ExpiresAt.UnixMilli())
			}
		}
	}
	slices.Sort(at)
	count := rapid.IntRange(0, 5).Draw(rt, "count")
	got := m.expired(count)
	if len(got) != min(count, len(due)) {
		rt.Fatalf("%d of at most %d messages have expired, want %d", len(got), count, len(due))
	}
	for i, e := range got {
		want, is := due[e.ID]
		if !is || !sameEvent(e, want) || e.Message.ExpiresAt.UnixMilli() != at[i] {
			rt.Fatalf("expired is %s; that is so: %v, as %s", describe(e), is, describe(want))
		}
		delete(due, e.ID)
	}
}
