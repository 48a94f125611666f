package model

import (
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// wait lets time pass, often until just before, at or after a deadline.
func (r *runner) wait(op operation) {
	now, to := r.now(), r.now()
	switch op.a % 10 {
	case 0:
		to = now.Add(time.Millisecond)
	case 1:
		to = now.Add(time.Second)
	case 2:
		to = now.Add(14 * time.Minute)
	case 3, 4:
		for _, m := range slices.Backward(r.messages) {
			if m.tombstoneAt(now) == "" && m.expires.After(now) && (!to.After(now) || m.expires.Before(to)) {
				to = m.expires
			}
		}
	case 5, 6:
		to = r.endOf(op, limits.EditWindow)
	case 7:
		if op.b%3 == 0 {
			to = r.endOf(op, window)
		}
	default:
		to = now.Add(10 * time.Second)
	}
	to = to.Add([]time.Duration{0, time.Millisecond, -time.Millisecond}[op.b%3])
	if to.After(now) {
		r.tracef("%s passes", to.Sub(now))
		r.clock.Advance(to.Sub(now))
	}
}

// endOf is when a span of time since the sending of some message ends.
func (r *runner) endOf(op operation, after time.Duration) time.Time {
	if len(r.messages) == 0 {
		return r.now()
	}
	return r.recent(r.messages, op).sent.at.Add(after)
}

// expire has the service sweep: all expired messages become tombstones, in any order.
func (r *runner) expire(op operation) {
	due := make(map[*message]bool)
	for _, m := range r.messages {
		if m.deleted == "" && m.tombstoneAt(r.now()) != "" {
			due[m] = true
		}
	}
	r.tracef("the service sweeps: %d messages have expired", len(due))
	r.checkError(r.node(op).ExpireDue(r.ctx()), "")
	var told, want []string // failures
	for _, n := range r.bus.drain() {
		if n.Event == nil {
			told = append(told, r.describeNotice(n))
			continue
		}
		m := r.byID[n.Event.Target.ID]
		if m == nil || !due[m] {
			r.trial.Fatalf("%s was swept", nameOf(m))
		}
		delete(due, m)
		r.makeTombstone(m, chat.DeletedByExpiry)
		r.appendAbout(chat.Caller{}, m, event{kind: chat.KindDelete, reason: chat.DeletedByExpiry, hidden: m.hiddenFrom})
		equal(r, "the bus", "the deletion", r.describeNotice(n), r.expected[0])
		r.expected = r.expected[:0]
		if users := r.unreached(m); len(users) > 0 && m.thread.sees(m.by(), m) {
			want = append(want, describeFailure(m, chat.FailedExpired, users, m.by()))
		}
	}
	slices.Sort(told)
	slices.Sort(want)
	if !slices.Equal(told, want) {
		r.trial.Fatalf("the senders were told %q, want %q", told, want)
	}
	equal(r, "the sweep", "messages left", len(due), 0)
}
