package storetest

import (
	"errors"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// compareThread compares a thread's present state.
func (m *model) compareThread(rt *rapid.T) {
	id := m.anyPlace(rt)
	got, err := m.store.Thread(rt.Context(), id)
	if m.end(id) == 0 {
		if !errors.Is(err, chat.ErrNotFound) {
			rt.Fatalf("a thread never created: %v; want ErrNotFound", err)
		}
		return
	}
	if want := m.state(id); err != nil || !sameThread(got, want) {
		rt.Fatalf("the thread is %+v, %v; want %+v", got, err, want)
	}
}

// compareMarks compares the present marks of some users, and the first at or above
// some event.
func (m *model) compareMarks(rt *rapid.T) {
	id := m.anyPlace(rt)
	seq := m.anySeq(rt, id, "seq")
	users := rapid.Permutation(slices.Concat(people, strangers)).Draw(rt, "users")
	present, at := make([]chat.Marks, len(users)), make([]chat.Marks, len(users))
	for i, u := range users {
		present[i].User, at[i].User = u, u
		for _, k := range m.marks {
			if k.Thread != id || k.User != u {
				continue
			}
			last, first := &present[i].Delivered, &at[i].Delivered
			if k.Kind == chat.Read {
				last, first = &present[i].Read, &at[i].Read
			}
			if *last = k; k.Seq >= seq && first.Seq == 0 {
				*first = k
			}
		}
	}
	m.wantMarks(id, 0, present...)
	got, err := m.store.MarksAt(rt.Context(), id, seq, users)
	if err != nil || !slices.Equal(got, at) {
		rt.Fatalf("MarksAt(%d) =\n%+v, %v; want\n%+v", seq, got, err, at)
	}
}

// compareLog compares Events within random bounds.
func (m *model) compareLog(rt *rapid.T) {
	id := m.anyPlace(rt)
	after, through := m.anySeq(rt, id, "after"), m.anySeq(rt, id, "through")
	limit := chat.Limit{
		Count: rapid.IntRange(0, 8).Draw(rt, "count"),
		Bytes: rapid.SampledFrom([]int{0, 20, 60, 1 << 20}).Draw(rt, "bytes"),
	}
	var want []chat.Event
	bytes := 0
	for _, e := range folded(m.logs[id]) {
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

// comparePage compares Messages within random bounds.
func (m *model) comparePage(rt *rapid.T) {
	id := m.anyPlace(rt)
	r := chat.MessageRange{
		After: m.anySeq(rt, id, "after"), Before: m.anySeq(rt, id, "before"),
		NewestFirst: rapid.Bool().Draw(rt, "newest first"),
		Count:       rapid.IntRange(0, 6).Draw(rt, "count"),
	}
	if rapid.IntRange(0, 3).Draw(rt, "all") > 0 {
		r.Viewer = anyUser(rt, "viewer")
	}
	if rapid.Bool().Draw(rt, "filtered") {
		r.ContentType = anyType(rt)
	}
	want := slices.DeleteFunc(messagesOf(folded(m.logs[id])), func(e chat.Event) bool {
		return e.Seq <= r.After || r.Before > 0 && e.Seq >= r.Before || !e.VisibleTo(r.Viewer, 0) && r.Viewer != "" ||
			r.ContentType != "" && e.Message.ContentType != r.ContentType
	})
	if r.NewestFirst {
		slices.Reverse(want)
	}
	wantEvents(rt, "Messages", m.messages(id, r), want[:min(r.Count, len(want))])
}

// compareMessage compares what Message says of an event's id: only a message is
// found by it.
func (m *model) compareMessage(rt *rapid.T) {
	id := mint(chat.EventID{}, m.clock.Now()) // of no event
	var want chat.Event
	if log := folded(m.logs[m.anyPlace(rt)]); len(log) > 0 {
		want = rapid.SampledFrom(log).Draw(rt, "event")
		id = want.ID
	}
	got, err := m.store.Message(rt.Context(), id)
	switch {
	case want.Kind != chat.KindMessage && !errors.Is(err, chat.ErrNotFound):
		rt.Fatalf("Message(%s), which is no message's: %s, %v; want ErrNotFound", id, describe(got), err)
	case want.Kind == chat.KindMessage && (err != nil || !sameEvent(got, want)):
		rt.Fatalf("Message(%s) = %s, %v; want %s", id, describe(got), err, describe(want))
	}
}

func (m *model) compareSeqAt(rt *rapid.T) {
	id := m.anyPlace(rt)
	seq := m.anySeq(rt, id, "seq")
	if got, want := m.participantsAt(id, seq), covering(stintsOf(m.logs[id]), seq); !slices.Equal(got, want) {
		rt.Fatalf("ParticipantsAt(%d) = %+v, want %+v", seq, got, want)
	}
	at := chat.EventIDAt(m.clock.Now().Add(-rapid.SampledFrom(leaps).Draw(rt, "ago")))
	if rapid.IntRange(0, 3).Draw(rt, "now") == 0 {
		at = mint(m.state(id).Head.ID, m.clock.Now()) // after everything
	}
	first := slices.IndexFunc(m.logs[id], func(e chat.Event) bool { return e.ID.Compare(at) >= 0 })
	if first < 0 {
		first = len(m.logs[id])
	}
	if got, err := m.store.SeqAt(rt.Context(), id, at); err != nil || got != chat.Seq(first+1) {
		rt.Fatalf("SeqAt(%s) = %d, %v; want %d", at, got, err, first+1)
	}
}

// compareLists compares a user's list of threads, and one line of it.
func (m *model) compareLists(rt *rapid.T) {
	user := anyUser(rt, "user")
	lines, err := m.store.UserThreads(rt.Context(), user)
	if err != nil {
		rt.Fatalf("UserThreads: %v", err)
	}
	got := make(map[chat.ThreadID]chat.UserThread)
	for _, line := range lines {
		got[line.Thread] = canonicalLine(line)
	}
	want := make(map[chat.ThreadID]chat.UserThread)
	for _, id := range m.threads {
		if line, was := linesOf(stintsOf(m.logs[id]))[user]; was {
			line.Thread, line.Head, line.State = id, m.state(id).Head, m.own(id, user, line.JoinedSeq)
			want[id] = canonicalLine(line)
		}
	}
	if len(lines) != len(want) || !maps.Equal(got, want) {
		rt.Fatalf("%s's lines are %+v, want %+v", user, lines, want)
	}
	id := m.anyPlace(rt)
	line, err := m.store.UserThread(rt.Context(), user, id)
	line = canonicalLine(line)
	switch wanted, was := want[id]; {
	case !was && !errors.Is(err, chat.ErrNotFound):
		rt.Fatalf("the line of %s, who never was in: %+v, %v; want ErrNotFound", user, line, err)
	case was && (err != nil || line != wanted):
		rt.Fatalf("the line of %s is %+v, %v; want %+v", user, line, err, wanted)
	}
}

// canonicalLine is a line that can be compared with ==. Of who has left a thread, stores need
// not say what it keeps of it.
func canonicalLine(line chat.UserThread) chat.UserThread {
	if line.State.MutedUntil = canonicalTime(line.State.MutedUntil); line.LeftSeq != 0 {
		line.State = chat.OwnState{}
	}
	return line
}

// comparePeers compares who is in a thread with a user, and in one of a few people.
func (m *model) comparePeers(rt *rapid.T) {
	user := anyUser(rt, "user")
	var before chat.EventID
	if log := m.logs[m.anyPlace(rt)]; len(log) > 0 {
		before = rapid.SampledFrom(log).Draw(rt, "event").ID
	}
	for _, in := range []chat.SharedThreads{{}, {Most: rapid.IntRange(1, 4).Draw(rt, "most")}, {Before: before}} {
		joinedBefore := func(p chat.Participant) bool {
			return in.Before == chat.EventID{} || p.JoinedID.Compare(in.Before) < 0
		}
		want := make(map[chat.UserID]bool)
		for _, id := range m.threads {
			t := m.state(id)
			me, is := t.Participant(user)
			if !is || in.Most > 0 && len(t.Participants) > in.Most || !joinedBefore(me) {
				continue
			}
			for _, p := range t.Participants {
				if p.User != user && joinedBefore(p) {
					want[p.User] = true
				}
			}
		}
		got, err := m.store.Peers(rt.Context(), user, in)
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(maps.Keys(want))) {
			rt.Fatalf("Peers of %s in %+v = %v, %v; want %v", user, in, got, err, want)
		}
	}
}

// compareUnread compares how many messages of each thread are unread for a user.
func (m *model) compareUnread(rt *rapid.T) {
	const most = 5
	user, now := anyUser(rt, "user"), m.clock.Now()
	for _, id := range append(slices.Clone(m.threads), newThreadID()) {
		after := m.anySeq(rt, id, "after")
		want := 0
		for _, e := range messagesOf(folded(m.logs[id])) {
			if e.Seq > after && e.By != user && e.VisibleTo(user, 0) && e.Message.Deleted == "" && !e.Message.ExpiredAt(now) {
				want++
			}
		}
		if n, err := countUnread(rt.Context(), m.store, id, user, after, now, most); err != nil || n != min(want, most) {
			rt.Fatalf("CountUnread of %s after %d = %d, %v; want %d up to %d", user, after, n, err, want, most)
		}
	}
}

// compareExpired compares what has expired. What expires at the same time comes
// in any order.
func (m *model) compareExpired(rt *rapid.T) {
	now := m.clock.Now()
	due := make(map[chat.MessageID]chat.Event)
	var at []int64
	for _, log := range m.logs {
		for _, e := range messagesOf(folded(log)) {
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
