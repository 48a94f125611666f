package model

import (
	"slices"

	"github.com/parleyhq/parley/chat"
)

// sameEvent compares an event with the model's, what it shows of a message included.
func (p *player) sameEvent(what string, got chat.Event, t *specThread, want *specEvent) {
	specSame(p, what, "thread", p.threadName(got.Thread), t.name)
	specSame(p, what, "seq", got.Seq, want.seq)
	specSame(p, what, "kind", got.Kind, want.kind)
	specSame(p, what, "its id", got.ID == want.id, true)
	specSame(p, what, "by", got.By, want.by)
	specSame(p, what, "device", got.Device, want.device)
	specSame(p, what, "hidden from", got.HiddenFrom, want.hidden)
	specSame(p, what, "reason", got.Reason, want.reason)
	target := chat.Target{}
	if want.about != nil && want.kind != chat.KindMessage {
		target = chat.Target{ID: want.about.sent.id, Seq: want.about.seq()}
	}
	specSame(p, what, "it is about the right message", got.Target == target, true)
	shows := want.kind == chat.KindMessage || want.kind == chat.KindEdit || want.kind == chat.KindRedelivery
	specSame(p, what, "shows a message", got.Message != nil, shows)
	if shows {
		p.sameContent(what, got.Message, want.about)
	}
	specSame(p, what, "is a reaction", got.Reaction != nil, want.kind == chat.KindReaction)
	if got.Reaction != nil {
		specSame(p, what, "reaction", *got.Reaction, chat.ReactionChange{Emoji: want.emoji, Removed: want.removed})
	}
	specSame(p, what, "is a change", got.Change != nil, want.kind == chat.KindThread)
	if got.Change != nil {
		p.sameChange(what, got.Change, t, want)
	}
}

func (p *player) sameChange(what string, got *chat.ThreadChange, t *specThread, want *specEvent) {
	specSame(p, what, "change", got.Event, want.what)
	specSame(p, what, "user", got.User, want.user)
	specSame(p, what, "role", got.Role, want.role)
	specSame(p, what, "title", got.Title, want.title)
	specSame(p, what, "members", slices.Equal(got.Members, want.members), true)
	if want.what == chat.ThreadCreated {
		specSame(p, what, "type", got.Type, t.kind)
	}
}

// sameMessage compares a message as somebody is shown it.
func (p *player) sameMessage(what string, got chat.Event, want *specMessage) {
	p.sameEvent(what, got, want.thread, want.sent)
}

func (p *player) sameContent(what string, got *chat.Message, want *specMessage) {
	gone := want.goneAt(p.now())
	text, attachment, hash, reactions := want.text, want.req.AttachmentID, want.req.AttachmentSHA256, want.reactions
	if gone != "" {
		text, attachment, hash, reactions = "", "", "", nil
	}
	specSame(p, what, "deleted", got.Deleted, gone)
	specSame(p, what, "text", string(got.Ciphertext), text)
	specSame(p, what, "type", got.ContentType, want.kind)
	specSame(p, what, "attachment", got.AttachmentID, attachment)
	specSame(p, what, "hash", got.AttachmentSHA256, hash)
	specSame(p, what, "client_seq", got.ClientSeq, want.req.ClientSeq)
	specSame(p, what, "reply to", p.name(got.ReplyTo), p.name(want.req.ReplyTo))
	specSame(p, what, "expires at", got.ExpiresAt.UnixMilli(), want.expires.UnixMilli())
	specSame(p, what, "edited at", got.EditedAt.UnixMilli(), want.edited.UnixMilli())
	specSame(p, what, "hidden from", got.HiddenFrom, want.hiddenFrom)
	specSame(p, what, "redelivered by", got.RedeliveredSeq, want.redelivered)
	specSame(p, what, "different reactions", len(got.Reactions), len(reactions))
	for i, r := range got.Reactions {
		specSame(p, what, "emoji", r.Emoji, reactions[i].emoji)
		specSame(p, what, "givers", sameGivers(r.By, reactions[i].by), true)
	}
}

func sameGivers(got, want []chat.ReactionBy) bool {
	return slices.EqualFunc(got, want, func(a, b chat.ReactionBy) bool { return a.User == b.User && a.At.Equal(b.At) })
}
