package pebble

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// recalledSince is the time from which on the idempotency keys of requests are recognised.
// There is no end: a clock that was set back since may have stood at any later time.
func (s *Store) recalledSince() time.Time { return s.now().Add(-s.idempotencyWindow) }

// SentBefore implements [chat.LogStore].
func (s *Store) SentBefore(ctx context.Context, e chat.Event) error {
	v, err := s.state.view()
	if err != nil {
		return err
	}
	defer v.release()
	w := s.newLogWriter(v, headRecord{})
	defer w.discard()
	return w.duplicate(ctx, e, s.recalledSince())
}

// duplicate is a *DuplicateError if the message was sent before: with its
// idempotency key at the given time or later, or with its client_seq at any time.
func (w *logWriter) duplicate(ctx context.Context, e chat.Event, since time.Time) error {
	existing, found, err := w.sentWithKey(e, since)
	if err != nil {
		return err
	}
	if found {
		return &chat.DuplicateError{By: chat.ByIdempotencyKey, Existing: existing}
	}
	if e.Message == nil { // a creation has no client_seq
		return nil
	}
	existing, found, err = w.sentWithClientSeq(ctx, e)
	if err != nil {
		return err
	}
	if found {
		return &chat.DuplicateError{By: chat.ByClientSeq, Existing: existing}
	}
	return nil
}

// sentWithKey finds the event that was sent with e's idempotency key: in the batch, or
// stored, at the given time or later.
func (w *logWriter) sentWithKey(e chat.Event, since time.Time) (chat.Event, bool, error) {
	name := idempotencyName(e)
	if name == "" {
		return chat.Event{}, false, nil
	}
	if existing, found := w.gathered[name]; found {
		return copied(existing)
	}
	key, _ := e.Retry()
	for _, d := range w.store.keyDays.since(dayOf(since)) {
		at, found, err := lookup(w.view, idempotencyKey(d, e.By, e.RetryIn(), key), decodePlace)
		if err != nil {
			return chat.Event{}, false, err
		}
		if !found {
			continue
		}
		existing, found, err := w.view.event(at)
		if err != nil || found && !existing.At.Before(since) {
			return w.found(existing, found, err)
		}
	}
	return chat.Event{}, false, nil
}

func (w *logWriter) sentWithClientSeq(ctx context.Context, e chat.Event) (chat.Event, bool, error) {
	key := clientSeqKey(e.Thread, e.By, e.Device, e.Message.ClientSeq)
	if existing, found := w.gathered[string(key)]; found {
		return copied(existing)
	}
	if w.locked { // most clients count up: nothing is stored under a higher number
		gathered, counted := w.counted[clientOf(e)]
		if !counted {
			gathered = -1
		}
		highest, err := w.store.clientSeqs.get(ctx, w.view, clientOf(e), gathered)
		if err != nil || e.Message.ClientSeq > highest {
			return chat.Event{}, false, err
		}
	}
	seq, found, err := lookup(w.view, key, decodeSeq)
	if err != nil || !found {
		return chat.Event{}, false, err
	}
	return w.found(w.view.event(place{e.Thread, seq}))
}

// found is a stored event as the batch leaves it: the events before the duplicate are
// stored.
func (w *logWriter) found(existing chat.Event, found bool, err error) (chat.Event, bool, error) {
	now, changed := w.changed[existing.Seq]
	if !changed || !found || err != nil || now.ID != existing.ID {
		return existing, found, err
	}
	reactions := existing.Message.Reactions
	if existing, found, err = copied(now.Event); err != nil || existing.Message.Deleted != "" {
		return existing, found, err
	}
	existing.Message.Reactions = reactions
	for _, e := range w.reactions {
		if e.Target.Seq == existing.Seq {
			after := existing.Message.Apply(e)
			existing.Message = &after
		}
	}
	return existing.ShownTo(""), found, err
}

// noteGathered lets later events of the batch be recognised as duplicates of e.
func (w *logWriter) noteGathered(name string, e chat.Event) {
	if w.gathered != nil {
		w.gathered[name] = e
	}
}

// copied is an event as it would be read from disk: it shares no memory with the
// event that the caller handed in.
func copied(e chat.Event) (chat.Event, bool, error) {
	value, err := encodeEvent(e)
	if err != nil {
		return chat.Event{}, false, err
	}
	e, err = decodeEvent(place{e.Thread, e.Seq}, value)
	return e, err == nil, err
}
