package pebble

import (
	"context"
	"time"
)

// sweepInterval is how often old idempotency keys are dropped.
const sweepInterval = time.Hour

// sweepEvery drops old idempotency keys at once and then at every interval, until ctx
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

// sweep drops the idempotency keys of the days that lie wholly before the idempotency window.
func (s *Store) sweep(ctx context.Context) error {
	v, err := s.state.view()
	if err != nil {
		return err
	}
	defer v.release()
	since := dayOf(s.recalledSince())
	old := idempotencyDaysBefore(since)
	// A range deletion leaves a tombstone: none is written if there is nothing to delete.
	empty := true
	err = v.scan(ctx, old, false, func(_, _ []byte) (bool, error) {
		empty = false
		return false, nil
	})
	if err != nil || empty {
		return err
	}
	b := s.db.NewBatch()
	if err := b.DeleteRange(old.lower, old.upper, nil); err != nil {
		return err
	}
	if err := s.state.commit(ctx, b); err != nil {
		return err
	}
	s.keyDays.dropBefore(since)
	return nil
}
