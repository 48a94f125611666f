package mongo

import (
	"context"
	"fmt"
	"time"

	"github.com/parleyhq/parley/chat"
)

type blockDoc struct {
	ID      string      `bson:"_id"` // user/blocked
	User    chat.UserID `bson:"user"`
	Blocked chat.UserID `bson:"blocked"`
	At      time.Time   `bson:"at"`
}

func blockID(user, blocked chat.UserID) string { return string(user) + "/" + string(blocked) }

// PutBlock implements [chat.BlockStore].
func (s *Store) PutBlock(ctx context.Context, b chat.Block) error {
	if err := checkName(b.User, b.Blocked); err != nil {
		return err
	}
	_, err := s.blocks.InsertOne(ctx, blockDoc{ID: blockID(b.User, b.Blocked), User: b.User, Blocked: b.Blocked, At: b.At})
	return wrap("store a block of "+string(b.User), unlessDuplicate(err))
}

// DeleteBlock implements [chat.BlockStore].
func (s *Store) DeleteBlock(ctx context.Context, user, blocked chat.UserID) error {
	_, err := s.blocks.DeleteOne(ctx, d("_id", blockID(user, blocked)))
	return wrap("remove a block of "+string(user), err)
}

// Blocks implements [chat.BlockStore].
func (s *Store) Blocks(ctx context.Context, user chat.UserID) ([]chat.Block, error) {
	docs, err := findAll[blockDoc](ctx, s.blocks, prefixed(string(user)))
	if err != nil {
		return nil, fmt.Errorf("read the blocks of %s: %w", user, err)
	}
	blocks := make([]chat.Block, len(docs))
	for i, doc := range docs {
		blocks[i] = chat.Block{User: doc.User, Blocked: doc.Blocked, At: doc.At.UTC()}
	}
	return blocks, nil
}

// HasBlocked implements [chat.BlockStore].
func (s *Store) HasBlocked(ctx context.Context, user, other chat.UserID) (bool, error) {
	_, found, err := findOne[blockDoc](ctx, s.blocks, d("_id", blockID(user, other)))
	return found, wrap("look up a block of "+string(user), err)
}
