package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

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
	fits := func(ciphertext int) bool { return len(events) == 0 || bytes+ciphertext <= limit.Bytes }
	between := eventsBetween(thread, after, min(through, lastSeq-1)+1)
	err = v.scan(ctx, between, false, func(key, value []byte) (bool, error) {
		start, err := eventStart(value)
		if err != nil {
			return false, err
		}
		ciphertext := start.ciphertext
		if start.kind == diskControl && ciphertext > chat.MaxShownBytes {
			ciphertext = 0
		}
		if !fits(ciphertext) {
			return false, nil
		}
		e, err := v.decodeEvent(place{thread, seqOf(key)}, value)
		if err != nil {
			return false, err
		}
		if e.HasContent() && e.Kind != chat.KindMessage {
			target, err := v.target(e)
			if err == nil {
				target.Event, err = v.whole(target)
			}
			if err != nil {
				return false, err
			}
			target.Event = target.Brief()
			e.Message, ciphertext = target.Message, len(target.Message.Ciphertext)
			if !fits(ciphertext) {
				return false, nil
			}
		}
		bytes += ciphertext
		events = append(events, e.Brief())
		return len(events) < limit.Count, nil
	})
	return events, err
}

// NewestID implements [chat.LogStore]. It is for the ids of this process to go on from,
// and knows of no event that was stored since the store was opened.
func (s *Store) NewestID(context.Context) (chat.EventID, error) {
	if s.newest.IsZero() {
		return chat.EventID{}, nil
	}
	return chat.EventIDAt(s.newest), nil
}

// readCeiling gives a time above those of all ids; zero if there are none.
func readCeiling(db *pebble.DB) (time.Time, error) {
	ceiling, found, err := lookupIn(db, ceilingKey(), decodeTime)
	if err != nil || found {
		return ceiling, err
	}
	// Format 3 had none: the heads of all threads tell.
	err = scanIn(context.Background(), db, nil, within([]byte{prefixHead}), false, func(_, value []byte) (bool, error) {
		head, err := decodeHead(value)
		if above := chat.IDTime(head.ID).Add(time.Millisecond); err == nil && above.After(ceiling) {
			ceiling = above
		}
		return true, err
	})
	return ceiling, err
}

// Messages implements [chat.MessageStore].
func (s *Store) Messages(ctx context.Context, thread chat.ThreadID, r chat.MessageRange) ([]chat.Event, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if r.Count <= 0 {
		return nil, nil
	}
	if r.Before == 0 {
		r.Before = lastSeq
	}
	var messages []chat.Event
	bytes := 0
	err = v.scan(ctx, eventsBetween(thread, r.After, r.Before), r.NewestFirst, func(key, value []byte) (bool, error) {
		peek, isMessage, err := peekMessage(value)
		if err != nil || !isMessage || !peek.visibleTo(r.Viewer) {
			return true, err
		}
		if wanted, err := peek.isOf(r.ContentType); err != nil || !wanted {
			return true, err
		}
		e, err := v.decodeEvent(place{thread, seqOf(key)}, value)
		if err != nil {
			return false, err
		}
		e = e.Brief()
		messages = append(messages, e)
		bytes += e.Message.Size()
		return len(messages) < r.Count && !r.Full(len(messages), bytes), nil
	})
	return messages, err
}

// visibleTo reports whether the message is visible to a user who was in the thread
// when it was sent.
func (p messagePeek) visibleTo(u chat.UserID) bool {
	return chat.Visibility{HiddenFrom: chat.UserID(p.hiddenFrom)}.To(u, 0)
}

// isOf reports whether the message is of a content type; every message is of "".
func (p messagePeek) isOf(wanted chat.ContentType) (bool, error) {
	if wanted == "" {
		return true, nil
	}
	got, err := p.contentType()
	return got == wanted, err
}

// Message implements [chat.MessageStore].
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

// MessageIn implements [chat.MessageStore].
func (s *Store) MessageIn(ctx context.Context, thread chat.ThreadID, id chat.MessageID) (chat.Event, error) {
	e, err := s.Message(ctx, id)
	if err == nil && e.Thread != thread {
		return chat.Event{}, fmt.Errorf("message %s of thread %s: %w", id, thread, chat.ErrNotFound)
	}
	return e, err
}

// event is an event with all that readers see of it.
func (v *view) event(at place) (chat.Event, bool, error) {
	return lookup(v, eventKey(at.thread, at.seq), func(raw []byte) (chat.Event, error) { return v.decodeEvent(at, raw) })
}

// record is the record of an event; of none it is an error.
func (v *view) record(at place) (record, error) {
	r, found, err := lookup(v, eventKey(at.thread, at.seq), recordAt(at))
	if err == nil && !found {
		err = fmt.Errorf("event %d of thread %s: %w", at.seq, at.thread, chat.ErrNotFound)
	}
	return r, err
}

func recordAt(at place) func([]byte) (record, error) {
	return func(raw []byte) (record, error) { return decodeRecord(at, raw) }
}

// decodeEvent makes an event of its key and value and of the keys of its reactions.
func (v *view) decodeEvent(at place, value []byte) (chat.Event, error) {
	r, err := decodeRecord(at, value)
	if err != nil {
		return chat.Event{}, err
	}
	return v.whole(r)
}

// whole is the event of a record with its reactions.
func (v *view) whole(r record) (chat.Event, error) {
	if r.reacted {
		reactions, err := v.reactions(place{r.Thread, r.Seq})
		r.Message.Reactions = reactions
		return r.Event, err
	}
	if r.Message != nil && len(r.Message.Reactions) > 0 { // of format 4
		return r.ShownTo(""), nil
	}
	return r.Event, nil
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

func (s *Store) countUnread(ctx context.Context, user chat.UserID, in chat.UnreadRange, now time.Time, max int) (int, error) {
	v, err := s.state.view()
	if err != nil {
		return 0, err
	}
	defer v.release()
	return v.countUnread(ctx, user, in, now, max)
}

func (v *view) countUnread(ctx context.Context, user chat.UserID, in chat.UnreadRange, now time.Time, max int) (int, error) {
	if max <= 0 {
		return 0, nil
	}
	n, at, before := 0, now.UnixMilli(), in.Through
	if before < lastSeq {
		before++
	}
	err := v.scan(ctx, eventsBetween(in.Thread, in.After, before), false, func(_, value []byte) (bool, error) {
		m, isMessage, err := peekMessage(value)
		if isMessage && m.start.kind != diskControl && !m.deleted && m.expiresAt > at && string(m.by) != string(user) && m.visibleTo(user) {
			n++
		}
		return n < max, err
	})
	return n, err
}

// LastClientSeqs implements [chat.MessageStore].
func (s *Store) LastClientSeqs(ctx context.Context, user chat.UserID, device chat.DeviceID, threads []chat.ThreadID) ([]*int64, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	return eachOf(ctx, threads, func(thread chat.ThreadID) (last *int64, err error) {
		of := clientSeqsPrefix(thread, user, device)
		err = v.scan(ctx, within(of), true, func(key, _ []byte) (bool, error) {
			last = new(int64(binary.BigEndian.Uint64(key[len(of):])))
			return false, nil
		})
		return last, err
	})
}
