package contracts

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// The frame types of contract 4.1 that have no event kind of their own.
const (
	FrameDelivered = "delivered"
	FrameRead      = "read"
	FrameCaughtUp  = "caught_up"
	FramePing      = "ping"
	FrameError     = "error"
	FrameClientAck = "client_ack"
	FramePong      = "pong"
)

// Frame is a server frame, encoded once and shared by every connection it goes
// to. It is complete but for the number behind its last member, frame_seq, which
// is the connection's own: [Frame.Append] adds it.
type Frame []byte

// Append writes the whole frame with its number behind dst.
func (f Frame) Append(dst []byte, frameSeq uint64) []byte {
	dst = append(dst, f...)
	dst = strconv.AppendUint(dst, frameSeq, 10)
	return append(dst, '}')
}

// Len is the length of the whole frame with that number.
func (f Frame) Len(frameSeq uint64) int {
	n := len(f) + 2
	for frameSeq > 9 {
		frameSeq /= 10
		n++
	}
	return n
}

// Unnumbered is the frame without its frame_seq.
func (f Frame) Unnumbered() []byte {
	whole := f[:len(f)-len(frameSeqName)]
	return append(whole[:len(whole):len(whole)], '}')
}

// frameSeqName is how every Frame ends.
const frameSeqName = `,"frame_seq":`

// EventFrame encodes a log event as the frame of its kind.
func EventFrame(e chat.Event) Frame {
	if e.Kind == chat.KindMessage {
		return messageFrame(e)
	}
	return threadFrame(e)
}

func messageFrame(e chat.Event) Frame {
	m := e.Message
	size := 384 + base64.StdEncoding.EncodedLen(len(m.Ciphertext)) + len(m.AttachmentID) + len(m.AttachmentSHA256)
	o := newObject(string(e.Kind), size)
	o.id("id", e.ID)
	o.text("thread_id", e.Thread.String())
	o.number("seq", int64(e.Seq))
	o.text("sender_id", string(e.By))
	o.bytes("ciphertext", m.Ciphertext)
	o.text("content_type", string(m.ContentType))
	o.time("created_at", e.At())
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
	o.time("at", e.At())
	return o.frame()
}

// DeliveredFrame tells a sender how far by has received its messages.
func DeliveredFrame(r chat.Receipt, upTo chat.MessageID) Frame {
	o := newObject(FrameDelivered, 192)
	o.text("thread_id", r.Thread.String())
	o.id("id", upTo)
	o.text("by", string(r.User))
	o.time("at", r.At)
	return o.frame()
}

// ReadFrame tells how far a participant has read.
func ReadFrame(r chat.Receipt) Frame {
	o := newObject(FrameRead, 192)
	o.text("thread_id", r.Thread.String())
	o.text("by", string(r.User))
	o.id("up_to", r.Message)
	o.time("at", r.At)
	return o.frame()
}

// CaughtUpFrame ends a replay of that many durable frames. A last of zero, the
// newest message there is for the device, is encoded as null.
func CaughtUpFrame(last chat.MessageID, replayed int) Frame {
	o := newObject(FrameCaughtUp, 96)
	if last.IsZero() {
		o.null("last_id")
	} else {
		o.id("last_id", last)
	}
	o.number("replayed", int64(replayed))
	return o.frame()
}

// PingFrame asks a JSON client for a pong.
func PingFrame(at time.Time) Frame {
	o := newObject(FramePing, 64)
	o.time("at", at)
	return o.frame()
}

// ErrorFrame tells a client that a frame of its was wrong.
func ErrorFrame(code chat.Code, detail string) Frame {
	o := newObject(FrameError, 64+len(detail))
	o.text("code", string(code))
	o.text("detail", detail)
	return o.frame()
}

// object builds one frame member by member; encoding/json would cost the hot
// path a reflection walk and its allocations. A test holds it to encoding/json.
type object struct{ buf []byte }

func newObject(t string, size int) object {
	o := object{buf: make([]byte, 0, size)}
	o.buf = append(o.buf, `{"t":"`...)
	o.buf = append(o.buf, t...)
	o.buf = append(o.buf, '"')
	return o
}

// frame ends the object before the value of frame_seq.
func (o *object) frame() Frame {
	return append(o.buf, frameSeqName...)
}

func (o *object) name(name string) {
	o.buf = append(o.buf, `,"`...)
	o.buf = append(o.buf, name...)
	o.buf = append(o.buf, `":`...)
}

func (o *object) text(name, value string) {
	o.name(name)
	// The error is for invalid UTF-8, which the border refused on the way in;
	// the quoted form is valid JSON even then.
	o.buf, _ = jsontext.AppendQuote(o.buf, value)
}

func (o *object) null(name string) {
	o.name(name)
	o.buf = append(o.buf, "null"...)
}

func (o *object) optional(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) number(name string, value int64) {
	o.name(name)
	o.buf = strconv.AppendInt(o.buf, value, 10)
}

func (o *object) id(name string, value chat.EventID) {
	o.name(name)
	o.buf = append(o.buf, '"')
	o.buf = append(o.buf, value.String()...)
	o.buf = append(o.buf, '"')
}

func (o *object) time(name string, at time.Time) {
	o.name(name)
	o.buf = append(o.buf, '"')
	o.buf = AppendTime(o.buf, at)
	o.buf = append(o.buf, '"')
}

func (o *object) bytes(name string, value []byte) {
	o.name(name)
	o.buf = append(o.buf, '"')
	o.buf = base64.StdEncoding.AppendEncode(o.buf, value)
	o.buf = append(o.buf, '"')
}

func (o *object) members(members []chat.InitialMember, joined time.Time) {
	o.name("participants")
	o.buf = append(o.buf, '[')
	for i, m := range members {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = append(o.buf, `{"user_id":`...)
		o.buf, _ = jsontext.AppendQuote(o.buf, string(m.User)) // see text
		o.text("role", string(m.Role))
		o.time("joined_at", joined)
		o.buf = append(o.buf, '}')
	}
	o.buf = append(o.buf, ']')
}
