package contracts

import (
	"strconv"
	"time"

	"github.com/parleyhq/parley/chat"
)

// The frame types of contract 4.1 that have no event kind of their own.
const (
	FrameDelivered  = "delivered"
	FrameRead       = "read"
	FrameFailed     = "failed"
	FrameTyping     = "typing"
	FramePresence   = "presence"
	FramePrekeysLow = "prekeys_low"
	FrameCaughtUp   = "caught_up"
	FramePing       = "ping"
	FrameError      = "error"
	FrameClientAck  = "client_ack"
	FramePong       = "pong"
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

// FailedFrame tells a sender that a message of its does not reach by, one of the
// failure's recipients.
func FailedFrame(f chat.Failure, by chat.UserID) Frame {
	o := newObject(FrameFailed, 192)
	o.text("thread_id", f.Thread.String())
	o.id("id", f.Message)
	o.text("by", string(by))
	o.text("reason", string(f.Reason))
	return o.frame()
}

// TypingTTL is for how long a typing frame says that somebody is typing (contract 4.1).
const TypingTTL = 5 * time.Second

// TypingFrame tells that a participant is writing something.
func TypingFrame(t chat.Typing) Frame {
	o := newObject(FrameTyping, 160)
	o.text("thread_id", t.Thread.String())
	o.text("user_id", string(t.User))
	o.number("ttl_ms", TypingTTL.Milliseconds())
	return o.frame()
}

// PresenceFrame tells whether a user is connected.
func PresenceFrame(p chat.Presence) Frame {
	o := newObject(FramePresence, 160)
	o.text("user_id", string(p.User))
	o.text("status", presenceStatus(p))
	if p.LastSeen.IsZero() {
		o.null("last_seen_at")
	} else {
		o.time("last_seen_at", p.LastSeen)
	}
	return o.frame()
}

// PrekeysLowFrame tells a device how few one-time keys it has left.
func PrekeysLowFrame(left int) Frame {
	o := newObject(FramePrekeysLow, 64)
	o.number("one_time_prekeys", int64(left))
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
