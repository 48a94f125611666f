package model

import (
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// pinFor is the place of a pin that a user sees, or -1.
func (t *thread) pinFor(u chat.UserID, m *message) int {
	if i := t.pinOf(m); i >= 0 && t.pins[i].hidden != u {
		return i
	}
	return -1
}

func (t *thread) pinOf(m *message) int {
	return slices.IndexFunc(t.pins, func(pin pin) bool { return pin.message == m })
}

// visiblePins are the pins that a user sees at a moment. An expired message is not
// pinned any more.
func (t *thread) visiblePins(u chat.UserID, now time.Time) (seen []pin) {
	for _, pin := range t.pins {
		if t.sees(u, pin.message) && pin.hidden != u && pin.message.tombstoneAt(now) == "" {
			seen = append(seen, pin)
		}
	}
	return seen
}

// roomForPin gives what is unpinned when a user pins one more: the first of the pins that it
// does not see, if the thread has as many as it may. It is full if the user sees them all.
func (t *thread) roomForPin(u chat.UserID, now time.Time) (room []*message, full bool) {
	var hidden []*message
	pinned := 0
	for _, pin := range t.pins {
		if pin.message.tombstoneAt(now) != "" {
			continue
		}
		if pinned++; !t.sees(u, pin.message) || pin.hidden == u {
			hidden = append(hidden, pin.message)
		}
	}
	if pinned < limits.Pins {
		return nil, false
	}
	if len(hidden) == 0 {
		return nil, true
	}
	return hidden[:1], false
}

// somePin chooses a thread and a message for a pin, rarely one of another thread.
func (r *runner) somePin(op operation) (*thread, *message, chat.MessageID) {
	m, id := r.someMessage(op)
	t := r.someThread(op)
	if op.b%20 == 19 {
		t = r.someThread(operation{by: op.by, thread: op.a % 64})
	}
	return t, m, id
}

// pin pins a message.
func (r *runner) pin(op operation) {
	t, m, id := r.somePin(op)
	c := r.caller(op)
	code := refuseMessageIn(t, m, c.User)
	was := -1
	var room []*message // what is unpinned for it
	if code == "" {
		was = t.pinFor(c.User, m)
		var full bool
		room, full = t.roomForPin(c.User, r.now())
		code = firstRefusal(
			refuseOfControl(m),
			refuseIf(m.tombstoneAt(r.now()) != "", chat.CodeMessageDeleted),
			refuseIf(was < 0 && full, chat.CodeTooManyPins))
	}
	r.tracef("%s pins %s in %s: %q", c.User, nameOf(m), threadName(t), code)
	got, added, err := r.node(op).Pin(r.ctx(), c, idOf(t), id)
	if !r.checkError(err, code) {
		return
	}
	equal(r, "the answer", "pinned anew", added, was < 0)
	if was < 0 {
		for _, unseen := range room {
			i := t.pinOf(unseen)
			hidden := unseen.hiddenFrom
			if t.sees(c.User, unseen) {
				hidden = t.pins[i].hidden
			}
			t.pins = slices.Delete(t.pins, i, i+1)
			r.appendAbout(c, unseen, event{kind: chat.KindThread, what: chat.Unpinned, hidden: hidden})
		}
		r.putPin(c, t, m)
	}
	r.compareNotices()
	r.comparePin(got, t.pins[t.pinOf(m)])
	r.comparePins(c.User, t)
}

// putPin pins a message that the user does not see as pinned.
func (r *runner) putPin(c chat.Caller, t *thread, m *message) {
	hidden := r.hiddenFrom(m, c.User)
	put := pin{m, c.User, r.now(), hidden}
	if i := t.pinOf(m); i >= 0 {
		if hidden != "" && t.pins[i].hidden == c.User { // it had unpinned it unseen
			put.by, put.at, put.hidden = t.pins[i].by, t.pins[i].at, ""
		}
		t.pins = slices.Delete(t.pins, i, i+1)
	}
	t.pins = append(t.pins, put)
	r.appendAbout(c, m, event{kind: chat.KindThread, what: chat.Pinned, hidden: hidden})
}

// unpin unpins a message, mostly one that is pinned.
func (r *runner) unpin(op operation) {
	t, m, id := r.somePin(op)
	if t != nil && len(t.pins) > 0 && op.b%3 > 0 { // mostly one that is there
		m = t.pins[op.a%len(t.pins)].message
		id = m.sent.id
	}
	c := r.caller(op)
	code := refuseMessageIn(t, m, c.User)
	if code == chat.CodeMessageNotFound || code == "" && (t.pinFor(c.User, m) < 0 || m.tombstoneAt(r.now()) != "") {
		code = chat.CodePinNotFound
	}
	r.tracef("%s unpins %s in %s: %q", c.User, nameOf(m), threadName(t), code)
	err := r.node(op).Unpin(r.ctx(), c, idOf(t), id)
	if !r.checkError(err, code) {
		return
	}
	i := t.pinOf(m)
	hidden := t.pins[i].hidden
	if hidden == "" {
		hidden = r.hiddenFrom(m, c.User)
	}
	if hidden == t.pins[i].hidden || hidden == "" {
		t.pins = slices.Delete(t.pins, i, i+1)
	} else { // the other one still sees it
		t.pins[i].hidden = c.User
	}
	r.appendAbout(c, m, event{kind: chat.KindThread, what: chat.Unpinned, hidden: hidden})
	r.compareNotices()
	r.comparePins(c.User, t)
}

func (r *runner) comparePins(u chat.UserID, t *thread) {
	got, err := r.nodes[0].Pins(r.ctx(), reader(u), idOf(t))
	if !r.checkError(err, refuseOutsider(t, u)) {
		return
	}
	want := t.visiblePins(u, r.now())
	equal(r, t.name, "pins that "+string(u)+" sees", len(got), len(want))
	for i := range got {
		r.comparePin(got[i], want[i])
	}
}

func (r *runner) comparePin(got chat.Pin, want pin) {
	equal(r, "the answer", "pinned", r.name(got.Message), want.message.name)
	equal(r, "the answer", "pinned: seq", got.Seq, want.message.seq())
	equal(r, "the answer", "pinned by", got.By, want.by)
	equal(r, "the answer", "pinned at", got.At.UnixMilli(), want.at.UnixMilli())
}
