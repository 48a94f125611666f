package contracts

import (
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// EventFrame encodes a log event as the frame of its kind (contract 4.1); what
// redelivers a message is a `msg`.
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

// messageFrame shows the message of that id, which e sends or redelivers.
func messageFrame(e chat.Event, id chat.MessageID) Frame {
	m := e.Message
	size := 384 + base64.StdEncoding.EncodedLen(len(m.Ciphertext)) + len(m.AttachmentID) + len(m.AttachmentSHA256)
	o := newObject(string(chat.KindMessage), size)
	o.id("id", id)
	o.text("thread_id", e.Thread.String())
	o.number("seq", int64(e.Seq))
	o.text("sender_id", string(e.By))
	o.bytes("ciphertext", m.Ciphertext)
	o.text("content_type", string(m.ContentType))
	o.time("created_at", chat.Event{ID: id}.At())
	if !m.ReplyTo.IsZero() {
		o.id("reply_to_msg_id", m.ReplyTo)
	}
	o.optional("attachment_id", m.AttachmentID)
	o.optional("attachment_sha256", m.AttachmentSHA256)
	if !m.ExpiresAt.IsZero() {
		o.time("expires_at", m.ExpiresAt)
	}
	o.number("client_seq", m.ClientSeq)
	o.optional("device_id", string(e.Device))
	if e.Kind == chat.KindRedelivery {
		o.flag("redelivery")
	}
	return o.frame()
}

// editFrame shows the target as it is now: what is deleted since has nothing in
// its ciphertext, and its del follows.
func editFrame(e chat.Event) Frame {
	m := e.Message
	o := newObject(string(e.Kind), 320+base64.StdEncoding.EncodedLen(len(m.Ciphertext)))
	o.target(e)
	o.text("sender_id", string(e.By))
	o.bytes("ciphertext", m.Ciphertext)
	o.text("content_type", string(m.ContentType))
	o.time("edited_at", e.At())
	return o.frame()
}

func deleteFrame(e chat.Event) Frame {
	o := newObject(string(e.Kind), 224)
	o.target(e)
	if e.By == "" { // the server's clock
		o.null("by")
	} else {
		o.text("by", string(e.By))
	}
	o.text("reason", string(e.Reason))
	return o.frame()
}

func reactionFrame(e chat.Event) Frame {
	o := newObject(string(e.Kind), 288+len(e.Reaction.Emoji))
	o.target(e)
	o.text("by", string(e.By))
	o.text("emoji", e.Reaction.Emoji)
	op := "add"
	if e.Reaction.Removed {
		op = "remove"
	}
	o.text("op", op)
	o.time("at", e.At())
	return o.frame()
}

func threadFrame(e chat.Event) Frame {
	c := e.Change
	o := newObject(string(e.Kind), 256+len(c.Title)+96*len(c.Members))
	o.text("thread_id", e.Thread.String())
	o.number("seq", int64(e.Seq))
	o.text("event", string(c.Event))
	o.optional("type", string(c.Type))
	if c.Event == chat.ThreadCreated {
		o.members(c.Members, e.At())
	}
	o.text("by", string(e.By))
	o.optional("user_id", string(c.User))
	o.optional("role", string(c.Role))
	if c.Event == chat.TitleChanged && c.Title == "" {
		o.null("title")
	}
	o.optional("title", c.Title)
	if !e.Target.ID.IsZero() { // pinned, unpinned
		o.id("message_id", e.Target.ID)
	}
	o.time("at", e.At())
	return o.frame()
}

// target names the message that an event is about.
func (o *object) target(e chat.Event) {
	o.id("id", e.Target.ID)
	o.text("thread_id", e.Thread.String())
	o.number("seq", int64(e.Seq))
}

// EventPage is one page of a thread's log, as frames without their frame_seq
// (contract 3).
type EventPage struct {
	Events       []jsontext.Value `json:"events"`
	NextSinceSeq *uint64          `json:"next_since_seq"`
}

// NewEventPage converts a page of events.
func NewEventPage(p chat.EventPage) EventPage {
	page := EventPage{Events: make([]jsontext.Value, len(p.Events))}
	for i, e := range p.Events {
		page.Events[i] = EventFrame(e).Unnumbered()
	}
	if next := uint64(p.Next); next > 0 {
		page.NextSinceSeq = &next
	}
	return page
}
