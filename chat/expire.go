package chat

import (
	"context"
	"sync"
	"time"
)

// expiryBatch is how many messages ExpireDue expires at once.
const expiryBatch = 128

// RunExpiry makes tombstones of expired messages, every second until ctx ends, while the node
// has the lease of sweeps (docs/contract.md#disappearing-messages). What readers see does not depend on
// it: they are shown a tombstone from the millisecond on at which a message
// expires; see [Event.AsOf]. When a message expires is fixed when it is appended
// (appendqueue.go).
func (s *Service) RunExpiry(ctx context.Context) {
	ticker := time.NewTicker(leaseEvery)
	defer ticker.Stop()
	defer s.leaveSweeps(context.WithoutCancel(ctx))
	for failing := false; ; {
		err := s.ExpireInTurn(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			s.log.Warn("expired messages could not be erased, will retry", "error", err)
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// ExpireInTurn is ExpireDue if the node has the lease of sweeps, which it renews, or takes
// before. If it cannot expire anything it leaves the lease to another node.
func (s *Service) ExpireInTurn(ctx context.Context) error {
	if err := s.sweep.Keep(ctx); err != nil {
		return Unavailable("look at the lease of sweeps", err)
	}
	if !s.sweep.Held() {
		return nil
	}
	err := s.ExpireDue(ctx)
	if err != nil {
		s.leaveSweeps(ctx)
	}
	return err
}

// leaveSweeps leaves the lease of sweeps to another node. If that fails, it runs out.
func (s *Service) leaveSweeps(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaseEvery)
	defer cancel()
	if err := s.sweep.Release(ctx); err != nil {
		s.log.Debug("the lease of sweeps could not be left", "error", err)
	}
}

// ExpireDue makes a tombstone of every message that has expired. It tells the
// participants of that, and a sender who sees the message which recipients it did not reach.
func (s *Service) ExpireDue(ctx context.Context) error {
	for {
		due, err := s.store.Expired(ctx, s.now(), expiryBatch)
		if err != nil {
			return Unavailable("look for what has expired", err)
		}
		errs := make([]error, len(due))
		var expiring sync.WaitGroup
		for i, m := range due { // those of one thread share a commit
			expiring.Go(func() { errs[i] = s.expire(ctx, m) })
		}
		expiring.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		if len(due) < expiryBatch {
			return nil
		}
	}
}

func (s *Service) expire(ctx context.Context, m Event) error {
	done, err := s.changeAnyMessage(ctx, m.Thread, m.ID, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
		if m.Message.Deleted != "" { // by its sender, or by another node
			return nil, nil
		}
		e := Caller{}.about(KindDelete, m)
		e.Reason = DeletedByExpiry
		return []Event{e}, nil
	})
	if err != nil || len(done.events) == 0 {
		return err
	}
	if sender, in := done.thread.Participant(m.By); !in || !sender.Sees(done.message) {
		return nil // a service, or one who has left since: it gets no frame of what it does not see
	}
	receipts, err := s.receiptsOf(ctx, done.message)
	if err != nil {
		return err
	}
	if failed := failedAmong(receipts); len(failed) > 0 {
		s.tellFailed(m, FailedExpired, failed...)
	}
	return nil
}

// failedAmong lists those whom a message did not reach before it expired.
func failedAmong(receipts []RecipientReceipt) (users []UserID) {
	for _, r := range receipts {
		if r.State == StateFailed && r.Reason == FailedExpired {
			users = append(users, r.User)
		}
	}
	return users
}
