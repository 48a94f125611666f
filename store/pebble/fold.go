package pebble

import (
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// addFold folds an event into the message that it is about: the message's record is
// rewritten as [chat.Message.Apply] says. If it fails, the batch is as it was.
func (w *logWriter) addFold(e chat.Event) error {
	before, err := w.view.target(e)
	if err != nil {
		return err
	}
	before = w.asChanged(before)
	after := before
	message := before.Message.Apply(e)
	after.Message = &message
	value, err := encodeEvent(after)
	if err != nil {
		return err
	}
	if e.Kind == chat.KindDelete {
		if err := w.unpin(e); err != nil {
			return err
		}
	}
	if w.changed == nil {
		w.changed = make(map[chat.Seq]chat.Event)
	}
	w.changed[after.Seq] = after
	at := place{before.Thread, before.Seq}
	w.set(eventKey(at.thread, at.seq), value)
	if willExpire(before.Message) && !willExpire(after.Message) {
		w.unset(expiryKey(before.Message.ExpiresAt, at))
	}
	return nil
}

// asChanged is a stored event as the batch leaves it.
func (w *logWriter) asChanged(stored chat.Event) chat.Event {
	if now, changed := w.changed[stored.Seq]; changed && now.ID == stored.ID {
		return now
	}
	return stored
}

// willExpire reports whether a message has a key in the index of expiry.
func willExpire(m *chat.Message) bool { return m.Deleted == "" && !m.ExpiresAt.IsZero() }

// unpin applies a deletion to the thread if it removes a pin.
func (w *logWriter) unpin(deletion chat.Event) error {
	if !w.pinned {
		return nil
	}
	before, err := w.loadThread(deletion.Thread)
	if err != nil {
		return err
	}
	if after := before.Apply(deletion); len(after.Pins) != len(before.Pins) {
		w.setThread(after)
	}
	return nil
}

// target is the message that an event is about.
func (v *view) target(e chat.Event) (chat.Event, error) {
	target, found, err := v.event(place{e.Thread, e.Target.Seq})
	if err != nil {
		return chat.Event{}, err
	}
	if !found || target.ID != e.Target.ID || target.Message == nil {
		return chat.Event{}, fmt.Errorf("event %d of thread %s is about %s, and event %d is no such message",
			e.Seq, e.Thread, e.Target.ID, e.Target.Seq)
	}
	return target, nil
}
