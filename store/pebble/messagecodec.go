package pebble

import (
	"encoding/binary"
	"math"

	"github.com/parleyhq/parley/chat"
)

// neverExpires is the expiry of a message that has none.
const neverExpires = math.MaxInt64

// messageFlags are the flags that only a message can have.
func messageFlags(m *chat.Message) (flags byte) {
	if !m.ExpiresAt.IsZero() {
		flags |= hasExpiresAt
	}
	if m.Deleted != "" {
		flags |= isDeleted
	}
	if !m.ReplyTo.IsZero() {
		flags |= hasReplyTo
	}
	if m.AttachmentID != "" || m.AttachmentSHA256 != "" {
		flags |= hasAttachment
	}
	if m.Deleted != "" || !m.EditedAt.IsZero() || m.RedeliveredSeq > 0 || len(m.Reactions) > 0 {
		flags |= hasHistory
	}
	return flags
}

// appendMessage packs the fields of a message that are neither in front, where they can
// be peeked at, nor its ciphertext.
func appendMessage(b []byte, m *chat.Message, flags byte) []byte {
	b = appendStr(b, m.ContentType)
	b = binary.AppendVarint(b, m.ClientSeq)
	b = append(appendStr(b, m.IdempotencyKey), m.BodyHash[:]...)
	if flags&hasReplyTo != 0 {
		b = append(b, m.ReplyTo[:]...)
	}
	if flags&hasAttachment != 0 {
		b = appendStr(appendStr(b, m.AttachmentID), m.AttachmentSHA256)
	}
	if flags&hasHistory != 0 {
		b = appendHistory(b, m)
	}
	return b
}

func (d *decoder) message(flags byte) *chat.Message {
	m := &chat.Message{ContentType: chat.ContentType(d.str()), ClientSeq: d.varint(), IdempotencyKey: d.str()}
	copy(m.BodyHash[:], d.next(uint64(len(m.BodyHash))))
	if flags&hasReplyTo != 0 {
		m.ReplyTo = d.id()
	}
	if flags&hasAttachment != 0 {
		m.AttachmentID, m.AttachmentSHA256 = d.str(), d.str()
	}
	if flags&hasHistory != 0 {
		d.history(m)
	}
	if d.err == nil && (flags&isDeleted != 0) != (m.Deleted != "") {
		d.err = errParts // the flag decides whether it is counted, the reason how it is shown
	}
	return m
}

// appendVeils packs what users see otherwise than the message says. Nearly no message has any,
// and nothing is stored then.
func appendVeils(b []byte, veils []chat.Veil) []byte {
	for _, v := range veils {
		b = appendBool(appendStr(b, v.User), v.Content != nil)
		if c := v.Content; c != nil {
			b = appendBool(appendStr(appendStr(b, c.Ciphertext), c.ContentType), !c.EditedAt.IsZero())
			if !c.EditedAt.IsZero() {
				b = appendTime(b, c.EditedAt)
			}
		}
		b = binary.AppendUvarint(b, uint64(len(v.Hidden)))
		for _, emoji := range v.Hidden {
			b = appendStr(b, emoji)
		}
		b = binary.AppendUvarint(b, uint64(len(v.Kept)))
		for _, k := range v.Kept {
			b = appendTime(appendStr(appendStr(b, k.Emoji), k.By.User), k.By.At)
			b = binary.AppendUvarint(b, uint64(k.By.Seq))
		}
	}
	return b
}

func (d *decoder) veils() (veils []chat.Veil) {
	for d.err == nil && d.rest != "" {
		v := chat.Veil{User: chat.UserID(d.str())}
		if d.bool() {
			v.Content = &chat.Content{Ciphertext: d.bytes(), ContentType: chat.ContentType(d.str())}
			if d.bool() {
				v.Content.EditedAt = d.time()
			}
		}
		for range d.count() {
			v.Hidden = append(v.Hidden, d.str())
		}
		for range d.count() {
			k := chat.VeiledReaction{Emoji: d.str(), By: chat.ReactionBy{User: chat.UserID(d.str()), At: d.time()}}
			k.By.Seq = d.seq()
			v.Kept = append(v.Kept, k)
		}
		veils = append(veils, v)
	}
	return veils
}

// appendHistory packs what later events have changed in a message. Few messages have a
// history.
func appendHistory(b []byte, m *chat.Message) []byte {
	b = binary.AppendUvarint(appendStr(b, m.Deleted), uint64(m.RedeliveredSeq))
	b = appendBool(b, !m.EditedAt.IsZero())
	if !m.EditedAt.IsZero() {
		b = appendTime(b, m.EditedAt)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Reactions)))
	for _, r := range m.Reactions {
		b = binary.AppendUvarint(appendStr(b, r.Emoji), uint64(len(r.By)))
		for _, by := range r.By {
			b = appendTime(appendStr(b, by.User), by.At)
		}
	}
	return b
}

func (d *decoder) history(m *chat.Message) {
	m.Deleted, m.RedeliveredSeq = chat.DeleteReason(d.str()), d.seq()
	if d.bool() {
		m.EditedAt = d.time()
	}
	for range d.count() {
		r := chat.Reaction{Emoji: d.str()}
		for range d.count() {
			r.By = append(r.By, chat.ReactionBy{User: chat.UserID(d.str()), At: d.time()})
		}
		m.Reactions = append(m.Reactions, r)
	}
}
