package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// errBroken is wrapped by the errors of chunks that are none.
var errBroken = errors.New("the chunks of the body are broken")

// readBody reads the body of the request, up to a limit. It is called once for a request.
// The bytes are valid until the request was answered. The errors are *chat.Error; after one
// the connection carries no other request.
func (c *conn) readBody(limit int) (body []byte, err error) {
	n := c.request.length
	switch {
	case c.bodyDone:
		return nil, nil
	case n > int64(limit):
		return nil, bodyTooLarge()
	}
	if c.request.continues && len(c.unread) == 0 {
		if err := c.sendContinue(); err != nil {
			return nil, refuseBody(err)
		}
	}
	if n == chunked {
		body, err = c.readChunks(limit)
	} else {
		body, err = c.next(int(n))
	}
	if err != nil {
		return nil, refuseBody(err)
	}
	c.bodyDone = true
	return body, nil
}

func (c *conn) sendContinue() error {
	if err := c.SetWriteDeadline(time.Now().Add(c.limits.WriteTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c.Conn, "HTTP/1.1 100 Continue\r\n\r\n")
	return err
}

// next gives the next n bytes, which stay in the chunk.
func (c *conn) next(n int) ([]byte, error) {
	for len(c.unread) < n {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	given := c.unread[:n:n]
	c.unread = c.unread[n:]
	return given, nil
}

// readChunks reads a body that comes in chunks (RFC 9112, 7.1), with its trailers, which
// nobody wants.
func (c *conn) readChunks(limit int) ([]byte, error) {
	var body []byte
	for {
		size, err := c.chunkSize()
		switch {
		case err != nil:
			return nil, err
		case size == 0:
			return body, c.skipTrailers()
		case size > int64(limit-len(body)):
			return nil, bodyTooLarge()
		}
		for left := int(size); left > 0; {
			part, err := c.next(min(left, chunkBytes/2)) // as it arrives
			if err != nil {
				return nil, err
			}
			body, left = append(body, part...), left-len(part)
		}
		if end, err := c.next(2); err != nil {
			return nil, err
		} else if string(end) != "\r\n" {
			return nil, fmt.Errorf("%w: one is longer than it says", errBroken)
		}
	}
}

const (
	maxChunkLine    = 256 // size and extensions of a chunk, or one trailer
	maxTrailerLines = 16
	maxSizeDigits   = 8
)

// chunkSize reads the line before a chunk: hex digits, maybe extensions.
func (c *conn) chunkSize() (size int64, err error) {
	line, err := c.nextLine()
	if err != nil {
		return 0, err
	}
	digits, extensions, extended := bytes.Cut(line, []byte{';'})
	if extended {
		digits = bytes.TrimRight(digits, " \t")
	}
	if len(digits) == 0 || len(digits) > maxSizeDigits || bytes.ContainsFunc(extensions, isControl) {
		return 0, fmt.Errorf("%w: one has no size", errBroken)
	}
	for _, d := range digits {
		v, ok := hexDigit(d)
		if !ok {
			return 0, fmt.Errorf("%w: one has no size", errBroken)
		}
		size = size<<4 | v
	}
	return size, nil
}

func (c *conn) skipTrailers() error {
	for range maxTrailerLines {
		line, err := c.nextLine()
		if err != nil || len(line) == 0 {
			return err
		}
		if _, _, ok := cutHeader(line); !ok {
			return fmt.Errorf("%w: a trailer is no header", errBroken)
		}
	}
	return fmt.Errorf("%w: too many trailers", errBroken)
}

// nextLine gives the next line without its CR LF.
func (c *conn) nextLine() ([]byte, error) {
	for searched := 0; ; {
		end := bytes.IndexByte(c.unread[searched:], '\n')
		if end < 0 && len(c.unread) <= maxChunkLine {
			searched = len(c.unread)
			if err := c.fill(); err != nil {
				return nil, err
			}
			continue
		}
		if end < 0 || searched+end > maxChunkLine {
			return nil, fmt.Errorf("%w: a line is too long", errBroken)
		}
		line, rest, ok := cutLine(c.unread)
		if !ok {
			return nil, fmt.Errorf("%w: a line does not end with CR LF", errBroken)
		}
		c.unread = rest
		return line, nil
	}
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func hexDigit(d byte) (int64, bool) {
	switch {
	case '0' <= d && d <= '9':
		return int64(d - '0'), true
	case 'a' <= d|0x20 && d|0x20 <= 'f':
		return int64(d|0x20-'a') + 10, true
	}
	return 0, false
}

func bodyTooLarge() error {
	return chat.Refuse(contracts.CodeBodyTooLarge, "the body exceeds the limit")
}

// refuseBody turns the error of reading a body into what the client is told.
func refuseBody(err error) error {
	if _, ok := errors.AsType[*chat.Error](err); ok {
		return err
	}
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return chat.Refuse(contracts.CodeRequestTimeout, "the request did not arrive in time")
	case errors.Is(err, errBroken):
		return chat.Refuse(chat.CodeInvalidRequest, err.Error())
	}
	return chat.Refuse(chat.CodeInvalidRequest, "the body did not arrive whole")
}
