package contracts

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// frameBuilder builds one frame, member by member. Frames are on the hot path, where
// encoding/json would cost reflection and allocations; a test compares the result with
// that of encoding/json.
type frameBuilder struct{ buf []byte }

func newFrame(t string, size int) frameBuilder {
	b := frameBuilder{buf: make([]byte, 0, size)}
	b.buf = append(b.buf, frameTypeName...)
	b.buf = append(b.buf, t...)
	b.buf = append(b.buf, '"')
	return b
}

// frame ends the frame before the value of frame_seq, which [Frame.Append] adds.
func (b *frameBuilder) frame() Frame {
	return append(b.buf, frameSeqName...)
}

func (b *frameBuilder) name(name string) {
	b.buf = append(b.buf, `,"`...)
	b.buf = append(b.buf, name...)
	b.buf = append(b.buf, `":`...)
}

func (b *frameBuilder) text(name, value string) {
	b.name(name)
	// The error would be for invalid UTF-8, which no stored text has: decode refuses it.
	// The quoted form is valid JSON even then.
	b.buf, _ = jsontext.AppendQuote(b.buf, value)
}

func (b *frameBuilder) null(name string) {
	b.name(name)
	b.buf = append(b.buf, "null"...)
}

func (b *frameBuilder) flag(name string) {
	b.name(name)
	b.buf = append(b.buf, "true"...)
}

func (b *frameBuilder) optional(name, value string) {
	if value != "" {
		b.text(name, value)
	}
}

func (b *frameBuilder) number(name string, value int64) {
	b.name(name)
	b.buf = strconv.AppendInt(b.buf, value, 10)
}

func (b *frameBuilder) id(name string, value chat.EventID) {
	b.name(name)
	b.buf = append(b.buf, '"')
	b.buf = append(b.buf, value.String()...)
	b.buf = append(b.buf, '"')
}

func (b *frameBuilder) time(name string, at time.Time) {
	b.name(name)
	b.buf = append(b.buf, '"')
	b.buf = AppendTime(b.buf, at)
	b.buf = append(b.buf, '"')
}

func (b *frameBuilder) bytes(name string, value []byte) {
	b.name(name)
	b.buf = append(b.buf, '"')
	b.buf = base64.StdEncoding.AppendEncode(b.buf, value)
	b.buf = append(b.buf, '"')
}

func (b *frameBuilder) members(members []chat.InitialMember, joined time.Time) {
	b.name("participants")
	b.buf = append(b.buf, '[')
	at := AppendTime(nil, joined) // once for all of them
	for i, m := range members {
		if i > 0 {
			b.buf = append(b.buf, ',')
		}
		b.buf = append(b.buf, `{"user_id":`...)
		b.buf, _ = jsontext.AppendQuote(b.buf, string(m.User)) // see text
		b.text("role", string(m.Role))
		b.name("joined_at")
		b.buf = append(b.buf, '"')
		b.buf = append(b.buf, at...)
		b.buf = append(b.buf, '"', '}')
	}
	b.buf = append(b.buf, ']')
}
