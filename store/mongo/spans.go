package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parleyhq/parley/chat"
)

// spanDoc is when somebody did something that is limited, as far back as the limit looks.
type spanDoc struct {
	ID      string    `bson:"_id"`     // what/who
	Times   []int64   `bson:"times"`   // in milliseconds, in order
	Version int64     `bson:"version"` // rises with each change
	Until   time.Time `bson:"until"`   // from then on it limits nothing
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
