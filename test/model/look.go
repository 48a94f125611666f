package model

import (
	"fmt"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// reader is a caller who may only read.
func reader(u chat.UserID) chat.Caller {
	return chat.Caller{User: u, Device: "phone", Scopes: []chat.Scope{chat.ScopeRead}}
}

// look compares one of the views that a user has of the product.
func (r *runner) look(op operation) {
	u, t := people[op.by], r.someThread(op)
	size := 1 + op.b%100
	r.tracef("%s looks at %s, pages of %d", u, threadName(t), size)
	r.compareView(op.a, u, t, size)
}

// compareView compares one of the six views of a user: four of a thread, a list of its
// threads with its badge, and its blocks with its prekeys.
func (r *runner) compareView(way int, u chat.UserID, t *thread, size int) {
	page := chat.PageRequest{Size: size, ContentType: []chat.ContentType{"", "", chat.Text, chat.ImageRef, chat.Control}[size%5]}
	switch way % 6 {
	case 0:
		r.compareHistory(u, t, page)
	case 1:
		r.compareSince(u, t, page)
	case 2:
		r.compareEvents(u, t, size)
	case 3:
		r.compareThread(u, t)
		r.comparePins(u, t)
	case 4:
		r.compareList(u, filters[size%len(filters)], size)
		r.compareUnread(u)
	default:
		r.compareBlocks(u)
		r.comparePrekeys(u)
	}
}

// lookAtAll compares all that anybody may see. Of the three ways to a thread's
// messages it takes one each time.
func (r *runner) lookAtAll(op operation) {
	r.tracef("everybody looks at everything")
	for _, u := range people {
		r.compareList(u, filters[(op.a+op.b)%len(filters)], 1+op.b%100)
		r.compareUnread(u)
		r.compareBlocks(u)
		r.comparePrekeys(u)
		for _, t := range r.threads {
			r.compareThread(u, t)
			r.comparePins(u, t)
			r.compareView(op.a%3, u, t, 100)
		}
	}
	r.current.look = 0
	for _, m := range r.messages[max(0, len(r.messages)-30):] {
		r.lookAt(m)
	}
	r.compareReports(r.node(op), 1+op.b%100)
}

// lookAt compares a message as two people see it, and its receipts, if the current
// operation says so.
func (r *runner) lookAt(m *message) {
	if r.current.look%r.lookEvery != 0 {
		return
	}
	for i := range 2 {
		u := []chat.UserID{people[r.current.by], people[(r.current.a+r.current.b)%len(people)]}[i]
		code := refuseMessage(m, u)
		got, err := r.nodes[i].Message(r.ctx(), reader(u), m.sent.id)
		if r.checkError(err, code) {
			r.compareMessage(fmt.Sprintf("%s as %s sees it", m, u), got, m, u)
		}
		if i == 0 {
			continue
		}
		receipts, err := r.nodes[i].Receipts(r.ctx(), reader(u), m.sent.id)
		if r.checkError(err, code) {
			r.compareReceipts(receipts, m)
		}
	}
	r.compareThread(people[r.current.other], m.thread)
}

func (r *runner) compareReceipts(got []chat.RecipientReceipt, m *message) {
	want := r.receipts(m)
	equal(r, m.String(), "recipients", len(got), len(want))
	for _, receipt := range got {
		equal(r, m.String(), "receipt of "+string(receipt.User), receipt, want[receipt.User])
	}
}

func (r *runner) compareThread(u chat.UserID, t *thread) {
	v, err := r.nodes[0].Thread(r.ctx(), reader(u), idOf(t))
	if r.checkError(err, refuseOutsider(t, u)) {
		r.compareThreadView(fmt.Sprintf("%s as %s sees it", t, u), v, u, t)
		r.compareMe(t.name, v.Me, t, u, reader(u).Device)
		r.compareMembers(t.name, v, u, t)
	}
}

// compareThreadView compares a thread, without its participants' marks.
func (r *runner) compareThreadView(what string, v chat.ThreadView, u chat.UserID, t *thread) {
	equal(r, what, "name", r.threadName(v.ID), t.name)
	equal(r, what, "type", v.Type, t.kind)
	equal(r, what, "title", v.Title, t.title)
	equal(r, what, "created by", v.CreatedBy, t.by)
	equal(r, what, "created at", v.CreatedAt.UnixMilli(), t.at.UnixMilli())
	equal(r, what, "events", v.Head.Seq, chat.Seq(len(t.log)))
	equal(r, what, "own state", describeMe(v.Me), describeMe(r.shown(t, u)))
	equal(r, what, "epoch", v.Head.Epoch, t.epoch)
	equal(r, what, "unread", v.Unread, r.unread(t, u))
	equal(r, what, "last activity", v.LastActivity().UnixMilli(), t.activity(u).UnixMilli())
	last := t.lastMessage(u)
	if last != nil && last.seq() < t.member(u).joined {
		last = nil
	}
	equal(r, what, "last message", r.name(v.LastMessage), nameOf(last))
	equal(r, what, "participants", len(v.Participants), len(t.members))
	for i, m := range v.Participants {
		want := t.members[i]
		equal(r, what, "participant", m.User, want.user)
		equal(r, what, "role", m.Role, want.role)
		equal(r, what, "joined with", m.JoinedSeq, want.joined)
		equal(r, what, "joined at", m.JoinedAt.UnixMilli(), want.at.UnixMilli())
	}
}

func (r *runner) compareMembers(what string, v chat.ThreadView, viewer chat.UserID, t *thread) {
	equal(r, what, "participants shown", len(v.Views), len(t.members))
	for i, m := range t.members {
		r.compareMember(what, v.Views[i], viewer, t, m.user)
	}
}

func (r *runner) compareMember(what string, got chat.ParticipantView, viewer chat.UserID, t *thread, u chat.UserID) {
	what = fmt.Sprintf("%s: %s", what, u)
	_, delivered := t.received(u)
	me := t.member(u)
	equal(r, what, "name", got.User, u)
	equal(r, what, "role", got.Role, me.role)
	equal(r, what, "joined", got.JoinedSeq, me.joined)
	equal(r, what, "delivered up to", r.name(got.DeliveredUpTo), nameOf(t.shownUpTo(viewer, delivered)))
	equal(r, what, "read up to", r.name(got.ReadUpTo), nameOf(t.shownUpTo(viewer, t.last(u, chat.Read).message)))
}

// shownUpTo is the newest message that a viewer sees, up to a marked one.
func (t *thread) shownUpTo(viewer chat.UserID, marked *message) (shown *message) {
	for _, m := range t.visible(viewer) {
		if marked != nil && m.seq() <= marked.seq() {
			shown = m
		}
	}
	return shown
}

func (r *runner) compareHistory(u chat.UserID, t *thread, p chat.PageRequest) {
	r.comparePages(u, t, p, true, func(page chat.PageRequest) (chat.MessagePage, error) {
		return r.nodes[1].History(r.ctx(), reader(u), idOf(t), page)
	})
}

// compareSince compares a thread's messages, oldest first.
func (r *runner) compareSince(u chat.UserID, t *thread, p chat.PageRequest) {
	r.comparePages(u, t, p, false, func(page chat.PageRequest) (chat.MessagePage, error) {
		return r.nodes[0].HistorySince(r.ctx(), reader(u), idOf(t), chat.MessageID{}, page)
	})
}

// comparePages follows the pages of a thread's messages, all or those of one content type.
func (r *runner) comparePages(u chat.UserID, t *thread, p chat.PageRequest, newestFirst bool, list func(chat.PageRequest) (chat.MessagePage, error)) {
	what := fmt.Sprintf("%s's history of %s (%s)", u, threadName(t), p.ContentType)
	page, err := list(p)
	if !r.checkError(err, refuseOutsider(t, u)) {
		return
	}
	want := slices.DeleteFunc(t.visible(u), func(m *message) bool { return p.ContentType != "" && m.kind != p.ContentType })
	if newestFirst {
		slices.Reverse(want)
	}
	for {
		n := min(p.Size, len(want))
		equal(r, what, "messages of a page", len(page.Messages), n)
		for i, got := range page.Messages {
			r.compareMessage(what, got, want[i], u)
		}
		want = want[n:]
		equal(r, what, "there is more", page.Next != "", len(want) > 0)
		if len(want) == 0 {
			return
		}
		p.Cursor = page.Next
		page, err = list(p)
		r.checkError(err, "")
	}
}

func (r *runner) compareEvents(u chat.UserID, t *thread, size int) {
	what := fmt.Sprintf("%s's events of %s", u, threadName(t))
	var got []chat.Event
	for since := chat.Seq(0); ; {
		page, err := r.nodes[1].Events(r.ctx(), reader(u), idOf(t), since, chat.PageRequest{Size: size})
		if !r.checkError(err, refuseOutsider(t, u)) {
			return
		}
		got = append(got, page.Events...)
		if page.Next == 0 {
			break
		}
		equal(r, what, "it goes on", page.Next > since, true)
		since = page.Next
	}
	want := t.eventsFor(u)
	equal(r, what, "how many", len(got), len(want))
	for i := range got {
		r.compareEvent(what, got[i], t, want[i], u)
	}
}

// filters are of the lists of threads.
var filters = []chat.ThreadFilter{"", chat.Inbox, chat.Requests, chat.Archived}

// compareList compares a list of the threads that a user is in: those of a filter, by latest
// activity.
func (r *runner) compareList(u chat.UserID, filter chat.ThreadFilter, size int) {
	listed := make(map[*thread]bool)
	page := chat.ThreadPage{}
	for before := int64(1 << 62); ; {
		var err error
		page, err = r.nodes[0].Threads(r.ctx(), reader(u), chat.PageRequest{State: filter, Cursor: page.Next, Size: size})
		r.checkError(err, "")
		for _, v := range page.Threads {
			t := r.threadOf(v.ID)
			if t == nil || t.member(u) == nil || listed[t] {
				r.trial.Fatalf("%s is listed for %s", r.threadName(v.ID), u)
			}
			listed[t] = true
			r.compareThreadView(fmt.Sprintf("%s in the list of %s", t, u), v, u, t)
			r.compareMe(t.name+", listed", v.Me, t, u, reader(u).Device)
			at := t.activity(u).UnixMilli()
			equal(r, "the answer", "the list is by latest activity", at <= before, true)
			before = at
		}
		if page.Next == "" {
			break
		}
	}
	for _, t := range r.threads {
		equal(r, t.name, fmt.Sprintf("listed for %s by the filter %q", u, filter), listed[t], r.listed(t, u, filter))
	}
}
