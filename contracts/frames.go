package contracts

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/parleyhq/parley/chat"
)

// The frame types of docs/contract.md#frames that have no event kind of their own.
const (
	FrameDelivered   = "delivered"
	FrameRead        = "read"
	FrameFailed      = "failed"
	FrameTyping      = "typing"
	FrameSignal      = "signal"
	FramePresence    = "presence"
	FramePrekeysLow  = "prekeys_low"
	FrameHello       = "hello"
	FrameAuth        = "auth"
	FrameExpiring    = "token_expiring"
	FrameThreadState = "thread_state"
	FrameDevices     = "devices"
	FrameCaughtUp    = "caught_up"
	FramePing        = "ping"
	FrameError       = "error"
	FrameClientAck   = "client_ack"
	FramePong        = "pong"
)

// Frame is a frame of the server, encoded once and shared by all connections that it goes
// to, so it must not be written to. It is complete except for the value of its last member,
// frame_seq, which differs from connection to connection: [Frame.Append] adds it.
type Frame []byte

// Append appends the whole frame, with its frame_seq, to dst.
func (f Frame) Append(dst []byte, frameSeq uint64) []byte {
	dst = append(dst, f...)
	dst = strconv.AppendUint(dst, frameSeq, 10)
	return append(dst, '}')
}

// Type is the frame's type, such as "msg".
func (f Frame) Type() []byte {
	t := f[len(frameTypeName):]
	return t[:bytes.IndexByte(t, '"')]
}

// frameTypeName is the begin of every Frame.
const frameTypeName = `{"t":"`

// Len is the length of what [Frame.Append] appends for that frame_seq.
func (f Frame) Len(frameSeq uint64) int {
	n := len(f) + 2
	for frameSeq > 9 {
		frameSeq /= 10
		n++
	}
	return n
}

// Unnumbered is the frame without the member frame_seq.
func (f Frame) Unnumbered() []byte {
	whole := f[:len(f)-len(frameSeqName)]
	return append(whole[:len(whole):len(whole)], '}')
}

// Omitted is a msg or edit frame without its ciphertext, for a client that does not accept
// one of its size (docs/contract.md#mqtt). It reports false for any other frame.
func (f Frame) Omitted() (Frame, bool) {
	const name = `,"ciphertext":"`
	if !bytes.HasPrefix(f, []byte(`{"t":"msg"`)) && !bytes.HasPrefix(f, []byte(`{"t":"edit"`)) {
		return nil, false
	}
	before, rest, found := bytes.Cut(f, []byte(name)) // what stands before are ids and names, which have no quotes
	_, after, _ := bytes.Cut(rest, []byte{'"'})
	if !found || len(rest) == len(after)+1 {
		return nil, false
	}
	return slices.Concat(before, []byte(name), []byte(`","omitted":true`), after), true
}

// frameSeqName is the end of every Frame.
const frameSeqName = `,"frame_seq":`

// DeliveredFrame tells a sender that the receipt's user has received its messages up to
// upTo.
func DeliveredFrame(r chat.Receipt, upTo chat.MessageID) Frame {
	b := newFrame(FrameDelivered, 192)
	b.text("thread_id", r.Thread.String())
	b.id("id", upTo)
	b.text("by", string(r.User))
	b.time("at", r.At)
	return b.frame()
}

// ReadFrame tells how far a participant has read.
func ReadFrame(r chat.Receipt) Frame {
	b := newFrame(FrameRead, 192)
	b.text("thread_id", r.Thread.String())
	b.text("by", string(r.User))
	b.id("up_to", r.Message)
	b.time("at", r.At)
	return b.frame()
}

// FailedFrame tells a sender that one of its messages does not reach a recipient. The user
// by is one of the failure's recipients.
func FailedFrame(f chat.Failure, by chat.UserID) Frame {
	b := newFrame(FrameFailed, 192)
	b.text("thread_id", f.Thread.String())
	b.id("id", f.Message)
	b.text("by", string(by))
	b.text("reason", string(f.Reason))
	return b.frame()
}

// TypingTTL is how long a client shows that somebody is typing
// (docs/contract.md#frames).
const TypingTTL = 5 * time.Second

// TypingFrame tells that a participant is typing.
func TypingFrame(t chat.Typing) Frame {
	b := newFrame(FrameTyping, 160)
	b.text("thread_id", t.Thread.String())
	b.text("user_id", string(t.User))
	b.number("ttl_ms", TypingTTL.Milliseconds())
	return b.frame()
}

// SignalFrame tells a signal.
func SignalFrame(sig chat.Signal) Frame {
	b := newFrame(FrameSignal, 256+base64.StdEncoding.EncodedLen(len(sig.Data)))
	b.text("thread_id", sig.Thread.String())
	b.text("user_id", string(sig.User))
	b.text("device_id", string(sig.Device))
	b.text("name", sig.Name)
	b.bytes("data", sig.Data)
	return b.frame()
}

// PresenceFrame tells whether a user is connected.
func PresenceFrame(p chat.Presence) Frame {
	b := newFrame(FramePresence, 160)
	b.text("user_id", string(p.User))
	b.text("status", presenceStatus(p))
	if p.LastSeen.IsZero() {
		b.null("last_seen_at")
	} else {
		b.time("last_seen_at", p.LastSeen)
	}
	return b.frame()
}

// PrekeysLowFrame tells a device how many one-time prekeys it has left.
func PrekeysLowFrame(low chat.PrekeysLow) Frame {
	b := newFrame(FramePrekeysLow, 96)
	b.number("one_time_prekeys", int64(low.Left))
	if low.PQLeft != nil {
		b.number("pq_one_time_prekeys", int64(*low.PQLeft))
	}
	return b.frame()
}

// HelloFrame is the first one of a JSON connection: it names the store.
func HelloFrame(store chat.StoreID) Frame {
	b := newFrame(FrameHello, 80)
	b.text("store_id", store.String())
	return b.frame()
}

// DevicesFrame tells that a device with keys has changed.
func DevicesFrame(n chat.DeviceNews) Frame {
	b := newFrame(FrameDevices, 192)
	b.text("user_id", string(n.User))
	b.text("device_id", string(n.Device))
	b.text("change", string(n.Change))
	b.time("at", n.At)
	return b.frame()
}

// CaughtUpFrame ends a replay of that many durable frames. The id of the newest message
// that there is for the device is last; zero means that there is none.
func CaughtUpFrame(last chat.MessageID, replayed int, store chat.StoreID) Frame {
	b := newFrame(FrameCaughtUp, 160)
	if last.IsZero() {
		b.null("last_id")
	} else {
		b.id("last_id", last)
	}
	b.number("replayed", int64(replayed))
	b.text("store_id", store.String())
	return b.frame()
}

// TokenExpiringFrame tells a connection when it ends, unless it is given a new token.
func TokenExpiringFrame(expires time.Time) Frame {
	b := newFrame(FrameExpiring, 96)
	b.time("expires_at", expires)
	return b.frame()
}

// AuthFrame confirms a new token: the connection lasts until then now.
func AuthFrame(expires time.Time) Frame {
	b := newFrame(FrameAuth, 96)
	b.time("expires_at", expires)
	return b.frame()
}

// PingFrame asks a JSON client for a pong.
func PingFrame(at time.Time) Frame {
	b := newFrame(FramePing, 64)
	b.time("at", at)
	return b.frame()
}

// ErrorFrame tells a client what was wrong with a frame that it sent, or with one for it.
func ErrorFrame(code chat.Code, detail string) Frame {
	b := newFrame(FrameError, 64+len(detail))
	b.text("code", string(code))
	b.text("detail", detail)
	return b.frame()
}

// PublishErrorFrame tells an MQTT client what was wrong with one of its publishes, where a
// PUBACK cannot (docs/contract.md#mqtt). The key is "" if it could not be read.
func PublishErrorFrame(code chat.Code, detail string, packetID uint16, idempotencyKey string) Frame {
	b := newFrame(FrameError, 128+len(detail)+len(idempotencyKey))
	b.text("code", string(code))
	b.text("detail", detail)
	b.number("packet_id", int64(packetID))
	b.optional("idempotency_key", idempotencyKey)
	return b.frame()
}
