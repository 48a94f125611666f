package chat_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func (w *world) me(by chat.UserID, thread chat.ThreadID) chat.Me {
	w.tb.Helper()
	me, err := w.OwnState(w.tb.Context(), as(by), thread)
	must(w.tb, err)
	return me
}

func (w *world) change(by chat.UserID, thread chat.ThreadID, c chat.StateChange) chat.Me {
	w.tb.Helper()
	me, err := w.SetOwnState(w.tb.Context(), as(by), thread, c)
	must(w.tb, err)
	return me
}

// told checks how many changes of own states were told, all to that user.
func (w *world) told(what string, user chat.UserID, n int) {
	w.tb.Helper()
	heard := w.heard.drainStates()
	for _, s := range heard {
		sameList(w.tb, what, s.Audience, user)
	}
	same(w.tb, "changes told after "+what, len(heard), n)
}

func TestWhoHasToAcceptAThread(t *testing.T) {
	w := newWorld(t)
	pair := w.newPair("ann", "bob")
	same(t, "who made it has accepted", w.me("ann", pair).Accepted, true)
	same(t, "who was put in has not", w.me("bob", pair).Accepted, false)
	before := w.newGroup("bob", "ann")
	same(t, "ann, who has accepted their 1:1", w.me("ann", before).Accepted, true)
	group := w.newGroup("ann", "bob", "cid")
	same(t, "bob in her group", w.me("bob", group).Accepted, false)
	req := w.request(pair, "c")
	req.ContentType = chat.Control
	_, err := w.Send(t.Context(), as("bob"), req)
	must(t, err)
	same(t, "after control", w.me("bob", pair).Accepted, false)
	w.told("control", "bob", 0)
	m := w.send("bob", pair, "hello")
	same(t, "after a message", w.me("bob", pair).Accepted, true)
	w.told("the message", "bob", 1)
	w.send("bob", pair, "again")
	w.told("another message", "bob", 0)
	same(t, "bob in her next group", w.me("bob", w.newGroup("ann", "bob")).Accepted, true)
	w.change("ann", pair, chat.StateChange{Accepted: new(false), Pinned: new(true)})
	w.told("taking it back", "ann", 1)
	_, err = w.React(t.Context(), as("ann"), m.ID, "x")
	must(t, err)
	same(t, "after a reaction", w.me("ann", pair).Accepted, true)
	_, created, err := w.CreateThread(t.Context(), as("bob"), chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{"ann"}})
	must(t, err)
	same(t, "the 1:1 is there", created, chat.AlreadyExists)
	w.add("bob", group, "dan")
	same(t, "who is added by somebody unknown", w.me("dan", group).Accepted, false)
}

func TestArchivedEndsWithANewerMessage(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("ann", "bob")
	archive := chat.StateChange{Archived: new(true)}
	next := func() { w.clock.advance(time.Minute) }
	same(t, "archived", w.change("ann", id, archive).Archived, true)
	w.told("archiving", "ann", 1)
	w.change("ann", id, archive)
	w.told("archiving again", "ann", 0)
	req := w.request(id, "c")
	req.ContentType = chat.Control
	_, err := w.Send(t.Context(), as("bob"), req)
	must(t, err)
	same(t, "after control", w.me("ann", id).Archived, true)
	next()
	w.send("ann", id, "her own")
	w.told("its end", "ann", 0)
	same(t, "after a message", w.me("ann", id).Archived, false)

	w.change("ann", id, archive)
	w.change("ann", id, chat.StateChange{MutedUntil: new(w.clock.Now().Add(time.Hour))})
	next()
	w.send("bob", id, "while muted")
	same(t, "what came while muted", w.me("ann", id).Archived, true)
	w.change("ann", id, chat.StateChange{MutedUntil: new(time.Time{})})
	same(t, "unmuted", w.me("ann", id).Archived, true)
	next()
	w.send("bob", id, "no more muted")
	same(t, "what came then", w.me("ann", id).Archived, false)

	w.change("ann", id, chat.StateChange{Archived: new(true), MutedUntil: new(w.clock.Now().Add(time.Hour))})
	w.clock.advance(2 * time.Hour)
	me := w.me("ann", id)
	same(t, "past its time", me.MutedUntil.IsZero() && me.Archived, true)
	w.send("bob", id, "later")
	same(t, "what came later", w.me("ann", id).Archived, false)
}

func TestStateOfAStint(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("ann", "bob")
	all := chat.StateChange{Accepted: new(true), Pinned: new(true), MarkedUnread: new(true), Custom: &chat.Custom{Set: true, Bytes: "x"}}
	me := w.change("bob", id, all)
	if !me.Accepted || !me.Pinned || !me.MarkedUnread || me.Custom.Bytes != "x" || me.LastClientSeq != nil {
		t.Fatalf("the state is %+v", me)
	}
	m := w.send("ann", id, "hello")
	w.heard.drainStates()
	w.read("bob", m)
	w.told("reading", "bob", 1)
	same(t, "marked as unread after that", w.me("bob", id).MarkedUnread, false)
	w.read("bob", m)
	w.told("reading again", "bob", 0)
	sent := w.send("bob", id, "hi")
	same(t, "the last client_seq", *w.me("bob", id).LastClientSeq, sent.Message.ClientSeq)
	w.remove("ann", id, "bob")
	_, err := w.OwnState(t.Context(), as("bob"), id)
	refused(t, err, chat.CodeNotAParticipant)
	w.add("ann", id, "bob")
	if me := w.me("bob", id); me.Accepted || me.Pinned || me.Custom.Set {
		t.Fatalf("after joining again the state is %+v", me)
	}
	custom := chat.Custom{Set: true, Bytes: string(make([]byte, chat.MaxCustomBytes+1))}
	_, err = w.SetOwnState(t.Context(), as("bob"), id, chat.StateChange{Custom: &custom})
	invalid(t, err, "custom")
}

func TestThreadsByTheirState(t *testing.T) {
	w := newWorld(t)
	var ids []chat.ThreadID
	for i := range 6 {
		id := w.newGroup("ann", "bob")
		w.clock.advance(time.Minute)
		w.send("ann", id, strconv.Itoa(i))
		ids = append(ids, id)
		if i > 1 {
			must(t, w.accept("bob", id))
		}
		if i > 3 {
			w.change("bob", id, chat.StateChange{Archived: new(true)})
		}
	}
	for filter, want := range map[chat.ThreadFilter][]chat.ThreadID{
		"": {ids[5], ids[4], ids[3], ids[2], ids[1], ids[0]}, chat.Requests: {ids[1], ids[0]}, chat.Inbox: {ids[3], ids[2]}, chat.Archived: {ids[5], ids[4]},
	} {
		var got []chat.ThreadID
		for cursor, more := "", true; more; more = cursor != "" {
			page, err := w.Threads(t.Context(), as("bob"), chat.PageRequest{State: filter, Size: 1, Cursor: cursor})
			must(t, err)
			for _, v := range page.Threads {
				got = append(got, v.ID)
			}
			cursor = page.Next
			if cursor != "" && filter != "" {
				_, err = w.Threads(t.Context(), as("bob"), chat.PageRequest{Cursor: cursor})
				invalid(t, err, "cursor")
			}
		}
		sameList(t, "the threads of "+string(filter), got, want...)
	}
	_, err := w.Threads(t.Context(), as("bob"), chat.PageRequest{State: "others"})
	invalid(t, err, "state")

	badge := func() chat.UnreadCounts {
		t.Helper()
		n, err := w.Unread(t.Context(), as("bob"))
		must(t, err)
		return n
	}
	same(t, "the badge", badge(), chat.UnreadCounts{Threads: 2, Messages: 2})
	w.change("bob", ids[2], chat.StateChange{MutedUntil: new(w.clock.Now().Add(time.Hour))})
	same(t, "with one muted", badge(), chat.UnreadCounts{Threads: 1, Messages: 1})
	w.sendMany("ann", ids[3], 99)
	same(t, "of many", badge(), chat.UnreadCounts{Threads: 1, Messages: 100})
	must(t, w.MarkRead(t.Context(), as("bob"), ids[3], w.view("bob", ids[3]).LastMessage))
	w.change("bob", ids[3], chat.StateChange{MarkedUnread: new(true)})
	same(t, "marked as unread", badge(), chat.UnreadCounts{Threads: 1})
}

func TestWhoCannotBeAdded(t *testing.T) {
	w := newWorld(t)
	group := w.newGroup("ann", "bob", "cid")
	must(t, w.Block(t.Context(), as("eve"), "ann"))
	must(t, w.Block(t.Context(), as("fay"), "ann"))
	named := func(err error, users ...chat.UserID) {
		t.Helper()
		refused(t, err, chat.CodeCannotAdd)
		e, _ := errors.AsType[*chat.Error](err)
		var got []chat.UserID
		for _, f := range e.Fields {
			got = append(got, chat.UserID(f.Message))
		}
		sameList(t, "the people named", got, users...)
	}
	_, _, err := w.AddParticipant(t.Context(), as("ann"), group, "eve")
	named(err, "eve")
	_, _, err = w.CreateThread(t.Context(), as("ann"), chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"fay", "bob", "eve"}})
	named(err, "fay", "eve")
	w.add("bob", group, "eve") // whom she does not block
	w.newPair("ann", "eve")    // a 1:1 may be made: what ann sends there is hidden
	w.remove("eve", group, "eve")
	_, _, err = w.AddParticipant(t.Context(), as("bob"), group, "eve") // who has left
	named(err, "eve")
	w.remove("ann", group, "cid")
	_, _, err = w.AddParticipant(t.Context(), as("bob"), group, "cid")
	named(err, "cid")
	w.add("ann", group, "cid") // an admin may
}

// Sending accepts a thread, and so does the retry, whose first try may have failed at that. What
// is refused accepts nothing.
func TestWhatARefusedSendAccepts(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("ann", "bob")
	req := w.request(id, "hello")
	w.resend("bob", req, chat.Sent)
	fleeting := w.request(id, "gone soon")
	fleeting.TTL = time.Second
	w.resend("bob", fleeting, chat.Sent)
	w.clock.advance(time.Minute)
	w.expireDue()

	reused, taken, expired := req, req, fleeting
	reused.Ciphertext = []byte("another")
	taken.IdempotencyKey, taken.Ciphertext = "other", []byte("another")
	expired.IdempotencyKey = "another"
	again := req
	again.IdempotencyKey = "third"
	for _, c := range []struct {
		name    string
		req     chat.SendRequest
		want    chat.SendOutcome
		accepts bool
	}{
		{"another message under the key", reused, -1, false},
		{"another message under the client_seq", taken, chat.ClientSeqTaken, false},
		{"a message that expired before it was delivered", expired, chat.Gone, false},
		{"the same", req, chat.Replayed, true},
		{"the same under another key", again, chat.ClientSeqTaken, true},
	} {
		w.change("bob", id, chat.StateChange{Accepted: new(false)})
		res, err := w.Send(t.Context(), as("bob"), c.req)
		if c.want < 0 {
			refused(t, err, chat.CodeIdempotencyKeyReused)
		} else {
			must(t, err)
			same(t, c.name, res.Outcome, c.want)
		}
		same(t, "accepted after "+c.name, w.me("bob", id).Accepted, c.accepts)
	}
}
