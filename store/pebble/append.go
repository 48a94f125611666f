package pebble

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// Append implements [chat.LogStore]. A thread that was never created is
// ErrNotFound. A context that ends while the commit is on its way does not stop
// it: the batch may be on the disk already.
func (s *Store) Append(ctx context.Context, head chat.Head, events []chat.Event) (int, error) {
	if len(events) == 0 {
		return 0, nil
	}
	if err := chat.CheckRun(head, events, checkStorable); err != nil {
		return 0, err
	}
	thread := events[0].Thread
	v, done, err := s.locked(ctx, appendNames(thread, events)...)
	if err != nil {
		return 0, err
	}
	defer done()

	stored, err := s.heads.get(v, thread)
	switch {
	case err != nil:
		return 0, err
	case stored.Seq == 0:
		return 0, fmt.Errorf("append to thread %s: %w", thread, chat.ErrNotFound)
	case stored.Seq != head.Seq:
		return 0, chat.ErrStaleHead
	}
	w := s.newLogWriter(v, stored)
	w.locked = true
	defer w.discard()
	n, refused := w.addUntilRefused(ctx, events, s.recalledSince())
	if n == 0 {
		return 0, refused
	}
	if err := s.commitLog(ctx, thread, w); err != nil {
		return 0, err
	}
	return n, refused
}

// appendNames are the locks of an append: its thread and its idempotency keys. A
// client_seq belongs to one thread and is covered by the thread's lock.
func appendNames(thread chat.ThreadID, events []chat.Event) []string {
	names := append(make([]string, 0, 1+len(events)), string(threadKey(thread)))
	for _, e := range events {
		if name := idempotencyName(e); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// addUntilRefused adds events to the batch up to the first one that is refused.
func (w *logWriter) addUntilRefused(ctx context.Context, events []chat.Event, since time.Time) (n int, refused error) {
	if len(events) > 1 {
		w.gathered = make(map[string]chat.Event)
	}
	for i, e := range events {
		if e.Kind == chat.KindMessage {
			if err := w.duplicate(ctx, e, since); err != nil {
				return i, err
			}
		}
		if err := w.add(e); err != nil {
			return i, err
		}
	}
	return len(events), nil
}

// commitLog commits a logWriter's batch with the head that its last event leads to.
func (s *Store) commitLog(ctx context.Context, thread chat.ThreadID, w *logWriter) error {
	head := headRecord{w.head.Head, w.pinned}
	w.set(headKey(thread), encodeHead(head))
	b := w.batch
	w.batch = nil // commit closes it
	if err := s.state.commitEvents(ctx, b, head.ID); err != nil {
		return fmt.Errorf("append to thread %s: %w", thread, err)
	}
	s.heads.put(thread, head)
	return nil
}

// logWriter makes one batch of events of one thread: the events, their indexes, and what
// they change in messages, the thread and its stints.
type logWriter struct {
	store  *Store
	view   *view
	batch  *pebble.Batch
	locked bool // the caller holds the thread's lock, and has since before the view
	// head is a thread of which only the Head is used: Thread.Apply says how that moves.
	head   chat.Thread
	pinned bool // whether the thread has pins
	// thread is the thread after the batch's last change of it; nil while there is none.
	thread *chat.Thread
	// gathered are the batch's events by idempotency key and by client_seq, so that a
	// later event can be recognised as their duplicate; nil if no later event follows.
	gathered map[string]chat.Event
	// counted is the highest client_seq in the batch, by client.
	counted map[client]int64
	// changed are the stored messages that the batch changes, as it leaves them but for
	// their reactions. reactions are its events that change those, and rows what it wrote
	// for them.
	changed   map[chat.Seq]record
	reactions []chat.Event
	rows      map[string][]byte
}

func (s *Store) newLogWriter(v *view, head headRecord) *logWriter {
	return &logWriter{store: s, view: v, batch: s.db.NewBatch(), head: chat.Thread{Head: head.Head}, pinned: head.pinned}
}

// discard closes a batch that was not committed.
func (w *logWriter) discard() {
	if w.batch != nil {
		_ = w.batch.Close()
	}
}

// set and unset cannot fail: a batch fails only when it is committed.
func (w *logWriter) set(key, value []byte) { _ = w.batch.Set(key, value, nil) }

func (w *logWriter) unset(key []byte) { _ = w.batch.Delete(key, nil) }

// add adds the next event to the batch. If it fails, the batch is as it was.
func (w *logWriter) add(e chat.Event) error {
	if err := checkNames(e); err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	value, err := encodeEvent(e)
	if err != nil {
		return err
	}
	switch e.Kind {
	case chat.KindMessage:
		w.addMessage(e)
	case chat.KindThread:
		err = w.addChange(e)
	default:
		err = w.addFold(e)
	}
	if err != nil {
		return err
	}
	w.addIdempotencyKey(e)
	w.head = w.head.Apply(e)
	w.set(eventKey(e.Thread, e.Seq), value)
	w.set(eventIDKey(e.Thread, e.ID), encodeSeq(e.Seq))
	return nil
}

func (w *logWriter) addMessage(e chat.Event) {
	at, m := encodePlace(place{e.Thread, e.Seq}), e.Message
	w.set(messageKey(e.ID), at)
	key := clientSeqKey(e.Thread, e.By, e.Device, m.ClientSeq)
	w.noteClientSeq(clientOf(e), m.ClientSeq)
	w.set(key, encodeSeq(e.Seq))
	w.noteGathered(string(key), e)
	if !m.ExpiresAt.IsZero() {
		w.set(expiryKey(m.ExpiresAt, place{e.Thread, e.Seq}), nil)
	}
}

// noteClientSeq keeps the highest client_seq of a client in the batch.
func (w *logWriter) noteClientSeq(c client, n int64) {
	w.store.clientSeqs.raise(c, n)
	if w.gathered == nil {
		return
	}
	if w.counted == nil {
		w.counted = make(map[client]int64)
	}
	w.counted[c] = max(w.counted[c], n)
}

// addIdempotencyKey stores the key of the request that made the event, by which a retry
// is recognised.
func (w *logWriter) addIdempotencyKey(e chat.Event) {
	if key, _ := e.Retry(); key != "" {
		w.store.keyDays.add(dayOf(e.At))
		w.set(idempotencyKey(dayOf(e.At), e.By, e.RetryIn(), key), encodePlace(place{e.Thread, e.Seq}))
		w.noteGathered(idempotencyName(e), e)
	}
}

// addChange applies a change of the thread, and writes the thread and the stints that
// begin or end with it.
func (w *logWriter) addChange(e chat.Event) error {
	before, err := w.loadThread(e.Thread)
	if err != nil {
		return err
	}
	after := before.Apply(e)
	w.setThread(after)
	for _, p := range before.Participants {
		if _, stays := after.Participant(p.User); !stays {
			err := w.endStint(e.Thread, p, e.Seq)
			if err != nil {
				return err
			}
		}
	}
	for _, p := range after.Participants {
		if p.JoinedSeq == e.Seq {
			if err := w.beginStint(e.Thread, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadThread is the thread as the batch leaves it so far.
func (w *logWriter) loadThread(id chat.ThreadID) (chat.Thread, error) {
	if w.thread != nil {
		return *w.thread, nil
	}
	return w.view.thread(id)
}

func (w *logWriter) setThread(t chat.Thread) {
	w.thread, w.pinned = &t, len(t.Pins) > 0
	w.set(threadKey(t.ID), encodeThread(t))
}

// endStint keeps of what the user kept of the thread only how often that was changed.
func (w *logWriter) endStint(thread chat.ThreadID, p chat.Participant, left chat.Seq) error {
	own, err := w.view.own(p.User, thread)
	if err == nil {
		w.setStint(thread, p.User, membership{p.JoinedSeq, left, chat.FreshState(p.JoinedSeq, false, own.Revision)})
	}
	return err
}

// beginStint begins to count where the user's stint before this one, if there was any, ended.
func (w *logWriter) beginStint(thread chat.ThreadID, p chat.Participant) error {
	var before chat.OwnState
	if p.JoinedSeq > 1 {
		var err error
		if before, err = w.view.own(p.User, thread); err != nil {
			return err
		}
	}
	w.setStint(thread, p.User, membership{joined: p.JoinedSeq, own: chat.FreshState(p.JoinedSeq, p.Pending, before.Revision)})
	return nil
}

func (w *logWriter) setStint(thread chat.ThreadID, user chat.UserID, m membership) {
	w.set(stintKey(thread, user, m.joined), encodeSeq(m.left))
	w.set(userThreadKey(user, thread), encodeMembership(m))
}

// checkNames refuses ids that cannot be part of a key.
func checkNames(e chat.Event) error {
	errs := []error{checkName(e.By), checkName(e.Device)}
	if r := e.Reaction; r != nil {
		errs = append(errs, checkName(r.Emoji))
	}
	if c := e.Change; c != nil {
		errs = append(errs, checkName(c.User))
		for _, m := range c.Members {
			errs = append(errs, checkName(m.User))
		}
	}
	return errors.Join(errs...)
}
