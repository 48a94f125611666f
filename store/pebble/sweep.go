package pebble

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// sweepInterval is how often old idempotency keys are dropped.
const sweepInterval = time.Hour

// sweepEvery drops what is too old to matter at once and then at every interval, until ctx
// ends.
func (s *Store) sweepEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("old idempotency keys could not be dropped, the next sweep tries again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep drops the idempotency keys of the days that lie wholly before the idempotency window,
// and the strangers of the days on which nobody was noted who still counts.
func (s *Store) sweep(ctx context.Context) error {
	since := dayOf(s.recalledSince())
	if swept, err := s.sweepRange(ctx, idempotencyDaysBefore(since)); err != nil {
		return err
	} else if swept {
		s.keyDays.dropBefore(since)
	}
	_, err := s.sweepRange(ctx, strangersBefore(dayOf(s.now().Add(-chat.StrangersSpan))))
	return err
}

// sweepRange deletes a range of keys. A range deletion leaves a tombstone: none is written if
// there is nothing to delete.
func (s *Store) sweepRange(ctx context.Context, old keyRange) (swept bool, err error) {
	v, err := s.state.view()
	if err != nil {
		return false, err
	}
	defer v.release()
	empty := true
	err = v.scan(ctx, old, false, func(_, _ []byte) (bool, error) {
		empty = false
		return false, nil
	})
	if err != nil || empty {
		return false, err
	}
	b := s.db.NewBatch()
	if err := b.DeleteRange(old.lower, old.upper, nil); err != nil {
		return false, err
	}
	err = s.state.commit(ctx, b)
	return err == nil, err
}
