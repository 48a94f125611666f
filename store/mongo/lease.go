package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/parleyhq/parley/chat"
)

// leaseDoc is how a lease stands. A write that is lost in a failover has two nodes do what one
// should, for a while.
type leaseDoc struct {
	ID     string `bson:"_id"` // lease/name
	Holder int64  `bson:"holder"`
	Turn   int64  `bson:"turn"`
}

var _ chat.Leaser = (*Store)(nil)

func leaseID(name string) string { return "lease/" + name }

// Lease implements [chat.Leaser].
func (s *Store) Lease(ctx context.Context, name string) (chat.LeaseState, error) {
	doc, _, err := findOne[leaseDoc](ctx, s.quickMeta, d("_id", leaseID(name)))
	return chat.LeaseState{Holder: chat.NodeID(doc.Holder), Turn: doc.Turn}, wrap("look at the lease of "+name, err)
}

// GiveLease implements [chat.Leaser].
func (s *Store) GiveLease(ctx context.Context, name string, seen chat.LeaseState, to chat.NodeID) (bool, error) {
	doing := "take the lease of " + name
	if seen.Turn == 0 {
		_, err := s.quickMeta.InsertOne(ctx, leaseDoc{leaseID(name), int64(to), 1})
		if mongo.IsDuplicateKeyError(err) {
			return false, nil
		}
		return err == nil, wrap(doing, err)
	}
	result, err := s.quickMeta.UpdateOne(ctx, d("_id", leaseID(name), "turn", seen.Turn, "holder", int64(seen.Holder)),
		d("$set", d("holder", int64(to)), "$inc", d("turn", int64(1))))
	if err != nil {
		return false, wrap(doing, err)
	}
	return result.MatchedCount == 1, nil
}
