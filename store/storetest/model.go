package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// RunModel plays random histories on a store and on a model that keeps nothing
// but a list of events and a list of marks, and compares what both say. Rapid
// prints how to play a failed history again (-rapid.seed, -rapid.failfile).
func RunModel(t *testing.T, s Subject) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{fixture: newFixture(rt, s), rt: rt, logs: make(map[chat.ThreadID][]chat.Event)}
		rt.Repeat(map[string]func(*rapid.T){
			"create":  m.create,
			"send":    m.send,
			"member":  m.changeMember,
			"mark":    m.mark,
			"time":    func(rt *rapid.T) { m.clock.advance(rapid.SampledFrom(leaps).Draw(rt, "leap")) },
			"history": m.compareHistory,
			"at":      m.compareSeqAt,
			"marks":   m.compareMarks,
			"lists":   m.compareLists,
		})
		for _, id := range m.threads {
			wantEvents(rt, "at the end, the log", m.log(id), m.logs[id])
		}
	})
}

// What histories are made of: little, so that it often meets itself.
var (
	people  = []chat.UserID{"ann", "bob", "cid", "dan"}
	devices = []chat.DeviceID{"phone", "tablet"}
	leaps   = []time.Duration{0, time.Millisecond, time.Second, time.Hour, window / 2, window - time.Second, 2 * window}
)

type model struct {
	*fixture
	rt      *rapid.T
	threads []chat.ThreadID
	logs    map[chat.ThreadID][]chat.Event
	marks   []chat.Mark // in the order they were stored
}

func (m *model) anyThread(rt *rapid.T) chat.ThreadID {
	if len(m.threads) == 0 {
		rt.Skip("no thread yet")
	}
	return m.threads[rapid.IntRange(0, len(m.threads)-1).Draw(rt, "thread")]
}

func (m *model) state(id chat.ThreadID, through chat.Seq) (t chat.Thread) {
	for _, e := range m.logs[id][:min(int(through), len(m.logs[id]))] {
		t = t.Apply(e)
	}
	return t
}

func (m *model) create(rt *rapid.T) {
	users := rapid.Permutation(people).Draw(rt, "users")
	kind := rapid.SampledFrom([]chat.ThreadType{chat.OneToOne, chat.Group}).Draw(rt, "type")
	if kind == chat.OneToOne {
		users = users[:2]
	}
	e := m.creation(kind, users...)
	err := m.store.CreateThread(rt.Context(), e)
	if other, exists := m.pair(users); kind == chat.OneToOne && exists {
		var pair *chat.PairExistsError
		if !errors.As(err, &pair) || pair.Thread != other {
			rt.Fatalf("CreateThread of a pair that has %s: %v", other, err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("CreateThread: %v", err)
	}
	m.threads = append(m.threads, e.Thread)
	m.logs[e.Thread] = []chat.Event{e}
}

func (m *model) pair(users []chat.UserID) (chat.ThreadID, bool) {
	for id, log := range m.logs {
		c := log[0].Change
		if c.Type == chat.OneToOne && slices.Contains(users, c.Members[0].User) && slices.Contains(users, c.Members[1].User) {
			return id, true
		}
	}
	return chat.ThreadID{}, false
}

// send appends one to four messages whose keys and numbers come from a small set.
func (m *model) send(rt *rapid.T) {
	id := m.anyThread(rt)
	var batch []chat.Event
	for range rapid.IntRange(1, 4).Draw(rt, "messages") {
		e := draft(rapid.SampledFrom(people).Draw(rt, "by"), rapid.StringN(0, 20, 40).Draw(rt, "text"))
		e.Device = rapid.SampledFrom(devices).Draw(rt, "device")
		e.Message.ClientSeq = rapid.Int64Range(0, 60).Draw(rt, "client_seq")
		e.Message.IdempotencyKey = fmt.Sprintf("k%d", rapid.IntRange(0, 5).Draw(rt, "key"))
		batch = append(batch, e)
	}
	head := m.state(id, m.end(id)).Head
	events := m.stamp(id, head, batch)
	n, err := m.store.Append(rt.Context(), head, events)
	for i, e := range events {
		by, existing := m.duplicate(e)
		if by == "" {
			m.logs[id] = append(m.logs[id], e)
			continue
		}
		var dup *chat.DuplicateError
		if n != i || !errors.As(err, &dup) || dup.By != by || !sameEvent(dup.Existing, existing) {
			rt.Fatalf("Append = %d, %v; want %d and a duplicate by %s of %s", n, err, i, by, existing.ID)
		}
		return
	}
	if n != len(events) || err != nil {
		rt.Fatalf("Append = %d, %v; want all %d", n, err, len(events))
	}
}

func (m *model) end(id chat.ThreadID) chat.Seq { return chat.Seq(len(m.logs[id])) }

func (m *model) duplicate(e chat.Event) (by chat.DuplicateOf, existing chat.Event) {
	oldest := m.clock.Now().Add(-window)
	for _, log := range m.logs {
		for _, old := range log {
			if old.Message == nil || old.By != e.By {
				continue
			}
			if old.Message.IdempotencyKey == e.Message.IdempotencyKey && !old.At().Before(oldest) {
				return chat.ByIdempotencyKey, old
			}
			if old.Thread == e.Thread && old.Device == e.Device && old.Message.ClientSeq == e.Message.ClientSeq {
				by, existing = chat.ByClientSeq, old
			}
		}
	}
	return by, existing
}

func (m *model) changeMember(rt *rapid.T) {
	id := m.anyThread(rt)
	state := m.state(id, m.end(id))
	user := rapid.SampledFrom(people).Draw(rt, "user")
	d := addition(user)
	if _, in := state.Participant(user); in {
		d = removal("ann", user)
	}
	m.logs[id] = append(m.logs[id], m.append(id, d)...)
}

func (m *model) mark(rt *rapid.T) {
	id := m.anyThread(rt)
	mark := chat.Mark{
		Thread: id, User: rapid.SampledFrom(people).Draw(rt, "user"),
		Kind: rapid.SampledFrom([]chat.MarkKind{chat.Delivered, chat.Read}).Draw(rt, "kind"),
		Seq:  chat.Seq(rapid.Uint64Range(1, uint64(m.end(id))).Draw(rt, "seq")),
	}
	want := m.present(mark)
	stored, prev, moved := m.putMark(mark)
	if prev != want || moved != (mark.Seq > want.Seq) {
		rt.Fatalf("PutMark(%d): prev %+v, moved %v; want prev %+v", mark.Seq, prev, moved, want)
	}
	if moved {
		m.marks = append(m.marks, stored)
	}
}

// present is the newest mark of the same thread, user and kind.
func (m *model) present(of chat.Mark) (last chat.Mark) {
	for _, k := range m.marks {
		if k.Thread == of.Thread && k.User == of.User && k.Kind == of.Kind {
			last = k
		}
	}
	return last
}

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

func (m *model) compareHistory(rt *rapid.T) {
	id := m.anyThread(rt)
	edge := rapid.Uint64Range(0, uint64(m.end(id))+2)
	after, before := chat.Seq(edge.Draw(rt, "after")), chat.Seq(edge.Draw(rt, "before"))
	count := rapid.IntRange(0, 6).Draw(rt, "count")
	newestFirst := rapid.Bool().Draw(rt, "newest first")
	var events, messages []chat.Event
	for _, e := range m.logs[id] {
		if e.Seq > after && e.Seq <= before && len(events) < count {
			events = append(events, e)
		}
		if e.Seq > after && (e.Seq < before || before == 0) && e.Kind == chat.KindMessage {
			messages = append(messages, e)
		}
	}
	wantEvents(rt, "Events", m.events(id, after, before, chat.Limit{Count: count, Bytes: 1 << 20}), events)
	if newestFirst {
		slices.Reverse(messages)
	}
	got, err := m.store.Messages(rt.Context(), id, after, before, newestFirst, count)
	if err != nil {
		rt.Fatalf("Messages: %v", err)
	}
	wantEvents(rt, "Messages", got, messages[:min(count, len(messages))])
}

func (m *model) compareSeqAt(rt *rapid.T) {
	id := m.anyThread(rt)
	seq := chat.Seq(rapid.Uint64Range(0, uint64(m.end(id))+1).Draw(rt, "seq"))
	want := m.state(id, seq).Users()
	slices.Sort(want)
	if got := m.participantsAt(id, seq); !slices.Equal(got, want) {
		rt.Fatalf("ParticipantsAt(%d) = %v, want %v", seq, got, want)
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
	for _, id := range m.threads {
		stints := make(map[chat.UserID]chat.UserThread)
		var state chat.Thread
		unread := 0
		for _, e := range m.logs[id] {
			next := state.Apply(e)
			follow(stints, state, next)
			state = next
			if e.Kind == chat.KindMessage && e.By != user {
				unread++
			}
		}
		want, was := stints[user]
		if want.Head = state.Head; was && got[id] != want {
			rt.Fatalf("%s's line is %+v, want %+v", user, got[id], want)
		}
		if _, listed := got[id]; listed != was {
			rt.Fatalf("%s is listed in %s: %v, want %v", user, id, listed, was)
		}
		if n, err := m.store.CountUnread(rt.Context(), id, user, 0, 5); err != nil || n != min(unread, 5) {
			rt.Fatalf("CountUnread = %d, %v; want %d up to 5", n, err, unread)
		}
	}
	if len(got) > len(m.threads) {
		rt.Fatalf("%s is in %d threads of %d", user, len(got), len(m.threads))
	}
}
