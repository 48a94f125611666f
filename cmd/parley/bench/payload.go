package bench

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
)

// The content of a message begins with a head of 18 bytes, which says to which stream the
// message belongs and when it was due. Since 18 is a multiple of 3, the base64 of the head
// can be decoded without that of the rest.
const (
	headSize    = 18
	headEncoded = headSize / 3 * 4
	headMark    = 0x7062 // the last two bytes of every head
)

// head is what a receiver must know of a message.
type head struct {
	intended int64  // when the message was due, in nanoseconds since the run's base
	stream   uint32 // index of the stream
	number   uint32 // 0, 1, 2 … in its stream
}

func (h head) bytes() (b [headSize]byte) {
	binary.BigEndian.PutUint64(b[:], uint64(h.intended))
	binary.BigEndian.PutUint32(b[8:], h.stream)
	binary.BigEndian.PutUint32(b[12:], h.number)
	binary.BigEndian.PutUint16(b[16:], headMark)
	return b
}

func parseHead(b []byte) (head, bool) {
	if len(b) < headSize || binary.BigEndian.Uint16(b[16:]) != headMark {
		return head{}, false
	}
	return head{
		intended: int64(binary.BigEndian.Uint64(b)),
		stream:   binary.BigEndian.Uint32(b[8:]), number: binary.BigEndian.Uint32(b[12:]),
	}, true
}

// tail is the content behind the head, the same for all messages, raw and as base64.
type tail struct{ raw, encoded []byte }

func newTail(payload int) tail {
	raw := make([]byte, max(0, payload-headSize))
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(raw) // never fails
	return tail{raw, base64.StdEncoding.AppendEncode(nil, raw)}
}

// appendRaw appends the content as it is.
func (t tail) appendRaw(dst []byte, h head) []byte {
	b := h.bytes()
	return append(append(dst, b[:]...), t.raw...)
}

// appendEncoded appends the content as base64.
func (t tail) appendEncoded(dst []byte, h head) []byte {
	b := h.bytes()
	return append(base64.StdEncoding.AppendEncode(dst, b[:]), t.encoded...)
}

var (
	ciphertextName = []byte(`"ciphertext":"`)
	msgStart       = []byte(`{"t":"msg"`)
	readStart      = []byte(`{"t":"read"`)
	caughtUpStart  = []byte(`{"t":"caught_up"`)
	idName         = []byte(`"id":"`)
	byName         = []byte(`"by":"`)
	upToName       = []byte(`"up_to":"`)
)

// headOf finds the head in a msg frame. It decodes no more than the head, since the generator
// often shares the machine with the server that it measures.
func headOf(frame []byte) (head, bool) {
	encoded := member(frame, ciphertextName)
	if len(encoded) < headEncoded {
		return head{}, false
	}
	var b [headSize]byte
	if _, err := base64.StdEncoding.Decode(b[:], encoded[:headEncoded]); err != nil {
		return head{}, false
	}
	return parseHead(b[:])
}

// member is the value of the first member with that name, a string without escapes.
func member(frame, name []byte) []byte {
	_, value, _ := bytes.Cut(frame, name)
	end := bytes.IndexByte(value, '"')
	if end < 0 {
		return nil
	}
	return value[:end]
}
