package broker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// wsReader reads the messages that a client sends over a WebSocket. Pings, closes and
// errors are answered through the connection's [writer], so that only that writes to the
// socket. After an error the reader gives that error for ever.
type wsReader struct {
	pong   func(frame []byte) error // sends a pong
	finish func(goodbye []byte)     // ends the connection with a close frame

	frames  wsutil.Reader
	reading bool // a message that has not been read to its end
	err     error
}

// wsReadBuffer holds several PUBACKs, or a client frame, of one read from the socket.
const wsReadBuffer = 256

// init has the reader read from in. A message is at most limit bytes long; 0 is no limit.
func (r *wsReader) init(in io.Reader, limit int64) {
	r.frames = wsutil.Reader{
		Source: bufio.NewReaderSize(in, wsReadBuffer), State: ws.StateServerSide,
		MaxMessageSize: limit, OnIntermediate: r.control,
	}
}

// next waits for the next message and says what it is, text or binary. What was left unread
// of the message before is dropped.
func (r *wsReader) next() (ws.OpCode, error) {
	if r.err == nil && r.reading {
		r.reading = false
		r.fail(r.frames.Discard())
	}
	for r.err == nil {
		header, err := r.frames.NextFrame()
		switch {
		case err != nil:
			r.fail(err)
		case header.OpCode.IsControl():
			r.fail(r.control(header, &r.frames))
		default:
			r.reading = true
			return header.OpCode, nil
		}
	}
	return 0, r.err
}

// Read implements io.Reader: it reads the present message, and io.EOF is its end.
func (r *wsReader) Read(p []byte) (n int, err error) {
	if !r.reading {
		return 0, io.EOF
	}
	for n == 0 && err == nil && r.err == nil { // a control frame between two fragments is no part of the message
		n, err = r.frames.Read(p)
	}
	if errors.Is(err, io.EOF) {
		r.reading = false
		return n, io.EOF
	}
	r.fail(err)
	return n, r.err
}

// control handles a ping, a pong or a close. It returns net.ErrClosed for a close.
func (r *wsReader) control(header ws.Header, payload io.Reader) error {
	data := make([]byte, header.Length) // 125 bytes at most, which NextFrame has checked
	if _, err := io.ReadFull(payload, data); err != nil {
		return unexpected(err) // io.EOF would be the end of the message that the frame interrupts
	}
	if header.OpCode == ws.OpPing {
		return r.pong(append(appendWSHeader(nil, wsPong, len(data)), data...))
	}
	if header.OpCode != ws.OpClose {
		return nil
	}
	code := closeNormal
	if len(data) >= 2 {
		code = int(binary.BigEndian.Uint16(data))
		if !mayClose(code) || !utf8.Valid(data[2:]) {
			return ws.ProtocolError("bad close frame")
		}
	}
	r.finish(closeMessage(code, ""))
	return net.ErrClosed
}

// mayClose reports whether a client may send a close code (RFC 6455, 7.4).
func mayClose(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1013 || code >= 3000 && code <= 4999
}

// fail ends the reading with an error, if there is one, of which the client is told.
func (r *wsReader) fail(err error) {
	if err == nil || r.err != nil {
		return
	}
	r.err = err
	if protocol, ok := errors.AsType[ws.ProtocolError](err); ok {
		r.finish(closeMessage(closeProtocolError, protocol.Error()))
	} else if errors.Is(err, wsutil.ErrMessageTooLarge) {
		r.finish(closeMessage(closeTooBig, ""))
	}
}

// wsStream is the net.Conn of MQTT inside a WebSocket. Its Read joins the binary messages
// of the client to one stream of bytes, since MQTT does not care where a message ends. The
// other methods are the socket's.
type wsStream struct {
	net.Conn

	messages wsReader
}

// newWSStream makes the stream of a socket whose client's bytes come from in.
func newWSStream(socket net.Conn, in io.Reader) *wsStream {
	s := &wsStream{Conn: socket}
	s.messages.init(in, 2*MaxPacketBytes) // a message may hold several packets
	return s
}

// NetConn returns the socket.
func (s *wsStream) NetConn() net.Conn { return s.Conn }

var errNotBinary = errors.New("MQTT over WebSocket needs binary messages")

// Read implements io.Reader.
func (s *wsStream) Read(p []byte) (int, error) {
	for {
		n, err := s.messages.Read(p)
		switch {
		case err == nil || !errors.Is(err, io.EOF):
			return n, err
		case n > 0:
			return n, nil
		}
		kind, err := s.messages.next()
		if err != nil {
			return 0, err
		}
		if kind != ws.OpBinary {
			return 0, errNotBinary
		}
	}
}
