package chat

import (
	"cmp"
	"slices"
	"time"
)

// Veil is how one user of a 1:1 sees a message differently from the other user. While a user
// blocks the other one, it does not see how that one changes a message
// (docs/contract.md#blocks). Which changes a veil hides was decided when each was made: when
// the block ends, they stay hidden.
type Veil struct {
	User    UserID
	Content *Content         // in place of the content, until the next edit that the user sees; nil: it sees the content
	Hidden  []string         // the emojis that the other one gave, and the user does not see
	Kept    []VeiledReaction // those that the other one took back, and the user still sees
}

// Content is what an edit changes of a message.
type Content struct {
	Ciphertext  []byte
	ContentType ContentType
	EditedAt    time.Time // zero is never
}

// VeiledReaction is one reaction of one user.
type VeiledReaction struct {
	Emoji string
	By    ReactionBy
}

func (v Veil) isEmpty() bool { return v.Content == nil && len(v.Hidden) == 0 && len(v.Kept) == 0 }

func (v Veil) keeps(emoji string) int {
	return slices.IndexFunc(v.Kept, func(k VeiledReaction) bool { return k.Emoji == emoji })
}

// veil is that of one user; the zero Veil, but for its user, if there is none.
func (m Message) veil(user UserID) Veil {
	if i := slices.IndexFunc(m.Veils, func(v Veil) bool { return v.User == user }); i >= 0 {
		return m.Veils[i]
	}
	return Veil{User: user}
}

// withVeil is the message's veils with this one in the place of the user's.
func (m Message) withVeil(v Veil) []Veil {
	veils := slices.DeleteFunc(slices.Clone(m.Veils), func(old Veil) bool { return old.User == v.User })
	if !v.isEmpty() {
		veils = append(veils, v)
	}
	if len(veils) == 0 {
		return nil
	}
	return veils
}

// isHiddenAt reports whether the user who is not told of an event saw nothing of the message at
// all then.
func (m Message) isHiddenAt(e Event) bool {
	return e.HiddenFrom == m.HiddenFrom || e.Seq != 0 && e.Seq < m.RedeliveredSeq
}

// veilsAfterEdit are the message's veils once an edit is folded into it.
func (m Message) veilsAfterEdit(e Event) []Veil {
	switch {
	case e.HiddenFrom == "": // all see the new content
		for _, v := range m.Veils {
			v.Content = nil
			m.Veils = m.withVeil(v)
		}
	case !m.isHiddenAt(e):
		if v := m.veil(e.HiddenFrom); v.Content == nil {
			v.Content = &Content{m.Ciphertext, m.ContentType, m.EditedAt}
			return m.withVeil(v)
		}
	}
	return m.Veils
}

// VeilsAfterReaction are the message's veils once an event is folded into it that gives or takes
// back a reaction; given is the one that it takes back.
func (m Message) VeilsAfterReaction(e Event, given ReactionBy) []Veil {
	emoji := e.Reaction.Emoji
	without := func(v Veil) Veil {
		v.Hidden = slices.DeleteFunc(slices.Clone(v.Hidden), func(s string) bool { return s == emoji })
		v.Kept = slices.DeleteFunc(slices.Clone(v.Kept), func(k VeiledReaction) bool { return k.Emoji == emoji })
		return v
	}
	if e.HiddenFrom == "" {
		for _, v := range m.Veils {
			if v.User != e.By {
				m.Veils = m.withVeil(without(v))
			}
		}
		return m.Veils
	}
	if m.isHiddenAt(e) {
		return m.Veils
	}
	v := m.veil(e.HiddenFrom)
	hidden, kept := slices.Contains(v.Hidden, emoji), v.keeps(emoji) >= 0
	v = without(v)
	switch {
	case !e.Reaction.Removed && !kept:
		v.Hidden = append(v.Hidden, emoji)
	case e.Reaction.Removed && !hidden:
		v.Kept = append(v.Kept, VeiledReaction{emoji, given})
	}
	return m.withVeil(v)
}

// reactionHiddenFrom is the user who does not see that another one has given an emoji; "" is
// nobody.
func (m Message) reactionHiddenFrom(by UserID, emoji string) UserID {
	for _, v := range m.Veils {
		if v.User != by && slices.Contains(v.Hidden, emoji) {
			return v.User
		}
	}
	return ""
}

// SeenBy is the message as a user sees it who may have a veil over it.
func (m Message) SeenBy(user UserID) Message {
	v := m.veil(user)
	m.Veils = nil
	if v.isEmpty() || m.Deleted != "" {
		return m
	}
	if c := v.Content; c != nil {
		m.Ciphertext, m.ContentType, m.EditedAt = c.Ciphertext, c.ContentType, c.EditedAt
	}
	var seen []Reaction
	for _, r := range m.Reactions {
		r.By = v.reactors(r.Emoji, r.By)
		if len(r.By)+r.More > 0 {
			seen = append(seen, r)
		}
	}
	for _, k := range v.Kept {
		if !slices.ContainsFunc(seen, func(r Reaction) bool { return r.Emoji == k.Emoji }) {
			seen = append(seen, Reaction{Emoji: k.Emoji, By: []ReactionBy{k.By}})
		}
	}
	slices.SortStableFunc(seen, func(a, b Reaction) int { return cmp.Compare(a.By[0].Seq, b.By[0].Seq) })
	m.Reactions = seen
	return m
}

// reactors are those who gave an emoji, as the user sees it: in a 1:1 the two at most.
func (v Veil) reactors(emoji string, by []ReactionBy) []ReactionBy {
	if slices.Contains(v.Hidden, emoji) {
		by = slices.DeleteFunc(slices.Clone(by), func(b ReactionBy) bool { return b.User != v.User })
	}
	if i := v.keeps(emoji); i >= 0 {
		by = append(slices.Clone(by), v.Kept[i].By)
		slices.SortFunc(by, func(a, b ReactionBy) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	return by
}

// SeenBy is the event with its message as that user sees it.
func (e Event) SeenBy(user UserID) Event {
	if e.Message != nil && len(e.Message.Veils) > 0 {
		seen := e.Message.SeenBy(user)
		e.Message = &seen
	}
	return e
}
