package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// A stamp stands in front of each notice: a version byte, the node that sends it, and
// which of that node's notices on its subject it is, 1, 2, 3 … Both are 8 bytes, so
// that the number can be set last.
const (
	stampVersion = 1
	stampBytes   = 1 + 8 + 8
)

// AppendStamp appends a stamp whose number is not set yet.
func AppendStamp(b []byte, from chat.NodeID) []byte {
	b = binary.BigEndian.AppendUint64(append(b, stampVersion), uint64(from))
	return append(b, make([]byte, 8)...)
}

// SetNumber sets the number in the stamp that b begins with.
func SetNumber(b []byte, n uint64) { binary.BigEndian.PutUint64(b[stampBytes-8:], n) }

// CutStamp reads the stamp that b begins with. The error is ErrNewer for that of a newer
// version.
func CutStamp(b []byte) (from chat.NodeID, n uint64, notice []byte, err error) {
	switch {
	case len(b) < stampBytes:
		return 0, 0, nil, fmt.Errorf("read a stamp: %w", errShort)
	case b[0] != stampVersion:
		return 0, 0, nil, fmt.Errorf("%w: its stamp is version %d", ErrNewer, b[0])
	}
	return chat.NodeID(binary.BigEndian.Uint64(b[1:])), binary.BigEndian.Uint64(b[9:]), b[stampBytes:], nil
}

// Beat is a heartbeat: a node says that it lives, how many notices it has sent, and up to
// which id these tell of all that it stored.
type Beat struct {
	From    chat.NodeID
	Numbers []uint64 // of the last notice of each subject
	Leaving bool     // it is the last one

	// Began and Closed are those of [chat.Standing]. All events with ids below Closed were
	// published by a notice whose number is not above those in Numbers. Zero: the node does
	// not say, as one of an older build.
	Began, Closed chat.EventID
}

// maxSubjects bounds how many numbers a beat is read with.
const maxSubjects = 1 << 12

// The fields of a beat.
const (
	beatFrom    uint64 = 1 + iota
	beatNumbers        // uvarints, one behind the other
	beatLeaving
	beatBegan
	beatClosed
)

// AppendBeat appends a heartbeat to b.
func AppendBeat(b []byte, beat Beat) []byte {
	w := &writer{append(b, Version)}
	w.uint(beatFrom, uint64(beat.From))
	var numbers []byte
	for _, n := range beat.Numbers {
		numbers = binary.AppendUvarint(numbers, n)
	}
	w.bytes(beatNumbers, numbers)
	w.bool(beatLeaving, beat.Leaving)
	w.id(beatBegan, beat.Began)
	w.id(beatClosed, beat.Closed)
	return w.b
}

// ReadBeat reads a heartbeat. The error is ErrNewer for one of a newer version.
func ReadBeat(b []byte) (Beat, error) {
	if len(b) > MaxBytes {
		return Beat{}, fmt.Errorf("a heartbeat of %d bytes", len(b))
	}
	r := &reader{rest: string(b)}
	if version := r.cut(1); r.err == nil && version[0] != Version {
		return Beat{}, fmt.Errorf("%w: a heartbeat of version %d", ErrNewer, version[0])
	}
	var beat Beat
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case beatFrom:
			beat.From = chat.NodeID(r.uint(content))
		case beatNumbers:
			r.within(content, func(in *reader) { beat.Numbers = in.numbers() })
		case beatLeaving:
			beat.Leaving = r.bool(content)
		case beatBegan:
			beat.Began = r.id(content)
		case beatClosed:
			beat.Closed = r.id(content)
		}
	}
	if r.err != nil {
		return Beat{}, fmt.Errorf("read a heartbeat: %w", r.err)
	}
	return beat, nil
}

func (r *reader) numbers() (numbers []uint64) {
	for r.err == nil && r.rest != "" {
		if len(numbers) == maxSubjects {
			r.fail(fmt.Errorf("more than %d subjects", maxSubjects))
			break
		}
		numbers = append(numbers, r.uvarint())
	}
	return numbers
}
