package mongo

import (
	"context"
	"fmt"
	"time"

	"github.com/parleyhq/parley/chat"
)

// strangersDoc is whom a user has put into threads without knowing them, as far back as it
// counts.
type strangersDoc struct {
	ID      string        `bson:"_id"` // the user
	People  []strangerDoc `bson:"people"`
	Version int64         `bson:"version"` // rises with each change
	Until   time.Time     `bson:"until"`   // from then on nobody counts
}

type strangerDoc struct {
	User chat.UserID `bson:"user"`
	At   time.Time   `bson:"at"`
}

// PutStrangers implements [chat.StrangerStore].
func (s *Store) PutStrangers(ctx context.Context, user chat.UserID, strangers []chat.UserID, most int, at time.Time) (time.Duration, error) {
	doing := "count the strangers of " + string(user)
	for range spanTries {
		doc, found, err := findOne[strangersDoc](ctx, s.strangers, d("_id", string(user)))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", doing, err)
		}
		fresh, others := doc.add(strangers, at)
		if fresh == 0 {
			return 0, nil
		}
		if wait := chat.StrangersWait(others, len(strangers), most, at); wait > 0 {
			return wait, nil
		}
		doc.ID, doc.Until = string(user), at.Add(chat.StrangersSpan)
		if stored, err := s.putStrangers(ctx, doc, found, at); err != nil || stored {
			return 0, wrap(doing, err)
		}
	}
	return 0, fmt.Errorf("%s: %w", doing, errSpanContended)
}

// add drops from the document who does not count any more, and adds those of the strangers who
// do not count yet. It tells how many these are, and when the others were noted.
func (doc *strangersDoc) add(strangers []chat.UserID, at time.Time) (fresh int, others []time.Time) {
	asked := make(map[chat.UserID]bool, len(strangers)) // whether it counts already
	for _, u := range strangers {
		asked[u] = false
	}
	var people []strangerDoc
	for _, p := range doc.People {
		if !chat.StrangerCounts(p.At, at) {
			continue
		}
		people = append(people, p)
		if _, is := asked[p.User]; is {
			asked[p.User] = true
		} else {
			others = append(others, p.At)
		}
	}
	for _, u := range strangers {
		if !asked[u] {
			people = append(people, strangerDoc{u, at})
			fresh++
		}
	}
	doc.People = people
	return fresh, others
}

// putStrangers stores a document in place of the one that was read. It reports false if that is
// not there any more.
func (s *Store) putStrangers(ctx context.Context, doc strangersDoc, found bool, at time.Time) (stored bool, err error) {
	if found {
		changed, err := s.strangers.UpdateOne(ctx, d("_id", doc.ID, "version", doc.Version),
			d("$set", d("people", doc.People, "until", doc.Until, "version", doc.Version+1)))
		return err == nil && changed.MatchedCount > 0, err
	}
	_, err = s.strangers.InsertOne(ctx, doc)
	if isDuplicate(err) {
		return false, nil
	}
	if err == nil && s.newStrangers.Add(1)%sweepSpansEvery == 1 {
		_, err = s.strangers.DeleteMany(ctx, d("until", d("$lte", at)))
	}
	return err == nil, err
}
