package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// insertBatch is how many events one command inserts: the most that the service appends
// at once.
const insertBatch = 100

// Append implements [chat.LogStore]. A thread that was never created is
// ErrNotFound.
func (s *Store) Append(ctx context.Context, head chat.Head, events []chat.Event) (int, error) {
	if len(events) == 0 {
		return 0, nil
	}
	if err := chat.CheckRun(head, events, checkNames); err != nil {
		return 0, err
	}
	thread := events[0].Thread
	prev, err := s.headAt(ctx, thread, head.Seq)
	if err != nil {
		return 0, err
	}
	docs := make([]eventDoc, len(events))
	heads := make([]headState, len(events))
	for i, h := 0, prev; i < len(events); i++ {
		docs[i] = s.newEventDoc(events[i], h)
		h = h.next(events[i])
		heads[i] = h
	}
	n, refused := s.insert(ctx, docs)
	if n == 0 {
		return 0, refused
	}
	if last := heads[n-1]; last.changed > head.Seq {
		if err := s.settleInserted(ctx, thread, prev.changed, docs[:n]); err != nil {
			return 0, fmt.Errorf("settle an append to thread %s: %w", thread, err)
		}
		refused = s.asItIsNow(ctx, refused)
	}
	s.cache.addHead(thread, heads[n-1])
	return n, refused
}

// checkNames refuses users that cannot be part of an _id.
func checkNames(e chat.Event) error {
	if r := e.Reaction; r != nil {
		return wrap("event "+e.ID.String(), checkName(r.Emoji))
	}
	c := e.Change
	if c == nil {
		return nil
	}
	errs := []error{checkName(c.User)}
	for _, m := range c.Members {
		errs = append(errs, checkName(m.User))
	}
	return wrap("event "+e.ID.String(), errors.Join(errs...))
}

// headAt is the head the log had when its end was seq. It fails if the log never
// was that long.
func (s *Store) headAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq) (headState, error) {
	if h, found := s.cache.head(thread, seq); found {
		return h, nil
	}
	last, found, err := s.head(ctx, thread)
	switch {
	case err != nil:
		return headState{}, err
	case !found:
		return headState{}, fmt.Errorf("append to thread %s: %w", thread, chat.ErrNotFound)
	case last.Seq > seq:
		return headState{}, chat.ErrStaleHead
	case last.Seq < seq:
		return headState{}, fmt.Errorf("append to thread %s: its log ends at %d, before %d", thread, last.Seq, seq)
	}
	return last, nil
}

// headFields are the fields of an event's document that make a head.
var headFields = d("at", 1, "thread", 1, "seq", 1, "kind", 1, "type", 1, "hidden", 1, "last", 1, "changed", 1, "epoch", 1)

// head reads the head of a thread's log; found is false if the thread has no log.
func (s *Store) head(ctx context.Context, thread chat.ThreadID) (headState, bool, error) {
	newest := options.FindOne().SetSort(d("seq", -1)).SetProjection(headFields).SetHint(byThreadSeq)
	doc, found, err := findOne[eventDoc](ctx, s.log, d("thread", thread), newest)
	if err != nil || !found {
		return headState{}, false, wrap("read the head of thread "+thread.String(), err)
	}
	h := doc.head()
	s.cache.addHead(thread, h)
	return h, true, nil
}

// insert adds a run of events to a log, in order. It gives how many it added, and the
// error for which it did not add the next one.
func (s *Store) insert(ctx context.Context, docs []eventDoc) (n int, err error) {
	ctx, end, err := s.causally(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	for n < len(docs) {
		inserted, duplicate, err := insertRun(ctx, s.log, docs[n:min(n+insertBatch, len(docs))])
		n += inserted
		if err != nil {
			return n, fmt.Errorf("append to thread %s: %w", docs[0].Thread, err)
		}
		if !duplicate {
			continue
		}
		if docs[n].Gen, err = s.nextGen(ctx, docs[n]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// insertRun inserts documents up to the first one that is a duplicate.
func insertRun(ctx context.Context, log *collection, docs []eventDoc) (n int, duplicate bool, err error) {
	if len(docs) == 1 {
		_, err = log.InsertOne(ctx, &docs[0])
		if err == nil {
			return 1, false, nil
		}
		return 0, isDuplicate(err), unlessDuplicate(err)
	}
	_, err = log.InsertMany(ctx, docs)
	if err == nil {
		return len(docs), false, nil
	}
	var bulk mongo.BulkWriteException
	if isDuplicate(err) && errors.As(err, &bulk) && len(bulk.WriteErrors) == 1 {
		return bulk.WriteErrors[0].Index, true, nil
	}
	return 0, false, err
}

// isDuplicate reports whether a write failed for a unique index and for nothing else. If
// it failed for the write concern, too, what it wrote before the duplicate may be lost
// yet.
func isDuplicate(err error) bool {
	if !mongo.IsDuplicateKeyError(err) {
		return false
	}
	var bulk mongo.BulkWriteException
	var one mongo.WriteException
	switch {
	case errors.As(err, &bulk):
		return bulk.WriteConcernError == nil
	case errors.As(err, &one):
		return one.WriteConcernError == nil
	}
	return true
}

func unlessDuplicate(err error) error {
	if isDuplicate(err) {
		return nil
	}
	return err
}

// wrap says in err what was being done; a nil err stays nil.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
