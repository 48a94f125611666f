package chat

import (
	"context"
	"errors"
)

// sentBefore answers a retry (docs/contract.md#sending). It publishes the
// message again, in case the first try crashed between commit and publishing.
// If a block had kept the message from its recipient, it tries to deliver it
// now.
func (s *Service) sentBefore(ctx context.Context, c Caller, hash [32]byte, t Thread, dup *DuplicateError) (SendResult, error) {
	_, old := dup.Existing.Retry()
	if dup.By == ByIdempotencyKey && old != hash { // which covers the thread
		return SendResult{}, keyReused()
	}
	found, err := s.shownTo(ctx, c.User, dup.Existing)
	if err != nil {
		return SendResult{}, err
	}
	result := SendResult{Event: found, Outcome: Replayed, Differs: old != hash}
	if dup.By == ByClientSeq {
		result.Outcome = ClientSeqTaken
	}
	failed, err := s.failedFor(ctx, found)
	switch {
	case err != nil:
		return SendResult{}, err
	case failed && found.Message.Deleted == DeletedByExpiry:
		result.Outcome = Gone
	case failed && s.now().Sub(found.At) <= s.limits.IdempotencyWindow:
		return s.redeliver(ctx, c, result)
	default:
		told := dup.Existing.AsOf(s.now()).Brief() // not as its sender alone sees it
		s.bus.Publish(Notice{Audience: t.Users(), Event: &told})
	}
	return result, nil
}

// failedFor reports whether a message is FAILED for some recipient.
func (s *Service) failedFor(ctx context.Context, m Event) (bool, error) {
	if m.Message.HiddenFrom != "" {
		return true, nil
	}
	if m.Message.Deleted != DeletedByExpiry {
		return false, nil // expiry is the only other reason to fail
	}
	receipts, err := s.receiptsOf(ctx, m)
	if err != nil {
		return false, err
	}
	return len(failedAmong(receipts)) > 0, nil
}

// redeliver tries a message again for the recipient who blocked its sender.
func (s *Service) redeliver(ctx context.Context, c Caller, result SendResult) (SendResult, error) {
	if result.Outcome == ClientSeqTaken {
		result.Outcome = Retried
	}
	done, err := s.changeAnyMessage(ctx, result.Event.Thread, result.Event.ID, func(ctx context.Context, t Thread, m Event) ([]Event, error) {
		if m.Message.HiddenFrom == "" || m.AsOf(s.now()).Message.Deleted != "" {
			return nil, nil // another retry was faster, or there is nothing to deliver
		}
		blocker, err := s.blockedBy(ctx, c, t)
		if err != nil || blocker != "" {
			return nil, err
		}
		again := c.about(KindRedelivery, m)
		again.Device = m.Device // as in the frame of the message itself, whatever device tries again
		again.HiddenFrom, again.Message = "", m.Message
		return []Event{again}, nil
	})
	if err != nil {
		return SendResult{}, err
	}
	if len(done.events) == 0 {
		s.tellBlocked(done.message)
	}
	result.Event, _ = s.shownTo(ctx, c.User, done.message) // it is stored: see changeSeenMessage
	return result, nil
}

// unlessSentBefore gives the refusal of a message, unless the message was sent before,
// when there was no reason to refuse it. Then it gives the *DuplicateError, so that the
// retry is answered as one (docs/contract.md#sending).
func (s *Service) unlessSentBefore(ctx context.Context, e Event, refusal error) error {
	err := s.store.SentBefore(ctx, e)
	switch known, failed := isDuplicate(err); {
	case failed != nil:
		return failed
	case known:
		return err
	}
	return refusal
}

// isDuplicate reports whether an error of [LogStore.SentBefore] says that the event was
// sent before.
func isDuplicate(err error) (bool, error) {
	if _, known := errors.AsType[*DuplicateError](err); known || err == nil {
		return known, nil
	}
	return false, Unavailable("look up whether it was sent before", err)
}
