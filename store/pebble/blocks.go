package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// PutBlock implements [chat.BlockStore].
func (s *Store) PutBlock(ctx context.Context, b chat.Block) error {
	if err := errors.Join(checkName(b.User), checkName(b.Blocked)); err != nil {
		return err
	}
	s.blockers.blocked(b.User)
	err := s.putOnce(ctx, blockKey(b.User, b.Blocked), encodeTime(b.At))
	s.blockers.blocked(b.User) // whatever became of it
	if err != nil {
		return fmt.Errorf("put a block of %s: %w", b.User, err)
	}
	return nil
}

// DeleteBlock implements [chat.BlockStore].
func (s *Store) DeleteBlock(ctx context.Context, user, blocked chat.UserID) error {
	if err := errors.Join(checkName(user), checkName(blocked)); err != nil {
		return err
	}
	if err := s.deleteKey(ctx, blockKey(user, blocked)); err != nil {
		return fmt.Errorf("delete a block of %s: %w", user, err)
	}
	return nil
}

// Blocks implements [chat.BlockStore].
func (s *Store) Blocks(ctx context.Context, user, after chat.UserID, count int) ([]chat.Block, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if count <= 0 {
		return nil, nil
	}
	var blocks []chat.Block
	of := blocksPrefix(user)
	above := within(of)
	if after != "" {
		above.lower = append(blockKey(user, after), 0) // the first key behind that of after
	}
	err = v.scan(ctx, above, false, func(key, value []byte) (bool, error) {
		at, err := decodeTime(value)
		blocks = append(blocks, chat.Block{User: user, Blocked: chat.UserID(key[len(of):]), At: at})
		return len(blocks) < count, err
	})
	return blocks, err
}

// HasBlocked implements [chat.BlockStore].
func (s *Store) HasBlocked(ctx context.Context, user, other chat.UserID) (bool, error) {
	blocked, err := s.BlockedAmong(ctx, user, []chat.UserID{other})
	return len(blocked) > 0, err
}

// BlockedAmong implements [chat.BlockStore]. Of a user who blocks nobody it is mostly the
// cache that says so.
func (s *Store) BlockedAmong(ctx context.Context, user chat.UserID, others []chat.UserID) ([]chat.UserID, error) {
	may, known, add := s.blockers.get(user)
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if !known {
		may = false
		err = v.scan(ctx, within(blocksPrefix(user)), false, func(_, _ []byte) (bool, error) {
			may = true
			return false, nil
		})
		if err != nil {
			return nil, err
		}
		add(may)
	}
	if !may {
		return nil, nil
	}
	var blocked []chat.UserID
	for _, other := range others {
		found, err := v.has(blockKey(user, other))
		if err != nil {
			return nil, err
		}
		if found {
			blocked = append(blocked, other)
		}
	}
	return blocked, nil
}

// putOnce stores a key unless it is there.
func (s *Store) putOnce(ctx context.Context, key, value []byte) error {
	return s.writeIf(ctx, key, false, func(b *pebble.Batch) error { return b.Set(key, value, nil) })
}

// deleteKey deletes a key if it is there.
func (s *Store) deleteKey(ctx context.Context, key []byte) error {
	return s.writeIf(ctx, key, true, func(b *pebble.Batch) error { return b.Delete(key, nil) })
}

// writeIf commits one write to a key, provided that the key is there, or is not.
func (s *Store) writeIf(ctx context.Context, key []byte, there bool, write func(*pebble.Batch) error) error {
	v, done, err := s.locked(ctx, string(key))
	if err != nil {
		return err
	}
	defer done()
	found, err := v.has(key)
	if err != nil || found != there {
		return err
	}
	b := s.db.NewBatch()
	if err := write(b); err != nil {
		return errors.Join(err, b.Close())
	}
	return s.state.commit(ctx, b)
}
