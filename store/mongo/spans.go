package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// spanDoc is when somebody did something that is limited, as far back as the limit looks.
type spanDoc struct {
	ID      string    `bson:"_id"`          // what/who
	Times   []int64   `bson:"times"`        // in milliseconds, in order
	Version int64     `bson:"version"`      // rises with each change
	Until   time.Time `bson:"until"`        // from then on it limits nothing
	By      int64     `bson:"by,omitempty"` // the call that changed it last, if that changed several
}

// spanTries is how often a change is tried that others are faster with, each time by one.
const spanTries = 64

// sweepSpansEvery is with every how many new documents those that limit nothing are deleted.
const sweepSpansEvery = 256

var _ chat.SpanLimiter = (*Store)(nil)

// SpendInSpan implements [chat.SpanLimiter].
func (s *Store) SpendInSpan(ctx context.Context, who string, times int, span time.Duration, now time.Time) (time.Duration, error) {
	for range spanTries {
		doc, found, err := findOne[spanDoc](ctx, s.spans, d("_id", who))
		if err != nil {
			return 0, fmt.Errorf("read the times of %s: %w", who, err)
		}
		doc.drop(span, now)
		if len(doc.Times) >= times {
			return max(time.Millisecond, span-now.Sub(time.UnixMilli(doc.Times[0]))), nil
		}
		doc.ID, doc.Times, doc.Until = who, append(doc.Times, now.UnixMilli()), now.Add(span)
		if stored, err := s.putSpan(ctx, doc, found, now); err != nil || stored {
			return 0, wrap("store the times of "+who, err)
		}
	}
	return 0, fmt.Errorf("store the times of %s: %w", who, errSpanContended)
}

// SpendEachInSpan implements [chat.SpanLimiter]. What it changed of several, while others change
// them too, it finds by its number in them.
func (s *Store) SpendEachInSpan(ctx context.Context, who []string, times int, span time.Duration, now time.Time) ([]bool, error) {
	if len(who) == 0 {
		return nil, nil
	}
	found, err := findAll[spanDoc](ctx, s.spans, d("_id", d("$in", who)))
	if err != nil {
		return nil, fmt.Errorf("read the times of %d: %w", len(who), err)
	}
	docs := make(map[string]spanDoc, len(found))
	for _, doc := range found {
		docs[doc.ID] = doc
	}
	by := 1 + rand.Int64N(1<<53)
	over := make(map[string]bool)
	var changes []mongo.WriteModel
	var added []spanDoc
	for _, id := range who {
		doc, known := docs[id]
		doc.drop(span, now)
		if len(doc.Times) >= times {
			over[id] = true
			continue
		}
		doc.ID, doc.Times, doc.Until, doc.By = id, append(doc.Times, now.UnixMilli()), now.Add(span), by
		if !known {
			added = append(added, doc)
			continue
		}
		changes = append(changes, mongo.NewUpdateOneModel().SetFilter(d("_id", id, "version", doc.Version)).
			SetUpdate(d("$set", d("times", doc.Times, "until", doc.Until, "version", doc.Version+1, "by", by))))
	}
	if err := s.putSpans(ctx, added, changes); err != nil {
		return nil, fmt.Errorf("store the times of %d: %w", len(who), err)
	}
	mine, err := findAll[spanDoc](ctx, s.spans, d("_id", d("$in", who), "by", by))
	if err != nil {
		return nil, fmt.Errorf("read the times of %d: %w", len(who), err)
	}
	changed := make(map[string]bool, len(mine))
	for _, doc := range mine {
		changed[doc.ID] = true
	}
	spent := make([]bool, len(who))
	for i, id := range who {
		spent[i] = changed[id]
		if !changed[id] && !over[id] { // others were faster
			wait, err := s.SpendInSpan(ctx, id, times, span, now)
			if err != nil {
				return nil, err
			}
			spent[i] = wait == 0
		}
	}
	return spent, nil
}

func (s *Store) putSpans(ctx context.Context, added []spanDoc, changes []mongo.WriteModel) error {
	if len(changes) > 0 {
		if _, err := s.spans.BulkWrite(ctx, changes, options.BulkWrite().SetOrdered(false)); err != nil {
			return err
		}
	}
	if len(added) == 0 {
		return nil
	}
	_, err := s.spans.InsertMany(ctx, added, options.InsertMany().SetOrdered(false))
	return unlessDuplicate(err)
}

var errSpanContended = errors.New("others change them all the time")

// drop leaves only the times within the span; one that far ahead is of a clock that was wrong.
func (doc *spanDoc) drop(span time.Duration, now time.Time) {
	var within []int64
	for _, ms := range doc.Times {
		if now.Sub(time.UnixMilli(ms)).Abs() < span {
			within = append(within, ms)
		}
	}
	doc.Times = within
}

// putSpan stores a document in place of the one that was read. It reports false if that is
// not there any more.
func (s *Store) putSpan(ctx context.Context, doc spanDoc, found bool, now time.Time) (stored bool, err error) {
	if found {
		changed, err := s.spans.UpdateOne(ctx, d("_id", doc.ID, "version", doc.Version),
			d("$set", d("times", doc.Times, "until", doc.Until, "version", doc.Version+1)))
		return err == nil && changed.MatchedCount > 0, err
	}
	_, err = s.spans.InsertOne(ctx, doc)
	if isDuplicate(err) {
		return false, nil
	}
	if err == nil && s.newSpans.Add(1)%sweepSpansEvery == 1 {
		_, err = s.spans.DeleteMany(ctx, d("until", d("$lte", now)))
	}
	return err == nil, err
}
