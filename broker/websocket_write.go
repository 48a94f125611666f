package broker

import "encoding/binary"

// The server makes WebSocket frames by itself and writes them through [writer], so that many
// go out in one write.

// First bytes of frames (RFC 6455, 5.2): the opcode, and the bit that says that the message is
// whole.
const (
	wsText   = 0x81
	wsBinary = 0x82
	wsClose  = 0x88
	wsPing   = 0x89
	wsPong   = 0x8A
)

// maxWSHeader is the length of the longest header of a frame from a server.
const maxWSHeader = 10

// appendWSHeader writes the header of a whole message behind dst.
func appendWSHeader(dst []byte, first byte, length int) []byte {
	switch {
	case length < 126:
		return append(dst, first, byte(length))
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(length))
}

// sealBinary makes one binary message of a batch, which begins with maxWSHeader free bytes.
func sealBinary(batch []byte) []byte {
	var header [maxWSHeader]byte
	h := appendWSHeader(header[:0], wsBinary, len(batch)-maxWSHeader)
	start := maxWSHeader - len(h)
	copy(batch[start:], h)
	return batch[start:]
}

// closeMessage returns a close frame.
func closeMessage(code int, text string) []byte {
	b := appendWSHeader(nil, wsClose, 2+len(text))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, text...)
}
