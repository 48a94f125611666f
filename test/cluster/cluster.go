// Package cluster stands between the parts of a cluster under test: a balancer before the
// nodes, and between each node and its NATS and MongoDB a proxy that loses, cuts and delays
// what the test says. The tests that use it are in test/e2e.
package cluster

import (
	"errors"
	"io"
	"net"
	"sync"
)

// TB is what this package needs of *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// proxy accepts connections at an address of its own until the test ends.
type proxy struct {
	ln    net.Listener
	serve func(client net.Conn)
	wg    sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool // all connections, of both sides
	closed bool
}

// listen begins to accept. serve is called for each connection, and ends when both sides of
// it are closed.
func (p *proxy) listen(tb TB, serve func(client net.Conn)) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	p.ln, p.serve, p.open = ln, serve, make(map[net.Conn]bool)
	p.wg.Go(p.accept)
	tb.Cleanup(p.close)
}

func (p *proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		if p.keep(conn) {
			p.wg.Go(func() {
				defer p.drop(conn)
				p.serve(conn)
			})
		}
	}
}

// Addr is the proxy's address, as host:port.
func (p *proxy) Addr() string { return p.ln.Addr().String() }

// keep notes a connection, unless the proxy is closed: then it closes it.
func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return false
	}
	p.open[conn] = true
	return true
}

func (p *proxy) drop(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}

// dropAll closes all connections that are open now.
func (p *proxy) dropAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
}

func (p *proxy) close() {
	_ = p.ln.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.dropAll()
	p.wg.Wait()
}

// dial connects to one of some addresses: the first that accepts.
func (p *proxy) dial(addrs ...string) (net.Conn, error) {
	for _, addr := range addrs {
		if conn, err := net.Dial("tcp", addr); err == nil {
			if !p.keep(conn) {
				return nil, net.ErrClosed
			}
			return conn, nil
		}
	}
	return nil, errors.New("nobody accepts")
}

// join carries bytes both ways until either side ends.
func (p *proxy) join(client, server net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
	<-done
}
