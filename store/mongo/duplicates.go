package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// nextGen finds out for which unique index an event was refused, which not every server
// tells, and gives the error for it. An idempotency key that was used in an earlier
// idempotency window is no error: the event may be inserted with the Gen that it gives.
func (s *Store) nextGen(ctx context.Context, doc eventDoc) (int64, error) {
	place := options.FindOne().SetProjection(d("_id", 1)).SetHint(byThreadSeq)
	_, stale, err := findOne[eventDoc](ctx, s.log, d("thread", doc.Thread, "seq", doc.Seq), place)
	if err != nil {
		return 0, fmt.Errorf("find out why event %s was refused: %w", doc.ID, err)
	}
	if stale {
		return 0, chat.ErrStaleHead
	}
	holder, used, err := s.heldBefore(ctx, doc)
	switch {
	case err != nil:
		return 0, err
	case used && doc.Gen <= holder.Gen:
		return holder.Gen + 1, nil
	}
	return 0, fmt.Errorf("event %s was refused as a duplicate of nothing that is there", doc.ID)
}

// heldBefore is sentBefore for an event that was refused. The key of a creation is claimed by
// then: only a node of format 4 may have used it otherwise.
func (s *Store) heldBefore(ctx context.Context, doc eventDoc) (eventDoc, bool, error) {
	if !doc.isCreation() {
		return s.sentBefore(ctx, doc)
	}
	holder, used, err := s.oldKeyHolder(ctx, doc)
	if err != nil {
		return holder, used, fmt.Errorf("look for the idempotency key of event %s: %w", doc.ID, err)
	}
	if used && s.recalls(holder) {
		return holder, used, s.duplicateOf(ctx, holder, chat.ByIdempotencyKey)
	}
	return holder, used, nil
}

// SentBefore implements [chat.LogStore].
func (s *Store) SentBefore(ctx context.Context, e chat.Event) error {
	_, _, err := s.sentBefore(ctx, newEventDoc(e, headState{}))
	return err
}

// sentBefore is a *DuplicateError if the event was sent before. Otherwise it gives the
// event that used its idempotency key last, in an earlier idempotency window.
func (s *Store) sentBefore(ctx context.Context, doc eventDoc) (holder eventDoc, used bool, err error) {
	holder, used, err = s.keyHolder(ctx, doc)
	if err != nil {
		return holder, used, fmt.Errorf("look for the idempotency key of event %s: %w", doc.ID, err)
	}
	if used && s.recalls(holder) {
		return holder, used, s.duplicateOf(ctx, holder, chat.ByIdempotencyKey)
	}
	if doc.isCreation() {
		return holder, used, nil
	}
	device := d("thread", doc.Thread, "by", doc.By, "device", doc.Device, "client_seq", doc.ClientSeq)
	sent, same, err := findOne[eventDoc](ctx, s.log, device, options.FindOne().SetHint(byClientSeq))
	if err == nil && same {
		return holder, used, s.duplicateOf(ctx, sent, chat.ByClientSeq)
	}
	return holder, used, wrap("look for the client_seq of event "+doc.ID.String(), err)
}

func (s *Store) duplicateOf(ctx context.Context, doc eventDoc, by chat.DuplicateOf) error {
	existing, err := s.shownOne(ctx, doc)
	if err != nil {
		return err
	}
	return &chat.DuplicateError{By: by, Existing: existing}
}

// asItIsNow reads the original of a duplicate again: the events of the same append that
// were stored before the duplicate may have changed it.
func (s *Store) asItIsNow(ctx context.Context, refused error) error {
	dup, ok := errors.AsType[*chat.DuplicateError](refused)
	if !ok || dup.Existing.Kind != chat.KindMessage {
		return refused
	}
	now, err := s.MessageIn(ctx, dup.Existing.Thread, dup.Existing.ID)
	if err != nil {
		return err
	}
	return &chat.DuplicateError{By: dup.By, Existing: now}
}

// keyHolder finds the event for which a sender used an idempotency key last.
func (s *Store) keyHolder(ctx context.Context, doc eventDoc) (eventDoc, bool, error) {
	if doc.isCreation() {
		return s.creationSent(ctx, doc)
	}
	own := d("thread", doc.Thread, "by", doc.By, "key", doc.Key)
	return findOne[eventDoc](ctx, s.log, own, options.FindOne().SetSort(d("gen", -1)).SetHint(byThreadKey))
}

// recalls reports whether an event is recent enough for its idempotency key to count.
func (s *Store) recalls(doc eventDoc) bool {
	return !timeOr(doc.At, doc.ID).Before(s.now().Add(-s.idempotencyWindow))
}
