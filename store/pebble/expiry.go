package pebble

import (
	"context"
	"fmt"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Expired implements [chat.MessageStore]. It reads an index, in the order of expiry, that
// has a key for each message that expires and is not deleted yet.
func (s *Store) Expired(ctx context.Context, now time.Time, count int) ([]chat.Event, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if count <= 0 {
		return nil, nil
	}
	var expired []chat.Event
	err = v.scan(ctx, expiredAt(now), false, func(key, _ []byte) (bool, error) {
		at := placeAtEnd(key)
		e, found, err := v.event(at)
		if err != nil {
			return false, err
		}
		if !found {
			return false, fmt.Errorf("message %d of thread %s is missing", at.seq, at.thread)
		}
		expired = append(expired, e)
		return len(expired) < count, nil
	})
	return expired, err
}
