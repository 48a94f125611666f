package broker

import (
	"encoding/binary"

	"github.com/parleyhq/parley/broker/session"
)

// Functions called append… write a packet behind dst. MQTT writes lengths like Go its uvarints.

// appendPuback writes a PUBACK. One of plain success has no reason code, in both versions of
// MQTT.
func appendPuback(dst []byte, id uint16, reason byte, text string) []byte {
	if reason == 0 && text == "" {
		return append(dst, packetPuback<<4, 2, byte(id>>8), byte(id))
	}
	if text == "" {
		return append(dst, packetPuback<<4, 3, byte(id>>8), byte(id), reason)
	}
	properties := appendTextProperty(nil, propertyReasonString, text)
	dst = append(dst, packetPuback<<4)
	dst = binary.AppendUvarint(dst, uint64(3+uvarintLen(len(properties))+len(properties)))
	dst = append(dst, byte(id>>8), byte(id), reason)
	dst = binary.AppendUvarint(dst, uint64(len(properties)))
	return append(dst, properties...)
}

// appendTextProperty writes a property whose value is a string or binary data.
func appendTextProperty[T ~string | ~[]byte](dst []byte, property byte, value T) []byte {
	dst = append(dst, property)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

// appendDisconnect writes a DISCONNECT of MQTT 5.
func appendDisconnect(dst []byte, reason byte) []byte {
	return append(dst, firstByteDisconnect, 2, reason, 0)
}

// disconnectReason returns the reason code that tells why a session ends
// (docs/contract.md#connecting).
func disconnectReason(r session.Reason) byte {
	switch r {
	case session.TakenOver:
		return reasonTakenOver
	case session.TokenExpired, session.TokensRefused:
		return reasonNotAuthorized
	case session.FrameTooLarge:
		return reasonPacketTooLarge
	case session.ShuttingDown:
		return reasonShuttingDown
	case session.QoSUnsupported:
		return reasonQoSUnsupported
	case session.Unresponsive:
		return reasonQuotaExceeded
	case session.DeviceRemoved:
		return reasonAdministrative
	case session.StoreFailing:
		return reasonServerBusy
	default:
		return reasonProtocolError
	}
}

// publishLen is how many bytes appendPublish writes behind the fixed header.
func publishLen(d session.Delivery, topic string, v5 bool) int {
	n := 2 + len(topic) + d.Frame.Len(d.FrameSeq)
	if d.QoS > 0 {
		n += 2
	}
	if v5 {
		n++ // no properties
	}
	return n
}

// appendPublish writes a frame as a PUBLISH.
func appendPublish(dst []byte, d session.Delivery, topic string, v5 bool) []byte {
	first := packetPublish<<4 | d.QoS<<1
	if d.Again {
		first |= flagDup
	}
	dst = append(dst, first)
	dst = binary.AppendUvarint(dst, uint64(publishLen(d, topic, v5)))
	dst = appendText(dst, topic)
	if d.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, d.PacketID)
	}
	if v5 {
		dst = append(dst, 0)
	}
	return d.Frame.Append(dst, d.FrameSeq)
}

// replyProperties returns the properties of a reply's PUBLISH, with their length. MQTT 3.1.1
// has none.
func replyProperties(r *session.Reply, v5 bool) []byte {
	if !v5 {
		return nil
	}
	p := appendTextProperty(nil, propertyContentType, r.ContentType)
	if r.Correlation != nil {
		p = appendTextProperty(p, propertyCorrelationData, r.Correlation)
	}
	return append(binary.AppendUvarint(nil, uint64(len(p))), p...)
}

// replyLen is how many bytes appendReply writes behind the fixed header.
func replyLen(r *session.Reply, v5 bool) int {
	return 2 + len(r.Topic) + len(replyProperties(r, v5)) + len(r.Payload)
}

// appendReply writes a reply as a PUBLISH with QoS 0.
func appendReply(dst []byte, r *session.Reply, v5 bool) []byte {
	dst = append(dst, packetPublish<<4)
	dst = binary.AppendUvarint(dst, uint64(replyLen(r, v5)))
	dst = appendText(dst, r.Topic)
	dst = append(dst, replyProperties(r, v5)...)
	return append(dst, r.Payload...)
}

// appendText writes a string with its length (MQTT 5, 1.5.4).
func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// uvarintLen is how many bytes n takes as a uvarint.
func uvarintLen(n int) int {
	size := 1
	for ; n > 0x7F; n >>= 7 {
		size++
	}
	return size
}
