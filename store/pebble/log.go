package pebble

import (
	"context"
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// Events implements [chat.LogStore].
func (s *Store) Events(ctx context.Context, thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) ([]chat.Event, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if limit.Count <= 0 {
		return nil, nil
	}
	var events []chat.Event
	bytes := 0
	between := eventsBetween(thread, after, min(through, lastSeq-1)+1)
	err = v.scan(ctx, between, false, func(key, value []byte) (bool, error) {
		_, ciphertext, err := eventStart(value)
		if err != nil {
			return false, err
		}
		if bytes += ciphertext; len(events) > 0 && bytes > limit.Bytes {
			return false, nil
		}
		e, err := decodeEvent(place{thread, seqOf(key)}, value)
		events = append(events, e)
		return len(events) < limit.Count, err
	})
	return events, err
}

// Messages implements [chat.LogStore].
func (s *Store) Messages(ctx context.Context, thread chat.ThreadID, after, before chat.Seq, newestFirst bool, count int) ([]chat.Event, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if count <= 0 {
		return nil, nil
	}
	if before == 0 {
		before = lastSeq
	}
	var messages []chat.Event
	err = v.scan(ctx, eventsBetween(thread, after, before), newestFirst, func(key, value []byte) (bool, error) {
		kind, _, err := eventStart(value)
		if err != nil || kind != diskMessage {
			return true, err
		}
		e, err := decodeEvent(place{thread, seqOf(key)}, value)
		messages = append(messages, e)
		return len(messages) < count, err
	})
	return messages, err
}

// Message implements [chat.LogStore].
func (s *Store) Message(_ context.Context, id chat.MessageID) (chat.Event, error) {
	v, err := s.state.view()
	if err != nil {
		return chat.Event{}, err
	}
	defer v.release()
	at, found, err := lookup(v, messageKey(id), decodePlace)
	if err != nil {
		return chat.Event{}, err
	}
	if !found {
		return chat.Event{}, fmt.Errorf("message %s: %w", id, chat.ErrNotFound)
	}
	e, found, err := v.event(at)
	if err == nil && !found {
		err = fmt.Errorf("message %s: its event %d of %s is missing", id, at.seq, at.thread)
	}
	return e, err
}

func (v *view) event(at place) (chat.Event, bool, error) {
	return lookup(v, eventKey(at.thread, at.seq), func(raw []byte) (chat.Event, error) { return decodeEvent(at, raw) })
}

// SeqAt implements [chat.LogStore]. Of a thread without a log it is 1.
func (s *Store) SeqAt(ctx context.Context, thread chat.ThreadID, id chat.EventID) (chat.Seq, error) {
	v, err := s.state.view()
	if err != nil {
		return 0, err
	}
	defer v.release()
	from := within(threadPrefix(prefixEventID, thread))
	from.lower = eventIDKey(thread, id)
	var seq chat.Seq
	err = v.scan(ctx, from, false, func(_, value []byte) (bool, error) {
		var err error
		seq, err = decodeSeq(value)
		return false, err
	})
	if err != nil || seq != 0 {
		return seq, err
	}
	head, err := v.head(thread)
	return head.Seq + 1, err
}

// CountUnread implements [chat.LogStore]. It looks at every event after the
// given one until it has counted to max, without decoding them.
func (s *Store) CountUnread(ctx context.Context, thread chat.ThreadID, user chat.UserID, after chat.Seq, max int) (int, error) {
	v, err := s.state.view()
	if err != nil {
		return 0, err
	}
	defer v.release()
	if max <= 0 {
		return 0, nil
	}
	n := 0
	err = v.scan(ctx, eventsBetween(thread, after, lastSeq), false, func(_, value []byte) (bool, error) {
		message, own, err := messageBy(value, user)
		if message && !own {
			n++
		}
		return n < max, err
	})
	return n, err
}
