package chat

import (
	"context"
	"errors"
)

// named is what a send names besides its thread, as it is when the send is begun:
// it is read before the thread's line, which nobody has to wait for then.
type named struct {
	replied Event // to; the zero Event is no message
	denied  bool  // the attachment is
}

func (s *Service) lookUpNamed(ctx context.Context, req SendRequest) (n named, err error) {
	if !req.ReplyTo.IsZero() {
		n.replied, err = s.store.Message(ctx, req.ReplyTo)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return n, Unavailable("look up the message replied to", err)
		}
	}
	if req.AttachmentSHA256 != "" {
		if n.denied, err = s.store.AttachmentDenied(ctx, req.AttachmentSHA256); err != nil {
			return n, Unavailable("look up the attachment", err)
		}
	}
	return n, nil
}

// refuse refuses a reply to what is no message of the thread, or one that the
// sender does not see, and an attachment that operators deny.
func (n named) refuse(req SendRequest, by Participant) error {
	if !req.ReplyTo.IsZero() {
		m := n.replied
		if m.Message == nil || m.Thread != req.Thread || !by.Sees(m) {
			return Invalid("reply_to_msg_id", "is no message of this thread")
		}
	}
	if n.denied {
		return Refuse(CodeAttachmentBlocked, "attachments with this attachment_sha256 are not accepted")
	}
	return nil
}

// unlessSentBefore gives a refusal only to a message that is new: what was sent
// when it was right stays sent (contract 3.1). One that was is a *DuplicateError.
func (s *Service) unlessSentBefore(ctx context.Context, e Event, refusal error) error {
	err := s.store.SentBefore(ctx, e)
	var dup *DuplicateError
	switch {
	case err == nil:
		return refusal
	case errors.As(err, &dup):
		return dup
	}
	return Unavailable("look up whether it was sent before", err)
}
