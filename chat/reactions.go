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
	accepts := false
	done, err := s.changeMessageFor(ctx, c, id, func(ctx context.Context, t Thread, m Event) (_ []Event, err error) {
		if m.Message.IsControl() {
			return nil, notForControl()
		}
		if accepts, err = s.hasToAccept(ctx, c.User, t); err != nil {
			return nil, err
		}
		reacted, err := s.reacted(ctx, m, c.User, emoji)
		switch {
		case m.Message.Deleted != "":
			return nil, messageDeleted()
		case err != nil || reacted:
			return nil, err
		case len(m.Message.Reactions) >= MaxReactions && !m.Message.hasReaction(emoji):
			return nil, Refuse(CodeTooManyReactions, "the message has as many different reactions as it may")
		}
		e := c.about(KindReaction, m)
		e.Reaction = &ReactionChange{Emoji: emoji}
		e.HiddenFrom, err = s.hiddenFrom(ctx, c, t, m)
		return []Event{e}, err
	})
	if err == nil && accepts {
		err = s.accept(ctx, c.User, done.message.Thread)
	}
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
	_, err := s.changeMessageFor(ctx, c, id, func(ctx context.Context, t Thread, m Event) ([]Event, error) {
		reacted, err := s.reacted(ctx, m, c.User, emoji)
		if err != nil || !reacted {
			return nil, err
		}
		e := c.about(KindReaction, m)
		e.Reaction = &ReactionChange{Emoji: emoji, Removed: true}
		if e.HiddenFrom = m.Message.reactionHiddenFrom(c.User, emoji); e.HiddenFrom == "" {
			e.HiddenFrom, err = s.hiddenFrom(ctx, c, t, m)
		}
		return []Event{e}, err
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
	var after Seq
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
	if v := m.Message.veil(c.User); !v.isEmpty() { // in a 1:1 the message names all
		return ReactionPage{By: m.Message.SeenBy(c.User).reactorsAfter(emoji, after)}, nil
	}
	if !m.Message.hasReaction(emoji) {
		return ReactionPage{}, nil
	}
	by, err := s.store.Reactors(ctx, m, emoji, after, size+1)
	if err != nil {
		return ReactionPage{}, Unavailable("read who reacted", err)
	}
	if len(by) <= size {
		return ReactionPage{By: by}, nil
	}
	return ReactionPage{By: by[:size], Next: encodeReactionCursor(id, emoji, by[size-1].Seq)}, nil
}

// reacted reports whether a user has given an emoji to a message. Only if the message
// names not all who gave it does that cost a read.
func (s *Service) reacted(ctx context.Context, m Event, user UserID, emoji string) (bool, error) {
	for _, r := range m.Message.Reactions {
		if r.Emoji != emoji {
			continue
		}
		if r.index(user) >= 0 || r.More == 0 {
			return r.index(user) >= 0, nil
		}
		own, err := s.store.ReactionsOf(ctx, user, []Event{m})
		if err != nil {
			return false, Unavailable("read the user's reactions", err)
		}
		return slices.ContainsFunc(own[0], func(r Reaction) bool { return r.Emoji == emoji }), nil
	}
	return false, nil
}

// showTo makes messages what a viewer is shown now ([Event.AsOf], [Event.ShownTo]), in
// place. A read is needed only for messages with a reaction of more users than a message
// names, the viewer not among those; if it fails, that is all that is missing.
func (s *Service) showTo(ctx context.Context, viewer UserID, messages []Event) error {
	now := s.now()
	var cut []Event
	var at []int
	for i, m := range messages {
		messages[i] = m.AsOf(now).SeenBy(viewer)
		if mayHideOwn(messages[i], viewer) {
			cut, at = append(cut, messages[i]), append(at, i)
		}
	}
	var err error
	if len(cut) > 0 {
		var own [][]Reaction
		if own, err = s.store.ReactionsOf(ctx, viewer, cut); err != nil {
			err = Unavailable("read the viewer's reactions", err)
		}
		for n := range own {
			messages[at[n]] = messages[at[n]].withOwn(own[n])
		}
	}
	for i, m := range messages {
		messages[i] = m.ShownTo(viewer)
	}
	return err
}

// shownTo is showTo of one message.
func (s *Service) shownTo(ctx context.Context, viewer UserID, m Event) (Event, error) {
	one := []Event{m}
	err := s.showTo(ctx, viewer, one)
	return one[0], err
}

// mayHideOwn reports whether the viewer may have given a reaction without being named.
func mayHideOwn(m Event, viewer UserID) bool {
	return slices.ContainsFunc(m.Message.Reactions, func(r Reaction) bool { return r.More > 0 && r.index(viewer) < 0 })
}

// withOwn names, in a message, the user whose own reactions are given, behind those that
// are named already.
func (e Event) withOwn(own []Reaction) Event {
	m := *e.Message
	m.Reactions = slices.Clone(m.Reactions)
	for i, r := range m.Reactions {
		given := slices.IndexFunc(own, func(o Reaction) bool { return o.Emoji == r.Emoji })
		if given < 0 || r.More == 0 || r.index(own[given].By[0].User) >= 0 {
			continue
		}
		m.Reactions[i].By = append(slices.Clip(r.By), own[given].By[0])
		m.Reactions[i].More--
	}
	e.Message = &m
	return e
}

const emojiRule = "must be 1 to 64 bytes without control characters or /, and not . or .."

func validEmoji(emoji string) bool {
	return emoji != "" && len(emoji) <= MaxEmojiBytes && utf8.ValidString(emoji) && emoji != "." && emoji != ".." &&
		!strings.ContainsFunc(emoji, func(r rune) bool { return r == '/' || unicode.IsControl(r) })
}

// reactorsAfter lists those of the users whom the message names who gave an emoji, behind an event.
func (m Message) reactorsAfter(emoji string, after Seq) (by []ReactionBy) {
	for _, r := range m.Reactions {
		for _, b := range r.By {
			if r.Emoji == emoji && b.Seq > after {
				by = append(by, b)
			}
		}
	}
	return by
}

func (m Message) hasReaction(emoji string) bool {
	return slices.ContainsFunc(m.Reactions, func(r Reaction) bool { return r.Emoji == emoji })
}
