package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// An event is packed as
//
//	version1 kind1 flags1 ciphertextLen4 [expires] by [hiddenFrom] id16 drift device [target] <body> <ciphertext>
//
// The drift is by how many milliseconds the event's wall-clock time is later than the
// time in its id. An event of version 2 has none, and is read as if it were zero.
//
// The fields that decide whether a message is shown or counted come first, so that they
// can be read without decoding the rest. The ciphertext comes last and its length at a
// fixed place, so that the rest can be decoded without touching the ciphertext. Thread
// and seq are in the key.
//
// The record of a message is its present state: later events about it rewrite it
// (fold.go). An edit and a redelivery hold no content of their own; readers show that
// of the message.
const (
	eventVersion       = 3
	oldestEventVersion = 2 // without a drift
	eventPrelude       = 7 // version, kind, flags, length of the ciphertext
)

// The kinds of events as they stand on disk.
const (
	diskMessage = 1 + iota
	diskThread
	diskEdit
	diskDelete
	diskReaction
	diskRedelivery
	diskControl // a message of content type control, which no count has to decode
)

var diskKinds = map[chat.EventKind]byte{
	chat.KindMessage:    diskMessage,
	chat.KindThread:     diskThread,
	chat.KindEdit:       diskEdit,
	chat.KindDelete:     diskDelete,
	chat.KindReaction:   diskReaction,
	chat.KindRedelivery: diskRedelivery,
}

// The flags tell which optional fields a record has. Only a message can have others
// than the first two.
const (
	hasTarget = 1 << iota
	isHidden  // from somebody
	hasExpiresAt
	isDeleted
	hasReplyTo
	hasAttachment
	hasHistory   // edited, deleted or redelivered, or with reactions as of format 4
	hasReactions // or had them: they stand under keys of their own
	knownFlags   = 1<<iota - 1
	commonFlags  = hasTarget | isHidden
)

// errParts is the error of a value whose fields can all be read but contradict each
// other.
var errParts = errors.New("parts that do not fit together")

// checkStorable refuses an event that lacks what its kind is about.
func checkStorable(e chat.Event) error {
	whole := false
	switch e.Kind {
	case chat.KindMessage:
		whole = e.Message != nil && e.HiddenFrom == ""
	case chat.KindEdit:
		whole = e.Message != nil && e.Target.Seq > 0
	case chat.KindDelete:
		whole = e.Reason != "" && e.Target.Seq > 0
	case chat.KindReaction:
		whole = e.Reaction != nil && e.Target.Seq > 0
	case chat.KindRedelivery:
		whole = e.Message != nil && e.Target.Seq > 0
	case chat.KindThread:
		whole = e.Change != nil
	}
	if !whole {
		return fmt.Errorf("event %s of kind %q cannot be stored", e.ID, e.Kind)
	}
	return nil
}

// record is an event as its own key holds it: a message without its reactions, unless they
// are in it as of format 4.
type record struct {
	chat.Event
	reacted bool // there are, or were, keys of its reactions
}

func encodeEvent(e chat.Event) ([]byte, error) { return encodeRecord(record{Event: e}) }

func encodeRecord(e record) ([]byte, error) {
	if err := checkStorable(e.Event); err != nil {
		return nil, err
	}
	flags, hiddenFrom := byte(0), e.HiddenFrom
	var ciphertext []byte
	if e.Kind == chat.KindMessage {
		flags, hiddenFrom, ciphertext = messageFlags(e.Message), e.Message.HiddenFrom, e.Message.Ciphertext
	}
	if e.reacted {
		flags |= hasReactions
	}
	if e.Target != (chat.Target{}) {
		flags |= hasTarget
	}
	if hiddenFrom != "" {
		flags |= isHidden
	}
	b := append(make([]byte, 0, 256+len(ciphertext)), eventVersion, diskKind(e.Event), flags)
	b = binary.BigEndian.AppendUint32(b, uint32(len(ciphertext)))
	if flags&hasExpiresAt != 0 {
		b = appendTime(b, e.Message.ExpiresAt)
	}
	b = appendStr(b, e.By)
	if flags&isHidden != 0 {
		b = appendStr(b, hiddenFrom)
	}
	b = appendStr(appendDrift(append(b, e.ID[:]...), e.ID, e.At), e.Device)
	if flags&hasTarget != 0 {
		b = appendTarget(b, e.Target)
	}
	return append(appendBody(b, e.Event, flags), ciphertext...), nil
}

func diskKind(e chat.Event) byte {
	if e.Kind == chat.KindMessage && e.Message.IsControl() {
		return diskControl
	}
	return diskKinds[e.Kind]
}

// isMessage reports whether the record is a message's.
func (p eventPeek) isMessage() bool { return p.kind == diskMessage || p.kind == diskControl }

func appendBody(b []byte, e chat.Event, flags byte) []byte {
	switch e.Kind {
	case chat.KindMessage:
		b = appendMessage(b, e.Message, flags)
		if e.Message.IsControl() {
			return binary.AppendUvarint(b, uint64(e.Message.Epoch))
		}
		return appendVeils(b, e.Message.Veils)
	case chat.KindThread:
		return appendChange(b, e.Change)
	case chat.KindReaction:
		return appendBool(appendStr(b, e.Reaction.Emoji), e.Reaction.Removed)
	case chat.KindDelete:
		return appendStr(b, e.Reason)
	default: // an edit or a redelivery: its target says the rest
		return b
	}
}

// decodeEvent is decodeRecord for an event without keys of reactions.
func decodeEvent(at place, value []byte) (chat.Event, error) {
	r, err := decodeRecord(at, value)
	return r.Event, err
}

// decodeRecord makes an event of a key and its value. An edit or a redelivery comes
// without the content of its target. Nothing in the event points into value.
func decodeRecord(at place, value []byte) (record, error) {
	start, err := eventStart(value)
	if err != nil {
		return record{}, err
	}
	if !start.isMessage() && (start.ciphertext > 0 || start.flags&^commonFlags != 0) {
		return record{}, fmt.Errorf("flags %#x and %d bytes of ciphertext in an event of kind %d", start.flags, start.ciphertext, start.kind)
	}
	body := len(value) - start.ciphertext
	d := decode(value[eventPrelude:body])
	var expiresAt time.Time
	if start.flags&hasExpiresAt != 0 {
		expiresAt = d.time()
	}
	e := chat.Event{Thread: at.thread, Seq: at.seq, By: chat.UserID(d.str())}
	if start.flags&isHidden != 0 {
		e.HiddenFrom = chat.UserID(d.str())
	}
	e.ID = d.id()
	e.At = chat.IDTime(e.ID)
	if start.version > oldestEventVersion {
		e.At = d.drifted(e.ID)
	}
	e.Device = chat.DeviceID(d.str())
	if start.flags&hasTarget != 0 {
		e.Target = d.target()
	}
	d.body(&e, start)
	if e.Kind == chat.KindMessage {
		e.Message.CreatedAt, e.Message.ExpiresAt = e.At, expiresAt
		e.Message.HiddenFrom, e.HiddenFrom = e.HiddenFrom, ""
		base.NumberReactions(e.Seq, e.Message.Reactions)
		if start.ciphertext > 0 {
			e.Message.Ciphertext = bytes.Clone(value[body:])
		}
	}
	if err := d.end(); err != nil {
		return record{}, fmt.Errorf("event %d of thread %s: %w", at.seq, at.thread, err)
	}
	return record{e, start.flags&hasReactions != 0}, nil
}

// body reads what appendBody wrote.
func (d *decoder) body(e *chat.Event, start eventPeek) {
	switch start.kind {
	case diskMessage:
		e.Kind, e.Message = chat.KindMessage, d.message(start.flags)
		e.Message.Veils = d.veils()
	case diskControl:
		e.Kind, e.Message = chat.KindMessage, d.message(start.flags)
		if e.Message.Epoch = chat.Epoch(d.uvarint()); d.err == nil && !e.Message.IsControl() {
			d.err = errParts
		}
	case diskThread:
		e.Kind, e.Change = chat.KindThread, d.change()
	case diskReaction:
		e.Kind, e.Reaction = chat.KindReaction, &chat.ReactionChange{Emoji: d.str(), Removed: d.bool()}
	case diskDelete:
		e.Kind, e.Reason = chat.KindDelete, chat.DeleteReason(d.str())
	case diskEdit:
		e.Kind = chat.KindEdit
	case diskRedelivery:
		e.Kind = chat.KindRedelivery
	default:
		d.err = fmt.Errorf("unknown event kind %d", start.kind)
	}
	if d.err == nil && e.ChangesMessage() && (e.Target.Seq == 0 || e.Kind == chat.KindDelete && e.Reason == "") {
		d.err = errParts
	}
}

func appendChange(b []byte, c *chat.ThreadChange) []byte {
	b = appendStr(appendStr(b, c.Event), c.Type)
	b = appendStr(appendStr(appendStr(b, c.User), c.Role), c.Title)
	b = binary.AppendUvarint(b, uint64(len(c.Members)))
	for _, m := range c.Members {
		b = appendStr(appendStr(b, m.User), m.Role)
	}
	return appendPending(append(appendStr(b, c.IdempotencyKey), c.BodyHash[:]...), c)
}

// appendPending packs which members have to accept the thread, by their places; of somebody
// who was added that is 0. Of a change without any nothing is stored.
func appendPending(b []byte, c *chat.ThreadChange) []byte {
	if c.Pending {
		b = binary.AppendUvarint(b, 0)
	}
	for i, m := range c.Members {
		if m.Pending {
			b = binary.AppendUvarint(b, uint64(i))
		}
	}
	return b
}

func (d *decoder) pending(c *chat.ThreadChange) {
	for d.err == nil && d.rest != "" {
		switch i := d.uvarint(); {
		case d.err != nil:
		case c.Event == chat.ParticipantAdded && i == 0:
			c.Pending = true
		case i < uint64(len(c.Members)):
			c.Members[i].Pending = true
		default:
			d.err = errParts
		}
	}
}

func (d *decoder) change() *chat.ThreadChange {
	c := &chat.ThreadChange{
		Event: chat.ChangeEvent(d.str()), Type: chat.ThreadType(d.str()),
		User: chat.UserID(d.str()), Role: chat.Role(d.str()), Title: d.str(),
	}
	n := d.count()
	if n > 0 {
		c.Members = make([]chat.InitialMember, 0, n)
	}
	for range n {
		c.Members = append(c.Members, chat.InitialMember{User: chat.UserID(d.str()), Role: chat.Role(d.str())})
	}
	c.IdempotencyKey = d.str()
	copy(c.BodyHash[:], d.next(uint64(len(c.BodyHash))))
	d.pending(c)
	return c
}

// eventPeek is the prelude of an event's record.
type eventPeek struct {
	version, kind, flags byte
	ciphertext           int    // its length
	rest                 []byte // what follows the prelude; points into the value
}

func eventStart(value []byte) (eventPeek, error) {
	if len(value) < eventPrelude {
		return eventPeek{}, errShort
	}
	if err := checkVersion(value[0], oldestEventVersion, eventVersion); err != nil {
		return eventPeek{}, err
	}
	p := eventPeek{version: value[0], kind: value[1], flags: value[2], rest: value[eventPrelude:]}
	if p.flags&^knownFlags != 0 {
		return eventPeek{}, fmt.Errorf("unknown event flags %#x", p.flags)
	}
	n := binary.BigEndian.Uint32(value[3:])
	if uint64(n) > uint64(len(p.rest)) {
		return eventPeek{}, errShort
	}
	p.ciphertext = int(n)
	return p, nil
}

// messagePeek holds the fields that decide whether a message is shown or counted. The
// names point into the value.
type messagePeek struct {
	by, hiddenFrom []byte // nobody if empty
	deleted        bool
	expiresAt      int64 // milliseconds

	start eventPeek
	rest  []byte // what follows these fields; points into the value
}

// peekMessage reads the first fields of a message without decoding the rest; message is
// false for any other event.
func peekMessage(value []byte) (p messagePeek, message bool, err error) {
	start, err := eventStart(value)
	if err != nil || !start.isMessage() {
		return p, false, err
	}
	p.start, p.deleted, p.expiresAt = start, start.flags&isDeleted != 0, neverExpires
	rest := start.rest
	if start.flags&hasExpiresAt != 0 {
		at, n := binary.Varint(rest)
		if n <= 0 {
			return p, false, errShort
		}
		p.expiresAt, rest = at, rest[n:]
	}
	if p.by, rest, err = peekName(rest); err != nil {
		return p, false, err
	}
	if start.flags&isHidden != 0 {
		p.hiddenFrom, rest, err = peekName(rest)
	}
	p.rest = rest
	return p, err == nil, err
}

// contentType reads on in a message that was peeked at, to its content type.
func (p messagePeek) contentType() (chat.ContentType, error) {
	d := decode(p.rest)
	if id := d.id(); p.start.version > oldestEventVersion {
		d.drifted(id)
	}
	_ = d.str() // the device
	if p.start.flags&hasTarget != 0 {
		d.target()
	}
	return chat.ContentType(d.str()), d.err
}

func peekName(value []byte) (name, rest []byte, err error) {
	n, width := binary.Uvarint(value)
	if width <= 0 || n > uint64(len(value)-width) {
		return nil, nil, errShort
	}
	value = value[width:]
	return value[:n], value[n:], nil
}
