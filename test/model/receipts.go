package model

import (
	"maps"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

func (p *player) read(w wish) {
	t := p.someThread(w)
	m, id := p.target(w)
	c := p.caller(w)
	again := slices.DeleteFunc(slices.Clone(p.messages), func(m *specMessage) bool {
		return m.redelivered == 0 || !m.thread.sees(c.User, m) || m.by() == c.User
	})
	if w.b%2 == 0 && len(again) > 0 { // what was redelivered counts from there
		m = p.recent(again, w)
		t, id = m.thread, m.sent.id
	}
	code := inThread(t, m, c.User)
	p.say("%s reads %s up to %s: %q", c.User, threadName(t), nameOf(m), code)
	if !p.answered(p.node(w).MarkRead(p.ctx(), c, idOf(t), id), code) {
		return
	}
	last := t.last(c.User, chat.Read)
	upTo := t.readable(c.User, m, last.seq)
	told := chat.Seq(0)
	if m.by() != c.User && upTo < m.redelivered { // what lies between is unread: m is read on its own
		if m.readAlone.IsZero() {
			m.readAlone, told = p.now(), m.redelivered
		}
	}
	if upTo > last.seq {
		t.marks[c.User] = append(t.marks[c.User], specMark{chat.Read, upTo, newer(last.message, m), p.now()})
		told = upTo
	}
	if told > 0 {
		p.expectRead(t, c, told, m)
	}
	p.settle()
	p.lookAt(m)
}

// readable is how far reading a message moves a user's read mark: to where the user
// received it, but past no newer message of others that the user has not read.
func (t *specThread) readable(u chat.UserID, m *specMessage, read chat.Seq) chat.Seq {
	if m.by() == u || m.redelivered == 0 || read >= m.redelivered {
		return max(m.seq(), read)
	}
	upTo := m.redelivered
	for _, n := range t.visible(u) {
		if received := max(n.seq(), n.redelivered); n.seq() > m.seq() && n.by() != u && received > read {
			upTo = min(upTo, received-1)
		}
	}
	return upTo
}

// acknowledge has a device acknowledge some more of a thread, now and then with a
// gap before it: that is what the device said it held when it connected.
func (p *player) acknowledge(w wish) {
	t, c := p.someThread(w), p.caller(w)
	if standing(t, c.User) != "" {
		return
	}
	me, head := t.member(c.User), chat.Seq(len(t.log))
	delivered := t.last(c.User, chat.Delivered)
	from := max(me.joined, delivered.seq+1)
	if from > head {
		return
	}
	if w.b%4 == 0 {
		from += chat.Seq(w.a) % (head - from + 1)
	}
	a := chat.Ack{Thread: t.id, From: from, Seq: from + chat.Seq(w.message)%(head-from+1)}
	if w.message < 64 { // all there is, mostly
		a.Seq = head
	}
	newest, senders := t.covered(c.User, &a)
	received, _ := t.received(c.User)
	p.say("%s on %s acknowledges %d to %d of %s", c.User, c.Device, a.From, a.Seq, t)
	p.answered(p.node(w).Acknowledge(p.ctx(), c.User, c.Device, a), "")
	t.marks[c.User] = append(t.marks[c.User], specMark{chat.Delivered, a.Seq, newer(delivered.message, newest), p.now()})
	told := t.toTell(c.User, a, received, senders)
	if a.Seq > received && len(told) > 0 {
		p.expectDelivered(t, c, a.Seq, told)
	}
	p.settle()
	p.sameThread(c.User, t)
	if newest != nil {
		p.lookAt(newest)
	}
}

// covered fills in an ack as a session does, and gives the newest message it
// covers and the newest of each sender.
func (t *specThread) covered(u chat.UserID, a *chat.Ack) (newest *specMessage, senders map[chat.UserID]*specMessage) {
	senders = make(map[chat.UserID]*specMessage)
	seqs := make(map[chat.UserID]chat.Seq)
	for _, e := range t.told(u) {
		if e.seq < a.From || e.seq > a.Seq || e.kind != chat.KindMessage && e.kind != chat.KindRedelivery {
			continue
		}
		by := e.about.by()
		newest, senders[by], seqs[by] = newer(newest, e.about), newer(senders[by], e.about), e.seq
	}
	if newest != nil {
		a.Message = newest.sent.id
	}
	for _, by := range slices.Sorted(maps.Keys(senders)) {
		a.Senders = append(a.Senders, chat.AckedSender{User: by, Message: senders[by].sent.id, Seq: seqs[by]})
	}
	return newest, senders
}

// toTell is which senders an ack is news for, each with its newest message: those
// it names above what was received, and those of the gap before it.
func (t *specThread) toTell(u chat.UserID, a chat.Ack, received chat.Seq, senders map[chat.UserID]*specMessage) map[chat.UserID]*specMessage {
	told := make(map[chat.UserID]*specMessage)
	for _, s := range a.Senders {
		if s.Seq > received && s.User != u && t.member(s.User) != nil {
			told[s.User] = senders[s.User]
		}
	}
	for _, m := range slices.Backward(t.visible(u)) {
		_, known := told[m.by()]
		if m.seq() > received && m.seq() < a.From && !known && m.by() != u && t.member(m.by()) != nil {
			told[m.by()] = m
		}
	}
	return told
}

// wait lets time pass, often to just where something changes.
func (p *player) wait(w wish) {
	now, to := p.now(), p.now()
	switch w.a % 10 {
	case 0:
		to = now.Add(time.Millisecond)
	case 1:
		to = now.Add(time.Second)
	case 2:
		to = now.Add(14 * time.Minute)
	case 3, 4:
		for _, m := range slices.Backward(p.messages) {
			if m.goneAt(now) == "" && m.expires.After(now) && (!to.After(now) || m.expires.Before(to)) {
				to = m.expires
			}
		}
	case 5, 6:
		to = p.endOf(w, playedLimits.EditWindow)
	case 7:
		if w.b%3 == 0 {
			to = p.endOf(w, window)
		}
	default:
		to = now.Add(10 * time.Second)
	}
	to = to.Add([]time.Duration{0, time.Millisecond, -time.Millisecond}[w.b%3])
	if to.After(now) {
		p.say("%s passes", to.Sub(now))
		p.clock.Advance(to.Sub(now))
	}
}

// endOf is where a time since the sending of some message is over.
func (p *player) endOf(w wish, after time.Duration) time.Time {
	if len(p.messages) == 0 {
		return p.now()
	}
	return p.recent(p.messages, w).sent.at.Add(after)
}

// expire sweeps. In which order the messages of a thread go is nobody's business.
func (p *player) expire(w wish) {
	due := make(map[*specMessage]bool)
	for _, m := range p.messages {
		if m.gone == "" && m.goneAt(p.now()) != "" {
			due[m] = true
		}
	}
	p.say("what has expired is swept: %d messages", len(due))
	p.answered(p.node(w).ExpireDue(p.ctx()), "")
	var told, want []string // failures
	for _, n := range p.bus.take() {
		if n.Event == nil {
			told = append(told, p.describeNotice(n))
			continue
		}
		m := p.byID[n.Event.Target.ID]
		if m == nil || !due[m] {
			p.r.Fatalf("%s was swept", nameOf(m))
		}
		delete(due, m)
		p.erased(m, chat.DeletedByExpiry)
		p.changed(chat.Caller{}, m, specEvent{kind: chat.KindDelete, reason: chat.DeletedByExpiry})
		specSame(p, "the bus", "the deletion", p.describeNotice(n), p.expected[0])
		p.expected = p.expected[:0]
		if users := p.unreached(m); len(users) > 0 {
			want = append(want, describeFailure(m, chat.FailedExpired, users, m.by()))
		}
	}
	slices.Sort(told)
	slices.Sort(want)
	if !slices.Equal(told, want) {
		p.r.Fatalf("the senders were told %q, want %q", told, want)
	}
	specSame(p, "the sweep", "messages left", len(due), 0)
}
