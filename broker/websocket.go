package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/fasthttp/websocket"
)

// The library reads WebSocket messages; what the server writes goes through
// [writer] and is framed here, so that many frames leave in one write.

// Opcodes of RFC 6455, with the bit that says that a message is whole.
const (
	wsText   = 0x81
	wsBinary = 0x82
	wsClose  = 0x88
	wsPong   = 0x8A
)

// maxWSHeader is the longest header of a frame from a server.
const maxWSHeader = 10

// appendWSHeader writes the header of a whole, unmasked message behind dst.
func appendWSHeader(dst []byte, opcode byte, length int) []byte {
	switch {
	case length < 126:
		return append(dst, opcode, byte(length))
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, opcode, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, opcode, 127), uint64(length))
}

// sealBinary makes one binary message of a batch that has maxWSHeader bytes to
// spare at its start.
func sealBinary(batch []byte) []byte {
	var header [maxWSHeader]byte
	h := appendWSHeader(header[:0], wsBinary, len(batch)-maxWSHeader)
	start := maxWSHeader - len(h)
	copy(batch[start:], h)
	return batch[start:]
}

// closeMessage is a close frame.
func closeMessage(code int, text string) []byte {
	b := appendWSHeader(nil, wsClose, 2+len(text))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, text...)
}

// answerControl has pings and closes of the client answered through the writer,
// so that nothing but it writes to the socket. raw sends bytes as they are.
func answerControl(ws *websocket.Conn, raw func([]byte) error, finish func(goodbye []byte)) {
	ws.SetPingHandler(func(data string) error {
		return raw(append(appendWSHeader(nil, wsPong, len(data)), data...))
	})
	ws.SetCloseHandler(func(code int, _ string) error {
		if code == websocket.CloseNoStatusReceived {
			code = websocket.CloseNormalClosure
		}
		finish(closeMessage(code, ""))
		return nil
	})
}

// wsStream reads the binary messages of a WebSocket as one stream of bytes, and
// passes the rest of net.Conn on to the socket: MQTT does not care where messages
// begin.
type wsStream struct {
	net.Conn
	ws      *websocket.Conn
	message io.Reader
}

func newWSStream(ws *websocket.Conn) *wsStream {
	ws.SetReadLimit(2 * MaxPacketBytes) // of one message, which may hold several packets
	return &wsStream{Conn: underlying(ws.NetConn()), ws: ws}
}

// underlying is the socket that the HTTP server hijacked. Its own wrapper does
// nothing on Close, so a reader blocked on it would stay.
func underlying(conn net.Conn) net.Conn {
	if c, ok := conn.(interface{ UnsafeConn() net.Conn }); ok {
		return c.UnsafeConn()
	}
	return conn
}

// NetConn is the socket.
func (s *wsStream) NetConn() net.Conn { return s.Conn }

var errNotBinary = errors.New("MQTT over WebSocket needs binary messages")

// Read implements io.Reader.
func (s *wsStream) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			kind, r, err := s.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errNotBinary
			}
			s.message = r
		}
		n, err := s.message.Read(p)
		if errors.Is(err, io.EOF) {
			s.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}
