package main

import (
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/parleyhq/parley/internal/admission"
)

// retryingListener is a listener that pauses when it cannot accept a connection, and tries
// again. Most such errors pass: when file descriptors run out, say, until some connections
// have ended.
type retryingListener struct {
	net.Listener
	log    *slog.Logger
	closed chan struct{}
}

// descriptors is how the limit of open files is divided.
type descriptors struct {
	connections int // in all
	tables      int // of the embedded store, which it keeps open
}

const (
	// spareDescriptors are for the rest: the store's logs, listeners, scrapes, and connections that
	// come over the bound, of which there are maxOver.
	spareDescriptors = 64
	maxOver          = 24
	mostTables       = 1000
)

// divide divides a limit of open files; wanted is --max-connections.
func divide(limit, wanted int) descriptors {
	d := descriptors{tables: max(min(mostTables, limit/4), 16)}
	d.connections = max(limit-d.tables-spareDescriptors, limit/4, 8)
	if wanted > 0 {
		d.connections = min(d.connections, wanted)
	}
	return d
}

// gate makes the bound on connections, and says so if that of the flags does not fit into the
// limit of open files.
func (s *settings) gate(log *slog.Logger) (*admission.Gate, descriptors) {
	limit := openFiles()
	d := divide(limit, s.connections)
	if d.connections < s.connections {
		log.Warn("--max-connections does not fit into the limit of open files", "open_files", limit, "max_connections", d.connections)
	}
	return admission.New(admission.Limits{Connections: d.connections, PerAddress: s.perAddress, Over: maxOver}), d
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
