package broker

import (
	"github.com/parleyhq/parley/broker/session"
)

// mqttTransport is an MQTT connection as its session sees it. It is a type of its own since
// Close of a net.Conn is another method.
type mqttTransport struct{ conn *mqttConn }

// Wake implements session.Transport.
func (t mqttTransport) Wake() { t.conn.wake() }

// Close implements session.Transport.
func (t mqttTransport) Close(r session.Reason) {
	t.conn.because(r.String())
	var goodbye, farewell []byte
	if t.conn.v5 {
		goodbye = appendDisconnect(nil, disconnectReason(r))
	}
	if t.conn.seal != nil { // a WebSocket, whose close frame tells the reason too
		farewell = closeFor(r)
	}
	t.conn.finishWith(goodbye, farewell)
}

// wsTransport is the same for a connection inside a WebSocket.
type wsTransport struct{ mqttTransport }

// Ping implements session.Pinger. A ping that finds no room ends the connection, as any packet.
func (t wsTransport) Ping() { _ = t.conn.sendRaw(appendWSHeader(nil, wsPing, 0)) }

// fill appends what the session has to send now.
func (c *mqttConn) fill(dst []byte) []byte {
	s := c.sess.Load()
	if s == nil {
		return dst
	}
	b := mqttBatch{conn: c, buf: dst}
	s.Fill(&b)
	return b.buf
}

// mqttBatch collects the frames of one write as PUBLISH packets.
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
		return b.add(replyLen(d.Reply, c.v5), func(dst []byte) []byte { return appendReply(dst, d.Reply, c.v5) })
	}
	if c.topicName == "" || c.topic != d.Topic {
		c.topic, c.topicName = d.Topic, d.Topic.String()
	}
	return b.add(publishLen(d, c.topicName, c.v5), func(dst []byte) []byte { return appendPublish(dst, d, c.topicName, c.v5) })
}

// add appends a packet with n bytes behind its fixed header. It reports false, and appends
// nothing, if the packet is larger than the client accepts.
func (b *mqttBatch) add(n int, write func(dst []byte) []byte) bool {
	if most := b.conn.maxPacket; most > 0 && 1+uvarintLen(n)+n > most {
		return false
	}
	b.buf = write(b.buf)
	return true
}
