package model

import (
	"maps"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// read marks a thread as read up to a message.
func (r *runner) read(op operation) {
	t := r.someThread(op)
	m, id := r.someMessage(op)
	c := r.caller(op)
	again := slices.DeleteFunc(slices.Clone(r.messages), func(m *message) bool {
		return m.redelivered == 0 || !m.thread.sees(c.User, m) || m.by() == c.User
	})
	if op.b%2 == 0 && len(again) > 0 { // mostly a redelivered message, if there is one: it counts from its redelivery
		m = r.recent(again, op)
		t, id = m.thread, m.sent.id
	}
	code := refuseMessageIn(t, m, c.User)
	r.tracef("%s reads %s up to %s: %q", c.User, threadName(t), nameOf(m), code)
	if !r.checkError(r.node(op).MarkRead(r.ctx(), c, idOf(t), id), code) {
		return
	}
	last := t.last(c.User, chat.Read)
	upTo := t.readUpTo(c.User, m, last.seq)
	told := chat.Seq(0)
	if m.by() != c.User && upTo < m.redelivered { // what lies between is unread: m is read alone
		if m.readAlone.IsZero() {
			m.readAlone, told = r.now(), m.redelivered
		}
	}
	if upTo > last.seq {
		t.marks[c.User] = append(t.marks[c.User], mark{chat.Read, upTo, newer(last.message, m), r.now()})
		told = upTo
	}
	if told > 0 {
		r.expectRead(t, c, told, m)
	}
	r.changeOwn(t, c.User, chat.StateChange{MarkedUnread: new(false)})
	r.compareNotices()
	r.lookAt(m)
}

// readUpTo is the seq to which reading a message moves a user's read mark: where the
// user received the message, but below any newer message of others that is unread.
func (t *thread) readUpTo(u chat.UserID, m *message, read chat.Seq) chat.Seq {
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

// acknowledge has a device acknowledge some events of a thread. Now and then it
// leaves a gap before them: what the device said it had when it connected.
func (r *runner) acknowledge(op operation) {
	t, c := r.someThread(op), r.caller(op)
	if refuseOutsider(t, c.User) != "" {
		return
	}
	me, head := t.member(c.User), chat.Seq(len(t.log))
	delivered := t.last(c.User, chat.Delivered)
	from := max(me.joined, delivered.seq+1)
	if from > head {
		return
	}
	if op.b%4 == 0 {
		from += chat.Seq(op.a) % (head - from + 1)
	}
	a := chat.Ack{Thread: t.id, From: from, Seq: from + chat.Seq(op.message)%(head-from+1)}
	if op.message < 64 { // mostly all there is
		a.Seq = head
	}
	newest, senders := t.completeAck(c.User, &a)
	received, _ := t.received(c.User)
	r.tracef("%s on %s acknowledges %d to %d of %s", c.User, c.Device, a.From, a.Seq, t)
	r.checkError(r.node(op).Acknowledge(r.ctx(), c.User, c.Device, a), "")
	t.marks[c.User] = append(t.marks[c.User], mark{chat.Delivered, a.Seq, newer(delivered.message, newest), r.now()})
	told := t.sendersToTell(c.User, a, received, senders)
	if a.Seq > received && len(told) > 0 {
		r.expectDelivered(t, c, a.Seq, told)
	}
	r.compareNotices()
	r.compareThread(c.User, t)
	if newest != nil {
		r.lookAt(newest)
	}
}

// completeAck fills in an ack as a session does. It returns the newest message that the
// ack covers, and the newest of each sender.
func (t *thread) completeAck(u chat.UserID, a *chat.Ack) (newest *message, senders map[chat.UserID]*message) {
	senders = make(map[chat.UserID]*message)
	seqs := make(map[chat.UserID]chat.Seq)
	for _, e := range t.eventsFor(u) {
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

// sendersToTell is which senders hear of an ack, each with its newest message: those whose
// messages the ack covers above what was received before, and those of the gap. Who has left
// since sees them no more and is told nothing, even once it is in again.
func (t *thread) sendersToTell(u chat.UserID, a chat.Ack, received chat.Seq, senders map[chat.UserID]*message) map[chat.UserID]*message {
	told := make(map[chat.UserID]*message)
	for _, s := range a.Senders {
		if s.Seq > received && s.User != u && t.sees(s.User, senders[s.User]) {
			told[s.User] = senders[s.User]
		}
	}
	for _, m := range slices.Backward(t.visible(u)) {
		_, known := told[m.by()]
		if m.seq() > received && m.seq() < a.From && !known && m.by() != u && t.sees(m.by(), m) {
			told[m.by()] = m
		}
	}
	return told
}
