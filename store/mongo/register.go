package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/parleyhq/parley/chat"
)

// nodeDoc says when a node was last heard of, by the database's clock.
type nodeDoc struct {
	ID int64     `bson:"_id"` // the node
	At time.Time `bson:"at"`
}

// How old what a node said may be: until then it lives; after that it is forgotten.
const (
	liveFor       = 7 * time.Second
	rememberNodes = time.Hour
)

// Live implements [chat.Register]. No clock but the database's is in it: the others are
// compared with the node's own document, which was written a moment ago.
func (s *Store) Live(ctx context.Context, n chat.NodeID) ([]chat.NodeID, error) {
	own, now := d("_id", int64(n)), d("$currentDate", d("at", true))
	result, err := s.nodes.UpdateOne(ctx, own, now)
	if err == nil && result.MatchedCount == 0 {
		if _, err = s.nodes.InsertOne(ctx, own); err == nil || mongo.IsDuplicateKeyError(err) {
			_, err = s.nodes.UpdateOne(ctx, own, now)
		}
	}
	if err != nil {
		return nil, wrap("say that the node lives", err)
	}
	all, err := findAll[nodeDoc](ctx, s.nodes, d())
	if err != nil {
		return nil, wrap("list the nodes", err)
	}
	var at time.Time
	for _, node := range all {
		if node.ID == int64(n) {
			at = node.At
		}
	}
	var live []chat.NodeID
	for _, node := range all {
		switch age := at.Sub(node.At); {
		case age <= liveFor:
			live = append(live, chat.NodeID(node.ID))
		case age > rememberNodes:
			if _, err := s.nodes.DeleteOne(ctx, d("_id", node.ID, "at", node.At)); err != nil {
				return nil, wrap("forget a node", err)
			}
		}
	}
	return live, nil
}

// Leave implements [chat.Register].
func (s *Store) Leave(ctx context.Context, n chat.NodeID) error {
	_, err := s.nodes.DeleteOne(ctx, d("_id", int64(n)))
	return wrap("take the node off the list", err)
}

// Database is the name of the database.
func (s *Store) Database() string { return s.db.Name() }
