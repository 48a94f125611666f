// Package websocket is the client's side of a WebSocket. Dial returns the server's refusal with its
// HTTP status and code; a Conn reads and writes whole messages.
package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/parleyhq/parley/contracts"
)

const (
	writeTimeout   = 20 * time.Second // how long the other side may take no bytes
	goodbyeTimeout = time.Second      // the same once the connection is closed
)

// messageLimit is the longest message that is read. The server sends none that long: its longest
// are a frame with a ciphertext of 64 KiB and an MQTT packet of 128 KiB.
const messageLimit = 1 << 20

// RefusedError says that the server, or a proxy before it, did not upgrade the connection, and what
// it answered instead.
type RefusedError struct {
	Status int
	Code   string // of a problem; "" if the body is none, as of a proxy
	Text   string // the beginning of the body
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server answered %d: %.300q", e.Status, e.Text)
}

// ClosedError is the goodbye of the other side.
type ClosedError struct {
	Code   int
	Reason string
}

func (e *ClosedError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("closed with %d %s", e.Code, e.Reason))
}

// Conn is one connection. One goroutine may read while others write.
type Conn struct {
	net    net.Conn
	reader *wsutil.Reader
	mu     sync.Mutex // of writing
}

// Dial connects to the realtime address of an http or https URL.
func Dial(ctx context.Context, url, protocol, token, device string, config *tls.Config) (*Conn, error) {
	var refused *RefusedError
	dialer := ws.Dialer{
		Timeout: 30 * time.Second, Protocols: []string{protocol}, TLSConfig: config,
		Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}, "X-Device-Id": {device}}),
		OnStatusError: func(status int, _ []byte, answer io.Reader) {
			refused = refusalOf(status, answer)
		},
	}
	address := "ws" + strings.TrimPrefix(strings.TrimRight(url, "/"), "http") + "/v1/realtime"
	conn, buffered, _, err := dialer.Dial(ctx, address)
	if refused != nil {
		return nil, refused
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	c := &Conn{net: conn}
	if buffered == nil { // no frames came with the answer
		buffered = bufio.NewReader(conn)
	}
	c.reader = &wsutil.Reader{Source: buffered, State: ws.StateClientSide, CheckUTF8: true, OnIntermediate: c.control}
	return c, nil
}

const (
	headerLimit  = 64 << 10 // of an answer's header, with some of its body
	refusalLimit = 4 << 10  // more than a problem of the server has
)

// refusalOf makes the error of an answer. It reads only the beginning of a long body.
func refusalOf(status int, raw io.Reader) *RefusedError {
	refused := &RefusedError{Status: status}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(raw, headerLimit)), nil)
	if err != nil {
		return refused
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, refusalLimit)) // as much as there is
	refused.Text = string(text)
	var problem contracts.Problem
	if strings.HasPrefix(answer.Header.Get("Content-Type"), contracts.ProblemContentType) && json.Unmarshal(text, &problem) == nil {
		refused.Code = string(problem.Code)
	}
	return refused
}

// Read returns the next message. Without one for that long the connection counts as dead. After
// the other side's goodbye it returns a *ClosedError.
func (c *Conn) Read(silence time.Duration) ([]byte, error) {
	for {
		c.net.SetReadDeadline(time.Now().Add(silence))
		header, err := c.reader.NextFrame()
		if err != nil {
			return nil, err
		}
		if header.OpCode.IsControl() {
			if err := c.control(header, c.reader); err != nil {
				return nil, err
			}
			continue
		}
		message, err := io.ReadAll(io.LimitReader(c.reader, messageLimit+1))
		if err == nil && len(message) > messageLimit {
			err = fmt.Errorf("a message of over %d bytes", messageLimit)
		}
		return message, err
	}
}

func (c *Conn) control(header ws.Header, content io.Reader) error {
	payload := make([]byte, header.Length)
	if _, err := io.ReadFull(content, payload); err != nil {
		return err
	}
	switch header.OpCode {
	case ws.OpPing:
		return c.write(ws.NewPongFrame(payload))
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		_ = c.write(ws.NewCloseFrame(payload)) // it goes either way
		return &ClosedError{Code: int(code), Reason: reason}
	default:
		return nil
	}
}

func (c *Conn) write(frame ws.Frame) error {
	frame = ws.MaskFrameInPlace(frame)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
	return ws.WriteFrame(c.net, frame)
}

// WriteText sends one text message, of which it changes the bytes.
func (c *Conn) WriteText(text []byte) error { return c.write(ws.NewTextFrame(text)) }

// WriteBinary sends one binary message, of which it changes the bytes.
func (c *Conn) WriteBinary(data []byte) error { return c.write(ws.NewBinaryFrame(data)) }

// Close says goodbye and ends the connection. It waits for no answer, and for a write that the
// other side does not take no longer than a second.
func (c *Conn) Close() error {
	cut := time.AfterFunc(goodbyeTimeout, func() { c.net.Close() })
	defer cut.Stop()
	_ = c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))) // it goes either way
	return c.net.Close()
}

// Stream is the connection as a stream of bytes, for a protocol to which it does not matter where
// one WebSocket message ends (MQTT). Silence is as in Read.
func (c *Conn) Stream(silence time.Duration) net.Conn {
	return &stream{Conn: c.net, ws: c, silence: silence}
}

type stream struct {
	net.Conn
	ws      *Conn
	silence time.Duration
	rest    []byte
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		var err error
		if s.rest, err = s.ws.Read(s.silence); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) {
	if err := s.ws.WriteBinary(append([]byte(nil), p...)); err != nil { // p is the caller's
		return 0, err
	}
	return len(p), nil
}

func (s *stream) Close() error { return s.ws.Close() }
