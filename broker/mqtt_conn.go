package broker

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/contracts"
)

// mqttConn is one MQTT connection: the net.Conn that the protocol front reads
// from and writes to, and the session's transport. Between the socket and the
// front it is the guard: only complete, well-formed packets of bounded size pass,
// a CONNECT first and within connectTimeout. PUBACKs of our deliveries end here.
type mqttConn struct {
	net.Conn // the socket, or the stream inside a WebSocket
	writer
	offer Offer

	// The reader's.
	packet    []byte // what the front has not taken yet of the present packet
	attaching bool   // the packet is the CONNECT
	frontID   string // what the front knows the connection by, while attaching
	prolonged time.Time
	header    [maxPublishHeader]byte
	connected bool
	keepalive time.Duration
	answer    []byte // reason codes of the SUBACK or UNSUBACK being made
	in        *bufio.Reader
	pubacks   pubacks

	// Set by Bind, before the session starts.
	version   byte
	v5        bool
	maxPacket int  // the client's maximum packet size; 0 is none
	reasons   bool // the client wants reason strings
	sess      atomic.Pointer[session.Session]

	// The writer's.
	topicOf contracts.Topic
	topic   string // topicOf, spelled
}

// Offer is what came with a WebSocket upgrade, for the CONNECT to use.
type Offer struct {
	Token    string  // of the Authorization header
	Device   string  // the query device_id
	LastSeen *string // the query last_seen_id, if there is one
}

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

func newMQTTConn(socket net.Conn, offer Offer) *mqttConn {
	c := &mqttConn{Conn: socket, offer: offer}
	c.writer = writer{conn: socket, fill: c.fill, release: c.release}
	c.pubacks.answer, c.pubacks.room.L = c.answerPublish, &c.pubacks.mu
	buffer := readBuffer
	if stream, ok := socket.(*wsStream); ok {
		buffer = readBufferWS
		c.seal, c.head = sealBinary, maxWSHeader
		c.farewell = closeMessage(closeNormal, "")
		stream.messages.pong = c.sendRaw
		stream.messages.finish = func(goodbye []byte) { c.finishWith(nil, goodbye) }
	}
	c.in = bufio.NewReaderSize(socket, buffer)
	// Also for writing, which a TLS handshake does in the first Read. The writer has
	// deadlines of its own.
	_ = socket.SetDeadline(time.Now().Add(connectTimeout))
	return c
}

// Read gives the front the packet that is its turn, and then the end.
func (c *mqttConn) Read(p []byte) (int, error) {
	if len(c.packet) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.packet)
	if c.packet = c.packet[n:]; len(c.packet) == 0 {
		c.packet = nil // an idle connection keeps no packet
	}
	return n, nil
}

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

// answerPublish sends a PUBACK. MQTT 3.1.1 has none that refuses: there the
// connection ends instead, and the client sends again on the next one.
func (c *mqttConn) answerPublish(id uint16, reason byte, text string) {
	switch {
	case reason >= reasonFailure && !c.v5:
		c.finish(nil)
		return
	case !c.reasons:
		text = ""
	}
	packet := appendPuback(nil, id, reason, text)
	if c.maxPacket > 0 && len(packet) > c.maxPacket {
		packet = appendPuback(nil, id, reason, "")
	}
	_ = c.send(packet) // or the connection is over
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

// Write queues a packet of the front. MQTT 3.1.1 has no DISCONNECT from a server.
func (c *mqttConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	send := c.send
	switch s := c.Session(); {
	case p[0] == packetServerBye && !c.v5:
		return len(p), nil
	case (p[0] == packetSuback || p[0] == packetUnsuback) && s != nil:
		s.Hold()
		s.Subscribed()
		send = c.sendHeld
	}
	if err := send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// release lets the session go on that a SUBACK has held.
func (c *mqttConn) release() { c.Session().Release() }

// Close ends the connection once the packets that wait are written. The front closes
// also what it has admitted, as it finds no packet behind the CONNECT: that goes on.
func (c *mqttConn) Close() error {
	if !c.attaching || c.Session() == nil {
		c.finish(nil)
	}
	return nil
}

// SetDeadline is how the front would set the keep-alive, in whole seconds and
// rounded down. The guard does that itself; the write deadline is the writer's own.
func (c *mqttConn) SetDeadline(time.Time) error { return nil }

// linger reads on until the client hangs up or the goodbye's time is over. What it
// still acknowledges counts.
func (c *mqttConn) linger() {
	c.finish(nil)
	c.keepalive = 0
	_ = c.Conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	for c.next() == nil {
		c.packet = nil
	}
	c.awaitEnd()
	c.kill()
}

// serve reads the client's packets until the connection is over. handle has the front
// take the present one; it reports false if that was the last.
func (c *mqttConn) serve(handle func(*mqttConn) bool) {
	for {
		c.prolong()
		if c.isClosing() { // after prolong, which a goodbye under way must not lose to
			return
		}
		if err := c.next(); err != nil {
			c.refuse(err)
			return
		}
		if len(c.packet) > 0 && !handle(c) {
			return
		}
	}
}

// Offer implements hooks.Conn.
func (c *mqttConn) Offer() (token, device string, lastSeen *string) {
	return c.offer.Token, c.offer.Device, c.offer.LastSeen
}

// SetProtocol implements hooks.Conn.
func (c *mqttConn) SetProtocol(version byte, maxPacket uint32, reasonStrings bool) {
	c.version, c.v5, c.maxPacket, c.reasons = version, version >= 5, int(maxPacket), reasonStrings
}

// Puback implements hooks.Conn.
func (c *mqttConn) Puback(id uint16, reason byte, text string) { c.pubacks.add(id, reason, text) }

// PubackLater implements hooks.Conn.
func (c *mqttConn) PubackLater(id uint16, size int, await func() (reason byte, text string)) {
	c.pubacks.addLater(id, size, await)
}

// SetKeepAlive implements hooks.Conn. The time to CONNECT ends here.
func (c *mqttConn) SetKeepAlive(d time.Duration) {
	c.keepalive = d + d/2
	_ = c.Conn.SetReadDeadline(time.Now().Add(c.keepalive))
}

// Bind implements hooks.Conn.
func (c *mqttConn) Bind(s *session.Session, frontID string) {
	c.frontID = frontID
	c.sess.Store(s)
}

// Session implements hooks.Conn.
func (c *mqttConn) Session() *session.Session { return c.sess.Load() }

// SetAnswer implements hooks.Conn.
func (c *mqttConn) SetAnswer(codes []byte) { c.answer = codes }

// TakeAnswer implements hooks.Conn.
func (c *mqttConn) TakeAnswer() []byte {
	codes := c.answer
	c.answer = nil
	return codes
}

// Transport implements hooks.Conn.
func (c *mqttConn) Transport() session.Transport { return mqttTransport{c} }

// mqttTransport is the connection as its session sees it.
type mqttTransport struct{ conn *mqttConn }

// Wake implements session.Transport.
func (t mqttTransport) Wake() { t.conn.wake() }

// Close implements session.Transport.
func (t mqttTransport) Close(r session.Reason) {
	var goodbye, farewell []byte
	if t.conn.v5 {
		goodbye = appendDisconnect(nil, disconnectReason(r))
	}
	if t.conn.seal != nil { // inside a WebSocket, which says why in its own words too
		farewell = closeFor(r)
	}
	t.conn.finishWith(goodbye, farewell)
}

// fill pulls from the session.
func (c *mqttConn) fill(dst []byte) []byte {
	s := c.sess.Load()
	if s == nil {
		return dst
	}
	b := mqttBatch{conn: c, buf: dst}
	s.Fill(&b)
	return b.buf
}

// mqttBatch collects deliveries as PUBLISH packets.
type mqttBatch struct {
	conn *mqttConn
	buf  []byte
}

// Room implements session.Batch.
func (b *mqttBatch) Room() bool { return len(b.buf) < batchBytes }

// Put implements session.Batch.
func (b *mqttBatch) Put(d session.Delivery) bool {
	c := b.conn
	if d.Reply != nil {
		return b.add(replyLen(d.Reply), func(dst []byte) []byte { return appendReply(dst, d.Reply) })
	}
	if c.topic == "" || c.topicOf != d.Topic {
		c.topicOf, c.topic = d.Topic, d.Topic.String()
	}
	return b.add(publishLen(d, c.topic, c.v5), func(dst []byte) []byte { return appendPublish(dst, d, c.topic, c.v5) })
}

// add adds a packet of that remaining length, unless the client takes none so large.
func (b *mqttBatch) add(n int, write func(dst []byte) []byte) bool {
	if most := b.conn.maxPacket; most > 0 && 1+uvarintLen(n)+n > most {
		return false
	}
	b.buf = write(b.buf)
	return true
}

func uvarintLen(n int) int {
	size := 1
	for ; n > 0x7F; n >>= 7 {
		size++
	}
	return size
}
