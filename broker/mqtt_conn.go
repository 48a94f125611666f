package broker

import (
	"bufio"
	"io"
	"net"
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
