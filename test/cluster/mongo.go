package cluster

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
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
	stage    atomic.Int32 // of an election

	mu   sync.Mutex
	hold *holding
}

// The stages of an election, as a node sees them.
const (
	elected  int32 = iota // the server is the primary
	stepping              // it is the primary no more, and says so
	gone                  // it takes no connections
)

// StepDown has the server answer every command but those of the driver's own that it is not
// the primary, until Elect. Nothing reaches the server meanwhile.
func (m *Mongo) StepDown() { m.stage.Store(stepping) }

// Refuse closes all connections, and each new one, until Elect.
func (m *Mongo) Refuse() {
	m.stage.Store(gone)
	m.dropAll()
}

// Elect ends StepDown and Refuse.
func (m *Mongo) Elect() { m.stage.Store(elected) }

// greetings are the commands that a driver learns with what a server is. A primary that steps
// down answers them.
var greetings = []string{"", "hello", "ismaster", "isMaster", "endSessions"}

// opMessage is the kind of all messages but legacy greetings.
const opMessage = 2013

// commandName is the name of a message's first field: it stands after the header, the flags,
// the kind of a section, a document's length and a type. That of a legacy greeting is "".
func commandName(message []byte) string {
	const start = 16 + 4 + 1 + 4 + 1
	if len(message) <= start || binary.LittleEndian.Uint32(message[12:]) != opMessage {
		return ""
	}
	name, _, _ := bytes.Cut(message[start:], []byte{0})
	return string(name)
}

// notPrimary is the answer of a server that is not the primary: a document {ok: 0.0, code: 10107,
// codeName: "NotWritablePrimary"}.
func notPrimary(message []byte) []byte {
	const name = "NotWritablePrimary\x00"
	doc := append([]byte{1}, "ok\x00"...)
	doc = append(doc, make([]byte, 8)...)
	doc = append(append(doc, 0x10), "code\x00"...)
	doc = binary.LittleEndian.AppendUint32(doc, 10107)
	doc = append(append(doc, 2), "codeName\x00"...)
	doc = binary.LittleEndian.AppendUint32(doc, uint32(len(name)))
	doc = append(append(doc, name...), 0)
	answer := make([]byte, 16+4+1+4, 16+4+1+4+len(doc)) // header, flags, the kind of a section, the document's length
	binary.LittleEndian.PutUint32(answer, uint32(cap(answer)))
	copy(answer[8:12], message[4:8]) // it answers this message
	binary.LittleEndian.PutUint32(answer[12:], opMessage)
	binary.LittleEndian.PutUint32(answer[16+4+1:], uint32(4+len(doc)))
	return append(answer, doc...)
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

// popHold gives the order to hold a message back, if it is for this one.
func (m *Mongo) popHold(message []byte) *holding {
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
	if m.stage.Load() == gone {
		return
	}
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
		if m.stage.Load() == stepping && !slices.Contains(greetings, commandName(message)) {
			if _, err := client.Write(notPrimary(message)); err != nil {
				break
			}
			continue
		}
		if h := m.popHold(message); h != nil {
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
