package broker

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// What can be wrong with a packet.
var (
	errMalformed      = errors.New("malformed packet")
	errProtocol       = errors.New("packet out of place")
	errTooLarge       = errors.New("packet too large")
	errQoS2           = errors.New("publish with QoS 2")
	errRetain         = errors.New("publish with retain")
	errTopicName      = errors.New("publish to a wildcard")
	errReservedTopic  = errors.New("publish to a $ topic") // which mochi would leave unanswered
	errReceiveMaximum = errors.New("more unanswered publishes than the receive maximum")
	errPayloadFormat  = errors.New("publish with an unknown payload format") // which is answered
	errLevel          = errors.New("unknown level of the protocol")
	errSubscriptionID = errors.New("subscription identifiers are not available")
)

// checkPacket returns an error if a packet from a client is not complete and well-formed, or
// is one that clients may not send. flags are the low four bits of its first byte, body is
// what follows the fixed header. v5 says whether the connection speaks MQTT 5 and not 3.1.1;
// a CONNECT says so by itself. The guard calls it (guard.go says why) before mochi sees
// the packet.
func checkPacket(kind, flags byte, body []byte, v5 bool) error {
	r := reader{rest: body}
	switch kind {
	case packetConnect:
		return r.connect(flags)
	case packetPublish:
		return r.publish(flags, v5)
	case packetPuback:
		return r.puback(flags, v5)
	case packetSubscribe, packetUnsubscribe:
		return r.filters(kind, flags, v5)
	case packetPingreq:
		return r.done(flags == 0)
	case packetDisconnect:
		r.reasonAndProperties(v5, disconnectProperties)
		return r.done(flags == 0)
	}
	return errProtocol // a packet of servers or of QoS 2, or an AUTH, which no CONNECT can have agreed on
}

// reader reads a packet part by part. Once something is missing or malformed it is bad, and
// whatever it reads then means nothing.
type reader struct {
	rest []byte // what has not been read
	bad  bool

	subscriptionID bool // there was a property of that name
	doubled        bool // a property came twice
	wrongValue     bool // a property has a value that the standard calls a protocol error
	payloadFormat  byte // the property of a PUBLISH
}

// The properties that each packet may have (MQTT 5, 2.2.2.2). Any other makes it malformed.
var (
	connectProperties     = propertySet(0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, propertyUser, 0x27)
	willProperties        = propertySet(propertyPayloadFormat, 0x02, propertyContentType, propertyResponseTopic, propertyCorrelationData, 0x18, propertyUser)
	publishProperties     = propertySet(propertyPayloadFormat, 0x02, propertyContentType, propertyResponseTopic, propertyCorrelationData, propertySubscriptionID, 0x23, propertyUser)
	pubackProperties      = propertySet(propertyReasonString, propertyUser)
	subscribeProperties   = propertySet(propertySubscriptionID, propertyUser)
	unsubscribeProperties = propertySet(propertyUser)
	disconnectProperties  = propertySet(0x11, propertyReasonString, propertyUser)
)

// propertySet has a bit for each identifier: the highest is 0x2A.
func propertySet(ids ...int) (set uint64) {
	for _, id := range ids {
		set |= 1 << id
	}
	return set
}

// done returns what was wrong with the packet. ok is what the caller found.
func (r *reader) done(ok bool) error {
	switch {
	case r.bad, !ok, len(r.rest) > 0:
		return errMalformed
	case r.doubled, r.wrongValue:
		return errProtocol
	}
	return nil
}

// skip reads n bytes. If there are fewer, it returns min(n, 4) zeros.
func (r *reader) skip(n int) []byte {
	if r.bad || len(r.rest) < n {
		r.bad = true
		return make([]byte, min(n, 4))
	}
	skipped := r.rest[:n]
	r.rest = r.rest[n:]
	return skipped
}

func (r *reader) byte() byte     { return r.skip(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.skip(2)) }

// binary reads binary data (MQTT 5, 1.5.6).
func (r *reader) binary() { r.skip(int(r.uint16())) }

// text reads a UTF-8 string, in which there is no NUL (MQTT 5, 1.5.4).
func (r *reader) text() string {
	n := int(r.uint16())
	b := r.skip(n)
	if r.bad || !utf8.Valid(b) {
		r.bad = true
		return ""
	}
	for _, c := range b {
		if c == 0 {
			r.bad = true
		}
	}
	return string(b)
}

// varint reads a variable byte integer (MQTT 5, 1.5.5).
func (r *reader) varint() int {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		b := r.byte()
		n |= int(b&0x7F) << shift
		if b < 0x80 {
			r.bad = r.bad || b == 0 && shift > 0 // in more bytes than needed
			return n
		}
	}
	r.bad = true
	return 0
}

// properties reads a property list (MQTT 5, 2.2.2) of a packet that may have those allowed.
func (r *reader) properties(allowed uint64) {
	p := reader{rest: r.skip(r.varint())}
	seen := uint64(0)
	for len(p.rest) > 0 && !r.bad && !p.bad {
		id := p.varint()
		if allowed&(1<<id) == 0 {
			r.bad = true
			return
		}
		if bit := uint64(1) << id; id != propertyUser {
			r.doubled = r.doubled || seen&bit != 0
			seen |= bit
		}
		p.property(id)
	}
	r.subscriptionID = r.subscriptionID || seen&(1<<propertySubscriptionID) != 0
	r.bad, r.wrongValue, r.payloadFormat = r.bad || p.bad, r.wrongValue || p.wrongValue, p.payloadFormat
}

// property reads the value of the property with the identifier.
func (r *reader) property(id int) {
	switch id {
	case propertyPayloadFormat:
		r.payloadFormat = r.byte()
	case 0x17, 0x19: // a byte that is 0 or 1
		r.wrongValue = r.byte() > 1 || r.wrongValue
	case 0x22, 0x23: // two bytes
		r.skip(2)
	case 0x21: // receive maximum, not 0
		r.wrongValue = r.uint16() == 0 || r.wrongValue
	case 0x02, 0x11, 0x18: // four bytes
		r.skip(4)
	case 0x27: // maximum packet size, not 0
		r.wrongValue = binary.BigEndian.Uint32(r.skip(4)) == 0 || r.wrongValue
	case propertySubscriptionID:
		r.varint()
	case 0x09, 0x16: // binary
		r.binary()
	case propertyResponseTopic:
		r.wrongValue = strings.ContainsAny(r.text(), "+#") || r.wrongValue
	case propertyContentType, 0x15, propertyReasonString:
		r.text()
	case propertyUser:
		r.text()
		r.text()
	default:
		r.bad = true
	}
}

// puback reads a PUBACK (MQTT 5, 3.4).
func (r *reader) puback(flags byte, v5 bool) error {
	id := r.uint16()
	reason := r.reasonAndProperties(v5, pubackProperties)
	err := r.done(flags == 0)
	if err == nil && (id == 0 || !slices.Contains(pubackReasons, reason)) {
		err = errProtocol
	}
	return err
}

// reasonAndProperties reads the end of a PUBACK or DISCONNECT, which may be left out.
func (r *reader) reasonAndProperties(v5 bool, allowed uint64) (reason byte) {
	if v5 && len(r.rest) > 0 {
		reason = r.byte()
		if len(r.rest) > 0 {
			r.properties(allowed)
		}
	}
	return reason
}

// pubackReasons are the reason codes of a PUBACK (MQTT 5, 3.4.2.1).
var pubackReasons = []byte{0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}

// connect reads a CONNECT (MQTT 5, 3.1).
func (r *reader) connect(flags byte) error {
	name, version := r.text(), r.byte()
	switch {
	case r.bad || name != "MQTT" && name != "MQIsdp":
		return errMalformed
	case name != "MQTT" || version != 4 && version != 5:
		return errLevel // what follows is not known
	}
	connectFlags := r.byte()
	hasWill, willQoS := connectFlags&0x04 != 0, connectFlags>>3&3
	if connectFlags&0x01 != 0 || willQoS == 3 || !hasWill && connectFlags&0x38 != 0 {
		return errMalformed // MQTT 5, 3.1.2.3 to 3.1.2.7
	}
	r.uint16() // keep alive
	if version == 5 {
		r.properties(connectProperties)
	}
	r.text() // client id
	if hasWill {
		if version == 5 {
			r.properties(willProperties)
		}
		r.text()
		r.binary()
	}
	if connectFlags&0x80 != 0 {
		r.text()
	}
	if connectFlags&0x40 != 0 {
		r.binary()
	}
	return r.done(flags == 0)
}

// publish reads a PUBLISH (MQTT 5, 3.3).
func (r *reader) publish(flags byte, v5 bool) error {
	qos := flags >> 1 & 3
	topic := r.text()
	if qos > 0 && r.uint16() == 0 {
		r.bad = true
	}
	if v5 {
		r.properties(publishProperties)
	}
	r.rest = nil // the payload
	switch {
	case qos == 3, r.bad:
		return errMalformed
	case r.doubled, r.wrongValue:
		return errProtocol
	case strings.ContainsAny(topic, "+#"):
		return errTopicName
	case qos == 2:
		return errQoS2
	case v5 && flags&1 != 0: // in 3.1.1, where a CONNACK cannot say that there is no retain, the flag is ignored
		return errRetain
	case topic != "" && topic[0] == '$':
		return errReservedTopic
	case r.payloadFormat > 1:
		return errPayloadFormat
	}
	return nil
}

// filters reads a SUBSCRIBE or an UNSUBSCRIBE (MQTT 5, 3.8 and 3.10).
func (r *reader) filters(kind, flags byte, v5 bool) error {
	r.uint16()
	if v5 && kind == packetSubscribe {
		r.properties(subscribeProperties)
	} else if v5 {
		r.properties(unsubscribeProperties)
	}
	n := 0
	for ; len(r.rest) > 0 && !r.bad; n++ {
		r.bad = r.text() == "" || r.bad // MQTT 5, 4.7.3
		if kind == packetSubscribe {
			o := r.byte()
			r.bad = r.bad || !v5 && o > 2 || o&0xC0 != 0
			r.wrongValue = r.wrongValue || o&3 == 3 || o>>4&3 == 3 // MQTT 5, 3.8.3.1: the QoS and the retain handling
		}
	}
	if err := r.done(flags == 2); err != nil {
		return err
	}
	switch {
	case n == 0: // MQTT 5, 3.8.3 and 3.10.3
		return errProtocol
	case r.subscriptionID:
		return errSubscriptionID
	}
	return nil
}

// publishID returns the packet id of a PUBLISH with QoS 1 or more that checkPacket has read.
func publishID(body []byte) uint16 {
	r := reader{rest: body}
	r.text()
	return r.uint16()
}
