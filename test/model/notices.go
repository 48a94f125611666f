package model

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parleyhq/parley/chat"
)

// recordingBus is a bus that keeps the notices it was given, and delivers them at once.
type recordingBus struct {
	mu       sync.Mutex
	notices  []chat.Notice
	handlers []chat.BusHandler
}

// Publish implements [chat.Bus].
func (b *recordingBus) Publish(n chat.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notices = append(b.notices, n)
	for _, h := range b.handlers {
		h.HandleNotice(n)
	}
}

// Subscribe implements [chat.Bus]. A subscription does not end.
func (b *recordingBus) Subscribe(h chat.BusHandler) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers = append(b.handlers, h)
	return func() {}
}

// Ping implements [chat.Bus].
func (b *recordingBus) Ping(context.Context) error { return nil }

// Close implements [chat.Bus].
func (b *recordingBus) Close() error { return nil }

func (b *recordingBus) drain() []chat.Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.notices
	b.notices = nil
	return taken
}

// expectEvent expects a notice of an event, be it new or told once more.
func (r *runner) expectEvent(t *thread, e *event) {
	users := t.users()
	if e.what == chat.ParticipantRemoved {
		users = append(users, e.user)
	}
	r.expected = append(r.expected, fmt.Sprintf("%s #%d %s%s to %v", t, e.seq, e.kind, e.what, sortedUsers(users)))
}

func (r *runner) expectFailure(m *message, why chat.FailureReason, users ...chat.UserID) {
	r.expected = append(r.expected, describeFailure(m, why, users, m.by()))
}

func describeFailure(m *message, why chat.FailureReason, users []chat.UserID, to ...chat.UserID) string {
	return fmt.Sprintf("%s failed: %s for %v, to %v", m, why, sortedUsers(users), to)
}

func (r *runner) expectRead(t *thread, by chat.Caller, seq chat.Seq, upTo *message) {
	told := slices.DeleteFunc(t.users(), func(u chat.UserID) bool { return !t.sees(u, upTo) })
	r.expected = append(r.expected, describeRead(t.name, by.User, by.Device, seq, upTo.name, r.now(), told))
}

func describeRead(thread string, by chat.UserID, device chat.DeviceID, seq chat.Seq, upTo string, at time.Time, to []chat.UserID) string {
	return fmt.Sprintf("%s read by %s on %s up to %d, %s, at %s, to %v", thread, by, device, seq, upTo, at.Format(time.StampMilli), sortedUsers(to))
}

// expectDelivered expects a receipt for senders, each with its newest message.
func (r *runner) expectDelivered(t *thread, by chat.Caller, seq chat.Seq, senders map[chat.UserID]*message) {
	var told []string
	for u, m := range senders {
		told = append(told, fmt.Sprintf("%s of %s", u, m.name))
	}
	r.expected = append(r.expected, describeDelivered(t.name, by.User, by.Device, seq, r.now(), told))
}

func describeDelivered(thread string, by chat.UserID, device chat.DeviceID, seq chat.Seq, at time.Time, senders []string) string {
	slices.Sort(senders)
	return fmt.Sprintf("%s delivered to %s on %s up to %d at %s, to %q", thread, by, device, seq, at.Format(time.StampMilli), senders)
}

func (r *runner) expectLow(user chat.UserID, device chat.DeviceID, left int) {
	r.expected = append(r.expected, describeLow([]chat.UserID{user}, device, left))
}

func describeLow(to []chat.UserID, device chat.DeviceID, left int) string {
	return fmt.Sprintf("prekeys low on %s: %d, to %v", device, left, to)
}

func describeNews(user chat.UserID, device chat.DeviceID, change chat.KeyChange) string {
	return fmt.Sprintf("device %s of %s: %s", device, user, change)
}

func describeRemoved(user chat.UserID, device chat.DeviceID) string {
	return fmt.Sprintf("connections of %s of %s are to end", device, user)
}

// compareNotices compares the notices since the last comparison with the expected
// ones, in order.
func (r *runner) compareNotices() {
	var told []string
	for _, n := range r.bus.drain() {
		told = append(told, r.describeNotice(n))
	}
	if !slices.Equal(told, r.expected) {
		r.trial.Fatalf("the bus was told %q, want %q", told, r.expected)
	}
	r.expected = r.expected[:0]
}

func (r *runner) describeNotice(n chat.Notice) string {
	switch {
	case n.Event != nil:
		return r.describeEvent(n)
	case n.Failure != nil:
		m, known := r.byID[n.Failure.Message]
		if !known || m.thread.id != n.Failure.Thread {
			return "a failure of an unknown message"
		}
		return describeFailure(m, n.Failure.Reason, n.Failure.Users, n.Audience...)
	case n.State != nil:
		return describeState(r.threadName(n.State.Thread), n.Audience, n.State.Revision, n.State.Me)
	case n.Devices != nil:
		return describeNews(n.Devices.User, n.Devices.Device, n.Devices.Change)
	case n.Removed != nil:
		return describeRemoved(n.Removed.User, n.Removed.Device)
	case n.Presence != nil:
		return describePresence(n.Presence.User, n.Audience)
	case n.PrekeysLow != nil:
		return describeLow(n.Audience, n.PrekeysLow.Device, n.PrekeysLow.Left)
	case n.Receipt != nil && n.Receipt.Kind == chat.Read:
		read := n.Receipt
		return describeRead(r.threadName(read.Thread), read.User, read.Device, read.Seq, r.name(read.Message), read.At, n.Audience)
	case n.Receipt != nil:
		delivered := n.Receipt
		var senders []string
		for i, s := range delivered.Senders {
			senders = append(senders, fmt.Sprintf("%s of %s", s.User, r.name(s.Message)))
			equal(r, "the bus", "audience of the receipt", n.Audience[i], s.User)
		}
		return describeDelivered(r.threadName(delivered.Thread), delivered.User, delivered.Device, delivered.Seq, delivered.At, senders)
	}
	return "an empty notice"
}

// describeEvent compares the event of a notice with the model's and stores its id.
func (r *runner) describeEvent(n chat.Notice) string {
	e := n.Event
	t := r.threadOf(e.Thread)
	if t == nil || e.Seq == 0 || int(e.Seq) > len(t.log) {
		return "an event out of nowhere: " + string(e.Kind)
	}
	want := t.log[e.Seq-1]
	if want.id.IsZero() {
		r.storeID(t, want, e)
	}
	r.compareEvent("the event told", *e, t, want, "")
	what := chat.ChangeEvent("")
	if e.Change != nil {
		what = e.Change.Event
	}
	return fmt.Sprintf("%s #%d %s%s to %v", t, e.Seq, e.Kind, what, sortedUsers(n.Audience))
}

func (r *runner) threadOf(id chat.ThreadID) *thread {
	for _, t := range r.threads {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (r *runner) threadName(id chat.ThreadID) string {
	if t := r.threadOf(id); t != nil {
		return t.name
	}
	return "an unknown thread"
}

func sortedUsers(users []chat.UserID) []chat.UserID {
	users = slices.Clone(users)
	slices.Sort(users)
	return users
}
