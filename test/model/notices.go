package model

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parleyhq/parley/chat"
)

// listener is a bus that remembers what it was told, and tells the services.
type listener struct {
	mu       sync.Mutex
	notices  []chat.Notice
	handlers []chat.BusHandler
}

// Publish implements [chat.Bus].
func (l *listener) Publish(n chat.Notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notices = append(l.notices, n)
	for _, h := range l.handlers {
		h.HandleNotice(n)
	}
}

// Subscribe implements [chat.Bus]. Who has subscribed stays.
func (l *listener) Subscribe(h chat.BusHandler) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handlers = append(l.handlers, h)
	return func() {}
}

// Ping implements [chat.Bus].
func (l *listener) Ping(context.Context) error { return nil }

// Close implements [chat.Bus].
func (l *listener) Close() error { return nil }

func (l *listener) take() []chat.Notice {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.notices
	l.notices = nil
	return taken
}

// append adds an event to the model's log and expects the bus to be told.
func (p *player) append(t *specThread, by chat.Caller, e specEvent) *specEvent {
	e.seq, e.at, e.by, e.device = chat.Seq(len(t.log)+1), p.now(), by.User, by.Device
	t.log = append(t.log, &e)
	return &e
}

// expectEvent expects the bus to be told of an event, new or again.
func (p *player) expectEvent(t *specThread, e *specEvent) {
	users := t.users()
	if e.what == chat.ParticipantRemoved {
		users = append(users, e.user)
	}
	p.expected = append(p.expected, fmt.Sprintf("%s #%d %s%s to %v", t, e.seq, e.kind, e.what, sortedUsers(users)))
}

func (p *player) expectFailure(m *specMessage, why chat.FailureReason, users ...chat.UserID) {
	p.expected = append(p.expected, describeFailure(m, why, users, m.by()))
}

func describeFailure(m *specMessage, why chat.FailureReason, users []chat.UserID, to ...chat.UserID) string {
	return fmt.Sprintf("%s failed: %s for %v, to %v", m, why, sortedUsers(users), to)
}

func (p *player) expectRead(t *specThread, by chat.Caller, seq chat.Seq, upTo *specMessage) {
	told := slices.DeleteFunc(t.users(), func(u chat.UserID) bool { return !t.sees(u, upTo) })
	p.expected = append(p.expected, describeRead(t.name, by.User, by.Device, seq, upTo.name, p.now(), told))
}

func describeRead(thread string, by chat.UserID, device chat.DeviceID, seq chat.Seq, upTo string, at time.Time, to []chat.UserID) string {
	return fmt.Sprintf("%s read by %s on %s up to %d, %s, at %s, to %v", thread, by, device, seq, upTo, at.Format(time.StampMilli), sortedUsers(to))
}

// expectDelivered expects senders, each with a message, to be told.
func (p *player) expectDelivered(t *specThread, by chat.Caller, seq chat.Seq, senders map[chat.UserID]*specMessage) {
	var told []string
	for u, m := range senders {
		told = append(told, fmt.Sprintf("%s of %s", u, m.name))
	}
	p.expected = append(p.expected, describeDelivered(t.name, by.User, by.Device, seq, p.now(), told))
}

func describeDelivered(thread string, by chat.UserID, device chat.DeviceID, seq chat.Seq, at time.Time, senders []string) string {
	slices.Sort(senders)
	return fmt.Sprintf("%s delivered to %s on %s up to %d at %s, to %q", thread, by, device, seq, at.Format(time.StampMilli), senders)
}

func (p *player) expectLow(user chat.UserID, device chat.DeviceID, left int) {
	p.expected = append(p.expected, describeLow([]chat.UserID{user}, device, left))
}

func describeLow(to []chat.UserID, device chat.DeviceID, left int) string {
	return fmt.Sprintf("prekeys low on %s: %d, to %v", device, left, to)
}

// settle compares what the bus was told since the last time with what it should
// have been, in order.
func (p *player) settle() {
	var told []string
	for _, n := range p.bus.take() {
		told = append(told, p.describeNotice(n))
	}
	if !slices.Equal(told, p.expected) {
		p.r.Fatalf("the bus was told %q, want %q", told, p.expected)
	}
	p.expected = p.expected[:0]
}

func (p *player) describeNotice(n chat.Notice) string {
	switch {
	case n.Event != nil:
		return p.describeEvent(n)
	case n.Failure != nil:
		m, known := p.byID[n.Failure.Message]
		if !known || m.thread.id != n.Failure.Thread {
			return "a failure of an unknown message"
		}
		return describeFailure(m, n.Failure.Reason, n.Failure.Users, n.Audience...)
	case n.PrekeysLow != nil:
		return describeLow(n.Audience, n.PrekeysLow.Device, n.PrekeysLow.Left)
	case n.Receipt != nil && n.Receipt.Kind == chat.Read:
		r := n.Receipt
		return describeRead(p.threadName(r.Thread), r.User, r.Device, r.Seq, p.name(r.Message), r.At, n.Audience)
	case n.Receipt != nil:
		r := n.Receipt
		var senders []string
		for i, s := range r.Senders {
			senders = append(senders, fmt.Sprintf("%s of %s", s.User, p.name(s.Message)))
			specSame(p, "the bus", "audience of the receipt", n.Audience[i], s.User)
		}
		return describeDelivered(p.threadName(r.Thread), r.User, r.Device, r.Seq, r.At, senders)
	}
	return "an empty notice"
}

// describeEvent compares a told event with the model's and learns its id.
func (p *player) describeEvent(n chat.Notice) string {
	e := n.Event
	t := p.threadOf(e.Thread)
	if t == nil || e.Seq == 0 || int(e.Seq) > len(t.log) {
		return "an event out of nowhere: " + string(e.Kind)
	}
	want := t.log[e.Seq-1]
	if want.id.IsZero() {
		p.learn(t, want, e.ID)
	}
	p.sameEvent("the event told", *e, t, want)
	what := chat.ChangeEvent("")
	if e.Change != nil {
		what = e.Change.Event
	}
	return fmt.Sprintf("%s #%d %s%s to %v", t, e.Seq, e.Kind, what, sortedUsers(n.Audience))
}

// learn takes an event's id: it is above that of the event before, and of its time.
func (p *player) learn(t *specThread, e *specEvent, id chat.EventID) {
	if e.seq > 1 && id.Compare(t.log[e.seq-2].id) <= 0 {
		p.r.Fatalf("the id of event %d of %s is not above the one before", e.seq, t)
	}
	specSame(p, "the bus", "event time", int64(id.Time()), e.at.UnixMilli())
	e.id = id
	if e.kind == chat.KindMessage {
		p.byID[id] = e.about
	}
}

func (p *player) threadOf(id chat.ThreadID) *specThread {
	for _, t := range p.threads {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (p *player) threadName(id chat.ThreadID) string {
	if t := p.threadOf(id); t != nil {
		return t.name
	}
	return "an unknown thread"
}

func sortedUsers(users []chat.UserID) []chat.UserID {
	users = slices.Clone(users)
	slices.Sort(users)
	return users
}
