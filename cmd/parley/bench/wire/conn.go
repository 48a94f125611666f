// Package wire is a client for load tests: MQTT 5 over TCP or over a WebSocket, and JSON
// frames over a WebSocket, with little memory and little work per connection. It trusts the
// server more than a product may, since it is for measuring one's own.
//
// [Dial] opens a [Conn], whose Receive hands each frame to [Config].OnFrame and acknowledges
// it. Read in this order: conn.go, mqtt.go, websocket.go, reader.go.
package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Protocol is what a connection speaks.
type Protocol string

// The protocols of a realtime connection.
const (
	JSON    Protocol = "json"     // JSON frames over a WebSocket
	MQTTWS  Protocol = "mqtt-ws"  // MQTT over a WebSocket
	MQTTTCP Protocol = "mqtt-tcp" // MQTT over TCP
)

// realtimePath is the path of realtime connections (docs/contract.md#connecting).
const realtimePath = "/v1/realtime"

// Config says where a connection goes, and as which user and device.
type Config struct {
	Protocol Protocol
	Addr     string      // host:port
	TLS      *tls.Config // nil: plain
	Source   net.IP      // address to connect from; nil: the system's choice

	Username string
	Token    string // bearer token or MQTT password; "" for none
	Device   string // device id, which is the MQTT client id

	// OnFrame is called for every frame, which is the payload of a PUBLISH or a JSON text.
	// Receive calls it, and the bytes are valid until it returns.
	OnFrame func(frame []byte)
}

// Conn is one connection. Only one goroutine at a time may use it, but any may close it.
type Conn struct {
	cfg Config
	nc  net.Conn
	r   reader

	packets []byte // MQTT over WebSocket: the start of a packet whose rest comes in the next frame
	out     []byte // bytes to send, written together by flush
	frames  uint64 // how many JSON frames were received, which is the last frame_seq
	acked   uint64 // the frame_seq of the last client_ack
	lastID  uint16 // packet id of the last SUBSCRIBE or PUBLISH
	reply   packet // the last CONNACK, SUBACK or PUBACK

	receiveMax uint16 // as the CONNACK said

	readAt time.Time
}

// Dial connects, upgrades to a WebSocket if need be, and authenticates. It gives up when ctx
// ends.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if cfg.Source != nil {
		d.LocalAddr = &net.TCPAddr{IP: cfg.Source}
	}
	nc, err := d.DialContext(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		nc = tls.Client(nc, cfg.TLS)
	}
	c := &Conn{cfg: cfg, nc: nc, r: reader{nc: nc}}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	err = c.open()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) open() error {
	switch c.cfg.Protocol {
	case JSON:
		path := realtimePath + "?device_id=" + c.cfg.Device
		return upgrade(c.nc, &c.r, c.cfg.Addr, path, "parley.v1", c.cfg.Token)
	case MQTTWS:
		if err := upgrade(c.nc, &c.r, c.cfg.Addr, realtimePath, "mqtt", ""); err != nil {
			return err
		}
	case MQTTTCP:
	default:
		return fmt.Errorf("unknown protocol %q", c.cfg.Protocol)
	}
	c.out = appendConnect(c.out, c.cfg.Device, c.cfg.Username, c.cfg.Token)
	err := c.await(typeConnack, 0)
	c.receiveMax = c.reply.receiveMax
	return err
}

// ReceiveMaximum is how many publishes an MQTT server lets a client have unanswered.
func (c *Conn) ReceiveMaximum() int { return int(c.receiveMax) }

// Subscribe subscribes to a filter with QoS 1. Frames may come before it returns. With JSON
// it does nothing, since a JSON connection gets everything.
func (c *Conn) Subscribe(filter string) error {
	if c.cfg.Protocol == JSON {
		return nil
	}
	id := c.nextID()
	c.out = appendSubscribe(c.out, id, filter)
	return c.await(typeSuback, id)
}

// Publish publishes with QoS 1 and waits for the PUBACK.
func (c *Conn) Publish(topic string, payload []byte) error {
	if c.cfg.Protocol == JSON {
		return errors.New("JSON connections do not publish")
	}
	id := c.nextID()
	c.out = appendPublish(c.out, id, topic, payload)
	return c.await(typePuback, id)
}

// RefusedError is an MQTT reason code that refuses something.
type RefusedError struct {
	What string
	Code byte
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%s refused with 0x%02X", e.What, e.Code) }

func (c *Conn) nextID() uint16 {
	if c.lastID++; c.lastID == 0 {
		c.lastID = 1
	}
	return c.lastID
}

// await sends what is in out, and receives until the answer of that kind and packet id has
// come.
func (c *Conn) await(kind byte, id uint16) error {
	if err := c.flush(); err != nil {
		return err
	}
	c.reply = packet{}
	for c.reply.kind != kind || c.reply.id != id {
		if err := c.Receive(); err != nil {
			return err
		}
	}
	if c.reply.code >= failed {
		what := map[byte]string{typeConnack: "CONNECT", typeSuback: "SUBSCRIBE", typePuback: "PUBLISH"}[kind]
		return &RefusedError{what, c.reply.code}
	}
	return nil
}

// ReadAt is the time at which the frames that OnFrame gets now were read.
func (c *Conn) ReadAt() time.Time { return c.readAt }

// SetDeadline bounds reading and writing.
func (c *Conn) SetDeadline(t time.Time) { c.nc.SetDeadline(t) }

// Close closes the connection. A Receive that is waiting returns an error.
func (c *Conn) Close() { c.nc.Close() }

// Receive waits for bytes and handles everything that has arrived whole: it hands frames to
// OnFrame, and then acknowledges all of them together.
func (c *Conn) Receive() error {
	// After an upgrade there may be frames in the buffer already.
	if c.r.end == c.r.start || !c.r.fresh {
		if err := c.r.fill(); err != nil {
			return err
		}
	}
	c.r.fresh = false
	c.readAt = time.Now()
	var err error
	if c.cfg.Protocol == MQTTTCP {
		var used int
		used, err = c.mqtt(c.r.bytes())
		c.r.discard(used)
	} else {
		err = c.webSocket()
	}
	if err != nil {
		return err
	}
	if c.cfg.Protocol == JSON && c.acked < c.frames {
		c.acked = c.frames
		c.appendText(strconv.AppendUint([]byte(`{"t":"client_ack","frame_seq":`), c.frames, 10), '}')
	}
	return c.flush()
}

// flush writes what is in out, in one WebSocket frame if it is MQTT over a WebSocket.
func (c *Conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	b := c.out
	c.out = c.out[:0]
	if c.cfg.Protocol == MQTTWS {
		b = append(appendFrameHead(make([]byte, 0, len(b)+14), opBinary, len(b)), b...)
	}
	_, err := c.nc.Write(b)
	if cap(c.out) > keepBuffer {
		c.out = nil
	}
	return err
}

func (c *Conn) appendText(text []byte, more ...byte) {
	c.out = appendFrameHead(c.out, opText, len(text)+len(more))
	c.out = append(append(c.out, text...), more...)
}

// mqtt handles the whole packets at the start of b. It returns the length of all of them.
func (c *Conn) mqtt(b []byte) (used int, err error) {
	for {
		p, n, err := nextPacket(b[used:])
		if err != nil || n == 0 {
			return used, err
		}
		used += n
		switch p.kind {
		case typePublish:
			c.cfg.OnFrame(p.body)
			if p.qos > 0 {
				c.out = appendPuback(c.out, p.id)
			}
		case typeDisconnect:
			return used, fmt.Errorf("the server disconnects with 0x%02X", p.code)
		case typePingresp:
		default:
			c.reply = p
		}
	}
}

// webSocket handles the whole frames in the buffer.
func (c *Conn) webSocket() error {
	for {
		f, n, err := nextFrame(c.r.bytes())
		if err != nil || n == 0 {
			return err
		}
		if err := c.webSocketFrame(f); err != nil {
			return err
		}
		c.r.discard(n)
	}
}

func (c *Conn) webSocketFrame(f wsFrame) error {
	switch f.op {
	case opClose:
		return closedBy(f)
	case opPing:
		c.nc.Write(append(appendFrameHead(nil, opPong, len(f.payload)), f.payload...)) //nolint:errcheck // if it fails, so does the next read
		return nil
	case opText:
		c.frames++
		if bytes.HasPrefix(f.payload, []byte(`{"t":"ping"`)) {
			c.appendText([]byte(`{"t":"pong"}`))
			return nil
		}
		c.cfg.OnFrame(f.payload)
		return nil
	case opBinary, opContinuation:
		return c.tunnelled(f.payload)
	}
	return nil
}

// tunnelled handles the MQTT in a WebSocket frame. A packet may begin in one frame and end in
// a later one.
func (c *Conn) tunnelled(b []byte) error {
	if len(c.packets) > 0 {
		c.packets = append(c.packets, b...)
		b = c.packets
	}
	used, err := c.mqtt(b)
	if rest := b[used:]; len(rest) > 0 {
		c.packets = append(c.packets[:0], rest...) // rest may be a part of c.packets: append then moves it to the front
	} else {
		c.packets = nil
	}
	return err
}
