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

// errShort says that a value ended before it should have.
var errShort = errors.New("truncated value")

// decoder takes a value apart. It works on a string, so that the strings it
// hands out are slices of one copy; the first error sticks.
type decoder struct {
	rest string
	err  error
}

func decode(value []byte) *decoder { return &decoder{rest: string(value)} }

// end is the error of the whole decoding.
func (d *decoder) end() error {
	if d.err == nil && d.rest != "" {
		d.err = fmt.Errorf("%d bytes too many", len(d.rest))
	}
	return d.err
}

func (d *decoder) take(n uint64) string {
	if d.err == nil && n > uint64(len(d.rest)) {
		d.err = errShort
	}
	if d.err != nil {
		return ""
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) uvarint() uint64 {
	var x uint64
	for i := range binary.MaxVarintLen64 {
		b := d.take(1)
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
func (d *decoder) str() string   { return d.take(d.uvarint()) }

func (d *decoder) id() (id [16]byte) {
	copy(id[:], d.take(16))
	return id
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != "" {
		return b[0]
	}
	return 0
}

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

func (d *decoder) version(want byte) {
	if v := d.byte(); d.err == nil && v != want {
		d.err = fmt.Errorf("encoding version %d, this build knows %d", v, want)
	}
}

func appendStr[T ~string](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t time.Time) []byte { return binary.AppendVarint(b, t.UnixMilli()) }

// place is where in which log an event stands.
type place struct {
	thread chat.ThreadID
	seq    chat.Seq
}

func encodePlace(p place) []byte { return binary.AppendUvarint(p.thread[:], uint64(p.seq)) }

func decodePlace(value []byte) (place, error) {
	d := decode(value)
	p := place{thread: d.id(), seq: d.seq()}
	return p, d.end()
}

func encodeSeq(s chat.Seq) []byte { return binary.AppendUvarint(nil, uint64(s)) }

func decodeSeq(value []byte) (chat.Seq, error) {
	d := decode(value)
	s := d.seq()
	return s, d.end()
}

func encodeThreadID(t chat.ThreadID) []byte { return t[:] }

func decodeThreadID(value []byte) (chat.ThreadID, error) {
	d := decode(value)
	t := chat.ThreadID(d.id())
	return t, d.end()
}

func encodeHead(h chat.Head) []byte {
	b := append(binary.AppendUvarint(nil, uint64(h.Seq)), h.ID[:]...)
	return append(binary.AppendUvarint(b, uint64(h.LastMessageSeq)), h.LastMessage[:]...)
}

func decodeHead(value []byte) (chat.Head, error) {
	d := decode(value)
	h := chat.Head{Seq: d.seq(), ID: d.id(), LastMessageSeq: d.seq(), LastMessage: d.id()}
	return h, d.end()
}

// membership is the value of a user's line: its last stint in a thread.
type membership struct{ joined, left chat.Seq }

func encodeMembership(m membership) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(m.joined)), uint64(m.left))
}

func decodeMembership(value []byte) (membership, error) {
	d := decode(value)
	m := membership{joined: d.seq(), left: d.seq()}
	return m, d.end()
}

// encodeMark packs what of a mark its key does not hold.
func encodeMark(m chat.Mark) []byte { return appendTime(m.Message[:], m.At) }

func decodeMark(m chat.Mark, value []byte) (chat.Mark, error) {
	d := decode(value)
	m.Message, m.At = d.id(), d.time()
	return m, d.end()
}

const threadVersion = 1

// encodeThread packs a thread without its id, which is in the key, and its
// head, which has a key of its own: it moves with every message.
func encodeThread(t chat.Thread) []byte {
	b := append(make([]byte, 0, 64+32*len(t.Participants)), threadVersion)
	b = appendStr(appendStr(b, t.Type), t.Title)
	b = appendStr(appendTime(b, t.CreatedAt), t.CreatedBy)
	b = binary.AppendUvarint(b, uint64(len(t.Participants)))
	for _, p := range t.Participants {
		b = appendStr(appendStr(b, p.User), p.Role)
		b = appendTime(binary.AppendUvarint(b, uint64(p.JoinedSeq)), p.JoinedAt)
	}
	return b
}

func decodeThread(id chat.ThreadID, value []byte) (chat.Thread, error) {
	d := decode(value)
	d.version(threadVersion)
	t := chat.Thread{
		ID: id, Type: chat.ThreadType(d.str()), Title: d.str(),
		CreatedAt: d.time(), CreatedBy: chat.UserID(d.str()),
	}
	n := d.count()
	t.Participants = make([]chat.Participant, 0, n)
	for range n {
		t.Participants = append(t.Participants, chat.Participant{
			User: chat.UserID(d.str()), Role: chat.Role(d.str()), JoinedSeq: d.seq(), JoinedAt: d.time(),
		})
	}
	return t, d.end()
}

const positionVersion = 1

func encodePosition(p chat.Position) []byte {
	b := append(append(make([]byte, 0, 24+20*len(p.Cursors)), positionVersion), p.Time[:]...)
	b = binary.AppendUvarint(b, uint64(len(p.Cursors)))
	for thread, seq := range p.Cursors {
		b = binary.AppendUvarint(append(b, thread[:]...), uint64(seq))
	}
	return b
}

func decodePosition(value []byte) (chat.Position, error) {
	d := decode(value)
	d.version(positionVersion)
	p := chat.Position{Time: d.id()}
	n := d.count()
	if n > 0 {
		p.Cursors = make(map[chat.ThreadID]chat.Seq, n)
	}
	for range n {
		thread := chat.ThreadID(d.id())
		p.Cursors[thread] = d.seq()
	}
	return p, d.end()
}
