package broker

import (
	"errors"
	"io"
	"os"
	"time"
)

// Bounds of the guard (contract 5).
const (
	// MaxPacketBytes bounds an MQTT packet from a client.
	MaxPacketBytes  = 128 << 10
	maxConnectBytes = 32 << 10 // nobody is authenticated yet
	readChunk       = 4 << 10  // memory follows what has arrived, not what is announced
	connectTimeout  = 10 * time.Second
)

// Read buffers: a burst of PUBACKs is one read. Of a WebSocket, its library has read
// the message already.
const (
	readBuffer   = 512
	readBufferWS = 64
)

// next reads one packet. It leaves it in c.packet if it is for the front.
func (c *mqttConn) next() error {
	header, size, err := c.readHeader()
	if err != nil {
		return err
	}
	kind := header[0] >> 4
	if (kind == packetConnect) == c.connected {
		return errProtocol // CONNECT comes first, and once
	}
	if kind == packetPuback && size <= c.in.Size() {
		return c.nextPuback(header, size)
	}
	body, err := c.readBody(header, size)
	if err != nil {
		return err
	}
	flags, rest := header[0]&0xF, body[len(header):]
	err = checkPacket(kind, flags, rest, c.v5)
	switch {
	case errors.Is(err, errReservedTopic):
		return c.refusePublish(flags, rest)
	case err != nil:
		return err
	case kind == packetPuback:
		c.acknowledge([]uint16{uint16(rest[0])<<8 | uint16(rest[1])})
		return nil
	}
	c.connected = true
	c.packet = body
	return nil
}

// prolong begins the keep-alive anew: the last packet has come as a whole. Of a burst
// that was read at once it does so now and then.
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

// nextPuback is next for what comes most often, and in bursts: it takes those that have
// come together, and copies nothing.
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
		ids = append(ids, uint16(body[0])<<8|uint16(body[1]))
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

// pubackFollows reports whether the next packet is a PUBACK that has come as a whole.
func (c *mqttConn) pubackFollows() bool {
	come := c.in.Buffered()
	if come < 2 {
		return false
	}
	header, err := c.in.Peek(2)
	return err == nil && header[0]>>4 == packetPuback && header[1] < 0x80 && come >= 2+int(header[1])
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readHeader reads the first byte and the length.
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
			return c.header[:i+1], size, nil
		}
	}
	return nil, 0, errMalformed
}

// readBody reads the rest of a packet; what it gives begins with the header.
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

// acknowledge takes PUBACKs. With a reason code that says the client failed, the
// client has had the frame all the same (MQTT 5, 4.3.2).
func (c *mqttConn) acknowledge(ids []uint16) {
	if s := c.sess.Load(); s != nil && len(ids) > 0 {
		s.AckPackets(ids)
	}
}

// refusePublish answers a PUBLISH that the front would leave without an answer.
func (c *mqttConn) refusePublish(flags byte, body []byte) error {
	if flags>>1&3 != 0 {
		c.Puback(publishID(body), reasonNotAuthorized, "")
	}
	return nil
}

// refuse tells an MQTT 5 client what was wrong with its packet, and ends the
// connection.
func (c *mqttConn) refuse(err error) {
	if c.isClosing() {
		return
	}
	reason := byte(0)
	switch {
	case errors.Is(err, errMalformed):
		reason = reasonMalformed
	case errors.Is(err, errProtocol):
		reason = reasonProtocolError
	case errors.Is(err, errTooLarge):
		reason = reasonPacketTooLarge
	case errors.Is(err, errQoS2):
		reason = reasonQoSUnsupported
	case errors.Is(err, errRetain):
		reason = reasonRetainUnsupported
	case errors.Is(err, errTopicName):
		reason = reasonTopicName
	case errors.Is(err, errSubscriptionID):
		reason = reasonNoSubscriptionIDs
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = reasonKeepAliveTimeout
	}
	if reason != 0 && c.v5 {
		c.finish(appendDisconnect(nil, reason))
	} else {
		c.finish(nil)
	}
}

// maxPublishHeader is the longest fixed header.
const maxPublishHeader = 5
