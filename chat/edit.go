package chat

import (
	"context"
	"slices"
)

// EditRequest is a message's new content (docs/contract.md#editing-and-deleting).
type EditRequest struct {
	Ciphertext  []byte
	ContentType ContentType // "" keeps the type
}

// Edit gives a message new content. Its sender may do that, within the edit window.
func (s *Service) Edit(ctx context.Context, c Caller, id MessageID, req EditRequest) (Event, error) {
	if err := c.need(ScopeWrite); err != nil {
		return Event{}, err
	}
	if err := req.validate(c, s.limits); err != nil {
		return Event{}, err
	}
	done, err := s.changeMessageFor(ctx, c, id, func(ctx context.Context, t Thread, m Event) (_ []Event, err error) {
		if m.Message.IsControl() {
			return nil, notForControl()
		}
		if m.By != c.User {
			return nil, notTheSender()
		}
		if m.Message.Deleted != "" {
			return nil, messageDeleted()
		}
		if err := s.inEditWindow(m); err != nil {
			return nil, err
		}
		edited := *m.Message
		edited.Ciphertext = req.Ciphertext
		if req.ContentType != "" {
			edited.ContentType = req.ContentType
		}
		if edited.ContentType.isRef() && edited.AttachmentID == "" {
			return nil, Invalid("content_type", "needs an attachment, which the message was sent without")
		}
		e := c.about(KindEdit, m)
		if e.HiddenFrom, err = s.hiddenFrom(ctx, c, t, m); err != nil {
			return nil, err
		}
		edited.Veils = m.Message.veilsAfterEdit(e)
		e.Message = &edited
		return []Event{e}, nil
	})
	return done.message, err
}

func (r EditRequest) validate(c Caller, l Limits) error {
	switch {
	case len(r.Ciphertext) == 0:
		return Invalid("ciphertext", "must not be empty")
	case r.ContentType != "" && !slices.Contains(contentTypes, r.ContentType):
		return Invalid("content_type", contentTypeRule)
	case r.ContentType == Control:
		return Invalid("content_type", "makes no control message of another")
	case len(r.Ciphertext) > l.CiphertextBytes:
		return ciphertextTooLarge()
	case r.ContentType == System:
		return c.need(ScopeSystem)
	}
	return nil
}

// Delete makes a message a tombstone. Its sender may do that, within the edit window.
// A message that is deleted already stays as it is
// (docs/contract.md#editing-and-deleting).
func (s *Service) Delete(ctx context.Context, c Caller, id MessageID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	_, err := s.changeMessageFor(ctx, c, id, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
		if m.By != c.User {
			return nil, notTheSender()
		}
		if m.Message.Deleted != "" {
			return nil, nil
		}
		if err := s.inEditWindow(m); err != nil {
			return nil, err
		}
		e := c.about(KindDelete, m)
		e.Reason = DeletedBySender
		return []Event{e}, nil
	})
	return err
}

func (s *Service) inEditWindow(m Event) error {
	if s.now().Sub(m.At) > s.limits.EditWindow {
		return Refuse(CodeEditWindowClosed, "the message is too old to be edited or deleted")
	}
	return nil
}

func notTheSender() error {
	return Refuse(CodeNotTheSender, "only the sender may do that")
}

func messageDeleted() error {
	return Refuse(CodeMessageDeleted, "the message is deleted")
}

func notForControl() error {
	return Refuse(CodeInvalidRequest, "a control message is not edited, reacted to or pinned")
}

func ciphertextTooLarge() error {
	return Refuse(CodeCiphertextTooLarge, "the ciphertext exceeds the limit, put large media into an attachment")
}
