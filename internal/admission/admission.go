// Package admission bounds how many connections a process has, on all its listeners together, so
// that strangers cannot use up its file descriptors.
//
// A connection is a stranger's until its holder has shown a token: [Admit] says so. When there
// are as many connections as may be, a new one takes the place of the stranger that came first.
// If there is no stranger, the new connection is over the bound: [Over]. It is still handed out, for
// its server to say so to the client and to answer probes, but few of them may be at a time.
package admission

import (
	"container/list"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// Limits of a Gate.
type Limits struct {
	Connections int // in all
	PerAddress  int // of one address; 0 is no bound
	Over        int // over the bound at a time; beyond it the oldest of them is closed
}

// Stats are figures for operators.
type Stats struct {
	Open int64 // connections now, without those over the bound
	Shed int64 // strangers that were closed for somebody else
	Over int64 // connections that came over the bound
}

// Gate counts connections. Make it with New.
type Gate struct {
	limits Limits

	mu        sync.Mutex
	open      int
	strangers list.List // of *conn, the oldest first
	over      list.List // of *conn, the oldest first
	addresses map[netip.Addr]int
	shed      int64
	overs     int64
}

// New makes a Gate.
func New(l Limits) *Gate { return &Gate{limits: l, addresses: make(map[netip.Addr]int)} }

// Stats gives the present figures.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{int64(g.open), g.shed, g.overs}
}

// Listen makes a listener whose connections the gate counts.
func (g *Gate) Listen(ln net.Listener) net.Listener { return &listener{ln, g} }

type listener struct {
	net.Listener
	gate *Gate
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	socket, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: socket, gate: l.gate, address: addressOf(socket)}
	if victim := l.gate.enter(c); victim != nil {
		_ = victim.Conn.Close() // its server finds out, and calls its Close
	}
	return c, nil
}

// conn is a counted connection. The gate's mu guards all but its static fields.
type conn struct {
	net.Conn
	gate    *Gate
	address netip.Addr

	place *list.Element // in strangers or over; nil: admitted, or gone
	beyond,
	gone bool
}

// NetConn returns the socket.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Close implements net.Conn.
func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.gate.leave(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends what is sent, as that of a TCP connection does.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// enter counts a new connection. It returns one to close for it, or nil.
func (g *Gate) enter(c *conn) (victim *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limits.PerAddress > 0 && g.addresses[c.address] >= g.limits.PerAddress {
		return g.enterOver(c)
	}
	if g.open >= g.limits.Connections {
		oldest := g.strangers.Front()
		if oldest == nil {
			return g.enterOver(c)
		}
		victim = oldest.Value.(*conn)
		g.leave(victim)
		g.shed++
	}
	g.open++
	if g.limits.PerAddress > 0 {
		g.addresses[c.address]++
	}
	c.place = g.strangers.PushBack(c)
	return victim
}

func (g *Gate) enterOver(c *conn) (victim *conn) {
	g.overs++
	if g.over.Len() >= max(g.limits.Over, 1) {
		victim = g.over.Front().Value.(*conn)
		g.leave(victim)
	}
	c.beyond, c.place = true, g.over.PushBack(c)
	return victim
}

// leave counts a connection no more.
func (g *Gate) leave(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	if c.beyond {
		g.over.Remove(c.place)
		c.place = nil
		return
	}
	if c.place != nil {
		g.strangers.Remove(c.place)
		c.place = nil
	}
	g.open--
	if g.limits.PerAddress > 0 {
		if g.addresses[c.address]--; g.addresses[c.address] <= 0 {
			delete(g.addresses, c.address)
		}
	}
}

// Admit says that the holder of a connection has shown a token. The connection makes room for nobody
// until release is called, which is for connections that serve one request after another: between
// two of them it is again a stranger's, the newest. Of a connection that no gate counts, Admit
// says nothing.
func Admit(socket net.Conn) (release func()) {
	c := find(socket)
	if c == nil {
		return func() {}
	}
	g := c.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.gone || c.beyond || c.place == nil {
		return func() {}
	}
	g.strangers.Remove(c.place)
	c.place = nil
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !c.gone && c.place == nil {
			c.place = g.strangers.PushBack(c)
		}
	}
}

// Over reports whether a connection is one too many: its server refuses what is asked for on it.
func Over(socket net.Conn) bool {
	c := find(socket)
	return c != nil && c.beyond // never changes after Accept
}

// find gives the counted connection under whatever wraps it, or nil.
func find(socket net.Conn) *conn {
	for {
		switch c := socket.(type) {
		case *conn:
			return c
		case interface{ NetConn() net.Conn }:
			socket = c.NetConn()
		case interface{ Socket() net.Conn }:
			socket = c.Socket()
		default:
			return nil
		}
	}
}

// addressOf is the address that a connection comes from. An IPv6 address is cut to its network of 64
// bits, all of which one customer has.
func addressOf(socket net.Conn) netip.Addr {
	tcp, ok := socket.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	if address.Is6() {
		network, err := address.Prefix(64)
		if err == nil {
			return network.Addr()
		}
	}
	return address
}
