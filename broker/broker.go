// Package broker is the realtime side of the server: the listeners, the embedded
// MQTT server behind its guard, and the connections of both protocols, MQTT and
// JSON, as transports of package session.
//
// The MQTT server (mochi) is the protocol front only: it parses, and it answers
// CONNECT, SUBSCRIBE, PUBLISH and PINGREQ through package hooks. It delivers
// nothing: see package session for what does, and docs/adr/002 for why.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/internal/workers"
)

// Config is what a Broker needs.
type Config struct {
	Sessions *session.Registry
	Verifier *auth.Verifier
	Log      *slog.Logger
	// AllowedOrigins are the web origins whose pages may connect; empty allows
	// the server's own only. Clients that send no Origin are no browsers.
	AllowedOrigins []string
	// ReceiveMaximum is how many QoS 1 publishes a client may have unanswered.
	ReceiveMaximum uint16
}

// Broker owns the realtime connections.
type Broker struct {
	cfg      Config
	server   *mqtt.Server
	upgrader *upgrader
	panics   atomic.Int64
	fronts   sync.Pool // of *front
	workers  *workers.Pool

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[killer]struct{}
	closed    bool
	wg        sync.WaitGroup
}

// killer is a connection that can be ended at once.
type killer interface{ kill() }

// keptWorkers is how many goroutines that handle packets wait for the next one.
const keptWorkers = 64

// New makes a Broker. Its MQTT server answers nobody before AddHook.
func New(cfg Config) *Broker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.ReceiveMaximum == 0 {
		cfg.ReceiveMaximum = 1024
	}
	b := &Broker{cfg: cfg, server: newServer(cfg), workers: workers.New(keptWorkers), conns: make(map[killer]struct{})}
	b.upgrader = &upgrader{b}
	return b
}

// newServer makes the protocol front. It is never told to Serve: that would only
// start listeners we do not use and a loop that copies the client map twice a
// second to expire sessions it does not keep.
func newServer(cfg Config) *mqtt.Server {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumPacketSize = MaxPacketBytes
	caps.MaximumQos = 1
	caps.RetainAvailable = 1 // a CONNACK of ours says 0; the server would refuse wills with a code of its own
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
		Logger:                  slog.New(slog.DiscardHandler), // what goes wrong for a client is told to the client
		ClientNetReadBufferSize: 16,                            // the guard has read the packet already
		SysTopicResendInterval:  1 << 30,
	})
}

// Server is the protocol front, for the hooks to answer through.
func (b *Broker) Server() *mqtt.Server { return b.server }

// AddHook puts a hook into the protocol front.
func (b *Broker) AddHook(h mqtt.Hook) error {
	if err := b.server.AddHook(h, nil); err != nil {
		return fmt.Errorf("add the hook %s: %w", h.ID(), err)
	}
	return nil
}

// Panics counts connections that ended in a panic of the protocol front.
func (b *Broker) Panics() int64 { return b.panics.Load() }

// ServeTCP accepts MQTT connections, of TCP or of TLS upon it, until the listener
// is closed, by the Broker or else.
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

// serveMQTT runs one MQTT connection to its end, in the caller's goroutine.
func (b *Broker) serveMQTT(socket net.Conn, offer Offer) {
	c := newMQTTConn(socket, offer)
	if !b.enter(c) {
		c.kill()
		return
	}
	defer b.leave(c)
	c.serve(b.take)
	c.linger()
	if s := c.Session(); s != nil {
		s.End()
	}
	c.pubacks.wait()
}

// serveJSON runs one JSON connection to its end.
func (b *Broker) serveJSON(c *jsonConn, s *session.Session) {
	defer s.End()
	if !b.enter(c) {
		c.kill()
		return
	}
	defer b.leave(c)
	c.serve(s)
}

func (b *Broker) enter(c killer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[c] = struct{}{}
	b.wg.Add(1)
	return true
}

func (b *Broker) leave(c killer) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
	b.wg.Done()
}

// Close closes the listeners and waits for the connections to end, which the
// sessions have been told to do; those left when ctx is done are cut.
func (b *Broker) Close(ctx context.Context) {
	defer b.workers.Close()
	b.mu.Lock()
	b.closed = true
	for _, ln := range b.listeners {
		_ = ln.Close()
	}
	for c := range b.conns {
		if m, ok := c.(*mqttConn); ok && m.Session() == nil { // it never said who it is: nobody told it to go
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
