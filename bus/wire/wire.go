// Package wire is how a notice travels from one node to another: one encoding of
// [chat.Notice], and of the [chat.Event] in it, in bytes.
//
// A notice is
//
//	version   one byte
//	header    its length, then fields: to whom it goes, and the id of the message it brings
//	body      fields to the end: what it tells
//
// so that a node that has nobody of the audience reads no more than the header. A field is
// its number, its length, and its content, both numbers as uvarints; fields come in any
// order, and one that is empty is left out. What a field holds, its place in the code
// says; an integer is a uvarint, a signed one in zigzag, a time milliseconds, an id 16
// bytes, a list one field for each of its items.
//
// Nodes of two adjoining versions share a bus. A newer version adds fields, which an older
// one skips; it raises the version byte only if older nodes must not read what it sends. A
// field's number is never used for anything else. testdata holds what was sent so far:
// every build must read it.
//
// Other nodes are trusted, their bytes are not: whatever comes gives a notice that is fit
// to be handed on, or an error, and takes no more memory than a small multiple of its
// length.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Version is the version that this build writes, and the newest one that it reads.
const Version = 1

// MaxBytes is the length of the longest notice that is sent or read. NATS carries no
// longer message unless it is told to.
const MaxBytes = 1 << 20

// Errors of what cannot be read.
var (
	// ErrNewer is the error of a notice of a kind that this build does not know. There is
	// nothing wrong with it: a newer node sent it.
	ErrNewer = errors.New("a notice of a newer version")

	errShort  = errors.New("truncated")
	errNumber = errors.New("a number exceeds 64 bits")
	errParts  = errors.New("the parts do not fit together")
)

// writer appends fields.
type writer struct{ b []byte }

func (w *writer) bytes(field uint64, content []byte) {
	if len(content) > 0 {
		w.b = binary.AppendUvarint(w.b, field)
		w.b = append(binary.AppendUvarint(w.b, uint64(len(content))), content...)
	}
}

func str[T ~string](w *writer, field uint64, s T) {
	if s != "" {
		w.item(field, string(s))
	}
}

// item appends a field even if it is empty, since it is one of a list.
func (w *writer) item(field uint64, s string) {
	w.b = binary.AppendUvarint(w.b, field)
	w.b = append(binary.AppendUvarint(w.b, uint64(len(s))), s...)
}

func (w *writer) id(field uint64, id [16]byte) {
	if id != [16]byte{} {
		w.bytes(field, id[:])
	}
}

func (w *writer) hash(field uint64, hash [32]byte) {
	if hash != [32]byte{} {
		w.bytes(field, hash[:])
	}
}

func (w *writer) uint(field, x uint64) {
	if x != 0 {
		var buf [binary.MaxVarintLen64]byte
		w.bytes(field, buf[:binary.PutUvarint(buf[:], x)])
	}
}

func (w *writer) int(field uint64, x int64) {
	if x != 0 {
		w.always(field, x)
	}
}

func (w *writer) always(field uint64, x int64) {
	var buf [binary.MaxVarintLen64]byte
	w.bytes(field, buf[:binary.PutVarint(buf[:], x)])
}

func (w *writer) bool(field uint64, yes bool) {
	if yes {
		w.uint(field, 1)
	}
}

// time appends a time, but for the zero one, which is none.
func (w *writer) time(field uint64, t time.Time) {
	if !t.IsZero() {
		w.always(field, t.UnixMilli())
	}
}

// nest appends a field whose content are the fields that write appends.
func (w *writer) nest(field uint64, write func()) {
	w.b = binary.AppendUvarint(w.b, field)
	w.sized(write)
}

// sized appends what write appends, behind its length.
func (w *writer) sized(write func()) {
	at := len(w.b)
	write()
	var buf [binary.MaxVarintLen64]byte
	width := binary.PutUvarint(buf[:], uint64(len(w.b)-at))
	w.b = append(w.b, buf[:width]...)
	copy(w.b[at+width:], w.b[at:len(w.b)-width])
	copy(w.b[at:], buf[:width])
}

// reader reads fields one after another. It works on a string, so that the strings it
// hands out are slices of one copy. After an error there are no more fields, and end gives
// the first error.
type reader struct {
	rest string
	err  error
}

// next gives the number and the content of the next field; ok is false behind the last.
func (r *reader) next() (field uint64, content string, ok bool) {
	if r.err != nil || r.rest == "" {
		return 0, "", false
	}
	if field = r.uvarint(); r.err == nil {
		content = r.cut(r.uvarint())
	}
	return field, content, r.err == nil
}

// add adds an item of a list. The first one makes room for all, so that a long list is not
// copied again and again.
func add[T any](r *reader, field uint64, list []T, item T) []T {
	if list == nil {
		list = make([]T, 0, 1+r.count(field))
	}
	return append(list, item)
}

// count is how many of the fields to come have this number.
func (r *reader) count(field uint64) (n int) {
	ahead := *r
	for f, _, ok := ahead.next(); ok; f, _, ok = ahead.next() {
		if f == field {
			n++
		}
	}
	return n
}

func (r *reader) cut(n uint64) string {
	if r.err == nil && n > uint64(len(r.rest)) {
		r.err = errShort
	}
	if r.err != nil {
		return ""
	}
	head := r.rest[:n]
	r.rest = r.rest[n:]
	return head
}

func (r *reader) uvarint() uint64 {
	var x uint64
	for i := range binary.MaxVarintLen64 {
		b := r.cut(1)
		if r.err != nil {
			return 0
		}
		if i == binary.MaxVarintLen64-1 && b[0] > 1 {
			break
		}
		x |= uint64(b[0]&0x7f) << (7 * i)
		if b[0] < 0x80 {
			return x
		}
	}
	r.err = errNumber
	return 0
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// uint reads the content of a field that is one number.
func (r *reader) uint(content string) uint64 {
	in := reader{rest: content}
	x := in.uvarint()
	if in.err == nil && in.rest != "" {
		in.err = fmt.Errorf("%d bytes behind a number", len(in.rest))
	}
	if in.err != nil {
		r.fail(in.err)
		return 0
	}
	return x
}

func (r *reader) int(content string) int64 {
	u := r.uint(content)
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) bool(content string) bool { return r.uint(content) != 0 }

// Times are those of the years that JSON can tell.
const (
	minTime = -62_135_596_800_000 // of the year 1
	maxTime = 253_402_300_799_999 // the end of the year 9999
)

func (r *reader) time(content string) time.Time {
	ms := r.int(content)
	if ms < minTime || ms > maxTime {
		r.fail(fmt.Errorf("a time of %d ms", ms))
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (r *reader) id(content string) (id [16]byte) {
	r.exactly(id[:], content)
	return id
}

func (r *reader) hash(content string) (hash [32]byte) {
	r.exactly(hash[:], content)
	return hash
}

func (r *reader) exactly(into []byte, content string) {
	if len(content) != len(into) {
		r.fail(fmt.Errorf("%d bytes for %d", len(content), len(into)))
		return
	}
	copy(into, content)
}

// text checks a field that is text.
func text[T ~string](r *reader, content string) T {
	if !utf8.ValidString(content) {
		r.fail(errors.New("a text is not UTF-8"))
		return ""
	}
	return T(content)
}

// within has read read the fields of a nested one.
func (r *reader) within(content string, read func(*reader)) {
	in := reader{rest: content, err: r.err}
	read(&in)
	r.fail(in.err)
}
