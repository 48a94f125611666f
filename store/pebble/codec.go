package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Values are packed by hand: integers as uvarints, strings and lists behind
// their length, times as milliseconds. The bigger ones begin with a version, so
// that their layout can change without rewriting a store.

// errShort is the error of a value that ends too early.
var errShort = errors.New("truncated value")

// decoder reads the fields of a value one after another. It works on a string, so that
// the strings it hands out are slices of one copy. After an error every read gives the
// zero value, and end gives the first error.
type decoder struct {
	rest string
	err  error
}

func decode(value []byte) *decoder { return &decoder{rest: string(value)} }

// end gives the first error; bytes that are left over are one.
func (d *decoder) end() error {
	if d.err == nil && d.rest != "" {
		d.err = fmt.Errorf("%d bytes too many", len(d.rest))
	}
	return d.err
}

func (d *decoder) next(n uint64) string {
	if d.err == nil && n > uint64(len(d.rest)) {
		d.err = errShort
	}
	if d.err != nil {
		return ""
	}
	next := d.rest[:n]
	d.rest = d.rest[n:]
	return next
}

func (d *decoder) uvarint() uint64 {
	var x uint64
	for i := range binary.MaxVarintLen64 {
		b := d.next(1)
		if d.err != nil {
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
	d.err = errors.New("a number exceeds 64 bits")
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) seq() chat.Seq { return chat.Seq(d.uvarint()) }
func (d *decoder) str() string   { return d.next(d.uvarint()) }

func (d *decoder) id() (id [16]byte) {
	copy(id[:], d.next(16))
	return id
}

func (d *decoder) byte() byte {
	if b := d.next(1); b != "" {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	b := d.byte()
	if b > 1 && d.err == nil {
		d.err = fmt.Errorf("%d is no truth value", b)
	}
	return b == 1
}

func (d *decoder) bytes() []byte { return []byte(d.str()) }

func (d *decoder) target() chat.Target { return chat.Target{ID: d.id(), Seq: d.seq()} }

// time reads what appendTime wrote.
func (d *decoder) time() time.Time { return time.UnixMilli(d.varint()).UTC() }

// count reads the length of a list whose items take at least one byte each, so
// that a corrupt length cannot make a huge allocation.
func (d *decoder) count() int {
	n := d.uvarint()
	if d.err == nil && n > uint64(len(d.rest)) {
		d.err = errShort
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

// version reads the version of a value, which must be one of those that this build knows.
func (d *decoder) version(oldest, newest byte) byte {
	v := d.byte()
	if d.err == nil {
		d.err = checkVersion(v, oldest, newest)
	}
	return v
}

func checkVersion(v, oldest, newest byte) error {
	if v < oldest || v > newest {
		return fmt.Errorf("encoding version %d, this build knows %d to %d", v, oldest, newest)
	}
	return nil
}

func appendStr[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, yes bool) []byte {
	if yes {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendTarget(b []byte, t chat.Target) []byte {
	return binary.AppendUvarint(append(b, t.ID[:]...), uint64(t.Seq))
}

func appendTime(b []byte, t time.Time) []byte { return binary.AppendVarint(b, t.UnixMilli()) }

// appendDrift packs a wall-clock time as its difference from the time in an id, which is
// nearly always a few milliseconds.
func appendDrift(b []byte, id chat.EventID, at time.Time) []byte {
	return binary.AppendVarint(b, at.UnixMilli()-int64(id.Time()))
}

// drifted reads what appendDrift wrote.
func (d *decoder) drifted(id chat.EventID) time.Time {
	return time.UnixMilli(int64(id.Time()) + d.varint()).UTC()
}
