package mongo

import (
	"cmp"
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// An id of a one-time prekey that was taken is known for ever, and a device that lives for
// years uses up thousands. Keys are taken in order of their ids, so those that were taken are
// runs: an upload joins them in one document of their owner, and deletes theirs. That document
// is written first, and its _id is above those of the keys: a query for both finds each id in
// one of them at least.
//
// Builds of format 4 do not know the document. They write ids of installation 0 alone: these
// stay as they are while such a build can run.

// takenDoc has the ids of an owner that were taken and have no document of their own.
type takenDoc struct {
	ID      string   `bson:"_id"` // owner/taken
	Owner   string   `bson:"owner"`
	Key     int64    `bson:"key"`   // -1
	Taken   bool     `bson:"taken"` // true, as nothing in it is to be given
	Version int64    `bson:"version"`
	Runs    []runDoc `bson:"runs"` // in order, with gaps between them
}

// runDoc is a run of ids.
type runDoc struct {
	From int64 `bson:"f"`
	To   int64 `bson:"t"`
}

const (
	joinTakenFrom = 64   // ids with documents of their own, from which on they are joined
	maxTakenRuns  = 1000 // ids that would make more runs stay as they are
)

func takenID(owner string) string { return owner + "/taken" }

func (doc *takenDoc) has(key int64) bool {
	_, found := slices.BinarySearchFunc(doc.Runs, key, func(r runDoc, key int64) int {
		switch {
		case r.To < key:
			return -1
		case r.From > key:
			return 1
		}
		return 0
	})
	return found
}

// joinTakenBefore joins the ids that were taken of the kinds of which an upload has keys. What
// fails, the next upload tries again.
func (s *Store) joinTakenBefore(ctx context.Context, stored chat.StoredPrekeys, u chat.PrekeyUpload) {
	if stored.Change != "" || stored.Installation == 0 && !s.onlyNew.Load() {
		return
	}
	owners := oneTimeOwners(stored.PrekeyDevice)
	for _, kind := range chat.PrekeyKinds {
		if len(u.OneTimeOf(kind)) == 0 {
			continue
		}
		if err := s.joinTaken(ctx, owners[kind]); err != nil {
			s.logger.Warn("ids of prekeys that were taken could not be joined", "owner", owners[kind], "error", err)
		}
	}
}

// joinTaken joins the ids of an owner that were taken, if they are many. If another node does
// so at the same time, it leaves that to it.
func (s *Store) joinTaken(ctx context.Context, owner string) error {
	few := options.Find().SetProjection(d("key", 1)).SetLimit(maxTakenRuns).SetSort(d("owner", 1, "taken", 1, "key", 1))
	keys, err := findAll[oneTimeDoc](ctx, s.oneTime, d("owner", owner, "taken", true, "key", d("$gte", int64(0))), few)
	if err != nil || len(keys) < joinTakenFrom {
		return err
	}
	doc, found, err := findOne[takenDoc](ctx, s.oneTime, d("_id", takenID(owner), "owner", owner))
	if err != nil {
		return err
	}
	runs, ids := doc.Runs, make([]string, len(keys))
	for i, k := range keys {
		runs, ids[i] = append(runs, runDoc{k.Key, k.Key}), k.ID
	}
	if runs = joinedRuns(runs); len(runs) > maxTakenRuns {
		return nil
	}
	if stored, err := s.putTaken(ctx, owner, doc.Version, runs, found); err != nil || !stored {
		return err
	}
	_, err = s.oneTime.DeleteMany(ctx, d("owner", owner, "_id", d("$in", ids), "taken", true))
	return err
}

func (s *Store) putTaken(ctx context.Context, owner string, version int64, runs []runDoc, found bool) (stored bool, err error) {
	if !found {
		_, err := s.oneTime.InsertOne(ctx, takenDoc{ID: takenID(owner), Owner: owner, Key: -1, Taken: true, Version: 1, Runs: runs})
		return err == nil, unlessDuplicate(err)
	}
	result, err := s.oneTime.UpdateOne(ctx, d("_id", takenID(owner), "owner", owner, "version", version),
		bson.D{{Key: "$set", Value: d("runs", runs, "version", version+1)}})
	if err != nil {
		return false, err
	}
	return result.MatchedCount == 1, nil
}

// joinedRuns puts runs in order and joins those that touch. It writes into the slice.
func joinedRuns(runs []runDoc) []runDoc {
	slices.SortFunc(runs, func(a, b runDoc) int { return cmp.Compare(a.From, b.From) })
	joined := runs[:0]
	for _, r := range runs {
		if n := len(joined); n > 0 && r.From <= joined[n-1].To+1 {
			joined[n-1].To = max(joined[n-1].To, r.To)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}
