package broker

import "encoding/binary"

// What the server writes into a WebSocket goes through [writer] and is framed here, so that
// many frames leave in one write.

// Opcodes of RFC 6455, with the bit that says that a message is whole.
const (
	wsText   = 0x81
	wsBinary = 0x82
	wsClose  = 0x88
	wsPong   = 0x8A
)

// maxWSHeader is the longest header of a frame from a server.
const maxWSHeader = 10

// appendWSHeader writes the header of a whole, unmasked message behind dst.
func appendWSHeader(dst []byte, opcode byte, length int) []byte {
	switch {
	case length < 126:
		return append(dst, opcode, byte(length))
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, opcode, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, opcode, 127), uint64(length))
}

// sealBinary makes one binary message of a batch that has maxWSHeader bytes to
// spare at its start.
func sealBinary(batch []byte) []byte {
	var header [maxWSHeader]byte
	h := appendWSHeader(header[:0], wsBinary, len(batch)-maxWSHeader)
	start := maxWSHeader - len(h)
	copy(batch[start:], h)
	return batch[start:]
}

// closeMessage is a close frame.
func closeMessage(code int, text string) []byte {
	b := appendWSHeader(nil, wsClose, 2+len(text))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, text...)
}
