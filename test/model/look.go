package model

import (
	"fmt"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// reader is a user who only looks.
func reader(u chat.UserID) chat.Caller {
	return chat.Caller{User: u, Device: "phone", Scopes: []chat.Scope{chat.ScopeRead}}
}

// look compares one of the things that a user may look at.
func (p *player) look(w wish) {
	u, t := actors[w.by], p.someThread(w)
	size := 1 + w.b%100
	p.say("%s looks at %s, pages of %d", u, threadName(t), size)
	p.lookUp(w.a, u, t, size)
}

// lookUp compares what a user sees of a thread by one of several ways.
func (p *player) lookUp(way int, u chat.UserID, t *specThread, size int) {
	switch way % 6 {
	case 0:
		p.sameHistory(u, t, size)
	case 1:
		p.sameSince(u, t, size)
	case 2:
		p.sameEvents(u, t, size)
	case 3:
		p.sameThread(u, t)
		p.samePins(u, t)
	case 4:
		p.sameList(u, size)
	default:
		p.sameBlocks(u)
		p.samePrekeys(u)
	}
}

// lookAtEverything compares all that anybody may see, one of the three ways to a
// thread's messages each time.
func (p *player) lookAtEverything(w wish) {
	p.say("everybody looks at everything")
	for _, u := range actors {
		p.sameList(u, 1+w.b%100)
		p.sameBlocks(u)
		p.samePrekeys(u)
		for _, t := range p.threads {
			p.sameThread(u, t)
			p.samePins(u, t)
			p.lookUp(w.a%3, u, t, 100)
		}
	}
	p.wish.look = true
	for _, m := range p.messages[max(0, len(p.messages)-30):] {
		p.lookAt(m)
	}
	p.sameReports(p.node(w), 1+w.b%100)
}

// lookAt compares a message as two people see it, and its receipts, if the present
// wish is one to look.
func (p *player) lookAt(m *specMessage) {
	if !p.wish.look {
		return
	}
	for i := range 2 {
		u := []chat.UserID{actors[p.wish.by], actors[(p.wish.a+p.wish.b)%len(actors)]}[i]
		code := lookup(m, u)
		got, err := p.nodes[i].Message(p.ctx(), reader(u), m.sent.id)
		if p.answered(err, code) {
			p.sameMessage(fmt.Sprintf("%s as %s sees it", m, u), got, m)
		}
		if i == 0 {
			continue
		}
		receipts, err := p.nodes[i].Receipts(p.ctx(), reader(u), m.sent.id)
		if p.answered(err, code) {
			p.sameReceipts(receipts, m)
		}
	}
	p.sameThread(actors[p.wish.other], m.thread)
}

func (p *player) sameReceipts(got []chat.RecipientReceipt, m *specMessage) {
	want := p.receipts(m)
	specSame(p, m.String(), "recipients", len(got), len(want))
	for _, r := range got {
		specSame(p, m.String(), "receipt of "+string(r.User), r, want[r.User])
	}
}

func (p *player) sameThread(u chat.UserID, t *specThread) {
	v, err := p.nodes[0].Thread(p.ctx(), reader(u), idOf(t))
	if p.answered(err, standing(t, u)) {
		p.sameView(fmt.Sprintf("%s as %s sees it", t, u), v, u, t)
		p.sameMembers(t.name, v, u, t)
	}
}

// sameView compares a thread but for its participants' marks.
func (p *player) sameView(what string, v chat.ThreadView, u chat.UserID, t *specThread) {
	specSame(p, what, "name", p.threadName(v.ID), t.name)
	specSame(p, what, "type", v.Type, t.kind)
	specSame(p, what, "title", v.Title, t.title)
	specSame(p, what, "created by", v.CreatedBy, t.by)
	specSame(p, what, "created at", v.CreatedAt.UnixMilli(), t.at.UnixMilli())
	specSame(p, what, "events", v.Head.Seq, chat.Seq(len(t.log)))
	specSame(p, what, "unread", v.Unread, p.unread(t, u))
	specSame(p, what, "last activity", v.LastActivity().UnixMilli(), t.activity(u).UnixMilli())
	last := t.lastMessage(u)
	if last != nil && last.seq() < t.member(u).joined {
		last = nil
	}
	specSame(p, what, "last message", p.name(v.LastMessage), nameOf(last))
	specSame(p, what, "participants", len(v.Participants), len(t.members))
	for i, m := range v.Participants {
		want := t.members[i]
		specSame(p, what, "participant", m.User, want.user)
		specSame(p, what, "role", m.Role, want.role)
		specSame(p, what, "joined with", m.JoinedSeq, want.joined)
		specSame(p, what, "joined at", m.JoinedAt.UnixMilli(), want.at.UnixMilli())
	}
}

func (p *player) sameMembers(what string, v chat.ThreadView, viewer chat.UserID, t *specThread) {
	specSame(p, what, "participants shown", len(v.Views), len(t.members))
	for i, m := range t.members {
		p.sameMember(what, v.Views[i], viewer, t, m.user)
	}
}

func (p *player) sameMember(what string, got chat.ParticipantView, viewer chat.UserID, t *specThread, u chat.UserID) {
	what = fmt.Sprintf("%s: %s", what, u)
	_, delivered := t.received(u)
	me := t.member(u)
	specSame(p, what, "name", got.User, u)
	specSame(p, what, "role", got.Role, me.role)
	specSame(p, what, "joined", got.JoinedSeq, me.joined)
	specSame(p, what, "delivered up to", p.name(got.DeliveredUpTo), nameOf(t.shownUpTo(viewer, delivered)))
	specSame(p, what, "read up to", p.name(got.ReadUpTo), nameOf(t.shownUpTo(viewer, t.last(u, chat.Read).message)))
}

// shownUpTo is the newest message that a viewer sees of those up to a marked one.
func (t *specThread) shownUpTo(viewer chat.UserID, marked *specMessage) (shown *specMessage) {
	for _, m := range t.visible(viewer) {
		if marked != nil && m.seq() <= marked.seq() {
			shown = m
		}
	}
	return shown
}

func (p *player) sameHistory(u chat.UserID, t *specThread, size int) {
	p.samePages(u, t, size, true, func(page chat.PageRequest) (chat.MessagePage, error) {
		return p.nodes[1].History(p.ctx(), reader(u), idOf(t), page)
	})
}

// sameSince compares what came after some message, or after none.
func (p *player) sameSince(u chat.UserID, t *specThread, size int) {
	p.samePages(u, t, size, false, func(page chat.PageRequest) (chat.MessagePage, error) {
		return p.nodes[0].HistorySince(p.ctx(), reader(u), idOf(t), chat.MessageID{}, page)
	})
}

func (p *player) samePages(u chat.UserID, t *specThread, size int, newestFirst bool, list func(chat.PageRequest) (chat.MessagePage, error)) {
	what := fmt.Sprintf("%s's history of %s", u, threadName(t))
	page, err := list(chat.PageRequest{Size: size})
	if !p.answered(err, standing(t, u)) {
		return
	}
	want := t.visible(u)
	if newestFirst {
		slices.Reverse(want)
	}
	for {
		n := min(size, len(want))
		specSame(p, what, "messages of a page", len(page.Messages), n)
		for i, got := range page.Messages {
			p.sameMessage(what, got, want[i])
		}
		want = want[n:]
		specSame(p, what, "there is more", page.Next != "", len(want) > 0)
		if len(want) == 0 {
			return
		}
		page, err = list(chat.PageRequest{Cursor: page.Next, Size: size})
		p.answered(err, "")
	}
}

func (p *player) sameEvents(u chat.UserID, t *specThread, size int) {
	what := fmt.Sprintf("%s's events of %s", u, threadName(t))
	var got []chat.Event
	for since := chat.Seq(0); ; {
		page, err := p.nodes[1].Events(p.ctx(), reader(u), idOf(t), since, chat.PageRequest{Size: size})
		if !p.answered(err, standing(t, u)) {
			return
		}
		got = append(got, page.Events...)
		if page.Next == 0 {
			break
		}
		specSame(p, what, "it goes on", page.Next > since, true)
		since = page.Next
	}
	want := t.told(u)
	specSame(p, what, "how many", len(got), len(want))
	for i := range got {
		p.sameEvent(what, got[i], t, want[i])
	}
}

func (p *player) samePins(u chat.UserID, t *specThread) {
	got, err := p.nodes[0].Pins(p.ctx(), reader(u), idOf(t))
	if !p.answered(err, standing(t, u)) {
		return
	}
	want := t.pinsSeen(u, p.now())
	specSame(p, t.name, "pins that "+string(u)+" sees", len(got), len(want))
	for i := range got {
		p.samePin(got[i], want[i])
	}
}

func (p *player) samePin(got chat.Pin, want specPin) {
	specSame(p, "the answer", "pinned", p.name(got.Message), want.message.name)
	specSame(p, "the answer", "pinned: seq", got.Seq, want.message.seq())
	specSame(p, "the answer", "pinned by", got.By, want.by)
	specSame(p, "the answer", "pinned at", got.At.UnixMilli(), want.at.UnixMilli())
}

// sameList compares a user's list of threads: all it is in, by latest activity.
func (p *player) sameList(u chat.UserID, size int) {
	listed := make(map[*specThread]bool)
	page := chat.ThreadPage{}
	for before := int64(1 << 62); ; {
		var err error
		page, err = p.nodes[0].Threads(p.ctx(), reader(u), chat.PageRequest{Cursor: page.Next, Size: size})
		p.answered(err, "")
		for _, v := range page.Threads {
			t := p.threadOf(v.ID)
			if t == nil || t.member(u) == nil || listed[t] {
				p.r.Fatalf("%s is listed for %s", p.threadName(v.ID), u)
			}
			listed[t] = true
			p.sameView(fmt.Sprintf("%s in the list of %s", t, u), v, u, t)
			at := t.activity(u).UnixMilli()
			specSame(p, "the answer", "the list is by latest activity", at <= before, true)
			before = at
		}
		if page.Next == "" {
			break
		}
	}
	for _, t := range p.threads {
		specSame(p, t.name, "listed for "+string(u), listed[t], t.member(u) != nil)
	}
}

func (p *player) sameBlocks(u chat.UserID) {
	got, err := p.nodes[1].Blocks(p.ctx(), reader(u))
	p.answered(err, "")
	want := p.blocked(u)
	same := slices.EqualFunc(got, want, func(a, b chat.Block) bool {
		return a.User == b.User && a.Blocked == b.Blocked && a.At.Equal(b.At)
	})
	if !same {
		p.r.Fatalf("%s blocks %v, want %v", u, got, want)
	}
}

// sameReports compares the newest reports; those of one instant are in no order.
func (p *player) sameReports(node *chat.Service, size int) {
	var got []chat.Report
	for cursor := ""; ; {
		page, err := node.Reports(p.ctx(), boss, chat.PageRequest{Cursor: cursor, Size: size})
		p.answered(err, "")
		for _, r := range page.Reports {
			specSame(p, "the answer", "reports are newest first", len(got) == 0 || r.ID.Compare(got[len(got)-1].ID) < 0, true)
			got = append(got, r)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	counts := make(map[chat.Report]int)
	for _, r := range p.reports {
		counts[r]++
	}
	for _, r := range got {
		r.ID = chat.ReportID{}
		counts[r]--
	}
	for _, n := range counts {
		specSame(p, "the answer", "reports of one kind too few", n, 0)
	}
}
