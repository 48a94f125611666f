package broker

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
)

// The guard stands between a client's socket and mochi. mochi allocates by lengths that a
// packet only announces, and reads past the end of short ones. So the guard lets through
// whole, well-formed packets of bounded size: a CONNECT first, within connectTimeout, and no
// second one. PUBACKs end here: they go to the session, and mochi never sees one.

// Bounds of the guard (docs/contract.md#limits).
const (
	// MaxPacketBytes is the size of the largest MQTT packet that a client may send.
	MaxPacketBytes  = 128 << 10
	maxConnectBytes = 32 << 10 // of a CONNECT: its client is not authenticated yet
	connectTimeout  = 10 * time.Second
	// readChunk bounds what is allocated for a packet beyond the bytes that have come.
	readChunk = 4 << 10
)

// Sizes of the read buffers. A burst of PUBACKs is one read of a socket. A WebSocket has a
// buffer of its own below.
const (
	readBuffer   = 512
	readBufferWS = 64
)

// next reads one packet and handles it, or leaves it in c.packet for mochi.
func (c *mqttConn) next() error {
	header, size, err := c.readHeader()
	if err != nil {
		return err
	}
	kind := header[0] >> 4
	if (kind == packetConnect) == c.connected {
		return errProtocol // a CONNECT comes first, and once
	}
	if kind == packetPuback && size <= c.in.Size() {
		return c.nextPuback(header, size)
	}
	body, err := c.readBody(header, size)
	if err != nil {
		return err
	}
	flags, rest := header[0]&0xF, body[len(header):]
	if err = checkPacket(kind, flags, rest, c.v5); err != nil && kind == packetConnect {
		c.refuseConnect(rest, err)
		return err
	}
	switch {
	case errors.Is(err, errPayloadFormat):
		if flags>>1&3 != 0 {
			c.Answer(publishID(rest), session.Answer{Reason: reasonPayloadFormat, Text: string(chat.CodeInvalidRequest)})
		}
		return nil
	case errors.Is(err, errReservedTopic):
		return c.refusePublish(flags, rest)
	case err != nil:
		return err
	case kind == packetPublish && flags>>1&3 > 0 && c.v5 && c.pubacks.full(c.receiveMax):
		return errReceiveMaximum
	case kind == packetPuback:
		c.acknowledge(c.acknowledgeOne(rest, nil))
		return nil
	}
	if kind == packetDisconnect {
		c.because(endClientLeft)
	}
	c.connected = true
	c.packet = body
	return nil
}

// prolong moves the read deadline, since the last packet has come as a whole. Among packets
// that were read together it does so only now and then: a deadline costs a timer.
func (c *mqttConn) prolong() {
	if c.keepalive <= 0 {
		return
	}
	now := time.Now()
	if c.in.Buffered() > 0 && now.Sub(c.prolonged) < c.keepalive/8 {
		return
	}
	c.prolonged = now
	_ = c.Conn.SetReadDeadline(now.Add(c.keepalive))
}

// nextPuback is next for a PUBACK, the packet that comes most often. It reads all PUBACKs that
// have come together, without copying them, and hands them to the session at once.
func (c *mqttConn) nextPuback(header []byte, size int) error {
	var burst [readBuffer / 4]uint16
	ids := burst[:0]
	defer func() { c.acknowledge(ids) }()
	for {
		body, err := c.in.Peek(size)
		if err != nil {
			return unexpected(err)
		}
		if err := checkPacket(packetPuback, header[0]&0xF, body, c.v5); err != nil {
			return err
		}
		ids = c.acknowledgeOne(body, ids)
		if _, err = c.in.Discard(size); err != nil {
			return err
		}
		if len(ids) == cap(ids) || !c.pubackFollows() {
			return nil
		}
		if header, size, err = c.readHeader(); err != nil {
			return err
		}
	}
}

// pubackFollows reports whether the next packet is a PUBACK all of which is in the buffer.
func (c *mqttConn) pubackFollows() bool {
	buffered := c.in.Buffered()
	if buffered < 2 {
		return false
	}
	header, err := c.in.Peek(2)
	return err == nil && header[0]>>4 == packetPuback && header[1] < 0x80 && buffered >= 2+int(header[1])
}

// unexpected returns the error for an end of the stream inside a packet.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readHeader reads the fixed header of a packet; size is the length of the rest.
func (c *mqttConn) readHeader() (header []byte, size int, err error) {
	for i := range c.header {
		var err error
		if c.header[i], err = c.in.ReadByte(); err != nil {
			return nil, 0, err
		}
		if i == 0 {
			continue
		}
		size |= int(c.header[i]&0x7F) << (7 * (i - 1))
		if c.header[i] < 0x80 {
			if c.header[i] == 0 && i > 1 { // in more bytes than needed (MQTT 5, 1.5.5)
				return nil, 0, errMalformed
			}
			return c.header[:i+1], size, nil
		}
	}
	return nil, 0, errMalformed
}

// readBody reads the rest of a packet, and returns the packet with its header.
func (c *mqttConn) readBody(header []byte, size int) ([]byte, error) {
	limit := MaxPacketBytes
	if !c.connected {
		limit = maxConnectBytes
	}
	if len(header)+size > limit {
		return nil, errTooLarge
	}
	packet := append(make([]byte, 0, min(len(header)+size, readChunk)), header...)
	for missing := size; missing > 0; {
		chunk := min(missing, readChunk)
		start := len(packet)
		packet = append(packet, make([]byte, chunk)...)
		if _, err := io.ReadFull(c.in, packet[start:]); err != nil {
			return nil, err
		}
		missing -= chunk
	}
	return packet, nil
}

// acknowledgeOne adds a PUBACK to those that are handed to the session together, which it
// returns. One that refuses its frame goes to the session by itself, after those.
func (c *mqttConn) acknowledgeOne(body []byte, ids []uint16) []uint16 {
	id := uint16(body[0])<<8 | uint16(body[1])
	if len(body) > 2 && body[2] >= reasonFailure {
		c.acknowledge(ids)
		if s := c.sess.Load(); s != nil {
			s.RefusePacket(id)
		}
		return ids[:0]
	}
	return append(ids, id)
}

// acknowledge hands PUBACKs to the session.
func (c *mqttConn) acknowledge(ids []uint16) {
	if s := c.sess.Load(); s != nil && len(ids) > 0 {
		s.AckPackets(ids)
	}
}

// refusePublish answers a PUBLISH to a topic that mochi keeps for itself: mochi would not.
func (c *mqttConn) refusePublish(flags byte, body []byte) error {
	if flags>>1&3 != 0 {
		c.Answer(publishID(body), session.ElsewherePublished(publishID(body), c.v5))
	}
	return nil
}

// refuseConnect answers a CONNECT that is malformed: in MQTT 5 with a CONNACK that says so
// (3.1.4), in 3.1.1 not at all. A level that the server does not know is answered as in 3.1.1.
func (c *mqttConn) refuseConnect(body []byte, err error) {
	r := reader{rest: body}
	r.text()
	version := r.byte()
	switch {
	case errors.Is(err, errLevel):
		c.finish([]byte{firstByteConnack, 2, 0, connackUnknownLevel})
	case r.bad || version != 5:
	case errors.Is(err, errProtocol):
		c.finish([]byte{firstByteConnack, 3, 0, reasonProtocolError, 0})
	default:
		c.finish([]byte{firstByteConnack, 3, 0, reasonMalformed, 0})
	}
}

// refuse ends the connection for an error of its client, or of the socket. An MQTT 5 client is
// told what was wrong.
func (c *mqttConn) refuse(err error) {
	if c.isClosing() {
		return
	}
	reason, why := byte(0), endClientGone
	switch {
	case errors.Is(err, errMalformed):
		reason, why = reasonMalformed, endMalformed
	case errors.Is(err, errProtocol):
		reason, why = reasonProtocolError, endProtocolError
	case errors.Is(err, errTooLarge):
		reason, why = reasonPacketTooLarge, endTooLarge
	case errors.Is(err, errQoS2):
		reason, why = reasonQoSUnsupported, endQoS2
	case errors.Is(err, errRetain):
		reason, why = reasonRetainUnsupported, endRetain
	case errors.Is(err, errReceiveMaximum):
		reason, why = reasonReceiveMaximum, endReceiveMaximum
	case errors.Is(err, errTopicName):
		reason, why = reasonTopicName, endTopicName
	case errors.Is(err, errSubscriptionID):
		reason, why = reasonNoSubscriptionIDs, endSubscriptionID
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason, why = reasonKeepAliveTimeout, endKeepAlive
		if !c.connected {
			why = endNoConnect
		}
	case errors.Is(err, io.EOF) && !c.connected:
		why = refusedNothingSent
	}
	c.because(why)
	if reason != 0 && c.v5 {
		c.finish(appendDisconnect(nil, reason))
	} else {
		c.finish(nil)
	}
}

// maxFixedHeader is the length of the longest fixed header.
const maxFixedHeader = 5
