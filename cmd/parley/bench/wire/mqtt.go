package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The MQTT 5 packet types that a load generator meets, as the high half of the
// first byte.
const (
	typeConnect    = 1 << 4
	typeConnack    = 2 << 4
	typePublish    = 3 << 4
	typePuback     = 4 << 4
	typeSubscribe  = 8 << 4
	typeSuback     = 9 << 4
	typePingresp   = 13 << 4
	typeDisconnect = 14 << 4
)

const (
	protocolLevel = 5
	qosAtLeast    = 1

	flagCleanStart = 0x02
	flagPassword   = 0x40
	flagUsername   = 0x80

	failed = 0x80 // reason codes from here on are refusals
)

// maxPacket bounds a packet or WebSocket frame of the server, and so the buffer.
const maxPacket = 1 << 20

// errMalformed says that the server sent something that is not MQTT.
var errMalformed = errors.New("malformed MQTT packet")

// packet is one whole packet. Its slices are parts of the buffer that it was found in.
type packet struct {
	kind byte   // one of the type constants
	qos  byte   // PUBLISH
	id   uint16 // PUBLISH of QoS 1, PUBACK, SUBACK
	code byte   // the (only) reason code of CONNACK, PUBACK, SUBACK, DISCONNECT
	body []byte // PUBLISH: the payload

	receiveMax uint16 // CONNACK: how many publishes may be unanswered
	topic      []byte // PUBLISH
}

// nextPacket reads the packet at the start of b and gives its length n, which is 0 if b does
// not hold all of it yet.
func nextPacket(b []byte) (p packet, n int, err error) {
	if len(b) < 2 {
		return packet{}, 0, nil
	}
	size, used, err := varint(b[1:])
	if err != nil || used == 0 {
		return packet{}, 0, err
	}
	if size > maxPacket {
		return packet{}, 0, fmt.Errorf("%w: %d bytes long", errMalformed, size)
	}
	n = 1 + used + size
	if len(b) < n {
		return packet{}, 0, nil
	}
	p, err = parse(b[0], b[1+used:n])
	return p, n, err
}

func parse(first byte, b []byte) (packet, error) {
	p := packet{kind: first & 0xF0}
	switch p.kind {
	case typePublish:
		return parsePublish(first, b)
	case typeConnack:
		if len(b) < 2 {
			return p, errMalformed
		}
		p.code, p.receiveMax = b[1], receiveMaximum(b[2:])
	case typePuback:
		if len(b) < 2 {
			return p, errMalformed
		}
		p.id = binary.BigEndian.Uint16(b)
		if len(b) > 2 {
			p.code = b[2]
		}
	case typeSuback:
		if len(b) < 4 {
			return p, errMalformed
		}
		p.id = binary.BigEndian.Uint16(b)
		size, used, err := varint(b[2:])
		if err != nil || used == 0 || len(b) <= 2+used+size {
			return p, errMalformed
		}
		p.code = b[2+used+size]
	case typeDisconnect:
		if len(b) > 0 {
			p.code = b[0]
		}
	case typePingresp:
	default:
		return p, fmt.Errorf("%w: type %d", errMalformed, first>>4)
	}
	return p, nil
}

// receiveMaximum finds the Receive Maximum in the properties of a CONNACK. It is 65,535 if it
// is absent, or behind a property that it does not know.
func receiveMaximum(b []byte) uint16 {
	const whole = 1<<16 - 1
	size, used, err := varint(b)
	if err != nil || used == 0 || len(b) < used+size {
		return whole
	}
	for b = b[used : used+size]; len(b) >= 3; {
		var length int
		switch b[0] {
		case 0x21:
			return binary.BigEndian.Uint16(b[1:])
		case 0x24, 0x25, 0x28, 0x29, 0x2A: // a byte
			length = 1
		case 0x13, 0x22: // two
			length = 2
		case 0x11, 0x27: // four
			length = 4
		case 0x12, 0x1A, 0x1C, 0x1F: // a string
			length = 2 + int(binary.BigEndian.Uint16(b[1:]))
		default:
			return whole
		}
		b = b[min(1+length, len(b)):]
	}
	return whole
}

func parsePublish(first byte, b []byte) (packet, error) {
	p := packet{kind: typePublish, qos: first >> 1 & 3}
	if len(b) < 2 {
		return p, errMalformed
	}
	topic := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < topic {
		return p, errMalformed
	}
	p.topic, b = b[:topic], b[topic:]
	if p.qos > 0 {
		if len(b) < 2 {
			return p, errMalformed
		}
		p.id, b = binary.BigEndian.Uint16(b), b[2:]
	}
	size, used, err := varint(b)
	if err != nil || used == 0 || len(b) < used+size {
		return p, errMalformed
	}
	p.body = b[used+size:]
	return p, nil
}

// varint reads a variable byte integer of MQTT. It gives the number of bytes used, which is
// 0 if the integer is incomplete.
func varint(b []byte) (value, used int, err error) {
	for i, c := range b {
		if i == 4 {
			return 0, 0, fmt.Errorf("%w: a length of more than four bytes", errMalformed)
		}
		value |= int(c&0x7F) << (7 * i)
		if c < 0x80 {
			return value, i + 1, nil
		}
	}
	return 0, 0, nil
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// appendConnect appends a CONNECT for a session that ends with its connection. The keep-alive
// is 0, so the server's own holds, which is ten minutes at Parley.
func appendConnect(dst []byte, clientID, username, password string) []byte {
	flags, size := byte(flagCleanStart), 10+1+2+len(clientID)
	if username != "" {
		flags, size = flags|flagUsername, size+2+len(username)
	}
	if password != "" {
		flags, size = flags|flagPassword, size+2+len(password)
	}
	dst = appendVarint(append(dst, typeConnect), size)
	dst = append(appendString(dst, "MQTT"), protocolLevel, flags, 0, 0, 0) // keep-alive, no properties
	dst = appendString(dst, clientID)
	if username != "" {
		dst = appendString(dst, username)
	}
	if password != "" {
		dst = appendString(dst, password)
	}
	return dst
}

func appendSubscribe(dst []byte, id uint16, filter string) []byte {
	dst = appendVarint(append(dst, typeSubscribe|0x02), 2+1+2+len(filter)+1)
	dst = append(binary.BigEndian.AppendUint16(dst, id), 0)
	return append(appendString(dst, filter), qosAtLeast)
}

func appendPublish(dst []byte, id uint16, topic string, payload []byte) []byte {
	dst = appendVarint(append(dst, typePublish|qosAtLeast<<1), 2+len(topic)+2+1+len(payload))
	dst = binary.BigEndian.AppendUint16(appendString(dst, topic), id)
	return append(append(dst, 0), payload...)
}

func appendPuback(dst []byte, id uint16) []byte {
	return append(dst, typePuback, 2, byte(id>>8), byte(id))
}
