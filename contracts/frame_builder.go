package contracts

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

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

func (o *object) flag(name string) {
	o.name(name)
	o.buf = append(o.buf, "true"...)
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
