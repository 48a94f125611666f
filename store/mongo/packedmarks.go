package mongo

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

// Nothing of a run that has ended changes any more, and most of what a store keeps of receipts
// are such runs. They are packed: each mark by what it differs from the one before, in a fifth
// of the bytes that it has as a document. Builds of format 4 do not read that, so it is done
// only in a store where none can run: a new one, or one that was prepared after its upgrade.
//
//	0x01, then of each mark: seq, time of its message, 10 bytes of entropy, time, beside
//
// Numbers are differences, as varints, but that of seq and beside are unsigned. Times are in
// milliseconds.

const packedVersion = 1

func packMarks(run []markDoc) []byte {
	b := make([]byte, 1, 1+len(run)*22)
	b[0] = packedVersion
	var seq chat.Seq
	var of, at int64
	for _, m := range run {
		b = binary.AppendUvarint(b, uint64(m.Seq-seq))
		b = binary.AppendVarint(b, int64(m.Message.Time())-of)
		b = append(b, m.Message.Entropy()...)
		b = binary.AppendVarint(b, m.At.UnixMilli()-at)
		b = binary.AppendUvarint(b, uint64(m.Beside))
		seq, of, at = m.Seq, int64(m.Message.Time()), m.At.UnixMilli()
	}
	return b
}

var errPackedMarks = errors.New("a run of marks is unreadable")

func unpackMarks(b []byte) (run []markDoc, err error) {
	if len(b) == 0 || b[0] != packedVersion {
		return nil, errPackedMarks
	}
	p := unpacking{b: b[1:]}
	var m markDoc
	var of, at int64
	for len(p.b) > 0 && !p.failed {
		m.Seq += chat.Seq(p.uvarint())
		of += p.varint()
		m.Message = p.message(of)
		at += p.varint()
		m.At, m.Beside = time.UnixMilli(at), chat.Seq(p.uvarint())
		run = append(run, m)
	}
	if p.failed {
		return nil, errPackedMarks
	}
	return run, nil
}

// unpacking reads from what is left of some bytes.
type unpacking struct {
	b      []byte
	failed bool
}

func (p *unpacking) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	p.skip(n)
	return v
}

func (p *unpacking) varint() int64 {
	v, n := binary.Varint(p.b)
	p.skip(n)
	return v
}

func (p *unpacking) skip(n int) {
	if p.failed = p.failed || n <= 0; !p.failed {
		p.b = p.b[n:]
	}
}

func (p *unpacking) message(ms int64) (id chat.MessageID) {
	const entropy = 10
	if p.failed = p.failed || len(p.b) < entropy || ms < 0 || ms > int64(ulid.MaxTime()); p.failed {
		return id
	}
	_ = id.SetTime(uint64(ms)) // within its bound
	_ = id.SetEntropy(p.b[:entropy])
	p.b = p.b[entropy:]
	return id
}
