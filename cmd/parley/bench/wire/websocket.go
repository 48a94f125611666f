package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// WebSocket opcodes (RFC 6455).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	finished = 0x80
	masked   = 0x80
)

// wsKey is 16 constant bytes in base64. Random ones would protect against caches, of which
// a load test has none.
const wsKey = "cGFybGV5IGxvYWQgdGVzdA=="

// maxHead bounds the headers of the answer to an upgrade.
const maxHead = 16 << 10

// wsFrame is one frame of the server.
type wsFrame struct {
	op      byte
	payload []byte
}

// nextFrame reads the frame at the start of b and gives its length n, which is 0 if b does
// not hold all of it yet.
func nextFrame(b []byte) (f wsFrame, n int, err error) {
	if len(b) < 2 {
		return wsFrame{}, 0, nil
	}
	if b[1]&masked != 0 {
		return wsFrame{}, 0, errors.New("the server masks its WebSocket frames")
	}
	head, size := 2, uint64(b[1])
	switch size {
	case 126:
		if head = 4; len(b) < head {
			return wsFrame{}, 0, nil
		}
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = 10; len(b) < head {
			return wsFrame{}, 0, nil
		}
		size = binary.BigEndian.Uint64(b[2:])
	}
	if size > maxPacket {
		return wsFrame{}, 0, fmt.Errorf("a WebSocket frame of %d bytes", size)
	}
	n = head + int(size)
	if len(b) < n {
		return wsFrame{}, 0, nil
	}
	return wsFrame{b[0] & 0x0F, b[head:n]}, n, nil
}

// appendFrameHead appends the head of a frame to the server. A client must mask its frames.
// A mask of zeros is allowed, and leaves the payload as it is.
func appendFrameHead(dst []byte, op byte, size int) []byte {
	dst = append(dst, finished|op)
	switch {
	case size < 126:
		dst = append(dst, masked|byte(size))
	case size < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(size))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(size))
	}
	return append(dst, 0, 0, 0, 0)
}

func closedBy(f wsFrame) error {
	if len(f.payload) < 2 {
		return errors.New("the server closed the WebSocket")
	}
	return fmt.Errorf("the server closed the WebSocket with %d %s", binary.BigEndian.Uint16(f.payload), f.payload[2:])
}

// upgrade turns an HTTP connection into a WebSocket. Bytes that come behind the server's
// answer stay in r.
func upgrade(nc net.Conn, r *reader, host, path, subprotocol, token string) error {
	req := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + wsKey + "\r\nSec-WebSocket-Protocol: " + subprotocol + "\r\n"
	if token != "" {
		req += "Authorization: Bearer " + token + "\r\n"
	}
	if _, err := nc.Write([]byte(req + "\r\n")); err != nil {
		return err
	}
	for {
		head, _, whole := bytes.Cut(r.bytes(), []byte("\r\n\r\n"))
		if whole {
			err := accepted(string(head), subprotocol)
			r.discard(len(head) + 4)
			return err
		}
		if len(head) > maxHead {
			return errors.New("the answer to the WebSocket upgrade has no end")
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

func accepted(head, subprotocol string) error {
	status, headers, _ := strings.Cut(head, "\r\n")
	if !strings.HasPrefix(status, "HTTP/1.1 "+strconv.Itoa(http.StatusSwitchingProtocols)) {
		return fmt.Errorf("the WebSocket upgrade was answered %q", status)
	}
	for line := range strings.SplitSeq(headers, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") && strings.TrimSpace(value) == subprotocol {
			return nil
		}
	}
	return fmt.Errorf("the server does not speak the WebSocket subprotocol %s", subprotocol)
}
