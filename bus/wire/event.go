package wire

import (
	"github.com/parleyhq/parley/chat"
)

// The fields of an event.
const (
	eventThread uint64 = 1 + iota
	eventSeq
	eventID
	eventAt
	eventKind
	eventBy
	eventDevice
	eventTargetID
	eventTargetSeq
	eventHiddenFrom
	eventMessage
	eventReaction
	eventReason
	eventChange
)

func (w *writer) event(e *chat.Event) {
	w.id(eventThread, e.Thread)
	w.uint(eventSeq, uint64(e.Seq))
	w.id(eventID, e.ID)
	w.time(eventAt, e.At)
	str(w, eventKind, e.Kind)
	str(w, eventBy, e.By)
	str(w, eventDevice, e.Device)
	w.id(eventTargetID, e.Target.ID)
	w.uint(eventTargetSeq, uint64(e.Target.Seq))
	str(w, eventHiddenFrom, e.HiddenFrom)
	if e.Message != nil {
		w.nest(eventMessage, func() { w.message(e.Message) })
	}
	if e.Reaction != nil {
		w.nest(eventReaction, func() { w.reactionChange(e.Reaction) })
	}
	str(w, eventReason, e.Reason)
	if e.Change != nil {
		w.nest(eventChange, func() { w.change(e.Change) })
	}
}

func (r *reader) event() *chat.Event {
	e := new(chat.Event)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case eventThread:
			e.Thread = r.id(content)
		case eventSeq:
			e.Seq = chat.Seq(r.uint(content))
		case eventID:
			e.ID = r.id(content)
		case eventAt:
			e.At = r.time(content)
		case eventKind:
			e.Kind = text[chat.EventKind](r, content)
		case eventBy:
			e.By = text[chat.UserID](r, content)
		case eventDevice:
			e.Device = text[chat.DeviceID](r, content)
		case eventTargetID:
			e.Target.ID = r.id(content)
		case eventTargetSeq:
			e.Target.Seq = chat.Seq(r.uint(content))
		case eventHiddenFrom:
			e.HiddenFrom = text[chat.UserID](r, content)
		case eventMessage:
			r.within(content, func(in *reader) { e.Message = in.message() })
		case eventReaction:
			r.within(content, func(in *reader) { e.Reaction = in.reactionChange() })
		case eventReason:
			e.Reason = text[chat.DeleteReason](r, content)
		case eventChange:
			r.within(content, func(in *reader) { e.Change = in.change() })
		}
	}
	r.fail(checkEvent(e))
	return e
}

// checkEvent refuses an event that lacks what its kind is about: who is handed one relies
// on that.
func checkEvent(e *chat.Event) error {
	whole := e.Seq > 0
	switch e.Kind {
	case chat.KindMessage:
		whole = whole && e.Message != nil
	case chat.KindEdit, chat.KindRedelivery:
		whole = whole && e.Message != nil && e.Target.Seq > 0
	case chat.KindDelete:
		whole = whole && e.Reason != "" && e.Target.Seq > 0
	case chat.KindReaction:
		whole = whole && e.Reaction != nil && e.Target.Seq > 0
	case chat.KindThread:
		whole = whole && e.Change != nil
	default:
		return ErrNewer
	}
	if !whole {
		return errParts
	}
	return nil
}

// The fields of a message.
const (
	messageCreatedAt uint64 = 1 + iota
	messageCiphertext
	messageContentType
	messageClientSeq
	messageAttachmentID
	messageAttachmentSHA256
	messageReplyTo
	messageExpiresAt
	messageEditedAt
	messageDeleted
	messageReaction // one for each emoji
	messageHiddenFrom
	messageRedeliveredSeq
	messageIdempotencyKey
	messageBodyHash
	messageEpoch
	messageOmitted
	messageVeil // one for each user
)

func (w *writer) message(m *chat.Message) {
	w.time(messageCreatedAt, m.CreatedAt)
	w.bytes(messageCiphertext, m.Ciphertext)
	str(w, messageContentType, m.ContentType)
	w.int(messageClientSeq, m.ClientSeq)
	str(w, messageAttachmentID, m.AttachmentID)
	str(w, messageAttachmentSHA256, m.AttachmentSHA256)
	w.id(messageReplyTo, m.ReplyTo)
	w.time(messageExpiresAt, m.ExpiresAt)
	w.time(messageEditedAt, m.EditedAt)
	str(w, messageDeleted, m.Deleted)
	for _, given := range m.Reactions {
		w.nest(messageReaction, func() { w.reaction(given) })
	}
	str(w, messageHiddenFrom, m.HiddenFrom)
	w.uint(messageRedeliveredSeq, uint64(m.RedeliveredSeq))
	str(w, messageIdempotencyKey, m.IdempotencyKey)
	w.hash(messageBodyHash, m.BodyHash)
	w.uint(messageEpoch, uint64(m.Epoch))
	w.bool(messageOmitted, m.Omitted)
	for _, v := range m.Veils {
		w.nest(messageVeil, func() { w.veil(v) })
	}
}

//nolint:cyclop // one case for each field
func (r *reader) message() *chat.Message {
	m := new(chat.Message)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case messageCreatedAt:
			m.CreatedAt = r.time(content)
		case messageCiphertext:
			m.Ciphertext = []byte(content)
		case messageContentType:
			m.ContentType = text[chat.ContentType](r, content)
		case messageClientSeq:
			m.ClientSeq = r.int(content)
		case messageAttachmentID:
			m.AttachmentID = text[string](r, content)
		case messageAttachmentSHA256:
			m.AttachmentSHA256 = text[string](r, content)
		case messageReplyTo:
			m.ReplyTo = r.id(content)
		case messageExpiresAt:
			m.ExpiresAt = r.time(content)
		case messageEditedAt:
			m.EditedAt = r.time(content)
		case messageDeleted:
			m.Deleted = text[chat.DeleteReason](r, content)
		case messageReaction:
			r.within(content, func(in *reader) { m.Reactions = add(r, field, m.Reactions, in.reaction()) })
		case messageHiddenFrom:
			m.HiddenFrom = text[chat.UserID](r, content)
		case messageRedeliveredSeq:
			m.RedeliveredSeq = chat.Seq(r.uint(content))
		case messageIdempotencyKey:
			m.IdempotencyKey = text[string](r, content)
		case messageBodyHash:
			m.BodyHash = r.hash(content)
		case messageEpoch:
			m.Epoch = chat.Epoch(r.uint(content))
		case messageOmitted:
			m.Omitted = r.bool(content)
		case messageVeil:
			r.within(content, func(in *reader) { m.Veils = add(r, field, m.Veils, in.veil()) })
		}
	}
	return m
}

// The fields of a reaction of a message, and of each who gave it.
const (
	reactionEmoji uint64 = 1 + iota
	reactionBy           // one for each user
	reactionMore
)

const (
	reactedUser uint64 = 1 + iota
	reactedAt
	reactedSeq
)

func (w *writer) reaction(given chat.Reaction) {
	str(w, reactionEmoji, given.Emoji)
	for _, by := range given.By {
		w.nest(reactionBy, func() { w.reactedBy(by) })
	}
	w.int(reactionMore, int64(given.More))
}

func (w *writer) reactedBy(by chat.ReactionBy) {
	str(w, reactedUser, by.User)
	w.time(reactedAt, by.At)
	w.uint(reactedSeq, uint64(by.Seq))
}

func (r *reader) reaction() (given chat.Reaction) {
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case reactionEmoji:
			given.Emoji = text[string](r, content)
		case reactionBy:
			r.within(content, func(in *reader) { given.By = add(r, field, given.By, in.reactedBy()) })
		case reactionMore:
			given.More = int(r.int(content))
		}
	}
	return given
}

func (r *reader) reactedBy() (by chat.ReactionBy) {
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case reactedUser:
			by.User = text[chat.UserID](r, content)
		case reactedAt:
			by.At = r.time(content)
		case reactedSeq:
			by.Seq = chat.Seq(r.uint(content))
		}
	}
	return by
}

// The fields of what a reaction event did.
const (
	givenEmoji uint64 = 1 + iota
	givenRemoved
)

func (w *writer) reactionChange(c *chat.ReactionChange) {
	str(w, givenEmoji, c.Emoji)
	w.bool(givenRemoved, c.Removed)
}

func (r *reader) reactionChange() *chat.ReactionChange {
	c := new(chat.ReactionChange)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case givenEmoji:
			c.Emoji = text[string](r, content)
		case givenRemoved:
			c.Removed = r.bool(content)
		}
	}
	return c
}

// The fields of a change of a thread, and of each of its first members.
const (
	changeEvent uint64 = 1 + iota
	changeType
	changeMember // one for each
	changeUser
	changeRole
	changeTitle
	changeIdempotencyKey
	changeBodyHash
	changePending
)

const (
	memberUser uint64 = 1 + iota
	memberRole
	memberPending
)

func (w *writer) change(c *chat.ThreadChange) {
	str(w, changeEvent, c.Event)
	str(w, changeType, c.Type)
	for _, m := range c.Members {
		w.nest(changeMember, func() {
			str(w, memberUser, m.User)
			str(w, memberRole, m.Role)
			w.bool(memberPending, m.Pending)
		})
	}
	str(w, changeUser, c.User)
	str(w, changeRole, c.Role)
	str(w, changeTitle, c.Title)
	str(w, changeIdempotencyKey, c.IdempotencyKey)
	w.hash(changeBodyHash, c.BodyHash)
	w.bool(changePending, c.Pending)
}

func (r *reader) change() *chat.ThreadChange {
	c := new(chat.ThreadChange)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case changeEvent:
			c.Event = text[chat.ChangeEvent](r, content)
		case changeType:
			c.Type = text[chat.ThreadType](r, content)
		case changeMember:
			r.within(content, func(in *reader) { c.Members = add(r, field, c.Members, in.member()) })
		case changeUser:
			c.User = text[chat.UserID](r, content)
		case changeRole:
			c.Role = text[chat.Role](r, content)
		case changeTitle:
			c.Title = text[string](r, content)
		case changeIdempotencyKey:
			c.IdempotencyKey = text[string](r, content)
		case changeBodyHash:
			c.BodyHash = r.hash(content)
		case changePending:
			c.Pending = r.bool(content)
		}
	}
	return c
}

func (r *reader) member() (m chat.InitialMember) {
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case memberUser:
			m.User = text[chat.UserID](r, content)
		case memberRole:
			m.Role = text[chat.Role](r, content)
		case memberPending:
			m.Pending = r.bool(content)
		}
	}
	return m
}
