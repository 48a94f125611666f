package mongo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

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
func (s *Store) Blocks(ctx context.Context, user, after chat.UserID, count int) ([]chat.Block, error) {
	if count <= 0 {
		return nil, nil
	}
	above := d("_id", d("$gt", blockID(user, after), "$lt", string(user)+"0")) // 0 comes after /
	docs, err := findAll[blockDoc](ctx, s.blocks, above, options.Find().SetSort(d("_id", 1)).SetLimit(int64(count)))
	if err != nil {
		return nil, fmt.Errorf("read the blocks of %s: %w", user, err)
	}
	blocks := make([]chat.Block, len(docs))
	for i, doc := range docs {
		blocks[i] = chat.Block{User: doc.User, Blocked: doc.Blocked, At: doc.At.UTC()}
	}
	return blocks, nil
}

// BlockedAmong implements [chat.BlockStore].
func (s *Store) BlockedAmong(ctx context.Context, user chat.UserID, others []chat.UserID) ([]chat.UserID, error) {
	docs, err := s.blocksOf(ctx, others, func(other chat.UserID) string { return blockID(user, other) })
	blocked := make([]chat.UserID, len(docs))
	for i, doc := range docs {
		blocked[i] = doc.Blocked
	}
	return blocked, wrap("look up the blocks of "+string(user), err)
}

// WhoBlocks implements [chat.BlockStore].
func (s *Store) WhoBlocks(ctx context.Context, user chat.UserID, others []chat.UserID) ([]chat.UserID, error) {
	docs, err := s.blocksOf(ctx, others, func(other chat.UserID) string { return blockID(other, user) })
	blocking := make([]chat.UserID, len(docs))
	for i, doc := range docs {
		blocking[i] = doc.User
	}
	return blocking, wrap("look up who blocks "+string(user), err)
}

// blocksOf reads the blocks that are there, of one for each of some users.
func (s *Store) blocksOf(ctx context.Context, users []chat.UserID, id func(chat.UserID) string) (docs []blockDoc, err error) {
	for some := range slices.Chunk(users, manyAtOnce) {
		ids := make([]string, len(some))
		for i, u := range some {
			ids[i] = id(u)
		}
		found, err := findAll[blockDoc](ctx, s.blocks, d("_id", d("$in", ids)), options.Find().SetBatchSize(manyAtOnce))
		if err != nil {
			return nil, err
		}
		docs = append(docs, found...)
	}
	return docs, nil
}

// HasBlocked implements [chat.BlockStore].
func (s *Store) HasBlocked(ctx context.Context, user, other chat.UserID) (bool, error) {
	_, found, err := findOne[blockDoc](ctx, s.blocks, d("_id", blockID(user, other)))
	return found, wrap("look up a block of "+string(user), err)
}
