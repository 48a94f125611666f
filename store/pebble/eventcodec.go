package pebble

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// An event is packed as
//
//	version1 kind1 ciphertextLen4 by id16 device <body> <ciphertext>
//
// The ciphertext stands last and its length at a fixed place, so that the rest
// can be decoded, or only its kind and sender looked at, without touching it.
// Thread and seq are in the key.
const (
	eventVersion = 1
	eventPrelude = 6 // version, kind, length of the ciphertext
)

// The kinds of events as they stand on disk.
const (
	diskMessage = 1
	diskThread  = 2
)

// Which of a message's optional fields are there.
const (
	hasReplyTo = 1 << iota
	hasExpiresAt
	hasAttachment
	knownMessageFlags = 1<<iota - 1
)

func encodeEvent(e chat.Event) ([]byte, error) {
	switch {
	case e.Kind == chat.KindMessage && e.Message != nil:
		m := e.Message
		b := make([]byte, 0, 256+len(m.Ciphertext))
		b = appendEventStart(b, diskMessage, len(m.Ciphertext), e)
		return append(appendMessage(b, m), m.Ciphertext...), nil
	case e.Kind == chat.KindThread && e.Change != nil:
		b := make([]byte, 0, 128+32*len(e.Change.Members))
		return appendChange(appendEventStart(b, diskThread, 0, e), e.Change), nil
	}
	return nil, fmt.Errorf("event %s of kind %q cannot be stored", e.ID, e.Kind)
}

func appendEventStart(b []byte, kind byte, ciphertext int, e chat.Event) []byte {
	b = append(b, eventVersion, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(ciphertext))
	return appendStr(append(appendStr(b, e.By), e.ID[:]...), e.Device)
}

// decodeEvent makes the event of a key and its value. Nothing in it points into
// value.
func decodeEvent(at place, value []byte) (chat.Event, error) {
	kind, length, err := eventStart(value)
	if err != nil {
		return chat.Event{}, err
	}
	ciphertext := value[len(value)-length:]
	d := decode(value[eventPrelude : len(value)-length])
	e := chat.Event{Thread: at.thread, Seq: at.seq, By: chat.UserID(d.str()), ID: d.id(), Device: chat.DeviceID(d.str())}
	switch kind {
	case diskMessage:
		e.Kind, e.Message = chat.KindMessage, d.message()
		if length > 0 {
			e.Message.Ciphertext = bytes.Clone(ciphertext)
		}
	case diskThread:
		e.Kind, e.Change = chat.KindThread, d.change()
		if length > 0 {
			return chat.Event{}, fmt.Errorf("a thread event with %d bytes of ciphertext", length)
		}
	default:
		return chat.Event{}, fmt.Errorf("unknown event kind %d", kind)
	}
	return e, d.end()
}

// eventStart reads the fixed part: the kind on disk and the ciphertext's length.
func eventStart(value []byte) (kind byte, ciphertext int, err error) {
	if len(value) < eventPrelude {
		return 0, 0, errShort
	}
	if value[0] != eventVersion {
		return 0, 0, fmt.Errorf("event encoding version %d, this build knows %d", value[0], eventVersion)
	}
	length := binary.BigEndian.Uint32(value[2:])
	if uint64(length) > uint64(len(value)-eventPrelude) {
		return 0, 0, errShort
	}
	return value[1], int(length), nil
}

// messageBy reports whether the event is a message, and whether user sent it,
// without decoding the rest.
func messageBy(value []byte, user chat.UserID) (message, own bool, err error) {
	kind, _, err := eventStart(value)
	if err != nil {
		return false, false, err
	}
	n, size := binary.Uvarint(value[eventPrelude:])
	by := value[eventPrelude+max(size, 0):]
	if size <= 0 || n > uint64(len(by)) {
		return false, false, errShort
	}
	return kind == diskMessage, string(by[:n]) == string(user), nil
}

func appendMessage(b []byte, m *chat.Message) []byte {
	var flags byte
	if !m.ReplyTo.IsZero() {
		flags |= hasReplyTo
	}
	if !m.ExpiresAt.IsZero() {
		flags |= hasExpiresAt
	}
	if m.AttachmentID != "" || m.AttachmentSHA256 != "" {
		flags |= hasAttachment
	}
	b = appendStr(append(b, flags), m.ContentType)
	b = binary.AppendVarint(b, m.ClientSeq)
	b = append(appendStr(b, m.IdempotencyKey), m.BodyHash[:]...)
	if flags&hasReplyTo != 0 {
		b = append(b, m.ReplyTo[:]...)
	}
	if flags&hasExpiresAt != 0 {
		b = appendTime(b, m.ExpiresAt)
	}
	if flags&hasAttachment != 0 {
		b = appendStr(appendStr(b, m.AttachmentID), m.AttachmentSHA256)
	}
	return b
}

func (d *decoder) message() *chat.Message {
	flags := d.byte()
	if flags&^knownMessageFlags != 0 && d.err == nil {
		d.err = fmt.Errorf("unknown message flags %#x", flags)
	}
	m := &chat.Message{ContentType: chat.ContentType(d.str()), ClientSeq: d.varint(), IdempotencyKey: d.str()}
	copy(m.BodyHash[:], d.take(uint64(len(m.BodyHash))))
	if flags&hasReplyTo != 0 {
		m.ReplyTo = d.id()
	}
	if flags&hasExpiresAt != 0 {
		m.ExpiresAt = d.time()
	}
	if flags&hasAttachment != 0 {
		m.AttachmentID, m.AttachmentSHA256 = d.str(), d.str()
	}
	return m
}

func appendChange(b []byte, c *chat.ThreadChange) []byte {
	b = appendStr(appendStr(b, c.Event), c.Type)
	b = appendStr(appendStr(appendStr(b, c.User), c.Role), c.Title)
	b = binary.AppendUvarint(b, uint64(len(c.Members)))
	for _, m := range c.Members {
		b = appendStr(appendStr(b, m.User), m.Role)
	}
	return append(appendStr(b, c.IdempotencyKey), c.BodyHash[:]...)
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
	copy(c.BodyHash[:], d.take(uint64(len(c.BodyHash))))
	return c
}
