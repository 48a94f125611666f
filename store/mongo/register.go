package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/parleyhq/parley/chat"
)

// nodeDoc says how a node stood when it was last heard of, by the database's clock. What it
// says of itself is missing in a document of an older build.
type nodeDoc struct {
	ID     int64        `bson:"_id"` // the node
	At     time.Time    `bson:"at"`
	Began  chat.EventID `bson:"began"`
	Closed chat.EventID `bson:"closed"`
	Skew   int64        `bson:"skew"` // in ms
}

// rememberNodes is how old what a node said may be before it is forgotten.
const rememberNodes = time.Hour

// Live implements [chat.Register]. No clock but the database's decides who lives: the others
// are compared with the node's own document, which was written a moment ago.
func (s *Store) Live(ctx context.Context, own chat.Standing) ([]chat.Standing, error) {
	id := d("_id", int64(own.Node))
	now := d("$currentDate", d("at", true), "$set", d("began", own.Began, "closed", own.Closed, "skew", own.Skew.Milliseconds()))
	result, err := s.nodes.UpdateOne(ctx, id, now)
	if err == nil && result.MatchedCount == 0 {
		if _, err = s.nodes.InsertOne(ctx, id); err == nil || mongo.IsDuplicateKeyError(err) {
			_, err = s.nodes.UpdateOne(ctx, id, now)
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
		if node.ID == int64(own.Node) {
			at = node.At
		}
	}
	var live []chat.Standing
	for _, node := range all {
		switch age := at.Sub(node.At); {
		case age <= chat.LiveFor:
			live = append(live, chat.Standing{
				Node: chat.NodeID(node.ID), Began: node.Began, Closed: node.Closed, Skew: time.Duration(node.Skew) * time.Millisecond,
			})
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
