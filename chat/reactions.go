package chat

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// React adds the caller's reaction to a message that it sees. Repeating it changes
// nothing.
func (s *Service) React(ctx context.Context, c Caller, id MessageID, emoji string) (Event, error) {
	if err := c.need(ScopeWrite); err != nil {
		return Event{}, err
	}
	if !validEmoji(emoji) {
		return Event{}, Invalid("emoji", emojiRule)
	}
	done, err := s.changeMessageFor(ctx, c, id, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
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

// Unreact removes the caller's reaction. If there is none, nothing changes.
func (s *Service) Unreact(ctx context.Context, c Caller, id MessageID, emoji string) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	if !validEmoji(emoji) {
		return Invalid("emoji", emojiRule)
	}
	_, err := s.changeMessageFor(ctx, c, id, func(_ context.Context, _ Thread, m Event) ([]Event, error) {
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

func (m Message) hasReaction(emoji string) bool {
	return slices.ContainsFunc(m.Reactions, func(r Reaction) bool { return r.Emoji == emoji })
}
