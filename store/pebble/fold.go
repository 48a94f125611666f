package pebble

import (
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// addFold folds an event into the message that it is about, as [chat.Message.Apply] says: a
// reaction writes keys of its own, any other event the message's record. If it fails, the
// batch is as it was.
func (w *logWriter) addFold(e chat.Event) error {
	before, err := w.view.target(e)
	if err != nil {
		return err
	}
	before = w.asChanged(before)
	after, err := w.foldedInto(before, e)
	if err != nil {
		return err
	}
	if w.changed == nil {
		w.changed = make(map[chat.Seq]record)
	}
	w.changed[after.Seq] = after
	if e.Kind == chat.KindReaction {
		w.reactions = append(w.reactions, e)
		veiled := e.HiddenFrom != "" || len(before.Message.Veils) > 0
		if after.reacted == before.reacted && !veiled { // the record stays as it is
			return nil
		}
	}
	value, err := encodeRecord(after)
	if err != nil {
		return err
	}
	at := place{before.Thread, before.Seq}
	w.set(eventKey(at.thread, at.seq), value)
	if willExpire(before.Message) && !willExpire(after.Message) {
		w.unset(expiryKey(before.Message.ExpiresAt, at))
	}
	return nil
}

// foldedInto is the record of a message after an event about it. It adds to the batch what
// the event does to keys other than the record.
func (w *logWriter) foldedInto(before record, e chat.Event) (record, error) {
	at, after := place{before.Thread, before.Seq}, before
	inRecord := before.Message.Reactions // of format 4
	if e.Kind == chat.KindDelete {
		if err := w.unpin(e); err != nil {
			return record{}, err
		}
		if before.reacted {
			w.dropReactions(at)
		}
		after.reacted = false
	} else if len(inRecord) > 0 {
		w.moveReactions(at, inRecord)
		after.reacted = true
	}
	message := *before.Message
	message.Reactions = nil
	if e.Kind != chat.KindReaction {
		message = message.Apply(e)
	} else if message.Deleted == "" {
		given, changed, err := w.addReaction(e)
		if err != nil {
			return record{}, err
		}
		after.reacted = after.reacted || changed
		if changed {
			message.Veils = message.VeilsAfterReaction(e, given)
		}
	}
	after.Message = &message
	return after, nil
}

// asChanged is a stored message as the batch leaves it.
func (w *logWriter) asChanged(stored record) record {
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
func (v *view) target(e chat.Event) (record, error) {
	target, found, err := lookup(v, eventKey(e.Thread, e.Target.Seq), recordAt(place{e.Thread, e.Target.Seq}))
	if err != nil {
		return record{}, err
	}
	if !found || target.ID != e.Target.ID || target.Message == nil {
		return record{}, fmt.Errorf("event %d of thread %s is about %s, and event %d is no such message",
			e.Seq, e.Thread, e.Target.ID, e.Target.Seq)
	}
	return target, nil
}
