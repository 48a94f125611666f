package model

import (
	"cmp"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// compareEvent compares an event with the model's, and the message that it shows to a viewer; ""
// is the bus.
func (r *runner) compareEvent(what string, got chat.Event, t *thread, want *event, viewer chat.UserID) {
	equal(r, what, "thread", r.threadName(got.Thread), t.name)
	equal(r, what, "seq", got.Seq, want.seq)
	equal(r, what, "kind", got.Kind, want.kind)
	equal(r, what, "its id", got.ID == want.id, true)
	equal(r, what, "by", got.By, want.by)
	equal(r, what, "device", got.Device, want.device)
	equal(r, what, "hidden from", got.HiddenFrom, want.hidden)
	equal(r, what, "reason", got.Reason, want.reason)
	someMessage := chat.Target{}
	if want.about != nil && want.kind != chat.KindMessage {
		someMessage = chat.Target{ID: want.about.sent.id, Seq: want.about.seq()}
	}
	equal(r, what, "it is about the right message", got.Target == someMessage, true)
	shows := want.kind == chat.KindMessage || want.kind == chat.KindEdit || want.kind == chat.KindRedelivery
	equal(r, what, "shows a message", got.Message != nil, shows)
	if shows {
		r.compareContent(what, got.Message, want.about, viewer)
	}
	equal(r, what, "is a reaction", got.Reaction != nil, want.kind == chat.KindReaction)
	if got.Reaction != nil {
		equal(r, what, "reaction", *got.Reaction, chat.ReactionChange{Emoji: want.emoji, Removed: want.removed})
	}
	equal(r, what, "is a change", got.Change != nil, want.kind == chat.KindThread)
	if got.Change != nil {
		r.compareChange(what, got.Change, t, want)
	}
}

func (r *runner) compareChange(what string, got *chat.ThreadChange, t *thread, want *event) {
	equal(r, what, "change", got.Event, want.what)
	equal(r, what, "user", got.User, want.user)
	equal(r, what, "role", got.Role, want.role)
	equal(r, what, "title", got.Title, want.title)
	equal(r, what, "members", slices.Equal(got.Members, want.members), true)
	equal(r, what, "pending", got.Pending, want.pending)
	if want.what == chat.ThreadCreated {
		equal(r, what, "type", got.Type, t.kind)
	}
}

// compareMessage compares a message, as somebody is shown it, with the model's.
func (r *runner) compareMessage(what string, got chat.Event, want *message, viewer chat.UserID) {
	r.compareEvent(what, got, want.thread, want.sent, viewer)
}

func (r *runner) compareContent(what string, got *chat.Message, want *message, viewer chat.UserID) {
	gone := want.tombstoneAt(r.now())
	shown, givers := want.shownContent(viewer), want.shownGivers(viewer)
	attachment, hash := want.req.AttachmentID, want.req.AttachmentSHA256
	if gone != "" {
		shown, givers = content{"", want.kind, want.edited}, nil
		attachment, hash = "", ""
	}
	equal(r, what, "deleted", got.Deleted, gone)
	equal(r, what, "text", string(got.Ciphertext), shown.text)
	equal(r, what, "type", got.ContentType, shown.kind)
	equal(r, what, "attachment", got.AttachmentID, attachment)
	equal(r, what, "hash", got.AttachmentSHA256, hash)
	equal(r, what, "epoch", got.Epoch, want.req.Epoch)
	equal(r, what, "client_seq", got.ClientSeq, want.req.ClientSeq)
	equal(r, what, "reply to", r.name(got.ReplyTo), r.name(want.req.ReplyTo))
	equal(r, what, "expires at", got.ExpiresAt.UnixMilli(), want.expires.UnixMilli())
	equal(r, what, "edited at", got.EditedAt.UnixMilli(), shown.edited.UnixMilli())
	equal(r, what, "hidden from", got.HiddenFrom, want.hiddenFrom)
	equal(r, what, "redelivered by", got.RedeliveredSeq, want.redelivered)
	equal(r, what, "different reactions", len(got.Reactions), len(givers))
	for i, given := range got.Reactions {
		if len(want.veils) == 0 {
			equal(r, what, "emoji", given.Emoji, want.reactions[i].emoji)
			equal(r, what, "givers", sameGivers(given.By, givers[given.Emoji]), true)
			continue
		}
		equal(r, what, "givers of "+given.Emoji, sameGivers(byUser(given.By), byUser(givers[given.Emoji])), true)
	}
}

func byUser(givers []chat.ReactionBy) []chat.ReactionBy {
	return slices.SortedFunc(slices.Values(givers), func(a, b chat.ReactionBy) int { return cmp.Compare(a.User, b.User) })
}

func sameGivers(got, want []chat.ReactionBy) bool {
	return slices.EqualFunc(got, want, func(a, b chat.ReactionBy) bool { return a.User == b.User && a.At.Equal(b.At) })
}
