package cluster

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Mongo stands between one node and its MongoDB. It reads where messages of MongoDB's
// protocol begin, so that it can hold one back and deliver it later, when the node has given
// it up.
type Mongo struct {
	proxy

	server   string
	commands atomic.Int64

	mu   sync.Mutex
	hold *holding
}

// holding is an order to hold a message back.
type holding struct {
	collection string
	by         time.Duration
	held       chan struct{} // closed once one is held
	landed     chan struct{} // closed once the server has answered it
}

// NewMongo starts a proxy before the server at an address. It ends with the test.
func NewMongo(tb TB, server string) *Mongo {
	tb.Helper()
	m := &Mongo{server: server}
	m.listen(tb, m.carry)
	return m
}

// Commands is how many messages the node has sent.
func (m *Mongo) Commands() int64 { return m.commands.Load() }

// URI is a connection string of one server with the proxy in the server's place.
func (m *Mongo) URI(uri string) string { return strings.Replace(uri, m.server, m.Addr(), 1) }

// HoldInsert has the next insert into a collection come through so much later. held is
// closed when there was one, and landed when the server has answered it.
func (m *Mongo) HoldInsert(collection string, by time.Duration) (held, landed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = &holding{collection, by, make(chan struct{}), make(chan struct{})}
	return m.hold.held, m.hold.landed
}

// take gives the order to hold a message back, if it is for this one.
func (m *Mongo) take(message []byte) *holding {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hold == nil || !bytes.Contains(message, insertInto(m.hold.collection)) {
		return nil
	}
	h := m.hold
	m.hold = nil
	return h
}

// insertInto is how the document of an insert begins: an element of type string, named
// insert, with the collection's name.
func insertInto(collection string) []byte {
	b := append([]byte{2}, "insert\x00"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(collection)+1))
	return append(append(b, collection...), 0)
}

func (m *Mongo) carry(client net.Conn) {
	server, err := m.dial(m.server)
	if err != nil {
		return
	}
	defer m.drop(server)
	var landed chan struct{}
	var mu sync.Mutex
	done := make(chan struct{})
	go func() { // the server's answers: once the client is gone, they are read and dropped
		defer close(done)
		for answer, err := readMessage(server); err == nil; answer, err = readMessage(server) {
			_, _ = client.Write(answer)
			mu.Lock()
			if landed != nil {
				close(landed)
				landed = nil
			}
			mu.Unlock()
		}
		_ = client.Close()
	}()
	for {
		message, err := readMessage(client)
		if err != nil {
			break
		}
		m.commands.Add(1)
		if h := m.take(message); h != nil {
			close(h.held)
			<-time.After(h.by)
			mu.Lock()
			landed = h.landed
			mu.Unlock()
			_, _ = server.Write(message)
			<-h.landed
			continue
		}
		if _, err := server.Write(message); err != nil {
			break
		}
	}
	_ = server.Close()
	<-done
}

// readMessage reads one message. It begins with its length.
func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < 16 || n > 48<<20 {
		return nil, io.ErrUnexpectedEOF
	}
	message := make([]byte, n)
	copy(message, head[:])
	_, err := io.ReadFull(r, message[4:])
	return message, err
}
