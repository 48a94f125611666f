package storetest

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// times makes a long run of the model of what is short otherwise.
var times = flag.Int("storetest.times", 1, "run so many times as many histories of the model of stores")

// Effort says how many random histories [RunModel] runs and how many steps each takes
// on average. Zero is what the flags -rapid.checks and -rapid.steps say. The flag
// -storetest.times multiplies the histories.
type Effort struct {
	Histories, Steps int
}

// apply sets rapid's flags until the test ends. Rapid has no other settings.
func (e Effort) apply(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int{"rapid.checks": e.Histories * *times, "rapid.steps": e.Steps} {
		if n == 0 {
			continue
		}
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, before) })
	}
}

// RunModel runs random histories on a store and on a model, and compares what both say,
// also of threads, users and messages that do not exist. The model keeps nothing but
// lists of what was stored: a thread is the fold of its log.
//
// Of a failed history, rapid prints how to run it again (-rapid.seed, -rapid.failfile).
// A test that calls RunModel must not run in parallel with others that use rapid.
func RunModel(t *testing.T, s Subject, effort Effort) {
	t.Helper()
	effort.apply(t)
	rapid.Check(noDeadline{t}, func(rt *rapid.T) {
		m := newModel(rt, s)
		rt.Repeat(m.actions())
		m.atEnd(rt)
	})
}

// noDeadline hides from rapid when the time that go test allows is over: rapid would
// stop shortly before that, and call what it has done a success.
type noDeadline struct{ *testing.T }

// What histories are made of. It is little, so that steps often concern the same things.
var (
	people    = []chat.UserID{"ann", "bob", "cid", "dan"}
	strangers = []chat.UserID{"an", "eve"} // who never do anything but are asked about
	devices   = []chat.DeviceID{"phone", "tablet"}
	leaps     = []time.Duration{0, time.Millisecond, time.Second, time.Hour, window / 2, window - time.Second, 2 * window}
	emojis    = []string{"+1", "👍", ":parrot:"}
)

type model struct {
	*fixture
	threads []chat.ThreadID
	logs    map[chat.ThreadID][]chat.Event // as appended
	marks   []chat.Mark                    // in the order they were stored
	records records
}

func newModel(rt *rapid.T, s Subject) *model {
	return &model{fixture: newFixture(rt, s), logs: make(map[chat.ThreadID][]chat.Event), records: newRecords()}
}

// actions are the steps of a history. One that is to come often stands here twice.
func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create":          m.create,
		"create again":    m.createAgain,
		"append":          m.appendSome,
		"append more":     m.appendSome,
		"append again":    m.appendSome,
		"append late":     m.appendLate,
		"ask for retry":   m.askSentBefore,
		"member":          m.changeMember,
		"mark":            m.mark,
		"time":            func(rt *rapid.T) { m.clock.Advance(rapid.SampledFrom(leaps).Draw(rt, "leap")) },
		"seen":            m.see,
		"block":           m.block,
		"report":          m.fileReport,
		"deny":            m.deny,
		"upload":          m.uploadKeys,
		"take":            m.takeKey,
		"keep":            m.keep,
		"keep again":      m.keep,
		"meet":            m.meetStrangers,
		"compare thread":  m.compareThread,
		"compare log":     m.compareLog,
		"compare page":    m.comparePage,
		"compare message": m.compareMessage,
		"compare at":      m.compareSeqAt,
		"compare marks":   m.compareMarks,
		"compare lists":   m.compareLists,
		"compare unread":  m.compareUnread,
		"compare peers":   m.comparePeers,
		"compare accepts": m.compareAccepted,
		"compare records": m.compareRecords,
		"compare due":     m.compareExpired,
	}
}

// atEnd compares everything once more.
func (m *model) atEnd(rt *rapid.T) {
	for _, id := range m.threads {
		wantEvents(rt, "at the end, the log", m.log(id), folded(m.logs[id]))
		Verify(rt, m.store, id)
	}
	m.compareRecords(rt)
}

func (m *model) anyThread(rt *rapid.T) chat.ThreadID { return oneOf(rt, m.threads) }

// oneOf ends the action if there is none yet: another is drawn in its place.
func oneOf(rt *rapid.T, threads []chat.ThreadID) chat.ThreadID {
	if len(threads) == 0 {
		rt.Skip("no thread yet")
	}
	return threads[rapid.IntRange(0, len(threads)-1).Draw(rt, "thread")]
}

// anyPlace is a thread, or now and then the id of one that was never created.
func (m *model) anyPlace(rt *rapid.T) chat.ThreadID {
	if len(m.threads) == 0 || rapid.IntRange(0, 5).Draw(rt, "nowhere") == 0 {
		return newThreadID()
	}
	return m.anyThread(rt)
}

// anySeq is a seq in a thread, just outside it, or now and then far beyond its end.
func (m *model) anySeq(rt *rapid.T, id chat.ThreadID, label string) chat.Seq {
	if rapid.IntRange(0, 7).Draw(rt, label+" far") == 0 {
		return m.end(id) + 50
	}
	return chat.Seq(rapid.Uint64Range(0, uint64(m.end(id))+2).Draw(rt, label))
}

// anyUser is one of the people or, now and then, of the strangers.
func anyUser(rt *rapid.T, label string) chat.UserID {
	return rapid.SampledFrom(slices.Concat(people, people, strangers)).Draw(rt, label)
}

func (m *model) state(id chat.ThreadID) chat.Thread { return threadOf(m.logs[id]) }

// threadOf is the thread that a log tells of.
func threadOf(log []chat.Event) (t chat.Thread) {
	for _, e := range log {
		t = t.Apply(e)
	}
	return t
}

func (m *model) end(id chat.ThreadID) chat.Seq { return chat.Seq(len(m.logs[id])) }

func (m *model) create(rt *rapid.T) {
	users := rapid.Permutation(people).Draw(rt, "users")
	kind := rapid.SampledFrom([]chat.ThreadType{chat.OneToOne, chat.Group}).Draw(rt, "type")
	if kind == chat.OneToOne {
		users = users[:2]
	}
	e := m.creation(kind, users...)
	for i := range e.Change.Members[1:] {
		e.Change.Members[i+1].Pending = rapid.Bool().Draw(rt, "pending")
	}
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

// createAgain repeats a creation, which changes nothing.
func (m *model) createAgain(rt *rapid.T) {
	if err := m.store.CreateThread(rt.Context(), m.logs[m.anyThread(rt)][0]); err != nil {
		rt.Fatalf("CreateThread, repeated: %v", err)
	}
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

// appendSome appends one to four events, of which no two are about the same
// message.
func (m *model) appendSome(rt *rapid.T) {
	id := m.anyThread(rt)
	free := messagesOf(m.logs[id])
	state := m.state(id)
	var batch []chat.Event
	for range rapid.IntRange(1, 4).Draw(rt, "events") {
		if len(free) == 0 || rapid.IntRange(0, 2).Draw(rt, "a message") == 0 {
			batch = append(batch, m.anyMessage(rt))
			continue
		}
		i := rapid.IntRange(0, len(free)-1).Draw(rt, "target")
		batch = append(batch, anyChange(rt, state, free[i]))
		free = slices.Delete(free, i, i+1)
	}
	events := m.stamp(id, state.Head, batch)
	n, err := m.store.Append(rt.Context(), state.Head, events)
	for i, e := range events {
		by, existing := m.duplicate(e)
		if by == "" {
			m.logs[id] = append(m.logs[id], e)
			continue
		}
		var dup *chat.DuplicateError
		if n != i || !errors.As(err, &dup) || dup.By != by || !sameEvent(dup.Existing, existing) {
			rt.Fatalf("Append = %d, %v; want %d and a duplicate by %s of %s", n, err, i, by, describe(existing))
		}
		return
	}
	if n != len(events) || err != nil {
		rt.Fatalf("Append = %d, %v; want all %d", n, err, len(events))
	}
}

// appendLate appends for a head that the log has grown past.
func (m *model) appendLate(rt *rapid.T) {
	id := m.anyThread(rt)
	log := m.logs[id]
	if len(log) < 2 {
		rt.Skip("no head but the present one")
	}
	old := threadOf(log[:rapid.IntRange(1, len(log)-1).Draw(rt, "head")])
	batch := []chat.Event{draft("ann", "late"), addition("late")}
	if n, err := m.store.Append(rt.Context(), old.Head, m.stamp(id, old.Head, batch)); n != 0 || !errors.Is(err, chat.ErrStaleHead) {
		rt.Fatalf("Append for a head of before = %d, %v; want 0, ErrStaleHead", n, err)
	}
}

// askSentBefore asks whether a message would be a duplicate.
func (m *model) askSentBefore(rt *rapid.T) {
	e := m.anyMessage(rt)
	e.Thread = m.anyPlace(rt)
	by, existing := m.duplicate(e)
	err := m.store.SentBefore(rt.Context(), e)
	var dup *chat.DuplicateError
	switch {
	case by == "" && err != nil:
		rt.Fatalf("SentBefore: %v; want nil", err)
	case by != "" && (!errors.As(err, &dup) || dup.By != by || !sameEvent(dup.Existing, existing)):
		rt.Fatalf("SentBefore: %v; want a duplicate by %s of %s", err, by, describe(existing))
	}
}

// anyMessage drafts a message whose key and client_seq are often used already.
func (m *model) anyMessage(rt *rapid.T) chat.Event {
	e := draft(rapid.SampledFrom(people).Draw(rt, "by"), rapid.StringN(0, 20, 40).Draw(rt, "text"))
	e.Device = rapid.SampledFrom(devices).Draw(rt, "device")
	e.Message.ContentType = anyType(rt)
	e.Message.ClientSeq = rapid.Int64Range(0, 60).Draw(rt, "client_seq")
	e.Message.IdempotencyKey = fmt.Sprintf("k%d", rapid.IntRange(0, 5).Draw(rt, "key"))
	if rapid.IntRange(0, 3).Draw(rt, "hides") == 0 {
		e.Message.HiddenFrom = rapid.SampledFrom(people).Draw(rt, "from")
	}
	if rapid.IntRange(0, 2).Draw(rt, "expires") == 0 {
		e.Message.ExpiresAt = m.clock.Now().Add(rapid.SampledFrom(leaps[1:]).Draw(rt, "ttl"))
	}
	return e
}

func anyType(rt *rapid.T) chat.ContentType {
	return rapid.SampledFrom([]chat.ContentType{chat.Text, chat.ImageRef, chat.System}).Draw(rt, "content type")
}

// anyChange drafts an event about a message.
func anyChange(rt *rapid.T, state chat.Thread, message chat.Event) chat.Event {
	by := rapid.SampledFrom(people).Draw(rt, "by")
	switch rapid.SampledFrom([]string{"edit", "delete", "reaction", "redelivery", "pin"}).Draw(rt, "kind") {
	case "edit":
		return of(anyType(rt), edit(message, rapid.StringN(0, 20, 40).Draw(rt, "text")))
	case "delete":
		return deletion(message, rapid.SampledFrom([]chat.DeleteReason{chat.DeletedBySender, chat.DeletedByExpiry}).Draw(rt, "reason"))
	case "reaction":
		e := reaction(message, by, rapid.SampledFrom(emojis).Draw(rt, "emoji"))
		e.Reaction.Removed = rapid.Bool().Draw(rt, "removed")
		return e
	case "redelivery":
		return redelivery(message)
	}
	if slices.ContainsFunc(state.Pins, func(p chat.Pin) bool { return p.Seq == message.Seq }) {
		return unpin(message, by)
	}
	return pin(message, by)
}

// duplicate is the stored message that e duplicates, and by what; by is "" if none.
func (m *model) duplicate(e chat.Event) (by chat.DuplicateOf, existing chat.Event) {
	if e.Kind != chat.KindMessage {
		return "", chat.Event{}
	}
	oldest := m.clock.Now().Add(-window)
	for _, log := range m.logs {
		for _, old := range messagesOf(folded(log)) {
			if old.By != e.By {
				continue
			}
			if old.Thread == e.Thread && old.Message.IdempotencyKey == e.Message.IdempotencyKey && !old.At.Before(oldest) {
				return chat.ByIdempotencyKey, old
			}
			if old.Thread == e.Thread && old.Device == e.Device && old.Message.ClientSeq == e.Message.ClientSeq {
				by, existing = chat.ByClientSeq, old
			}
		}
	}
	return by, existing
}

// changeMember adds somebody to a group or takes somebody out: nobody joins or leaves a 1:1.
func (m *model) changeMember(rt *rapid.T) {
	isPair := func(id chat.ThreadID) bool { return m.state(id).Type == chat.OneToOne }
	id := oneOf(rt, slices.DeleteFunc(slices.Clone(m.threads), isPair))
	user := rapid.SampledFrom(people).Draw(rt, "user")
	d := addition(user)
	d.Change.Pending = rapid.Bool().Draw(rt, "pending")
	if _, in := m.state(id).Participant(user); in {
		d = removal("ann", user)
	}
	m.logs[id] = append(m.logs[id], m.append(id, d)...)
}

func (m *model) mark(rt *rapid.T) {
	id := m.anyThread(rt)
	mark := chat.Mark{
		Thread: id, User: rapid.SampledFrom(people).Draw(rt, "user"),
		Kind:   rapid.SampledFrom([]chat.MarkKind{chat.Delivered, chat.Read}).Draw(rt, "kind"),
		Seq:    chat.Seq(rapid.Uint64Range(1, uint64(m.end(id))).Draw(rt, "seq")),
		Beside: chat.Seq(rapid.Uint64Range(0, uint64(m.end(id))).Draw(rt, "beside")),
	}
	if messages := messagesOf(m.logs[id]); len(messages) > 0 && rapid.Bool().Draw(rt, "names a message") {
		mark.Message = rapid.SampledFrom(messages).Draw(rt, "message").ID
	}
	want := m.presentMark(mark)
	stored, prev, moved := m.putMark(mark)
	if prev != want || moved != (mark.Seq > want.Seq) {
		rt.Fatalf("PutMark(%d): prev %+v, moved %v; want prev %+v", mark.Seq, prev, moved, want)
	}
	if moved {
		if stored.Message.Compare(prev.Message) < 0 {
			stored.Message = prev.Message
		}
		m.marks = append(m.marks, stored)
	}
}

// presentMark is the newest mark of the same thread, user and kind.
func (m *model) presentMark(of chat.Mark) (last chat.Mark) {
	for _, k := range m.marks {
		if k.Thread == of.Thread && k.User == of.User && k.Kind == of.Kind {
			last = k
		}
	}
	return last
}
