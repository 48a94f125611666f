package base

import (
	"slices"

	"github.com/parleyhq/parley/chat"
)

// Both stores once kept all reactions to a message in the message itself, and read them there
// until an event about the message moves them. These say what such a message tells.

// NumberReactions gives the reactions in a message the Seq that they lack. It is below that of
// any later reaction: each of them took an event of the log after the message.
func NumberReactions(message chat.Seq, reactions []chat.Reaction) {
	for i := range reactions {
		for n := range reactions[i].By {
			message++
			reactions[i].By[n].Seq = message
		}
	}
}

// Reactors is [chat.MessageStore.Reactors] of the reactions in a message.
func Reactors(reactions []chat.Reaction, emoji string, after chat.Seq, count int) (by []chat.ReactionBy) {
	for _, r := range reactions {
		for _, b := range r.By {
			if r.Emoji == emoji && b.Seq > after && len(by) < count {
				by = append(by, b)
			}
		}
	}
	return by
}

// ReactionsOf is [chat.MessageStore.ReactionsOf] of the reactions in a message.
func ReactionsOf(reactions []chat.Reaction, user chat.UserID) (own []chat.Reaction) {
	for _, r := range reactions {
		if i := slices.IndexFunc(r.By, func(by chat.ReactionBy) bool { return by.User == user }); i >= 0 {
			own = append(own, chat.Reaction{Emoji: r.Emoji, By: r.By[i : i+1]})
		}
	}
	return own
}
