package contracts

import (
	"regexp"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// Me is what a user keeps of a thread for itself (docs/contract.md#own-state).
type Me struct {
	Accepted      bool    `json:"accepted"`
	MutedUntil    *string `json:"muted_until"`
	Archived      bool    `json:"archived"`
	Pinned        bool    `json:"pinned"`
	MarkedUnread  bool    `json:"marked_unread"`
	Custom        *[]byte `json:"custom"`
	LastClientSeq *int64  `json:"last_client_seq"` // of the asking device
}

// NewMe converts what a user keeps of a thread.
func NewMe(m chat.Me) Me {
	me := Me{
		Accepted: m.Accepted, MutedUntil: optionalTime(m.MutedUntil), Archived: m.Archived, Pinned: m.Pinned,
		MarkedUnread: m.MarkedUnread, LastClientSeq: m.LastClientSeq,
	}
	if m.Custom.Set {
		me.Custom = new([]byte(m.Custom.Bytes))
	}
	return me
}

// ThreadStateFrame tells a device what its user keeps of a thread.
func ThreadStateFrame(st chat.ThreadState) Frame {
	b := newFrame(FrameThreadState, 256+len(st.Me.Custom.Bytes)*4/3)
	b.text("thread_id", st.Thread.String())
	b.name("me")
	me, _ := json.Marshal(struct { // no value of these can fail
		Accepted     bool    `json:"accepted"`
		MutedUntil   *string `json:"muted_until"`
		Archived     bool    `json:"archived"`
		Pinned       bool    `json:"pinned"`
		MarkedUnread bool    `json:"marked_unread"`
		Custom       *[]byte `json:"custom"`
	}{st.Me.Accepted, optionalTime(st.Me.MutedUntil), st.Me.Archived, st.Me.Pinned, st.Me.MarkedUnread, NewMe(st.Me).Custom})
	b.buf = append(b.buf, me...)
	return b.frame()
}

// UnreadCounts is the badge of a user (docs/contract.md#own-state).
type UnreadCounts struct {
	Threads  int `json:"threads"`
	Messages int `json:"messages"`
}

// NewUnreadCounts converts the badge of a user.
func NewUnreadCounts(n chat.UnreadCounts) UnreadCounts { return UnreadCounts(n) }

type ownStateBody struct {
	Accepted     jsontext.Value `json:"accepted"`
	MutedUntil   jsontext.Value `json:"muted_until"`
	Archived     jsontext.Value `json:"archived"`
	Pinned       jsontext.Value `json:"pinned"`
	MarkedUnread jsontext.Value `json:"marked_unread"`
	Custom       jsontext.Value `json:"custom"`
}

// DecodeOwnState reads the body of PATCH /v1/threads/{id}/me. Unlike elsewhere a null is not
// absence: it takes the value away, or is refused (docs/contract.md#own-state).
func DecodeOwnState(body []byte) (c chat.StateChange, err error) {
	var b ownStateBody
	if err := decode(body, &b); err != nil {
		return c, err
	}
	for _, field := range []struct {
		name  string
		value jsontext.Value
		to    **bool
	}{
		{"accepted", b.Accepted, &c.Accepted},
		{"archived", b.Archived, &c.Archived},
		{"pinned", b.Pinned, &c.Pinned},
		{"marked_unread", b.MarkedUnread, &c.MarkedUnread},
	} {
		switch field.value.Kind() {
		case jsontext.KindInvalid: // absent
		case jsontext.KindTrue:
			*field.to = new(true)
		case jsontext.KindFalse:
			*field.to = new(false)
		default:
			return c, chat.Invalid(field.name, "must be true or false")
		}
	}
	if c.MutedUntil, err = mutedUntil(b.MutedUntil); err != nil {
		return c, err
	}
	c.Custom, err = custom(b.Custom)
	return c, err
}

// rfc3339 is the form of a time. time.Parse alone would also take an hour of one digit, a comma
// before the fraction, and an offset of 24 hours.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func mutedUntil(value jsontext.Value) (*time.Time, error) {
	refused := chat.Invalid("muted_until", "must be a time such as 2026-05-30T17:42:11.234Z, or null")
	switch value.Kind() {
	case jsontext.KindInvalid: // absent
		return nil, nil
	case jsontext.KindNull:
		return new(time.Time{}), nil
	case jsontext.KindString:
	default:
		return nil, refused
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return nil, refused
	}
	until, err := time.Parse(time.RFC3339Nano, text)
	if until = until.UTC(); err != nil || !rfc3339.MatchString(text) || until.Year() < 1 || until.Year() > 9999 {
		return nil, refused
	}
	return new(until.Truncate(time.Millisecond)), nil
}

func custom(value jsontext.Value) (*chat.Custom, error) {
	switch value.Kind() {
	case jsontext.KindInvalid: // absent
		return nil, nil
	case jsontext.KindNull:
		return new(chat.Custom{}), nil
	default:
	}
	var bytes Bytes
	if err := json.Unmarshal(value, &bytes); err != nil || value.Kind() != jsontext.KindString {
		return nil, chat.Invalid("custom", "must be base64, or null")
	}
	return &chat.Custom{Set: true, Bytes: string(bytes)}, nil
}
