package storetest

import (
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// ownKey names what a user keeps of a thread.
type ownKey struct {
	user   chat.UserID
	thread chat.ThreadID
}

// hadToAccept reports whether a user had to accept a thread when it joined it last.
func hadToAccept(log []chat.Event, user chat.UserID) (pending bool) {
	for _, e := range log {
		switch {
		case e.Kind != chat.KindThread:
		case e.Change.Event == chat.ParticipantAdded && e.Change.User == user:
			pending = e.Change.Pending
		case e.Change.Event == chat.ThreadCreated:
			for _, m := range e.Change.Members {
				if m.User == user {
					pending = m.Pending
				}
			}
		}
	}
	return pending
}

// own is what a user keeps of a thread in the stint that began with joined.
func (m *model) own(id chat.ThreadID, user chat.UserID, joined chat.Seq) chat.OwnState {
	st, changed := m.records.own[ownKey{user, id}]
	if changed && st.Joined == joined {
		return st
	}
	return chat.FreshState(joined, hadToAccept(m.logs[id], user), st.Revision)
}

// accepted reports whether a user is in a thread and has accepted it.
func (m *model) accepted(id chat.ThreadID, user chat.UserID) bool {
	p, in := m.state(id).Participant(user)
	return in && m.own(id, user, p.JoinedSeq).Accepted
}

// keep stores what a user keeps of a thread. Now and then the user is not in it, the state is of
// another stint, or another change was faster.
func (m *model) keep(rt *rapid.T) {
	id, user := m.anyPlace(rt), anyUser(rt, "user")
	p, in := m.state(id).Participant(user)
	before := m.own(id, user, p.JoinedSeq)
	st := chat.OwnState{
		Joined:     p.JoinedSeq + chat.Seq(rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(rt, "joined")),
		Revision:   before.Revision + rapid.SampledFrom([]uint64{1, 1, 1, 1, 2}).Draw(rt, "revision"),
		Accepted:   rapid.Bool().Draw(rt, "accepted"),
		ArchivedAt: m.anySeq(rt, id, "archived"),
		Pinned:     rapid.Bool().Draw(rt, "pinned"), MarkedUnread: rapid.Bool().Draw(rt, "unread"),
	}
	if rapid.Bool().Draw(rt, "muted") {
		st.MutedUntil = canonicalTime(m.clock.Now().Add(rapid.SampledFrom(leaps).Draw(rt, "for")))
	}
	if st.Custom.Set = rapid.Bool().Draw(rt, "custom"); st.Custom.Set {
		st.Custom.Bytes = string(rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "bytes"))
	}
	want := in && st.Joined == p.JoinedSeq && st.Revision == before.Revision+1
	m.putOwn(user, id, st, want)
	if want {
		m.records.own[ownKey{user, id}] = st
	}
}

// compareAccepted compares who has accepted a thread, which 1:1s a user has, and with whom it
// shares what one of both has accepted.
func (m *model) compareAccepted(rt *rapid.T) {
	id, user := m.anyPlace(rt), anyUser(rt, "user")
	everybody := slices.Concat(people, strangers)
	others := slices.DeleteFunc(slices.Clone(everybody), func(u chat.UserID) bool { return u == user })
	compare := func(what string, got []chat.UserID, err error, is func(chat.UserID) bool, of []chat.UserID) {
		want := slices.DeleteFunc(slices.Clone(of), func(u chat.UserID) bool { return !is(u) })
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			rt.Fatalf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	got, err := m.store.AcceptedBy(rt.Context(), id, everybody)
	compare("who has accepted the thread", got, err, func(u chat.UserID) bool { return m.accepted(id, u) }, everybody)

	in := chat.SharedThreads{Most: rapid.IntRange(0, 4).Draw(rt, "most")}
	shares := func(u, by chat.UserID) bool { // a thread that by has accepted
		return slices.ContainsFunc(m.threads, func(id chat.ThreadID) bool {
			_, isIn := m.state(id).Participant(u)
			_, byIsIn := m.state(id).Participant(by)
			return isIn && byIsIn && in.Counts(len(m.state(id).Participants)) && m.accepted(id, by)
		})
	}
	got, err = m.store.PeersWhoAccepted(rt.Context(), user, others, in)
	compare("who has accepted a thread with "+string(user), got, err, func(u chat.UserID) bool { return shares(user, u) }, others)
	accepting := in
	accepting.Accepted = true
	got, err = m.store.Peers(rt.Context(), user, accepting)
	compare("with whom "+string(user)+" has accepted a thread", got, err, func(u chat.UserID) bool { return shares(u, user) }, others)

	pairs, err := m.store.Pairs(rt.Context(), user, others)
	want := make(map[chat.UserID]chat.Pair)
	for _, other := range others {
		if id, exists := m.pair([]chat.UserID{user, other}); exists {
			want[other] = chat.Pair{Other: other, Thread: id, Accepted: m.accepted(id, other)}
		}
	}
	found := make(map[chat.UserID]chat.Pair)
	for _, p := range pairs {
		found[p.Other] = p
	}
	if err != nil || len(pairs) != len(want) || !maps.Equal(found, want) {
		rt.Fatalf("the 1:1s of %s are %+v, %v; want %+v", user, pairs, err, want)
	}
}

// meetStrangers notes that a user puts strangers into a thread.
func (m *model) meetStrangers(rt *rapid.T) {
	user := rapid.SampledFrom(people[:2]).Draw(rt, "user")
	met := rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Concat(people[2:], strangers, []chat.UserID{"fay", "gus"})), 1, 4, rapid.ID).Draw(rt, "strangers")
	most, now := rapid.IntRange(1, 5).Draw(rt, "most"), m.clock.Now()
	counts := func(noted time.Time) bool { return noted.Add(chat.StrangersSpan).After(now) }
	var until []time.Time // of the others who count
	for u, noted := range m.records.met[user] {
		if counts(noted) && !slices.Contains(met, u) {
			until = append(until, noted.Add(chat.StrangersSpan))
		}
	}
	slices.SortFunc(until, time.Time.Compare)
	fresh := slices.DeleteFunc(slices.Clone(met), func(u chat.UserID) bool {
		noted, known := m.records.met[user][u]
		return known && counts(noted)
	})
	var want time.Duration
	switch over := len(until) + len(met) - most; {
	case len(fresh) == 0 || over <= 0:
	case len(met) > most:
		want = chat.StrangersSpan
	default:
		want = until[over-1].Sub(now)
	}
	wait, err := m.store.PutStrangers(rt.Context(), user, met, most, now)
	if err != nil || wait != want {
		rt.Fatalf("PutStrangers of %v, %d at most: %v, %v; want %v", met, most, wait, err, want)
	}
	if want > 0 {
		return
	}
	if m.records.met[user] == nil {
		m.records.met[user] = make(map[chat.UserID]time.Time)
	}
	for _, u := range fresh {
		m.records.met[user][u] = now
	}
}
