package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// nextGen finds out for which of its unique keys an event was refused, as the
// server need not tell which, and gives that refusal. An idempotency key that was
// used in an earlier window is none: the event may be inserted with a higher Gen.
func (s *Store) nextGen(ctx context.Context, doc eventDoc) (int64, error) {
	place := options.FindOne().SetProjection(d("_id", 1)).SetHint(byThreadSeq)
	_, taken, err := findOne[eventDoc](ctx, s.log, d("thread", doc.Thread, "seq", doc.Seq), place)
	if err != nil {
		return 0, fmt.Errorf("find out why event %s was refused: %w", doc.ID, err)
	}
	if taken {
		return 0, chat.ErrStaleHead
	}
	holder, used, err := s.keyHolder(ctx, doc.By, doc.Key)
	if err != nil {
		return 0, fmt.Errorf("find out why event %s was refused: %w", doc.ID, err)
	}
	if used && s.recalls(holder) {
		return 0, duplicateOf(holder, chat.ByIdempotencyKey)
	}
	device := d("thread", doc.Thread, "by", doc.By, "device", doc.Device, "client_seq", doc.ClientSeq)
	sent, same, err := findOne[eventDoc](ctx, s.log, device, options.FindOne().SetHint(byClientSeq))
	switch {
	case err != nil:
		return 0, fmt.Errorf("find out why event %s was refused: %w", doc.ID, err)
	case same:
		return 0, duplicateOf(sent, chat.ByClientSeq)
	case used && doc.Gen <= holder.Gen:
		return holder.Gen + 1, nil
	}
	return 0, fmt.Errorf("event %s was refused as a duplicate of nothing that is there", doc.ID)
}

func duplicateOf(doc eventDoc, by chat.DuplicateOf) error {
	existing, err := doc.event()
	if err != nil {
		return err
	}
	return &chat.DuplicateError{By: by, Existing: existing}
}

// asItIsNow reads again what a refused message is a duplicate of: what was stored
// before the refusal may have changed it.
func (s *Store) asItIsNow(ctx context.Context, refused error) error {
	dup, ok := errors.AsType[*chat.DuplicateError](refused)
	if !ok || dup.Existing.Kind != chat.KindMessage {
		return refused
	}
	now, err := s.Message(ctx, dup.Existing.ID)
	if err != nil {
		return err
	}
	return &chat.DuplicateError{By: dup.By, Existing: now}
}

// keyHolder is the event that used a sender's key last.
func (s *Store) keyHolder(ctx context.Context, by chat.UserID, key string) (eventDoc, bool, error) {
	return findOne[eventDoc](ctx, s.log, d("by", by, "key", key), options.FindOne().SetSort(d("gen", -1)).SetHint(bySenderKey))
}

// recalls reports whether an event's idempotency key still counts.
func (s *Store) recalls(doc eventDoc) bool {
	return !chat.Event{ID: doc.ID}.At().Before(s.now().Add(-s.window))
}
