package model

import (
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// veil is what one of a 1:1 sees of a message otherwise than the other one, whom it blocked while
// the message was changed.
type veil struct {
	content *content             // in place of the message's
	hidden  []string             // the emojis of the other one that it does not see
	kept    map[string]time.Time // those that the other one took back, with when it had given them
}

type content struct {
	text   string
	kind   chat.ContentType
	edited time.Time
}

// hiddenFrom is who is not told of what a user does to a message, "" if everybody is.
func (r *runner) hiddenFrom(m *message, user chat.UserID) chat.UserID {
	if m.hiddenFrom != "" {
		return m.hiddenFrom
	}
	return r.blocker(m.thread, user)
}

// veilOf is a user's veil over a message.
func (m *message) veilOf(user chat.UserID) *veil {
	if m.veils == nil {
		m.veils = make(map[chat.UserID]*veil)
	}
	if m.veils[user] == nil {
		m.veils[user] = &veil{kept: make(map[string]time.Time)}
	}
	return m.veils[user]
}

// veilEdit notes an edit that somebody does not see, or that lifts what an earlier one left.
func (m *message) veilEdit(hidden chat.UserID) {
	switch {
	case hidden == "":
		for _, v := range m.veils {
			v.content = nil
		}
	case hidden != m.hiddenFrom:
		if v := m.veilOf(hidden); v.content == nil {
			v.content = &content{m.text, m.kind, m.edited}
		}
	}
}

// veilReaction notes that a user has given a reaction, or has taken back the one of that time.
func (m *message) veilReaction(hidden, by chat.UserID, emoji string, takenBack bool, at time.Time) {
	drop := func(v *veil) (wasHidden, wasKept bool) {
		wasHidden = slices.Contains(v.hidden, emoji)
		_, wasKept = v.kept[emoji]
		v.hidden = slices.DeleteFunc(v.hidden, func(s string) bool { return s == emoji })
		delete(v.kept, emoji)
		return wasHidden, wasKept
	}
	if hidden == "" {
		for user, v := range m.veils {
			if user != by {
				drop(v)
			}
		}
		return
	}
	if hidden == m.hiddenFrom {
		return
	}
	v := m.veilOf(hidden)
	switch wasHidden, wasKept := drop(v); {
	case !takenBack && !wasKept:
		v.hidden = append(v.hidden, emoji)
	case takenBack && !wasHidden:
		v.kept[emoji] = at
	}
}

// reactionHiddenFrom is who does not see that a user has given an emoji.
func (m *message) reactionHiddenFrom(by chat.UserID, emoji string) chat.UserID {
	for user, v := range m.veils {
		if user != by && slices.Contains(v.hidden, emoji) {
			return user
		}
	}
	return ""
}

// shownContent is the content that a viewer sees; "" is the bus.
func (m *message) shownContent(viewer chat.UserID) content {
	if v := m.veils[viewer]; v != nil && v.content != nil {
		return *v.content
	}
	return content{m.text, m.kind, m.edited}
}

// shownGivers are who gave each emoji, as a viewer sees it.
func (m *message) shownGivers(viewer chat.UserID) map[string][]chat.ReactionBy {
	shown := make(map[string][]chat.ReactionBy)
	v := m.veils[viewer]
	for _, r := range m.reactions {
		for _, by := range r.by {
			if v == nil || by.User == viewer || !slices.Contains(v.hidden, r.emoji) {
				shown[r.emoji] = append(shown[r.emoji], by)
			}
		}
	}
	if v != nil {
		for emoji, at := range v.kept {
			shown[emoji] = append(shown[emoji], chat.ReactionBy{User: m.thread.other(viewer), At: at})
		}
	}
	return shown
}
