package broker

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/internal/admission"
)

// mqttConn is one MQTT connection. It is three things: the guard between the socket and
// mochi (guard.go), the net.Conn that mochi reads from and writes to, and what its session
// (mqtt_transport.go) and the hooks see of it.
type mqttConn struct {
	net.Conn // the socket, or the stream inside a WebSocket
	writer
	offer  Offer
	broker *Broker // nil in tests of a connection alone
	openAs string  // as what it is counted among the open connections

	// Owned by the reader: the connection's goroutine, and mochi's while that waits for it.
	in          *bufio.Reader
	header      [maxFixedHeader]byte // of the packet that is being read
	packet      []byte               // what mochi has not read yet of the packet that is its turn
	connected   bool                 // a CONNECT has come
	attaching   bool                 // mochi handles the CONNECT
	refused     bool                 // it was refused by a hook, which has told why
	mochiID     string               // mochi's name for the connection, while attaching
	keepalive   time.Duration        // how long the client may be silent; 0 until it is admitted
	prolonged   time.Time            // when the read deadline was last moved
	reasonCodes []byte               // of the SUBACK or UNSUBACK that mochi makes
	pubacks     pubacks
	receiveMax  int // how many publishes with QoS 1 may be unanswered

	// Set by the hooks as they handle the CONNECT, before the session starts.
	version   byte
	v5        bool
	maxPacket int  // the client's maximum packet size; 0 is no limit
	reasons   bool // the client can read reason strings, and wants them
	sess      atomic.Pointer[session.Session]

	// Owned by the writing goroutine: the topic of the last frame, and its name.
	topic     contracts.Topic
	topicName string
}

// newMQTTConn makes the connection of a socket, or of the stream inside a WebSocket. Its
// client has connectTimeout to send a CONNECT.
func newMQTTConn(socket net.Conn, offer Offer) *mqttConn {
	c := &mqttConn{Conn: socket, offer: offer, receiveMax: MaxUnanswered}
	c.writer = writer{conn: socket, fill: c.fill, release: c.release}
	c.pubacks.init(c.answerPublish, c.giveUp)
	c.onEnd = c.pubacks.stop
	buffer := readBuffer
	if stream, ok := socket.(*wsStream); ok {
		buffer = readBufferWS
		c.seal, c.head = sealBinary, maxWSHeader
		c.farewell = closeMessage(closeNormal, "")
		stream.messages.pong = c.sendRaw
		stream.messages.finish = func(goodbye []byte) {
			c.because(whyClosed(goodbye))
			c.finishWith(nil, goodbye)
		}
	}
	c.in = bufio.NewReaderSize(socket, buffer)
	// The deadline is for writing too: the first Read of a TLS connection does its handshake.
	// The writer sets deadlines of its own.
	_ = socket.SetDeadline(time.Now().Add(connectTimeout))
	return c
}

// serve reads the client's packets until the connection is over. handle has mochi handle the
// present one; it reports false if that was the last.
func (c *mqttConn) serve(handle func(*mqttConn) bool) {
	for {
		c.prolong()
		if c.isClosing() { // asked after prolong, so that the deadline of a goodbye stands
			return
		}
		if err := c.next(); err != nil {
			c.refuse(err)
			return
		}
		if len(c.packet) > 0 && !handle(c) {
			c.because(endProtocolError) // which mochi has found
			return
		}
	}
}

// Read gives mochi the packet that is its turn, and then io.EOF.
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

// Write queues a packet of mochi for the writer. It drops a DISCONNECT for a client of
// MQTT 3.1.1, which has none from a server. A SUBACK or UNSUBACK holds the session, so that no
// frame of a new subscription comes before it.
func (c *mqttConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	send := c.send
	switch s := c.Session(); {
	case p[0] == firstByteDisconnect && !c.v5:
		return len(p), nil
	case (p[0] == firstByteSuback || p[0] == firstByteUnsuback) && s != nil:
		s.Hold()
		s.Subscribed()
		send = c.sendHeld
	}
	if err := send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// release lets the session go on, which a SUBACK has held.
func (c *mqttConn) release() { c.Session().Release() }

// Close ends the connection once the waiting packets are written. But an admitted connection
// goes on when mochi closes it after its CONNECT, because it found no packet behind that.
func (c *mqttConn) Close() error {
	if !c.attaching || c.Session() == nil {
		c.finish(nil)
	}
	return nil
}

// SetDeadline does nothing: mochi would set the keep-alive with it, rounded down to seconds.
// The guard does so exactly, and the writer has deadlines of its own.
func (c *mqttConn) SetDeadline(time.Time) error { return nil }

// linger ends the connection: it sends what waits, and reads on until the client hangs up,
// for goodbyeTimeout at most. PUBACKs that still come count.
func (c *mqttConn) linger() {
	c.finish(nil)
	c.keepalive = 0
	_ = c.Conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	for c.next() == nil {
		c.packet = nil
	}
	c.awaitEnd()
	if stream, ok := c.Conn.(*wsStream); ok {
		stream.messages.drain()
	} else {
		_, _ = io.Copy(io.Discard, c.Conn)
	}
	c.kill()
}

// answerPublish tells the client what became of a publish. It waits until an error frame that
// comes before the PUBACK is written.
func (c *mqttConn) answerPublish(id uint16, a session.Answer) {
	if a.HangUp {
		c.because(endTokenRefused)
		c.finish(nil)
		return
	}
	if s := c.Session(); s != nil && a.Error != nil {
		select {
		case <-s.Tell(a.Error):
		case <-c.pubacks.stopped():
			return
		}
	}
	text := a.Text
	if !c.reasons {
		text = ""
	}
	packet := appendPuback(nil, id, a.Reason, text)
	if c.maxPacket > 0 && len(packet) > c.maxPacket {
		packet = appendPuback(nil, id, a.Reason, "")
	}
	_ = c.send(packet) // an error means that the connection is over
	if a.End != 0 {
		mqttTransport{c}.Close(a.End)
	}
}

// giveUp ends the connection, since what the client sent cannot be stored.
func (c *mqttConn) giveUp() { mqttTransport{c}.Close(session.StoreFailing) }

// protocol names the client's protocol for the log and the metrics.
func (c *mqttConn) protocol() string {
	switch {
	case c.v5:
		return protocolMQTT5
	case c.version != 0:
		return protocolMQTT311
	}
	return protocolMQTT
}

func (c *mqttConn) visit() visit {
	addr := c.offer.Addr
	if addr == "" {
		addr = c.Conn.RemoteAddr().String()
	}
	return visit{protocol: c.protocol(), over: over(c.Conn), addr: addr}
}

// Offer implements hooks.Conn.
func (c *mqttConn) Offer() (token, device string, lastSeen *string) {
	return c.offer.Token, c.offer.Device, c.offer.LastSeen
}

// SetProtocol implements hooks.Conn.
func (c *mqttConn) SetProtocol(version byte, maxPacket uint32, reasonStrings bool) {
	c.version, c.v5, c.maxPacket, c.reasons = version, version >= 5, int(maxPacket), version >= 5 && reasonStrings
}

// Answer implements hooks.Conn.
func (c *mqttConn) Answer(id uint16, a session.Answer) {
	if a.HangUp {
		c.because(endTokenRefused)
		c.finish(nil)
		return
	}
	c.pubacks.add(id, a)
}

// AnswerLater implements hooks.Conn.
func (c *mqttConn) AnswerLater(id uint16, size int, p session.Unanswered) {
	c.pubacks.addLater(id, size, p)
}

// ReceiveMaximum implements hooks.Conn.
func (c *mqttConn) ReceiveMaximum() uint16 { return uint16(c.receiveMax) }

// Bind implements hooks.Conn. The deadline for the CONNECT ends here.
func (c *mqttConn) Bind(s *session.Session, mochiID string, keepAlive time.Duration) {
	c.mochiID, c.keepalive = mochiID, keepAlive+keepAlive/2
	if b := c.broker; b != nil {
		user := s.Caller()
		c.pubacks.join(b.userBytes.join(user.User))
		c.receiveMax = int(b.cfg.ReceiveMaximum)
		if user.Has(chat.ScopeSystem) { // a service has a rate of its own
			c.receiveMax = MaxUnanswered
		}
	}
	until := time.Time{}
	if c.keepalive > 0 {
		until = time.Now().Add(c.keepalive)
	}
	_ = c.Conn.SetReadDeadline(until)
	admission.Admit(c.Conn)
	c.sess.Store(s)
}

// Refused implements hooks.Conn.
func (c *mqttConn) Refused(user chat.UserID, device chat.DeviceID, err error) {
	v := c.visit()
	v.user, v.device = user, device
	c.refused = true
	c.broker.refused(v, refusalReason(err), err)
}

// Over implements hooks.Conn.
func (c *mqttConn) Over() bool { return admission.Over(c.Conn) }

// Session implements hooks.Conn.
func (c *mqttConn) Session() *session.Session { return c.sess.Load() }

// KeepReasonCodes implements hooks.Conn.
func (c *mqttConn) KeepReasonCodes(codes []byte) { c.reasonCodes = codes }

// PopReasonCodes implements hooks.Conn.
func (c *mqttConn) PopReasonCodes() []byte {
	codes := c.reasonCodes
	c.reasonCodes = nil
	return codes
}

// Transport implements hooks.Conn.
func (c *mqttConn) Transport() session.Transport {
	if _, ok := c.Conn.(*wsStream); ok {
		return wsTransport{mqttTransport{c}}
	}
	return mqttTransport{c}
}
