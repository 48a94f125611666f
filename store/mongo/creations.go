package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// The idempotency key of a message is its sender's in one thread, and decided by an index of
// the log. That of a creation is its user's in all threads, which no index can decide once
// the log is sharded by thread. So it has a collection of its own: who creates a thread with a key first
// inserts a document by that key, which holds the event to be stored. Whoever comes across
// one whose event is not in the log, after a crash, stores it.

// creationDoc says which creation a user's idempotency key is for.
type creationDoc struct {
	ID      string    `bson:"_id"` // user/key
	Created eventDoc  `bson:"created"`
	Until   time.Time `bson:"until"` // from then on the key may be used again
}

// sweepCreationsEvery is with every how many new documents those that hold nothing any more
// are deleted.
const sweepCreationsEvery = 256

// isCreation reports whether an event is the creation of a thread with an idempotency key: the
// key of every other event has a space in it.
func (doc *eventDoc) isCreation() bool { return doc.Key != "" && !strings.Contains(doc.Key, " ") }

func creationID(doc eventDoc) string { return string(doc.By) + "/" + doc.Key }

// claimKey has a creation's idempotency key be for this creation. It is a *DuplicateError if
// another one has it.
func (s *Store) claimKey(ctx context.Context, doc eventDoc) error {
	if !doc.isCreation() {
		return nil
	}
	wanted := creationDoc{ID: creationID(doc), Created: doc, Until: timeOr(doc.At, doc.ID).Add(s.idempotencyWindow)}
	for {
		_, err := s.creations.InsertOne(ctx, wanted)
		if err == nil {
			return s.sweepCreations(ctx)
		}
		if !isDuplicate(err) {
			return err
		}
		holder, found, err := findOne[creationDoc](ctx, s.creations, d("_id", wanted.ID))
		switch {
		case err != nil:
			return err
		case !found: // it was released between the insert and the read
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		case holder.Created.ID == doc.ID:
			return nil
		case s.recalls(holder.Created):
			if stored, err := s.completeCreation(ctx, holder.Created); err != nil {
				return err
			} else if stored {
				return s.duplicateOf(ctx, holder.Created, chat.ByIdempotencyKey)
			}
			continue
		}
		res, err := s.creations.UpdateOne(ctx, d("_id", wanted.ID, "created._id", holder.Created.ID), d("$set", d("created", wanted.Created, "until", wanted.Until)))
		if err != nil || res.MatchedCount == 1 {
			return err
		}
	}
}

// releaseKey lets an idempotency key be used again whose creation stored nothing.
func (s *Store) releaseKey(ctx context.Context, doc eventDoc) error {
	if !doc.isCreation() {
		return nil
	}
	_, err := s.creations.DeleteOne(ctx, d("_id", creationID(doc), "created._id", doc.ID))
	return wrap("release an idempotency key", err)
}

// completeCreation stores the event of a creation, unless it is there. If it can never be
// stored, its key is released.
func (s *Store) completeCreation(ctx context.Context, doc eventDoc) (stored bool, err error) {
	begin := s.beginGroup
	if doc.Change != nil && doc.Change.Type == chat.OneToOne {
		begin = s.beginPair
	}
	err = begin(ctx, doc)
	switch {
	case err == nil:
		_, err = s.settle(ctx, doc.Thread, doc.Seq)
		return err == nil, err
	case isRefusal(err):
		return false, s.releaseKey(ctx, doc)
	}
	return false, err
}

// isRefusal reports whether a creation stored nothing and never will.
func isRefusal(err error) bool {
	var pair *chat.PairExistsError
	var dup *chat.DuplicateError
	return errors.As(err, &pair) || errors.As(err, &dup) || errors.Is(err, errExists)
}

func (s *Store) sweepCreations(ctx context.Context) error {
	if s.newCreations.Add(1)%sweepCreationsEvery != 1 {
		return nil
	}
	_, err := s.creations.DeleteMany(ctx, d("until", d("$lte", s.now())))
	return wrap("forget old idempotency keys", err)
}

// creationSent is the creation for which a user's idempotency key was used last, if it is in
// the log.
func (s *Store) creationSent(ctx context.Context, doc eventDoc) (eventDoc, bool, error) {
	holder, found, err := findOne[creationDoc](ctx, s.creations, d("_id", creationID(doc)))
	if err != nil || !found {
		return eventDoc{}, false, err
	}
	same, _, err := s.begun(ctx, holder.Created)
	return holder.Created, same, err
}

// oldKeyHolder finds the creation for which a user's idempotency key was used last by a
// node of format 4, for which an index of the log decided.
func (s *Store) oldKeyHolder(ctx context.Context, doc eventDoc) (eventDoc, bool, error) {
	return findOne[eventDoc](ctx, s.log, d("by", doc.By, "key", doc.Key, "_id", d("$ne", doc.ID)), options.FindOne().SetSort(d("gen", -1)))
}

// keepCreations gives the creations of a store of format 4 whose keys still count documents
// of their own.
func (s *Store) keepCreations(ctx context.Context, progress Progress) error {
	recent := d("created", d("$gte", s.now().Add(-s.idempotencyWindow)))
	threads, err := findAll[threadDoc](ctx, s.threads, recent, options.Find().SetProjection(d("_id", 1)))
	if err != nil {
		return fmt.Errorf("list the newest threads: %w", err)
	}
	kept := 0
	for some := range slices.Chunk(threads, insertBatch) {
		ids := make([]chat.ThreadID, len(some))
		for i, doc := range some {
			ids[i] = doc.ID
		}
		first, err := findAll[eventDoc](ctx, s.log, d("thread", d("$in", ids), "seq", int64(1)))
		if err != nil {
			return fmt.Errorf("read the creations of threads: %w", err)
		}
		var docs []creationDoc
		for _, doc := range first {
			if doc.isCreation() && s.recalls(doc) {
				docs = append(docs, creationDoc{ID: creationID(doc), Created: doc, Until: timeOr(doc.At, doc.ID).Add(s.idempotencyWindow)})
			}
		}
		if len(docs) == 0 {
			continue
		}
		_, err = s.creations.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
		if err != nil && !mongo.IsDuplicateKeyError(err) {
			return fmt.Errorf("keep the keys of creations: %w", err)
		}
		kept += len(docs)
	}
	progress(fmt.Sprintf("%d idempotency keys of new threads are kept", kept))
	return nil
}
