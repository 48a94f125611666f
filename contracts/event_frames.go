package contracts

import (
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// EventFrame encodes an event of a log as the frame of its kind
// (docs/contract.md#frames). A redelivery of a message is a `msg` frame.
func EventFrame(e chat.Event) Frame {
	switch e.Kind {
	case chat.KindMessage:
		return messageFrame(e, e.ID)
	case chat.KindRedelivery:
		return messageFrame(e, e.Target.ID)
	case chat.KindEdit:
		return editFrame(e)
	case chat.KindDelete:
		return deleteFrame(e)
	case chat.KindReaction:
		return reactionFrame(e)
	default:
		return threadFrame(e)
	}
}

// messageFrame encodes the message with that id, which e sends or redelivers.
func messageFrame(e chat.Event, id chat.MessageID) Frame {
	m := e.Brief().Message
	size := 384 + base64.StdEncoding.EncodedLen(len(m.Ciphertext)) + len(m.AttachmentID) + len(m.AttachmentSHA256)
	b := newFrame(string(chat.KindMessage), size)
	b.id("id", id)
	b.text("thread_id", e.Thread.String())
	b.number("seq", int64(e.Seq))
	b.text("sender_id", string(e.By))
	b.bytes("ciphertext", m.Ciphertext)
	if m.Omitted {
		b.flag("omitted")
	}
	b.text("content_type", string(m.ContentType))
	if m.Epoch > 0 {
		b.number("epoch", int64(m.Epoch))
	}
	b.time("created_at", m.CreatedAt)
	if !m.ReplyTo.IsZero() {
		b.id("reply_to_msg_id", m.ReplyTo)
	}
	b.optional("attachment_id", m.AttachmentID)
	b.optional("attachment_sha256", m.AttachmentSHA256)
	if !m.ExpiresAt.IsZero() {
		b.time("expires_at", m.ExpiresAt)
	}
	b.number("client_seq", m.ClientSeq)
	b.optional("device_id", string(e.Device))
	if e.Kind == chat.KindRedelivery {
		b.flag("redelivery")
	}
	return b.frame()
}

// editFrame encodes the target in its present form. If the target has been deleted since,
// the ciphertext is empty, and the frame of the deletion follows later in the log.
func editFrame(e chat.Event) Frame {
	m := e.Message
	b := newFrame(string(e.Kind), 320+base64.StdEncoding.EncodedLen(len(m.Ciphertext)))
	b.target(e)
	b.text("sender_id", string(e.By))
	b.bytes("ciphertext", m.Ciphertext)
	b.text("content_type", string(m.ContentType))
	b.time("edited_at", e.At)
	return b.frame()
}

func deleteFrame(e chat.Event) Frame {
	b := newFrame(string(e.Kind), 224)
	b.target(e)
	if e.By == "" { // the message has expired
		b.null("by")
	} else {
		b.text("by", string(e.By))
	}
	b.text("reason", string(e.Reason))
	return b.frame()
}

func reactionFrame(e chat.Event) Frame {
	b := newFrame(string(e.Kind), 288+len(e.Reaction.Emoji))
	b.target(e)
	b.text("by", string(e.By))
	b.text("emoji", e.Reaction.Emoji)
	op := "add"
	if e.Reaction.Removed {
		op = "remove"
	}
	b.text("op", op)
	b.time("at", e.At)
	return b.frame()
}

func threadFrame(e chat.Event) Frame {
	c := e.Change
	b := newFrame(string(e.Kind), 256+len(c.Title)+96*len(c.Members))
	b.text("thread_id", e.Thread.String())
	b.number("seq", int64(e.Seq))
	b.text("event", string(c.Event))
	b.optional("type", string(c.Type))
	if c.Event == chat.ThreadCreated {
		b.members(c.Members, e.At)
	}
	b.text("by", string(e.By))
	b.optional("user_id", string(c.User))
	b.optional("role", string(c.Role))
	if c.Event == chat.TitleChanged && c.Title == "" {
		b.null("title")
	}
	b.optional("title", c.Title)
	if !e.Target.ID.IsZero() { // pinned, unpinned
		b.id("message_id", e.Target.ID)
	}
	b.time("at", e.At)
	return b.frame()
}

// target writes which message the event is about.
func (b *frameBuilder) target(e chat.Event) {
	b.id("id", e.Target.ID)
	b.text("thread_id", e.Thread.String())
	b.number("seq", int64(e.Seq))
}

// EventPage is one page of a thread's log, as frames without their frame_seq
// (docs/contract.md#history).
type EventPage struct {
	Events       []jsontext.Value `json:"events"`
	NextSinceSeq *uint64          `json:"next_since_seq"`
	StoreID      string           `json:"store_id"`
}

// NewEventPage converts a page of events.
func NewEventPage(p chat.EventPage) EventPage {
	page := EventPage{
		Events:  convertAll(p.Events, func(e chat.Event) jsontext.Value { return EventFrame(e).Unnumbered() }),
		StoreID: p.Store.String(),
	}
	if next := uint64(p.Next); next > 0 {
		page.NextSinceSeq = &next
	}
	return page
}
