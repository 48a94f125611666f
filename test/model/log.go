package model

import "github.com/parleyhq/parley/chat"

// append adds an event to the model's log.
func (r *runner) append(t *thread, by chat.Caller, e event) *event {
	e.seq, e.at, e.by, e.device = chat.Seq(len(t.log)+1), r.now(), by.User, by.Device
	t.log = append(t.log, &e)
	return &e
}

// appendAbout appends an event about a message and expects its notice.
func (r *runner) appendAbout(c chat.Caller, m *message, e event) {
	e.about = m
	r.expectEvent(m.thread, r.append(m.thread, c, e))
}

// appendChange appends a change of a thread.
func (r *runner) appendChange(t *thread, c chat.Caller, e event) *event {
	e.kind = chat.KindThread
	return r.append(t, c, e)
}

// storeID keeps the id of an event, which is above that of the event before.
func (r *runner) storeID(t *thread, e *event, told *chat.Event) {
	id := told.ID
	if e.seq > 1 && id.Compare(t.log[e.seq-2].id) <= 0 {
		r.trial.Fatalf("the id of event %d of %s is not above the one before", e.seq, t)
	}
	equal(r, "the bus", "event time", told.At.UnixMilli(), e.at.UnixMilli())
	e.id = id
	if e.kind == chat.KindMessage {
		r.byID[id] = e.about
	}
}
