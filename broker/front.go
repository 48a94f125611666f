package broker

import (
	"errors"
	"io"
	"runtime/debug"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// The protocol front (mochi) is lent to a connection for the time of one packet. Its
// own way is to keep a client of some 3 KB and two goroutines with grown stacks for as
// long as a connection lasts, most of which do nothing most of the time. Here the
// connection's reader does the waiting; whatever the front has to do with a packet runs
// on a goroutine, and with a client, that serve others in between.
//
// A connection has nothing in the front that would have to last: its session,
// subscriptions and frames in flight are ours.

// front is a client of the protocol front, and the net.Conn it reads from: that of
// whoever has borrowed it.
type front struct {
	*mqttConn

	client *mqtt.Client
}

// take has the front handle the packet that the guard let pass. It reports false if
// the connection is over. A panic in it ends this connection and no other.
func (b *Broker) take(c *mqttConn) bool {
	handle := b.pass
	if c.Session() == nil {
		handle = b.establish
	}
	goOn := make(chan bool, 1)
	b.workers.Go(func() {
		ok := false
		defer func() {
			if p := recover(); p != nil {
				b.panics.Add(1)
				b.cfg.Log.Error("an MQTT connection panicked", "panic", p, "stack", string(debug.Stack()))
			}
			goOn <- ok
		}()
		ok = handle(c)
	})
	return <-goOn
}

// establish has the front answer the CONNECT. It then finds the stream at its end, and
// drops what it has made for the connection; closing it is not its business any more.
func (b *Broker) establish(c *mqttConn) bool {
	c.attaching = true
	err := b.server.EstablishConnection("parley", c) // at the end of the stream it had no more to say
	c.attaching = false
	b.server.Clients.Delete(c.frontID) // it keeps whom it could not send the CONNACK
	return errors.Is(err, io.EOF) && c.Session() != nil && !c.isClosing()
}

// pass has the front handle any other packet.
func (b *Broker) pass(c *mqttConn) bool {
	f, lent := b.fronts.Get().(*front)
	if !lent {
		f = &front{mqttConn: c}
		f.client = b.server.NewClient(f, "parley", "", false)
		f.client.State.Inflight.ResetReceiveQuota(int32(b.cfg.ReceiveMaximum)) // never used up: see hooks.OnPublish
	}
	f.mqttConn = c
	f.client.Properties.ProtocolVersion, f.client.Properties.Props.MaximumPacketSize = c.version, uint32(c.maxPacket)
	err := f.client.Read(b.inject)
	if !errors.Is(err, io.EOF) || f.client.Closed() {
		return false // and who knows what is left in the client
	}
	f.mqttConn = nil
	b.fronts.Put(f)
	return true
}

// inject does as the server does with what it reads by itself.
func (b *Broker) inject(cl *mqtt.Client, pk packets.Packet) error {
	err := b.server.InjectPacket(cl, pk)
	if code, ok := errors.AsType[packets.Code](err); ok && pk.ProtocolVersion == 5 && code.Code >= packets.ErrUnspecifiedError.Code {
		_ = b.server.DisconnectClient(cl, code) // or it is gone already
	}
	return err
}
