package pebble

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/parleyhq/parley/chat"
)

// timespan is the time from one moment to another, both included.
type timespan struct{ from, to time.Time }

// recalled is the time span of the messages whose idempotency keys are recognised. It
// reaches a day into the future: another clock that is ahead may have minted the id.
func (s *Store) recalled() timespan {
	now := s.now()
	return timespan{from: now.Add(-s.idempotencyWindow), to: now.Add(24 * time.Hour)}
}

// SentBefore implements [chat.LogStore].
func (s *Store) SentBefore(ctx context.Context, e chat.Event) error {
	v, err := s.state.view()
	if err != nil {
		return err
	}
	defer v.release()
	w := s.newLogWriter(v, headRecord{})
	defer w.discard()
	return w.duplicate(ctx, e, s.recalled())
}

// duplicate is a *DuplicateError if the message was sent before: with its
// idempotency key in the given time span, or with its client_seq at any time.
func (w *logWriter) duplicate(ctx context.Context, e chat.Event, recalled timespan) error {
	existing, found, err := w.sentWithKey(e, recalled)
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
// stored, in the given time span.
func (w *logWriter) sentWithKey(e chat.Event, recalled timespan) (chat.Event, bool, error) {
	name := idempotencyName(e)
	if name == "" {
		return chat.Event{}, false, nil
	}
	if existing, found := w.gathered[name]; found {
		return copied(existing)
	}
	key, _ := e.Retry()
	// The loop may count down past day 0, so days are signed here.
	for d := min(int64(dayOf(recalled.to)), w.store.newestDay.Load()); d >= int64(dayOf(recalled.from)); d-- {
		at, found, err := lookup(w.view, idempotencyKey(day(d), e.By, key), decodePlace)
		if err != nil {
			return chat.Event{}, false, err
		}
		if !found {
			continue
		}
		existing, found, err := w.view.event(at)
		if err != nil || found && !existing.At().Before(recalled.from) {
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
	if _, changed := w.changed[existing.Seq]; changed && found && err == nil {
		return copied(w.asChanged(existing))
	}
	return existing, found, err
}

// readNewestDay sets newestDay when the store is opened.
func (s *Store) readNewestDay() error {
	v, err := s.state.view()
	if err != nil {
		return err
	}
	defer v.release()
	s.newestDay.Store(-1)
	return v.scan(context.Background(), within([]byte{prefixIdempotency}), true, func(key, _ []byte) (bool, error) {
		s.newestDay.Store(int64(binary.BigEndian.Uint32(key[1:])))
		return false, nil
	})
}

// usesDay is called before an idempotency key of that day is written.
func (s *Store) usesDay(d day) {
	for {
		newest := s.newestDay.Load()
		if int64(d) <= newest || s.newestDay.CompareAndSwap(newest, int64(d)) {
			return
		}
	}
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
