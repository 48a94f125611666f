package wire

import (
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// The fields of a notice's header.
const (
	headAudience uint64 = 1 + iota // one for each user
	headMessage                    // the id of a message that the notice brings
	headLive                       // it is of no use but to those of the audience who are connected
)

// The fields of a notice's body: one of them.
const (
	bodyEvent uint64 = 1 + iota
	bodyReceipt
	bodyFailure
	bodyPrekeysLow
	bodyTyping
	bodyPresence
	bodyWake
	bodyNode
	bodySignal
	bodyDevices
	bodyRemoved
	bodyState
)

// AppendNotice appends a notice to b. It may be longer than MaxBytes: the caller then
// sends what [Wake] makes of it.
func AppendNotice(b []byte, n *chat.Notice) []byte {
	w := &writer{append(b, Version)}
	w.sized(func() {
		for _, user := range n.Audience {
			w.item(headAudience, string(user))
		}
		if n.Event != nil && n.Event.Kind == chat.KindMessage {
			w.id(headMessage, n.Event.ID)
		}
		if isLive(n) {
			w.uint(headLive, 1)
		}
	})
	switch {
	case n.Event != nil:
		w.nest(bodyEvent, func() { w.event(n.Event) })
	case n.Receipt != nil:
		w.nest(bodyReceipt, func() { w.receipt(n.Receipt) })
	case n.Failure != nil:
		w.nest(bodyFailure, func() { w.failure(n.Failure) })
	case n.PrekeysLow != nil:
		w.nest(bodyPrekeysLow, func() { w.prekeysLow(n.PrekeysLow) })
	case n.Typing != nil:
		w.nest(bodyTyping, func() { w.typing(n.Typing) })
	case n.Presence != nil:
		w.nest(bodyPresence, func() { w.presence(n.Presence) })
	case n.Devices != nil:
		w.nest(bodyDevices, func() { w.devices(n.Devices) })
	case n.Removed != nil:
		w.nest(bodyRemoved, func() { w.removal(n.Removed) })
	case n.Wake != nil:
		w.nest(bodyWake, func() { w.wake(n.Wake) })
	case n.Signal != nil:
		w.nest(bodySignal, func() { w.signal(n.Signal) })
	case n.Node != nil:
		w.nest(bodyNode, func() { w.node(n.Node) })
	case n.State != nil:
		w.nest(bodyState, func() { w.state(n.State) })
	}
	return w.b
}

// isLive reports whether a notice is for the audience's connections alone: a node that has
// none of them may ignore it.
func isLive(n *chat.Notice) bool {
	return n.Receipt != nil && n.Receipt.Kind == chat.Delivered || n.Failure != nil || n.Typing != nil || n.Signal != nil
}

// Wake is a notice that tells of an event without bringing it.
func Wake(n *chat.Notice) *chat.Notice {
	return &chat.Notice{Audience: n.Audience, Wake: &chat.Wake{Thread: n.Event.Thread, Seq: n.Event.Seq, ID: n.Event.ID}}
}

// Packed is a notice of which the header was read.
type Packed struct {
	Audience []chat.UserID
	Message  chat.MessageID // of the message that the notice brings; zero if it brings none
	Live     bool           // it is of no use but to those of the audience who are connected

	body string
}

// Open reads the header of a notice. The bytes are not kept.
func Open(b []byte) (Packed, error) {
	if len(b) > MaxBytes {
		return Packed{}, fmt.Errorf("a notice of %d bytes, more than %d", len(b), MaxBytes)
	}
	r := &reader{rest: string(b)}
	if version := r.cut(1); r.err == nil && version[0] != Version {
		return Packed{}, fmt.Errorf("%w: it is version %d, this build knows %d", ErrNewer, version[0], Version)
	}
	var p Packed
	r.within(r.cut(r.uvarint()), func(in *reader) {
		for field, content, ok := in.next(); ok; field, content, ok = in.next() {
			switch field {
			case headAudience:
				p.Audience = add(in, field, p.Audience, text[chat.UserID](in, content))
			case headMessage:
				p.Message = in.id(content)
			case headLive:
				p.Live = in.uint(content) == 1
			}
		}
	})
	p.body = r.rest
	if r.err != nil {
		return Packed{}, fmt.Errorf("read the header of a notice: %w", r.err)
	}
	return p, nil
}

// Notice reads the rest of the notice. Its error is ErrNewer if it tells what this build
// does not know.
//
//nolint:cyclop // one case for each field
func (p Packed) Notice() (chat.Notice, error) {
	r := &reader{rest: p.body}
	n := chat.Notice{Audience: p.Audience}
	kinds := 0
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		kinds++
		switch field {
		case bodyEvent:
			r.within(content, func(in *reader) { n.Event = in.event() })
		case bodyReceipt:
			r.within(content, func(in *reader) { n.Receipt = in.receipt() })
		case bodyFailure:
			r.within(content, func(in *reader) { n.Failure = in.failure() })
		case bodyPrekeysLow:
			r.within(content, func(in *reader) { n.PrekeysLow = in.prekeysLow() })
		case bodyTyping:
			r.within(content, func(in *reader) { n.Typing = in.typing() })
		case bodyPresence:
			r.within(content, func(in *reader) { n.Presence = in.presence() })
		case bodyWake:
			r.within(content, func(in *reader) { n.Wake = in.wake() })
		case bodySignal:
			r.within(content, func(in *reader) { n.Signal = in.signal() })
		case bodyDevices:
			r.within(content, func(in *reader) { n.Devices = in.devices() })
		case bodyRemoved:
			r.within(content, func(in *reader) { n.Removed = in.removal() })
		case bodyNode:
			r.within(content, func(in *reader) { n.Node = in.node() })
		case bodyState:
			r.within(content, func(in *reader) { n.State = in.state() })
		default:
			kinds--
		}
	}
	switch {
	case r.err != nil:
		return chat.Notice{}, fmt.Errorf("read a notice: %w", r.err)
	case kinds == 0:
		return chat.Notice{}, ErrNewer
	case kinds > 1, p.Message != chat.MessageID{} && (n.Event == nil || n.Event.ID != p.Message):
		return chat.Notice{}, fmt.Errorf("read a notice: %w", errParts)
	}
	return n, nil
}

// Decode is Open and Notice.
func Decode(b []byte) (chat.Notice, error) {
	p, err := Open(b)
	if err != nil {
		return chat.Notice{}, err
	}
	return p.Notice()
}

// The fields of a receipt, and of each sender's newest message in it.
const (
	receiptThread uint64 = 1 + iota
	receiptUser
	receiptKind
	receiptSeq
	receiptMessage
	receiptAt
	receiptDevice
	receiptSender // one for each
	receiptBeside
)

const (
	senderUser uint64 = 1 + iota
	senderMessage
)

func (w *writer) receipt(rc *chat.Receipt) {
	w.id(receiptThread, rc.Thread)
	str(w, receiptUser, rc.User)
	str(w, receiptKind, rc.Kind)
	w.uint(receiptSeq, uint64(rc.Seq))
	w.id(receiptMessage, rc.Message)
	w.time(receiptAt, rc.At)
	str(w, receiptDevice, rc.Device)
	w.uint(receiptBeside, uint64(rc.Beside))
	for _, sender := range rc.Senders {
		w.nest(receiptSender, func() {
			str(w, senderUser, sender.User)
			w.id(senderMessage, sender.Message)
		})
	}
}

func (r *reader) receipt() *chat.Receipt {
	rc := new(chat.Receipt)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case receiptThread:
			rc.Thread = r.id(content)
		case receiptUser:
			rc.User = text[chat.UserID](r, content)
		case receiptKind:
			rc.Kind = text[chat.MarkKind](r, content)
		case receiptSeq:
			rc.Seq = chat.Seq(r.uint(content))
		case receiptMessage:
			rc.Message = r.id(content)
		case receiptAt:
			rc.At = r.time(content)
		case receiptDevice:
			rc.Device = text[chat.DeviceID](r, content)
		case receiptBeside:
			rc.Beside = chat.Seq(r.uint(content))
		case receiptSender:
			r.within(content, func(in *reader) { rc.Senders = add(r, field, rc.Senders, in.sender()) })
		}
	}
	if rc.Kind != chat.Delivered && rc.Kind != chat.Read {
		r.fail(ErrNewer)
	}
	return rc
}

func (r *reader) sender() (s chat.SenderMark) {
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case senderUser:
			s.User = text[chat.UserID](r, content)
		case senderMessage:
			s.Message = r.id(content)
		}
	}
	return s
}

// The fields of a failure.
const (
	failureThread uint64 = 1 + iota
	failureMessage
	failureReason
	failureUser // one for each
)

func (w *writer) failure(f *chat.Failure) {
	w.id(failureThread, f.Thread)
	w.id(failureMessage, f.Message)
	str(w, failureReason, f.Reason)
	for _, user := range f.Users {
		w.item(failureUser, string(user))
	}
}

func (r *reader) failure() *chat.Failure {
	f := new(chat.Failure)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case failureThread:
			f.Thread = r.id(content)
		case failureMessage:
			f.Message = r.id(content)
		case failureReason:
			f.Reason = text[chat.FailureReason](r, content)
		case failureUser:
			f.Users = add(r, field, f.Users, text[chat.UserID](r, content))
		}
	}
	return f
}

// The fields of a notice that few prekeys are left.
const (
	lowDevice uint64 = 1 + iota
	lowLeft
	lowPQLeft
)

func (w *writer) prekeysLow(low *chat.PrekeysLow) {
	str(w, lowDevice, low.Device)
	w.int(lowLeft, int64(low.Left))
	if low.PQLeft != nil {
		w.always(lowPQLeft, int64(*low.PQLeft))
	}
}

func (r *reader) prekeysLow() *chat.PrekeysLow {
	low := new(chat.PrekeysLow)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case lowDevice:
			low.Device = text[chat.DeviceID](r, content)
		case lowLeft:
			low.Left = int(r.int(content))
		case lowPQLeft:
			low.PQLeft = new(int(r.int(content)))
		}
	}
	return low
}

// The fields of a notice of typing.
const (
	typingThread uint64 = 1 + iota
	typingUser
)

func (w *writer) typing(t *chat.Typing) {
	w.id(typingThread, t.Thread)
	str(w, typingUser, t.User)
}

func (r *reader) typing() *chat.Typing {
	t := new(chat.Typing)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case typingThread:
			t.Thread = r.id(content)
		case typingUser:
			t.User = text[chat.UserID](r, content)
		}
	}
	return t
}

// The fields of a notice of presence.
const (
	presenceUser uint64 = 1 + iota
	presenceOnline
	presenceLastSeen
	presenceAgain
)

func (w *writer) presence(p *chat.Presence) {
	str(w, presenceUser, p.User)
	w.bool(presenceOnline, p.Online)
	w.time(presenceLastSeen, p.LastSeen)
	w.bool(presenceAgain, p.Again)
}

func (r *reader) presence() *chat.Presence {
	p := new(chat.Presence)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case presenceUser:
			p.User = text[chat.UserID](r, content)
		case presenceOnline:
			p.Online = r.bool(content)
		case presenceLastSeen:
			p.LastSeen = r.time(content)
		case presenceAgain:
			p.Again = r.bool(content)
		}
	}
	return p
}

// The fields of a wake.
const (
	wakeThread uint64 = 1 + iota
	wakeSeq
	wakeID
)

func (w *writer) wake(k *chat.Wake) {
	w.id(wakeThread, k.Thread)
	w.uint(wakeSeq, uint64(k.Seq))
	w.id(wakeID, k.ID)
}

func (r *reader) wake() *chat.Wake {
	k := new(chat.Wake)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case wakeThread:
			k.Thread = r.id(content)
		case wakeSeq:
			k.Seq = chat.Seq(r.uint(content))
		case wakeID:
			k.ID = r.id(content)
		}
	}
	return k
}
