// Package broker is the realtime side of the server: the listeners, and the connections of
// both protocols, MQTT and JSON. Each connection is the transport of a session: package
// session decides what is sent, the connection how.
//
// Packets of MQTT are parsed and answered by mochi, an MQTT server that runs inside this
// one, and by its hooks (package hooks). mochi delivers nothing and keeps no session:
// docs/adr/002 says why.
//
// The way of MQTT packets through a connection:
//
//	client ── PUBLISH ──► guard ──► a mochi client, lent ──► hooks.OnPublish ──► chat.BeginSend
//	                                                                                  │ stored
//	client ◄── PUBACK ─── writer ◄── pubacks, in the order of the publishes ◄─────────┘
//
//	client ◄── frame ──── writer ◄── mqttBatch ◄── session.Fill ◄── woken by new events
//
//	client ── PUBACK ───► guard ──► session.AckPackets: there is room for more frames
//
// Read in this order: broker.go, mqtt_conn.go, guard.go, mochi.go, pubacks.go,
// mqtt_transport.go, writer.go; then the bytes of packets, packet.go, packet_check.go,
// packet_write.go; then WebSockets, upgrade.go, websocket_read.go, websocket_write.go,
// json_conn.go; and connectionlog.go, what operators are told of connections.
package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/internal/admission"
	"github.com/parleyhq/parley/internal/clientaddr"
	"github.com/parleyhq/parley/internal/origin"
	"github.com/parleyhq/parley/internal/sampling"
	"github.com/parleyhq/parley/internal/workers"
)

// Config is what a Broker needs.
type Config struct {
	Sessions *session.Registry
	Verifier *auth.Verifier
	Log      *slog.Logger // nil logs nothing
	// Origins decides of which web origins pages may connect. A client that sends no Origin
	// is not a browser, and may connect. Who serves HTTP logs the others.
	Origins *origin.Policy
	// ReceiveMaximum is how many publishes with QoS 1 an MQTT 5 client may have unanswered,
	// MaxUnanswered by default and at most. A service (chat.system) may have that many.
	ReceiveMaximum uint16
	// Proxies are the operator's own, whose X-Forwarded-For is believed.
	Proxies clientaddr.Proxies
}

// Broker owns the realtime connections.
type Broker struct {
	cfg     Config
	mochi   *mqtt.Server
	panics  atomic.Int64
	clients sync.Pool // of *lentClient
	workers *workers.Pool

	userBytes allUserBytes
	stats     Stats
	refusals  *sampling.Sampler // of the lines about refused clients
	ctx       context.Context   // of these lines; it never ends

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[connection]struct{}
	closed    bool
	wg        sync.WaitGroup
}

// connection is a connection of either protocol. kill closes its socket at once.
type connection interface{ kill() }

// idleWorkers is how many goroutines stay to wait for the next packet for mochi. A new one
// would grow and copy its stack several times for that packet.
const idleWorkers = 64

// New makes a Broker. It refuses every MQTT client before AddHook was called.
func New(cfg Config) *Broker {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.ReceiveMaximum = min(cmp.Or(cfg.ReceiveMaximum, MaxUnanswered), MaxUnanswered)
	return &Broker{
		cfg: cfg, mochi: newMochi(cfg), workers: workers.New(idleWorkers), conns: make(map[connection]struct{}),
		refusals: sampling.New(refusedPerSecond), ctx: context.Background(),
	}
}

// newMochi makes the MQTT server. Its Serve is never called: it would only start listeners
// that we do not use, and a loop that copies the map of clients twice a second to expire
// sessions, of which it has none.
func newMochi(cfg Config) *mqtt.Server {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumPacketSize = MaxPacketBytes
	caps.MaximumQos = 1
	caps.RetainAvailable = 1 // our CONNACK says 0; with 0 here, mochi would refuse wills with a code of its own
	caps.SharedSubAvailable = 0
	caps.SubIDAvailable = 0
	caps.TopicAliasMaximum = 0
	caps.MinimumProtocolVersion = 4
	caps.MaximumSessionExpiryInterval = 0
	caps.MaximumMessageExpiryInterval = 0
	caps.MaximumClientWritesPending = 1
	caps.ReceiveMaximum = cfg.ReceiveMaximum
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	return mqtt.New(&mqtt.Options{
		Capabilities:            caps,
		Logger:                  slog.New(slog.DiscardHandler), // a client is told itself what it did wrong
		ClientNetReadBufferSize: 16,                            // it reads from memory: the guard has the packet already
		SysTopicResendInterval:  1 << 30,
	})
}

// Server returns the MQTT server, through which the hooks answer.
func (b *Broker) Server() *mqtt.Server { return b.mochi }

// AddHook adds a hook to the MQTT server.
func (b *Broker) AddHook(h mqtt.Hook) error {
	if err := b.mochi.AddHook(h, nil); err != nil {
		return fmt.Errorf("add the hook %s: %w", h.ID(), err)
	}
	return nil
}

// Panics returns how many connections a panic in mochi or in a hook has ended.
func (b *Broker) Panics() int64 { return b.panics.Load() }

// ServeTCP accepts MQTT connections, over TCP or TLS, until the listener is closed: by
// Close or by somebody else. Then it returns nil, and net.ErrClosed if the Broker was closed
// before.
func (b *Broker) ServeTCP(ln net.Listener) error {
	if !b.track(ln) {
		return net.ErrClosed
	}
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			b.wg.Add(1)
			go func() {
				defer b.wg.Done()
				b.serveMQTT(conn, Offer{})
			}()
		case b.isClosed() || errors.Is(err, net.ErrClosed):
			return nil
		default:
			return fmt.Errorf("accept an MQTT connection: %w", err)
		}
	}
}

// track has Close close the listener. It reports false after Close.
func (b *Broker) track(ln net.Listener) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.listeners = append(b.listeners, ln)
	}
	return !b.closed
}

func (b *Broker) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// serveMQTT runs an MQTT connection to its end, in the caller's goroutine.
func (b *Broker) serveMQTT(socket net.Conn, offer Offer) {
	c := newMQTTConn(socket, offer)
	c.broker = b
	if !b.register(c) {
		c.kill()
		return
	}
	defer b.unregister(c)
	b.countOpen(c, protocolMQTT)
	c.serve(b.handle)
	c.linger()
	s := c.Session()
	if s != nil {
		s.End()
	}
	c.pubacks.wait()
	b.countOpen(c, "")
	switch {
	case s != nil:
		b.userBytes.leave(s.Caller().User)
		b.ended(c.visit(), s, c.endReason())
	case !c.refused: // else OnConnect has told
		b.refused(c.visit(), c.endReason(), nil)
	}
}

// serveJSON opens the session of a JSON connection, and runs the connection to its end in the
// caller's goroutine. The client's bytes come from in.
func (b *Broker) serveJSON(socket net.Conn, in io.Reader, p session.Params, addr string) {
	c := newJSONConn(socket, in)
	p.Transport = c
	v := visit{protocol: protocolJSON, over: "websocket", addr: addr}
	s, err := b.cfg.Sessions.Open(p)
	if err != nil { // since authenticate: one connection too many, or a shutdown
		c.finish(closeFor(session.ShuttingDown))
		c.awaitEnd()
		c.kill()
		v.user, v.device = p.Caller.User, p.Caller.Device
		b.refused(v, refusalReason(err), err)
		return
	}
	admission.Admit(socket)
	c.sess.Store(s)
	defer s.End()
	if !b.register(c) {
		c.kill()
		return
	}
	defer b.unregister(c)
	b.stats.Open.Add(protocolJSON, 1)
	b.stats.Connects.Add(protocolJSON, 1)
	c.serve(s)
	b.stats.Open.Add(protocolJSON, -1)
	b.ended(v, s, c.endReason())
}

// register has Close wait for the connection to end, until unregister. It reports false
// after Close.
func (b *Broker) register(c connection) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[c] = struct{}{}
	b.wg.Add(1)
	return true
}

func (b *Broker) unregister(c connection) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
	b.wg.Done()
}

// Close closes the listeners and waits until the connections have ended. The caller has told
// the sessions to end theirs. Connections that are left when ctx is done are killed.
func (b *Broker) Close(ctx context.Context) {
	defer b.workers.Close()
	b.mu.Lock()
	b.closed = true
	for _, ln := range b.listeners {
		_ = ln.Close()
	}
	for c := range b.conns {
		if m, ok := c.(*mqttConn); ok && m.Session() == nil { // a client without a session, which nobody has told to go
			m.because(endShuttingDown)
			m.kill()
		}
	}
	b.mu.Unlock()
	done := make(chan struct{})
	go func() {
		b.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	b.mu.Lock()
	for c := range b.conns {
		c.kill()
	}
	b.mu.Unlock()
	<-done
}
