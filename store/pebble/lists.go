package pebble

import (
	"context"
	"errors"
	"time"

	"github.com/parleyhq/parley/chat"
)

// What is asked of many threads at once is asked here of one after another: no network is
// between them.

// Threads implements [chat.ListStore].
func (s *Store) Threads(ctx context.Context, lines []chat.UserThread) ([]chat.Thread, error) {
	return eachOf(ctx, lines, func(line chat.UserThread) (chat.Thread, error) {
		t, err := s.Thread(ctx, line.Thread)
		if errors.Is(err, chat.ErrNotFound) {
			return chat.Thread{}, nil
		}
		return t, err
	})
}

// MarksOf implements [chat.ListStore].
func (s *Store) MarksOf(ctx context.Context, user chat.UserID, threads []chat.ThreadID) ([]chat.Marks, error) {
	return eachOf(ctx, threads, func(id chat.ThreadID) (chat.Marks, error) {
		marks, err := s.Marks(ctx, id, []chat.UserID{user})
		if err != nil {
			return chat.Marks{}, err
		}
		return marks[0], nil
	})
}

// CountUnreadIn implements [chat.ListStore].
func (s *Store) CountUnreadIn(ctx context.Context, user chat.UserID, in []chat.UnreadRange, now time.Time, most int) ([]int, error) {
	return eachOf(ctx, in, func(r chat.UnreadRange) (int, error) {
		return s.countUnread(ctx, user, r, now, most)
	})
}

// SeqsAt implements [chat.ListStore].
func (s *Store) SeqsAt(ctx context.Context, threads []chat.ThreadID, id chat.EventID) ([]chat.Seq, error) {
	return eachOf(ctx, threads, func(thread chat.ThreadID) (chat.Seq, error) { return s.SeqAt(ctx, thread, id) })
}

// WhoBlocks implements [chat.BlockStore].
func (s *Store) WhoBlocks(ctx context.Context, user chat.UserID, others []chat.UserID) (blocking []chat.UserID, err error) {
	_, err = eachOf(ctx, others, func(other chat.UserID) (struct{}, error) {
		blocks, err := s.HasBlocked(ctx, other, user)
		if blocks {
			blocking = append(blocking, other)
		}
		return struct{}{}, err
	})
	return blocking, err
}

// eachOf asks for one after another, until the context ends.
func eachOf[K, V any](ctx context.Context, keys []K, ask func(K) (V, error)) ([]V, error) {
	answers := make([]V, len(keys))
	for i, key := range keys {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var err error
		if answers[i], err = ask(key); err != nil {
			return nil, err
		}
	}
	return answers, nil
}
