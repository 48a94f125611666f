package mongo

import (
	"context"
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// A 1:1 first takes its pair of people, with a document that has the creation in
// it, and then begins its log. Between the two, and after a crash between them,
// whoever wants the same pair begins that log for it.
//
// The creation may be refused then, by an idempotency key that the creator has
// used meanwhile. That is decided by the unique index alone, with the Gen that was
// chosen before the pair was taken: so it is for ever, all agree on it, and the
// pair may be given back.

// beginPair begins the log of a 1:1.
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
		if err := s.chooseGen(ctx, &doc); err != nil {
			return err
		}
		holder, err := s.takePair(ctx, pairDoc{ID: id, Thread: doc.Thread, Created: doc})
		if err != nil {
			return err
		}
		stored, err := s.beginFor(ctx, holder)
		switch {
		case err != nil:
			return err
		case stored && holder.Thread == doc.Thread:
			return nil
		case stored:
			if _, err := s.settle(ctx, holder.Thread, holder.Created.Seq); err != nil {
				return err
			}
			return &chat.PairExistsError{Thread: holder.Thread}
		}
	}
}

// pairID is the two users in order.
func pairID(c *changeDoc) (string, error) {
	if len(c.Members) != 2 {
		return "", fmt.Errorf("a 1:1 of %d people", len(c.Members))
	}
	a, b := c.Members[0].User, c.Members[1].User
	return string(min(a, b)) + "/" + string(max(a, b)), nil
}

// begun reports whether the thread's log has begun: with this very event, or with
// another.
func (s *Store) begun(ctx context.Context, doc eventDoc) (same, other bool, err error) {
	first, found, err := findOne[eventDoc](ctx, s.log, d("thread", doc.Thread, "seq", doc.Seq))
	return found && first.ID == doc.ID, found && first.ID != doc.ID, err
}

// chooseGen numbers the use of the creation's idempotency key. It fails if the key
// still counts.
func (s *Store) chooseGen(ctx context.Context, doc *eventDoc) error {
	if key, _ := doc.retry(); key == "" {
		return nil
	}
	holder, used, err := s.keyHolder(ctx, doc.By, doc.Key)
	if err != nil || !used {
		return err
	}
	if s.recalls(holder) {
		return duplicateOf(holder, chat.ByIdempotencyKey)
	}
	doc.Gen = holder.Gen + 1
	return nil
}

// takePair takes a pair of people for a thread, and gives who has it.
func (s *Store) takePair(ctx context.Context, wanted pairDoc) (pairDoc, error) {
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
		if ctx.Err() != nil { // it was given back in between
			return pairDoc{}, context.Cause(ctx)
		}
	}
}

// beginFor begins the log of the thread that has a pair, if it has not begun. If
// that is refused it gives the pair back.
func (s *Store) beginFor(ctx context.Context, p pairDoc) (stored bool, err error) {
	if same, _, err := s.begun(ctx, p.Created); err != nil || same {
		return same, err
	}
	_, duplicate, err := insertRun(ctx, s.log, []eventDoc{p.Created})
	if err != nil || !duplicate {
		return err == nil, err
	}
	if same, _, err := s.begun(ctx, p.Created); err != nil || same {
		return same, err
	}
	_, err = s.pairs.DeleteOne(ctx, d("_id", p.ID, "thread", p.Thread))
	return false, err
}
