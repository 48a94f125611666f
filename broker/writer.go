package broker

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// writer is the sending side of one connection. Control packets (acknowledgements, pongs,
// goodbyes) are queued by whoever makes them. Frames are asked of the session when the socket
// has room for more. Both are written by one goroutine, which runs only while there is
// something to write: no caller ever waits for the socket, and an idle connection has neither
// a goroutine nor a buffer here.
//
// A batch is what goes out in one write: first the queued packets, then frames.
type writer struct {
	conn net.Conn

	// Used by the writing goroutine alone.
	fill    func(dst []byte) []byte   // appends what the session has to send
	release func()                    // called for each packet of sendHeld, before fill
	seal    func(batch []byte) []byte // makes of a batch what goes on the wire, such as a WebSocket message; may be nil
	head    int                       // how many bytes seal needs free at the start of a batch
	onEnd   func()                    // called, with mu held, once the connection is ending; may be nil

	mu       sync.Mutex
	waiting  waiting
	farewell []byte        // the last bytes on the wire, which are not sealed
	extended time.Time     // when the write deadline was last moved
	running  bool          // the writing goroutine is
	again    bool          // it is to look again for something to write
	closing  bool          // when what waits is written, the connection ends
	dead     bool          // nothing is written any more
	why      string        // the first reason that was given for the end
	ended    chan struct{} // closed when dead; nil until somebody waits for that
}

// waiting is what the next batch begins with.
type waiting struct {
	control []byte // whole packets, in order
	held    int    // how many of them are of sendHeld
	raw     []byte // bytes that are not sealed: a WebSocket's pongs
}

func (q *waiting) size() int { return len(q.control) + len(q.raw) }

const (
	// batchBytes is the size of a batch to which no more frames are added. The last frame may
	// exceed it.
	batchBytes = 64 << 10
	// maxControlBytes bounds the packets that wait for a client that sends but does not read.
	maxControlBytes = 64 << 10
	// writeTimeout is how long a write may take, or up to a second less. Then the connection
	// ends. The client loses nothing: its position is in the store.
	writeTimeout = 60 * time.Second
	// goodbyeTimeout is how long the last write may take, and how long the server then waits
	// for the client to hang up.
	goodbyeTimeout = time.Second
)

var errControlFull = errors.New("the client sends and does not read: too many answers wait")

// wake has the session asked for frames.
func (w *writer) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.again = true
	w.start()
}

// send queues a control packet. It fails if the connection is ending, and if too many bytes
// wait: that ends the connection.
func (w *writer) send(packet []byte) error { return w.queue(waiting{control: packet}) }

// sendHeld queues a packet that must be written before any frame. The caller has held the
// session; release releases it.
func (w *writer) sendHeld(packet []byte) error { return w.queue(waiting{control: packet, held: 1}) }

// sendRaw queues bytes that seal is not to see.
func (w *writer) sendRaw(b []byte) error { return w.queue(waiting{raw: b}) }

func (w *writer) queue(q waiting) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.dead || w.closing:
		return net.ErrClosed
	case w.waiting.size()+q.size() > maxControlBytes:
		w.die()
		w.setWhy(endAnswersUnread)
		_ = w.conn.Close()
		return errControlFull
	}
	w.waiting.control = append(w.waiting.control, q.control...)
	w.waiting.raw = append(w.waiting.raw, q.raw...)
	w.waiting.held += q.held
	w.start()
	return nil
}

// finish has the connection end when the waiting packets and the goodbye, a packet or nil, are
// written. It does not wait for that.
func (w *writer) finish(goodbye []byte) { w.finishWith(goodbye, nil) }

// finishWith is finish with a farewell in place of the writer's own, unless it is nil.
func (w *writer) finishWith(goodbye, farewell []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead || w.closing {
		return
	}
	w.closing = true
	w.ending()
	if farewell != nil {
		w.farewell = farewell
	}
	w.waiting.control = append(w.waiting.control, goodbye...)
	_ = w.conn.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) // for a write under way too
	w.start()
}

// start starts the writing goroutine, unless it runs. mu is held.
func (w *writer) start() {
	if !w.running && !w.dead {
		w.running = true
		go w.run()
	}
}

// run writes batches until there is nothing to write.
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

// compose makes a batch: raw bytes, packets, frames, and the farewell if the connection ends.
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

// next drains the queue. more is false if there is nothing to write: run then has to return.
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

// write writes a batch. It reports false if the connection is over. The session is asked for
// frames again afterwards, since it may have more than fitted.
func (w *writer) write(batch []byte, closing bool) bool {
	w.mu.Lock()
	w.again = true
	now := time.Now()
	if closing || w.closing {
		_ = w.conn.SetWriteDeadline(now.Add(goodbyeTimeout))
	} else if now.Sub(w.extended) > writeTimeout/60 { // not for each write: a deadline costs a timer
		w.extended = now
		_ = w.conn.SetWriteDeadline(now.Add(writeTimeout))
	}
	w.mu.Unlock()
	if _, err := w.conn.Write(batch); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.because(endWriteTimeout)
			w.kill()
		} else {
			w.stopWriting() // the reader reads what the client sent before it hung up
		}
		return false
	}
	return true
}

// hangUp closes the sending side of the socket and lets the reader go on for a moment, until
// the client hangs up. A socket closed with unread input is reset, and the client might not
// get the goodbye.
func (w *writer) hangUp() {
	if !closeWrite(w.conn) {
		w.kill()
		return
	}
	w.stopWriting()
}

// stopWriting ends the writing. The reader has goodbyeTimeout left; then it kills the
// connection.
func (w *writer) stopWriting() {
	w.mu.Lock()
	w.die()
	w.mu.Unlock()
	_ = w.conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
}

// die marks the writer as dead. mu is held.
func (w *writer) die() {
	w.running = false
	if !w.dead {
		w.dead = true
		w.ending()
		if w.ended != nil {
			close(w.ended)
		}
	}
}

func (w *writer) ending() {
	if w.onEnd != nil {
		w.onEnd()
	}
}

// awaitEnd waits until the goodbye is written, if the connection is ending.
func (w *writer) awaitEnd() {
	w.mu.Lock()
	if w.ended == nil {
		w.ended = make(chan struct{})
	}
	ending, ended := w.closing && !w.dead, w.ended
	w.mu.Unlock()
	if !ending {
		return
	}
	select {
	case <-ended:
	case <-time.After(2 * goodbyeTimeout):
	}
}

// isClosing reports whether the connection is ending.
func (w *writer) isClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing || w.dead
}

// because says why the connection ends. Of several reasons the first is told.
func (w *writer) because(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setWhy(reason)
}

func (w *writer) setWhy(reason string) {
	if w.why == "" {
		w.why = reason
	}
}

// endReason is why the connection has ended. Without a reason of ours the client has gone.
func (w *writer) endReason() string {
	w.because(endClientGone)
	return w.why
}

// kill closes the socket.
func (w *writer) kill() {
	w.mu.Lock()
	w.die()
	w.mu.Unlock()
	_ = w.conn.Close()
}

// closeWrite closes the sending side of a socket, under whatever wraps it. It reports false if
// that failed or cannot be done.
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

// batches are buffers for batches, shared by all connections.
var batches = sync.Pool{New: func() any { b := make([]byte, 16, 4<<10); return &b }}

// putBatch puts a buffer back, unless one large frame has made it too large to keep.
func putBatch(b *[]byte) {
	if cap(*b) <= 4*batchBytes {
		batches.Put(b)
	}
}
