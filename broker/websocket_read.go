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

// init has the reader read from in. A message is at most limit bytes long: one that announces
// more is refused at once. A text message is UTF-8, which Read checks as it comes.
func (r *wsReader) init(in io.Reader, limit int64) {
	r.frames = wsutil.Reader{
		Source: bufio.NewReaderSize(in, wsReadBuffer), State: ws.StateServerSide,
		CheckUTF8: true, MaxMessageSize: limit, OnIntermediate: r.control,
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
	switch len(data) {
	case 0:
	case 1:
		return ws.ProtocolError("a close code has two bytes")
	default:
		code = int(binary.BigEndian.Uint16(data))
		if !mayClose(code) {
			return ws.ProtocolError("a close code that may not be sent")
		}
		if !utf8.Valid(data[2:]) {
			return wsutil.ErrInvalidUTF8
		}
	}
	r.finish(closeMessage(code, ""))
	return net.ErrClosed
}

// mayClose reports whether a client may send a close code: one that RFC 6455, 7.4, or its
// registry defines for that, or one that is left to libraries and applications.
func mayClose(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// fail ends the reading with an error, if there is one, of which the client is told.
func (r *wsReader) fail(err error) {
	if err == nil || r.err != nil {
		return
	}
	r.err = err
	protocol, broken := errors.AsType[ws.ProtocolError](err)
	switch {
	case broken:
		r.finish(closeMessage(closeProtocolError, protocol.Error()))
	case errors.Is(err, ws.ErrHeaderLengthMSB):
		r.finish(closeMessage(closeProtocolError, "the first bit of a length must be 0"))
	case errors.Is(err, errNotBinary):
		r.finish(closeMessage(closeUnsupported, err.Error()))
	case errors.Is(err, wsutil.ErrInvalidUTF8):
		r.finish(closeMessage(closeNotText, "a text must be UTF-8"))
	case errors.Is(err, wsutil.ErrMessageTooLarge):
		r.finish(closeMessage(closeTooBig, "the message is too large"))
	}
}

// drain drops what the client still sends, until it hangs up or the read deadline has passed. A
// socket closed with unread input is reset, and the client might not get the goodbye.
func (r *wsReader) drain() { _, _ = io.Copy(io.Discard, r.frames.Source) }

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
			s.messages.fail(errNotBinary)
			return 0, errNotBinary
		}
	}
}
