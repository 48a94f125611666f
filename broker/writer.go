package broker

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// writer is the sending side of one connection. Packets of the protocol (acks,
// pings, goodbyes) are queued here by whoever makes them; frames are pulled from
// the session when the socket takes more. Both leave through one goroutine that
// runs only while there is something to write, so no caller ever waits for the
// socket, and an idle connection has neither goroutine nor buffer here.
type writer struct {
	conn net.Conn
	// fill adds what the session has to send behind dst; seal turns a batch into
	// what goes on the wire (a WebSocket message, say). Both are used by the
	// writing goroutine only.
	fill func(dst []byte) []byte
	seal func(batch []byte) []byte
	head int // bytes to leave free before a batch, for seal
	// release is called for each packet given to sendHeld, by the writing goroutine,
	// between taking it and pulling frames.
	release func()
	// farewell is the last thing on the wire, after the sealed goodbye.
	farewell []byte

	mu       sync.Mutex
	waiting  waiting
	extended time.Time // when the deadline for writing was set; see writeTimeout
	running  bool
	again    bool          // woken while running
	closing  bool          // after control, nothing more is written
	dead     bool          // nothing more can be written
	ended    chan struct{} // closed once dead; made when somebody waits for that
}

// waiting is what the next batch begins with.
type waiting struct {
	control []byte // whole packets, in order
	held    int    // of them, those of sendHeld
	raw     []byte // what goes out as it is, past seal: answers of the WebSocket itself
}

func (q *waiting) size() int { return len(q.control) + len(q.raw) }

const (
	// batchBytes is when a batch goes out; it may exceed that by one frame.
	batchBytes = 64 << 10
	// maxControlBytes bounds what waits for a client that sends but does not read.
	maxControlBytes = 64 << 10
	// writeTimeout ends a connection whose client takes nothing for that long, or a
	// second less. Its position is in the store: it loses nothing.
	writeTimeout = 60 * time.Second
	// goodbyeTimeout bounds the last write, and the wait for the client to hang up.
	goodbyeTimeout = time.Second
)

var errControlFull = errors.New("the client does not read its acknowledgements")

// wake has the writing goroutine run until there is nothing to write.
func (w *writer) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.again = true
	w.start()
}

// send queues a packet of the protocol. It fails, and ends the connection, if the
// client lets too many wait.
func (w *writer) send(packet []byte) error { return w.queue(waiting{control: packet}) }

// sendHeld queues a packet that must be out before any frame: the session is held.
func (w *writer) sendHeld(packet []byte) error { return w.queue(waiting{control: packet, held: 1}) }

// sendRaw queues bytes that are not sealed.
func (w *writer) sendRaw(b []byte) error { return w.queue(waiting{raw: b}) }

func (w *writer) queue(q waiting) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.dead || w.closing:
		return net.ErrClosed
	case w.waiting.size()+q.size() > maxControlBytes:
		w.die()
		_ = w.conn.Close()
		return errControlFull
	}
	w.waiting.control = append(w.waiting.control, q.control...)
	w.waiting.raw = append(w.waiting.raw, q.raw...)
	w.waiting.held += q.held
	w.start()
	return nil
}

// finish ends the connection after the packets that wait, and goodbye. It does
// not wait for that.
func (w *writer) finish(goodbye []byte) { w.finishWith(goodbye, nil) }

// finishWith is finish with another farewell, unless that is nil.
func (w *writer) finishWith(goodbye, farewell []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead || w.closing {
		return
	}
	w.closing = true
	if farewell != nil {
		w.farewell = farewell
	}
	w.waiting.control = append(w.waiting.control, goodbye...)
	_ = w.conn.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) // also for a write under way
	w.start()
}

// start is called with mu held.
func (w *writer) start() {
	if !w.running && !w.dead {
		w.running = true
		go w.run()
	}
}

func (w *writer) run() {
	buf := batches.Get().(*[]byte)
	defer putBatch(buf)
	for {
		first, closing, more := w.next()
		if !more {
			return
		}
		batch := w.compose(buf, first, closing)
		if len(batch) > 0 && !w.write(batch, closing) {
			return
		}
		if closing {
			w.hangUp()
			return
		}
	}
}

// compose makes the next write: what the WebSocket answers, the packets that
// wait, frames of the session.
func (w *writer) compose(buf *[]byte, first waiting, closing bool) []byte {
	batch := (*buf)[:w.head]
	batch = append(batch, first.control...)
	if !closing {
		for range first.held {
			w.release()
		}
		batch = w.fill(batch)
	}
	*buf = batch
	switch {
	case len(batch) == w.head:
		batch = nil
	case w.seal != nil:
		batch = w.seal(batch)
	}
	if len(first.raw) > 0 {
		batch = append(first.raw, batch...)
	}
	if closing {
		batch = append(batch, w.farewell...)
	}
	return batch
}

// next takes what waits; with nothing to do it ends the run.
func (w *writer) next() (first waiting, closing, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead || !w.again && !w.closing && w.waiting.size() == 0 {
		w.running = false
		return waiting{}, false, false
	}
	first = w.waiting
	w.waiting, w.again = waiting{}, false
	return first, w.closing, true
}

// write sends one batch; frames were pulled for as long as it had room, so there
// may be more: it asks again.
func (w *writer) write(batch []byte, closing bool) bool {
	w.mu.Lock()
	w.again = true
	now := time.Now()
	if closing || w.closing {
		_ = w.conn.SetWriteDeadline(now.Add(goodbyeTimeout))
	} else if now.Sub(w.extended) > writeTimeout/60 { // a timer moved for each write is dear
		w.extended = now
		_ = w.conn.SetWriteDeadline(now.Add(writeTimeout))
	}
	w.mu.Unlock()
	if _, err := w.conn.Write(batch); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.kill()
		} else {
			w.stopWriting() // what the client sent before it went may wait to be read
		}
		return false
	}
	return true
}

// hangUp ends the sending side and gives the client a moment to do the same:
// closing a socket with unread input would reset it, and take the goodbye along.
func (w *writer) hangUp() {
	if !closeWrite(w.conn) {
		w.kill()
		return
	}
	w.stopWriting()
}

// stopWriting ends the writing. The reader has a moment left, and then kills.
func (w *writer) stopWriting() {
	w.mu.Lock()
	w.die()
	w.mu.Unlock()
	_ = w.conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
}

// die is called with mu held.
func (w *writer) die() {
	w.running = false
	if !w.dead {
		w.dead = true
		if w.ended != nil {
			close(w.ended)
		}
	}
}

// awaitEnd waits until a goodbye under way is written.
func (w *writer) awaitEnd() {
	w.mu.Lock()
	if w.ended == nil {
		w.ended = make(chan struct{})
	}
	waits := w.closing && !w.dead
	ended := w.ended
	w.mu.Unlock()
	if !waits {
		return
	}
	select {
	case <-ended:
	case <-time.After(2 * goodbyeTimeout):
	}
}

// isClosing reports whether the connection is on its way out.
func (w *writer) isClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing || w.dead
}

// kill closes the socket.
func (w *writer) kill() {
	w.mu.Lock()
	w.die()
	w.mu.Unlock()
	_ = w.conn.Close()
}

// closeWrite half-closes the connection under any wrappers, if that can be.
func closeWrite(conn net.Conn) bool {
	for {
		switch c := conn.(type) {
		case interface{ CloseWrite() error }:
			return c.CloseWrite() == nil
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return false
		}
	}
}

// batches recycles write buffers between connections.
var batches = sync.Pool{New: func() any { b := make([]byte, 16, 4<<10); return &b }}

func putBatch(b *[]byte) {
	if cap(*b) <= 4*batchBytes {
		batches.Put(b)
	}
}
