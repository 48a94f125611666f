package chat

import (
	"context"
	"errors"
)

// epochRule says what an epoch may be: numbers that every JSON reader keeps exactly.
const epochRule = "must be an integer from 1 to 9007199254740991"

// EpochGate is a store that processes of an earlier version may use too, which know nothing of
// epochs.
type EpochGate interface {
	// CheckEpochs is an error while there may be such a process. Then no epoch is begun.
	CheckEpochs(ctx context.Context) error
}

// mayBegin refuses a control message with an epoch that is not the one after the thread's,
// and every one of a sender whom the other of a 1:1 blocks: the two would disagree on the
// thread's epoch (docs/contract.md#control-messages). A message without an epoch is not
// refused.
func (h Head) mayBegin(epoch Epoch, blocker UserID) error {
	switch {
	case epoch == 0:
		return nil
	case blocker != "":
		return Refuse(CodeBlocked, "the other participant blocks you")
	case epoch != h.Epoch+1:
		return &Error{
			Code: CodeEpochConflict, Detail: "the epoch is not the one after the thread's",
			Epoch: &EpochConflict{Epoch: h.Epoch, holder: h.EpochMessage},
		}
	}
	return nil
}

// EpochConflict is what the sender of a refused epoch is told.
type EpochConflict struct {
	Epoch Epoch // the thread's
	// Message began it. It is nil if there is none, or the sender does not see it.
	Message *Event

	holder MessageID
}

// withHolder adds to the refusal of an epoch the message that holds the thread's, as the
// sender of the refused one sees it.
func (s *Service) withHolder(ctx context.Context, user UserID, t Thread, err error) error {
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Epoch == nil || refusal.Epoch.holder.IsZero() {
		return err
	}
	m, err := s.messageIn(ctx, t.ID, refusal.Epoch.holder)
	if err != nil {
		return err
	}
	if me, in := t.Participant(user); in && me.Sees(m) {
		m = m.AsOf(s.now()).Brief()
		refusal.Epoch.Message = &m
	}
	return refusal
}

// costOfSend is what a send uses up of its rate: a control message 1 for each 64 KiB begun.
func costOfSend(req SendRequest) int {
	if req.ContentType != Control {
		return costWrite
	}
	return max(costWrite, (len(req.Ciphertext)+bytesPerOne-1)/bytesPerOne)
}

// ciphertextBytes is how large the ciphertext of a message of a content type may be.
func (l Limits) ciphertextBytes(t ContentType) int {
	if t == Control {
		return max(l.CiphertextBytes, MaxControlBytes)
	}
	return l.CiphertextBytes
}
