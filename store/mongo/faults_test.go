package mongo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
)

// network is a dialer whose connections can be cut between two commands. Commands
// are counted; greetings and farewells are none.
type network struct {
	mu       sync.Mutex
	commands int  // sent so far
	last     int  // the number of the last one to let through; none are cut if 0
	answered bool // whether the last one's answer comes, too
	names    []string
	stall    int // the number of the command that waits for release, once stalled is closed
	stalled  chan struct{}
	release  chan struct{}
	down     bool
	conns    map[*cuttable]bool
}

// cutOptions are for a store whose network is going to be cut: it tries nothing twice.
var cutOptions = []string{"retryReads=false", "retryWrites=false", "serverSelectionTimeoutMS=1000"}

var errCut = errors.New("the network was cut")

// cutAfter lets n more commands through, the last one with its answer or without,
// and then no more. What comes after that finds nobody.
func (n *network) cutAfter(commands int, answered bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last, n.answered = n.commands+commands, answered
}

// stallAt makes one command wait: after that many others. stalled is closed once it
// waits, and it goes on once release is.
func (n *network) stallAt(others int) (stalled <-chan struct{}, release chan<- struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stall, n.stalled, n.release = n.commands+others+1, make(chan struct{}), make(chan struct{})
	return n.stalled, n.release
}

// sent are the commands since the network was made.
func (n *network) sent() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.names[:len(n.names):len(n.names)]
}

func (n *network) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down
}

// DialContext implements options.ContextDialer.
func (n *network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if n.isDown() {
		return nil, errCut
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &cuttable{Conn: conn, net: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = make(map[*cuttable]bool)
	}
	n.conns[c] = true
	return c, nil
}

// admit counts a command. It tells whether it may be sent and its answer be read.
func (n *network) admit(name string) (send, read bool) {
	send, read, wait := n.count(name)
	if wait {
		close(n.stalled)
		<-n.release
	}
	return send, read
}

func (n *network) count(name string) (send, read, wait bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return false, false, false
	}
	n.commands++
	n.names = append(n.names, name)
	switch {
	case n.commands == n.stall:
		return true, true, true
	case n.last == 0 || n.commands < n.last:
		return true, true, false
	case n.commands == n.last:
		return true, n.answered, false
	}
	n.down = true
	for c := range n.conns {
		_ = c.Conn.Close()
	}
	return false, false, false
}

// cuttable is a connection of a network. The driver writes a message at once.
type cuttable struct {
	net.Conn
	net *network
}

func (c *cuttable) Write(message []byte) (int, error) {
	name := commandName(message)
	switch name {
	case "", "hello", "isMaster", "ismaster", "endSessions", "ping", "killCursors":
		return c.Conn.Write(message)
	}
	send, read := c.net.admit(name)
	if !send {
		return 0, errCut
	}
	n, err := c.Conn.Write(message)
	if err == nil && !read {
		// The server has done it once its answer is there, which nobody is told.
		_, err = c.Conn.Read(make([]byte, 1))
		_ = c.Conn.Close()
		return 0, errors.Join(errCut, err)
	}
	return n, err
}

// commandName is the first field of a message's document: after header, flags,
// kind of section, length and type. An empty one is a legacy greeting.
func commandName(message []byte) string {
	const opMsg, start = 2013, 16 + 4 + 1 + 4 + 1
	if len(message) <= start || binary.LittleEndian.Uint32(message[12:]) != opMsg {
		return ""
	}
	name, _, _ := bytes.Cut(message[start:], []byte{0})
	return string(name)
}
