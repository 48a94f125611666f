package main

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

// patient is a listener that outlives a failing accept. Running out of file
// descriptors, say, passes when connections end: it pauses, and goes on.
type patient struct {
	net.Listener
	log    *slog.Logger
	closed chan struct{}
}

// listenTCP listens on an address.
func listenTCP(addr string, log *slog.Logger) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &patient{Listener: ln, log: log, closed: make(chan struct{})}, nil
}

// The pauses of a listener that cannot accept.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second
)

// Accept implements net.Listener.
func (p *patient) Accept() (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		conn, err := p.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		p.log.Error("cannot accept connections, will retry", "addr", p.Addr().String(), "error", err)
		select {
		case <-time.After(pause):
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener.
func (p *patient) Close() error {
	select {
	case <-p.closed:
		return net.ErrClosed
	default:
		close(p.closed)
		return p.Listener.Close()
	}
}
