package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// proxy forwards the MongoDB wire protocol, request by request. A request goes
// out when the answer to the one before, of whatever connection, has come.
type proxy struct {
	backend string
	turn    sync.Mutex // held from a command to its answer
}

// serve forwards every connection until the listener is closed.
func (p *proxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go p.forward(client)
	}
}

// forward ends with either side. What a client that goes away has asked for is
// still waited for: it changes documents until its answer comes.
func (p *proxy) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		request, err := readMessage(client)
		if err != nil {
			return
		}
		answer, err := p.ask(server, request)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// ask sends a request and waits for its answer, which is empty if none is wanted.
func (p *proxy) ask(server net.Conn, request message) (message, error) {
	switch request.command() {
	case "", "hello", "isMaster", "ismaster":
		// A monitor that is let wait for a change would hold up everybody.
	default:
		p.turn.Lock()
		defer p.turn.Unlock()
	}
	if _, err := server.Write(request); err != nil || !request.wantsAnswer() {
		return nil, err
	}
	return readMessage(server)
}

// message is one message of the wire protocol, its header of four 32-bit numbers
// (length, request id, the id it answers, code) included.
type message []byte

const (
	headerLen  = 16
	maxMessage = 48_000_000 // what MongoDB takes
	codeMsg    = 2013       // OP_MSG: flags, then sections; the first is the command
	moreToCome = 1 << 1     // flag of OP_MSG: no answer is wanted
)

func readMessage(r io.Reader) (message, error) {
	header := make(message, headerLen)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header)
	if length < headerLen || length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	m := make(message, length)
	copy(m, header)
	_, err := io.ReadFull(r, m[headerLen:])
	return m, err
}

func (m message) code() uint32 { return binary.LittleEndian.Uint32(m[12:]) }

func (m message) wantsAnswer() bool {
	return m.code() != codeMsg || len(m) < headerLen+4 || binary.LittleEndian.Uint32(m[headerLen:])&moreToCome == 0
}

// command is the name of the command in the message, "" for a greeting in the old
// form: the first field of its first document.
func (m message) command() string {
	const start = headerLen + 4 + 1 + 4 + 1 // flags, kind of section, length of the document, type of the field
	if m.code() != codeMsg || len(m) < start {
		return ""
	}
	name, _, _ := bytes.Cut(m[start:], []byte{0})
	return string(name)
}
