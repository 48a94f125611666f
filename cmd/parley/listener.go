package main

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

// retryingListener is a listener that pauses when it cannot accept a connection, and tries
// again. Most such errors pass: when file descriptors run out, say, until some connections
// have ended.
type retryingListener struct {
	net.Listener
	log    *slog.Logger
	closed chan struct{}
}

// listenTCP listens on an address with a retryingListener.
func listenTCP(addr string, log *slog.Logger) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &retryingListener{Listener: ln, log: log, closed: make(chan struct{})}, nil
}

// The pauses of a listener that cannot accept, from the first to the longest.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second
)

// Accept implements net.Listener.
func (l *retryingListener) Accept() (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		conn, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		l.log.Error("cannot accept connections, will retry", "addr", l.Addr().String(), "error", err)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener.
func (l *retryingListener) Close() error {
	select {
	case <-l.closed:
		return net.ErrClosed
	default:
		close(l.closed)
		return l.Listener.Close()
	}
}
