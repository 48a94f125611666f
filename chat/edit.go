package chat

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EditRequest is a message's new content (contract 3).
type EditRequest struct {
	Ciphertext  []byte
	ContentType ContentType // "" keeps the type
}

// Edit gives a message new content: its sender may, within the edit window.
func (s *Service) Edit(ctx context.Context, c Caller, id MessageID, req EditRequest) (Event, error) {
	if err := c.need(ScopeWrite); err != nil {
		return Event{}, err
	}
	if err := req.validate(c, s.limits); err != nil {
		return Event{}, err
	}
	done, err := s.onMessage(ctx, c, id, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
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
	case len(r.Ciphertext) > l.CiphertextBytes:
		return ciphertextTooLarge()
	case r.ContentType == System:
		return c.need(ScopeSystem)
	}
	return nil
}

// Delete makes a message a tombstone: its sender may, within the edit window.
// What is deleted already stays as it is (contract 3).
func (s *Service) Delete(ctx context.Context, c Caller, id MessageID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	_, err := s.onMessage(ctx, c, id, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
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

// React adds the caller's reaction to a message it sees; repeating it changes
// nothing.
func (s *Service) React(ctx context.Context, c Caller, id MessageID, emoji string) (Event, error) {
	if err := c.need(ScopeWrite); err != nil {
		return Event{}, err
	}
	if !validEmoji(emoji) {
		return Event{}, Invalid("emoji", emojiRule)
	}
	done, err := s.onMessage(ctx, c, id, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
		switch {
		case m.Message.Deleted != "":
			return nil, messageDeleted()
		case m.Message.reacted(c.User, emoji):
			return nil, nil
		case len(m.Message.Reactions) >= MaxReactions && !m.Message.hasReaction(emoji):
			return nil, Refuse(CodeTooManyReactions, "the message has as many different reactions as it may")
		}
		e := c.about(KindReaction, m)
		e.Reaction = &ReactionChange{Emoji: emoji}
		return []Event{e}, nil
	})
	return done.message, err
}

// Unreact takes the caller's reaction back; without one nothing changes.
func (s *Service) Unreact(ctx context.Context, c Caller, id MessageID, emoji string) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	if !validEmoji(emoji) {
		return Invalid("emoji", emojiRule)
	}
	_, err := s.onMessage(ctx, c, id, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
		if !m.Message.reacted(c.User, emoji) {
			return nil, nil
		}
		e := c.about(KindReaction, m)
		e.Reaction = &ReactionChange{Emoji: emoji, Removed: true}
		return []Event{e}, nil
	})
	return err
}

const emojiRule = "must be 1 to 64 bytes without control characters or /, and not . or .."

func validEmoji(emoji string) bool {
	return emoji != "" && len(emoji) <= MaxEmojiBytes && utf8.ValidString(emoji) && emoji != "." && emoji != ".." &&
		!strings.ContainsFunc(emoji, func(r rune) bool { return r == '/' || unicode.IsControl(r) })
}

func (s *Service) inEditWindow(m Event) error {
	if s.now().Sub(m.At()) > s.limits.EditWindow {
		return Refuse(CodeEditWindowClosed, "the message is too old to be edited or deleted")
	}
	return nil
}

func (m Message) hasReaction(emoji string) bool {
	return slices.ContainsFunc(m.Reactions, func(r Reaction) bool { return r.Emoji == emoji })
}

func notTheSender() error {
	return Refuse(CodeNotTheSender, "only the sender may do that")
}

func messageDeleted() error {
	return Refuse(CodeMessageDeleted, "the message is deleted")
}

func ciphertextTooLarge() error {
	return Refuse(CodeCiphertextTooLarge, "the ciphertext exceeds the limit, put large media into an attachment")
}
