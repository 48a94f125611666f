package broker

import (
	"errors"
	"io"
	"runtime/debug"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// A connection borrows a client of mochi for one packet (docs/adr/013). mochi by itself
// keeps, for as long as a connection lasts, a client of 3 KB and two goroutines with grown
// stacks, and most connections do nothing most of the time. Here the connection's own
// goroutine waits for packets; mochi handles a packet on a goroutine and with a client that
// are lent to another connection afterwards.
//
// Nothing in a mochi client has to last longer than a packet: subscriptions and the frames
// in a window are the session's, which is ours.

// lentClient is a client of mochi. It reads from the connection that has borrowed it.
type lentClient struct {
	*mqttConn

	client *mqtt.Client
}

// handle has mochi handle the packet that the guard has let through. It reports false if the
// connection is over. A panic in mochi or a hook ends this connection and no other.
func (b *Broker) handle(c *mqttConn) bool {
	handle := b.handlePacket
	if c.Session() == nil {
		handle = b.handleConnect
	}
	goOn := make(chan bool, 1)
	b.workers.Go(func() {
		ok := false
		defer func() {
			if p := recover(); p != nil {
				b.panics.Add(1)
				c.because(endPanic)
				b.cfg.Log.Error("an MQTT connection panicked", "panic", p, "stack", string(debug.Stack()))
			}
			goOn <- ok
		}()
		ok = handle(c)
	})
	return <-goOn
}

// handleConnect has mochi answer the CONNECT. mochi then finds the stream at its end, takes
// that for the end of the connection, and drops the client that it has made; mqttConn.Close
// knows better. It reports whether the client was admitted.
func (b *Broker) handleConnect(c *mqttConn) bool {
	c.attaching = true
	err := b.mochi.EstablishConnection("parley", c)
	c.attaching = false
	b.mochi.Clients.Delete(c.mochiID) // mochi would keep a client to whom it could not send the CONNACK
	if c.Session() != nil {
		b.admitted(c)
	}
	return errors.Is(err, io.EOF) && c.Session() != nil && !c.isClosing()
}

// handlePacket has a lent client handle any other packet.
func (b *Broker) handlePacket(c *mqttConn) bool {
	l, ok := b.clients.Get().(*lentClient)
	if !ok {
		l = &lentClient{mqttConn: c}
		l.client = b.mochi.NewClient(l, "parley", "", false)
		l.client.State.Inflight.ResetReceiveQuota(int32(b.cfg.ReceiveMaximum)) // never used up: see hooks.OnPublish
	}
	l.mqttConn = c
	l.client.Properties.ProtocolVersion, l.client.Properties.Props.MaximumPacketSize = c.version, uint32(c.maxPacket)
	err := l.client.Read(b.inject)
	if !errors.Is(err, io.EOF) || l.client.Closed() {
		return false // the client is not lent again: nobody knows what is left in it
	}
	l.mqttConn = nil
	b.clients.Put(l)
	return true
}

// inject handles a packet like mochi handles those that it reads by itself.
func (b *Broker) inject(cl *mqtt.Client, pk packets.Packet) error {
	err := b.mochi.InjectPacket(cl, pk)
	if code, ok := errors.AsType[packets.Code](err); ok && pk.ProtocolVersion == 5 && code.Code >= packets.ErrUnspecifiedError.Code {
		_ = b.mochi.DisconnectClient(cl, code) // an error means that the client is gone
	}
	return err
}
