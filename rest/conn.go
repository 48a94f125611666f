package rest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a client's connection, between the socket and fasthttp. fasthttp reads from it the
// head of each request, its request line and headers, and never a body: that stays in the
// socket until a handler calls readBody. So a stranger costs what its heads weigh, and a
// body is held as it arrives and not as it is announced (docs/contract.md#requests).
//
//	socket ── head ──► framing judged ──► fasthttp ──► token, route, scope … ──► readBody ──► body
//
// The goroutine that serves the connection calls all methods but Close, which anybody may
// call.
type conn struct {
	net.Conn
	limits Limits

	// chunk holds what was received, of which unread was not taken yet. An idle connection
	// has none.
	chunk  []byte
	unread []byte
	head   int     // how many bytes of unread are the head that fasthttp is to get
	failed error   // of the socket, or of the protocol; fasthttp gets it when it has the head
	first  [1]byte // where the first byte of a request arrives

	request  framing
	bodyDone bool // the body of the request was taken; what is unread belongs to the next one
	taken    bool // by a handler that speaks another protocol from now on

	lingers atomic.Bool // see Close
}

// listener makes a conn of each connection.
type listener struct {
	net.Listener
	limits Limits
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	socket, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: socket, limits: l.limits, bodyDone: true}, nil
}

// chunkBytes is enough for the head and the body of most requests.
const chunkBytes = 4 << 10

var chunks = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// Read gives fasthttp the next part of a head. After the connection was taken over, it gives
// all that the client sends.
func (c *conn) Read(p []byte) (int, error) {
	if c.taken && len(c.unread) == 0 {
		c.release()
		return c.Conn.Read(p)
	}
	if c.taken {
		c.head = len(c.unread)
	}
	if c.head == 0 && c.failed == nil {
		c.receiveHead()
	}
	if c.head == 0 {
		return 0, c.failed
	}
	n := copy(p, c.unread[:c.head])
	c.unread, c.head = c.unread[n:], c.head-n
	return n, nil
}

// Socket is the connection below, for who has taken it over and has read what came before.
func (c *conn) Socket() net.Conn { return c.Conn }

var errUnreadBody = errors.New("the body of the last request was not read")

// receiveHead waits until the head of the next request is there and judges its framing. A
// head that is too long, or unfinished when the connection fails, goes to fasthttp as it is:
// that knows what to answer.
func (c *conn) receiveHead() {
	if !c.bodyDone { // never: finish closes such a connection
		c.failed = errUnreadBody
		return
	}
	if len(c.unread) > 0 { // the request has begun
		_ = c.SetReadDeadline(time.Now().Add(c.limits.ReadTimeout))
	}
	for searched := 0; ; {
		if searched == 0 {
			c.unread = bytes.TrimLeft(c.unread, "\r\n") // empty lines may precede a request (RFC 9112, 2.2)
		}
		if end := endOfHead(c.unread, searched); end > 0 {
			c.head, c.request = end, framingOf(c.unread[:end])
			c.bodyDone = c.request.length == 0
			return
		}
		searched = max(0, len(c.unread)-3)
		if len(c.unread) > c.limits.HeaderBytes {
			c.head, c.failed = len(c.unread), io.ErrUnexpectedEOF
			return
		}
		if err := c.fill(); err != nil {
			c.head, c.failed = len(c.unread), err
			return
		}
	}
}

// endOfHead is the length of the head that b begins with, 0 if its end has not arrived. The
// end is an empty line; what lies before from was searched already.
func endOfHead(b []byte, from int) int {
	for at := from; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0
		}
		at += i + 1
		switch rest := b[at:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 2
		}
	}
}

// fill receives more. What is unread stays, and may move.
func (c *conn) fill() error {
	if len(c.unread) == 0 && c.bodyDone && c.chunk == nil {
		return c.awaken()
	}
	switch {
	case len(c.unread) == 0 && c.chunk != nil:
		c.unread = c.chunk[:0]
	case cap(c.unread) > len(c.unread): // there is room
	case 2*len(c.unread) < len(c.chunk):
		c.unread = c.chunk[:copy(c.chunk, c.unread)]
	default:
		grown := make([]byte, max(chunkBytes, 2*len(c.chunk)))
		c.unread = grown[:copy(grown, c.unread)]
		c.release()
		c.chunk = grown
	}
	n, err := c.Conn.Read(c.unread[len(c.unread):cap(c.unread)])
	c.unread = c.unread[:len(c.unread)+n]
	if n > 0 {
		return nil
	}
	return err
}

// awaken waits for the first byte of a request. The connection takes a chunk when it is
// there, and the request then has its time to arrive.
func (c *conn) awaken() error {
	n, err := c.Conn.Read(c.first[:])
	if n == 0 {
		return err
	}
	c.chunk = chunks.Get().(*[chunkBytes]byte)[:]
	c.unread = c.chunk[:copy(c.chunk, c.first[:])]
	return c.SetReadDeadline(time.Now().Add(c.limits.ReadTimeout))
}

// release gives the chunk back. What is unread must lie elsewhere or be empty.
func (c *conn) release() {
	if len(c.chunk) == chunkBytes {
		chunks.Put((*[chunkBytes]byte)(c.chunk))
	}
	c.chunk = nil
}

// finish ends a request that was answered. It reports whether the connection may carry
// another one. It may not if a part of the body is still to come, since that would be taken
// for a request; what has arrived of a body that nobody wanted is dropped, if mayDrop.
func (c *conn) finish(mayDrop bool) bool {
	if n := c.request.length; !c.bodyDone && mayDrop && n > 0 && int64(len(c.unread)) >= n {
		c.unread, c.bodyDone = c.unread[n:], true
	}
	if len(c.unread) == 0 {
		c.release()
		c.unread = nil
	}
	if !c.bodyDone {
		c.lingers.Store(true)
	}
	return c.bodyDone
}

// Bounds of how long a connection lingers. A client may still be sending then.
const (
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// Close implements net.Conn. Where the client may still be sending, it lets the client read
// the answer first: a socket that is closed with bytes unread resets the connection, and the
// client would lose the answer.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.lingers.Swap(false) && half.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		drain(c.Conn, lingerBytes)
	}
	return c.Conn.Close()
}

// drain reads until an error or the bound, with little memory: many may do it at once.
func drain(r io.Reader, most int) {
	var trash [512]byte
	for most > 0 {
		n, err := r.Read(trash[:])
		if err != nil {
			return
		}
		most -= n
	}
}
