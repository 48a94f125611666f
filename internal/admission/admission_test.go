package admission

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// gate is a listener on loopback with what was accepted from it.
type gate struct {
	t *testing.T
	*Gate
	ln net.Listener
}

func newGate(t *testing.T, l Limits) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	g := &gate{t: t, Gate: New(l)}
	g.ln = g.Listen(ln)
	return g
}

// dial gives both ends of a new connection.
func (g *gate) dial() (client, server net.Conn) {
	g.t.Helper()
	client, err := net.Dial("tcp", g.ln.Addr().String())
	if err != nil {
		g.t.Fatal(err)
	}
	if server, err = g.ln.Accept(); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func isClosed(server net.Conn) bool {
	_ = server.SetReadDeadline(time.Now().Add(-time.Second))
	_, err := server.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func (g *gate) want(s Stats) {
	g.t.Helper()
	if got := g.Stats(); got != s {
		g.t.Errorf("the figures are %+v, want %+v", got, s)
	}
}

type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// A server may end what it sends, under whatever wraps the connection, and read on.
func TestCloseWrite(t *testing.T) {
	g := newGate(t, Limits{Connections: 1, Over: 1})
	client, server := g.dial()
	if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the server reads %d bytes, %v", n, err)
	}
}

// The stranger that came first makes room; who has shown a token stays.
func TestStrangersMakeRoom(t *testing.T) {
	g := newGate(t, Limits{Connections: 3, Over: 2})
	_, first := g.dial()
	_, second := g.dial()
	_, third := g.dial()
	Admit(wrapped{first})
	_, fourth := g.dial()
	if isClosed(first) || !isClosed(second) || isClosed(third) || isClosed(fourth) {
		t.Errorf("closed are %v %v %v %v, want the second alone", isClosed(first), isClosed(second), isClosed(third), isClosed(fourth))
	}
	second.Close() // its server finds out
	g.want(Stats{Open: 3, Shed: 1})
	release := Admit(third)
	Admit(fourth)
	_, over := g.dial()
	if !Over(over) || Over(fourth) || isClosed(third) {
		t.Error("with nobody to make room a connection is not over the bound")
	}
	g.want(Stats{Open: 3, Shed: 1, Over: 1})
	Admit(over) // which it stays
	release()
	_, fifth := g.dial()
	if Over(fifth) || !isClosed(third) {
		t.Error("a connection between two requests made no room")
	}
}

// Those over the bound are few: the oldest is closed.
func TestOverTheBound(t *testing.T) {
	g := newGate(t, Limits{Connections: 1, Over: 2})
	_, only := g.dial()
	Admit(only)
	var clients []net.Conn
	for range 4 {
		client, server := g.dial()
		if !Over(server) {
			t.Fatal("a connection over the bound is not")
		}
		clients = append(clients, client)
	}
	for i, client := range clients {
		_ = client.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := client.Read(make([]byte, 1))
		if closed := errors.Is(err, io.EOF); closed != (i < 2) {
			t.Errorf("connection %d over the bound: %v", i, err)
		}
	}
	g.want(Stats{Open: 1, Over: 4})
	only.Close()
	only.Close()
	if _, next := g.dial(); Over(next) {
		t.Error("with room again a connection is over the bound")
	}
	g.want(Stats{Open: 1, Over: 4})
}

// One address has a bound of its own.
func TestPerAddress(t *testing.T) {
	g := newGate(t, Limits{Connections: 100, PerAddress: 2, Over: 10})
	_, first := g.dial()
	_, second := g.dial()
	_, third := g.dial()
	if Over(first) || Over(second) || !Over(third) {
		t.Error("want the third over the bound, alone")
	}
	first.Close()
	if _, next := g.dial(); Over(next) {
		t.Error("with one gone the next is over the bound")
	}
	if Over(nil) {
		t.Error("no connection is over a bound")
	}
	Admit(nil)()
}
