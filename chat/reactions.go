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

// ReactionPage is one page of the users who gave an emoji, in the order of giving.
type ReactionPage struct {
	By   []ReactionBy
	Next string // "" at the end
}

// Reactions lists who has reacted with an emoji to a message that the caller sees.
func (s *Service) Reactions(ctx context.Context, c Caller, id MessageID, emoji string, p PageRequest) (ReactionPage, error) {
	if err := c.need(ScopeRead); err != nil {
		return ReactionPage{}, err
	}
	size, err := s.pageSize(p)
	if err != nil {
		return ReactionPage{}, err
	}
	if !validEmoji(emoji) {
		return ReactionPage{}, Invalid("emoji", emojiRule)
	}
	var after ReactionBy
	if p.Cursor != "" {
		if after, err = decodeReactionCursor(id, emoji, p.Cursor); err != nil {
			return ReactionPage{}, err
		}
	}
	if err := s.spendRead(c); err != nil {
		return ReactionPage{}, err
	}
	m, err := s.messageFor(ctx, c.User, id)
	if err != nil {
		return ReactionPage{}, err
	}
	for _, r := range m.Message.Reactions {
		if r.Emoji == emoji {
			return r.page(id, after, size), nil
		}
	}
	return ReactionPage{}, nil
}

// page is the page behind the one that ended with after. If that user has taken the
// reaction back meanwhile, the page begins with those who gave it at that moment or later.
func (r Reaction) page(id MessageID, after ReactionBy, size int) ReactionPage {
	from := 0
	if after.User != "" {
		if from = r.index(after.User) + 1; from == 0 {
			from = len(r.By)
			if i := slices.IndexFunc(r.By, func(by ReactionBy) bool { return !by.At.Before(after.At) }); i >= 0 {
				from = i
			}
		}
	}
	by := r.By[from:]
	if len(by) <= size {
		return ReactionPage{By: by}
	}
	return ReactionPage{By: by[:size], Next: encodeReactionCursor(id, r.Emoji, by[size-1])}
}

const emojiRule = "must be 1 to 64 bytes without control characters or /, and not . or .."

func validEmoji(emoji string) bool {
	return emoji != "" && len(emoji) <= MaxEmojiBytes && utf8.ValidString(emoji) && emoji != "." && emoji != ".." &&
		!strings.ContainsFunc(emoji, func(r rune) bool { return r == '/' || unicode.IsControl(r) })
}

func (m Message) hasReaction(emoji string) bool {
	return slices.ContainsFunc(m.Reactions, func(r Reaction) bool { return r.Emoji == emoji })
}
