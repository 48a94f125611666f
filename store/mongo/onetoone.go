package mongo

import (
	"context"
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// A 1:1 is created by two inserts. The first claims the pair of users, with a document
// that holds the event of the creation; the second inserts that event into the log.
// Another creation for the same pair that comes between the two, or after a crash
// between them, makes the second insert on behalf of the first.
//
// Where nodes of format 4 run, too, an index of the log may refuse the second insert, if the creator
// has used the same idempotency key for another event meanwhile. That index decides by the Gen
// that was chosen before the pair was claimed. So every attempt at this insert gets the same
// answer for ever, and the claim may be deleted.

// beginPair claims the pair of a 1:1 and inserts the first event of its log.
func (s *Store) beginPair(ctx context.Context, doc eventDoc) error {
	id, err := pairID(doc.Change)
	if err != nil {
		return err
	}
	for {
		same, other, err := s.begun(ctx, doc)
		if err != nil || same {
			return err
		}
		if other {
			return errExists
		}
		holder, err := s.claimPair(ctx, pairDoc{ID: id, Thread: doc.Thread, Created: doc})
		if err != nil {
			return err
		}
		stored, now, err := s.beginFor(ctx, holder)
		switch {
		case err != nil:
			return err
		case stored && holder.Thread == doc.Thread:
			return nil
		case stored:
			if _, err := s.settle(ctx, holder.Thread, holder.Created.Seq); err != nil {
				return err
			}
			return pairExists(holder, now)
		}
		old, used, err := s.heldBefore(ctx, doc)
		if err != nil {
			return err
		}
		if used {
			doc.Gen = old.Gen + 1
		}
	}
}

// pairExists is what a creation is told whose pair has a thread; now says that this one's call
// has completed that.
func pairExists(holder pairDoc, now bool) error {
	exists := &chat.PairExistsError{Thread: holder.Thread}
	if now {
		begun, err := holder.Created.event()
		if err != nil {
			return err
		}
		exists.Begun = &begun
	}
	return exists
}

// pairID is the two users in order.
func pairID(c *changeDoc) (string, error) {
	if len(c.Members) != 2 {
		return "", fmt.Errorf("a 1:1 of %d people", len(c.Members))
	}
	a, b := c.Members[0].User, c.Members[1].User
	return orderedPair(a, b), nil
}

func orderedPair(a, b chat.UserID) string { return string(min(a, b)) + "/" + string(max(a, b)) }

// begun reports whether the thread's log has a first event: this one, or another.
func (s *Store) begun(ctx context.Context, doc eventDoc) (same, other bool, err error) {
	first, found, err := findOne[eventDoc](ctx, s.log, d("thread", doc.Thread, "seq", doc.Seq))
	return found && first.ID == doc.ID, found && first.ID != doc.ID, err
}

// claimPair claims a pair of users for a thread, unless another thread has it, and gives
// the document of the thread that has it.
func (s *Store) claimPair(ctx context.Context, wanted pairDoc) (pairDoc, error) {
	for {
		_, err := s.pairs.InsertOne(ctx, wanted)
		if err == nil {
			return wanted, nil
		}
		if !isDuplicate(err) {
			return pairDoc{}, err
		}
		holder, found, err := findOne[pairDoc](ctx, s.pairs, d("_id", wanted.ID))
		if err != nil || found {
			return holder, err
		}
		if ctx.Err() != nil { // the claim was deleted between the insert and the read
			return pairDoc{}, context.Cause(ctx)
		}
	}
}

// beginFor inserts the first event of the thread that has claimed a pair, unless it is
// there; now says that it was not. If the insert is refused, it deletes the claim.
func (s *Store) beginFor(ctx context.Context, p pairDoc) (stored, now bool, err error) {
	if same, _, err := s.begun(ctx, p.Created); err != nil || same {
		return same, false, err
	}
	_, duplicate, err := insertRun(ctx, s.log, []eventDoc{p.Created})
	if err != nil || !duplicate {
		return err == nil, err == nil, err
	}
	if same, _, err := s.begun(ctx, p.Created); err != nil || same {
		return same, false, err
	}
	_, err = s.pairs.DeleteOne(ctx, d("_id", p.ID, "thread", p.Thread))
	return false, false, err
}
