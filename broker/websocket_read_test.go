package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// masked is a client's frame.
func masked(op ws.OpCode, fin bool, payload string) []byte {
	f := ws.NewFrame(op, fin, []byte(payload))
	return ws.MustCompileFrame(ws.MaskFrame(f))
}

// TestReadMessages reads what clients send, good and bad, and looks at the messages and
// at what the client is answered.
func TestReadMessages(t *testing.T) {
	closing := func(code uint16, reason string) string {
		return string(binary.BigEndian.AppendUint16(nil, code)) + reason
	}
	text := func(payload string) []byte { return masked(ws.OpText, true, payload) }
	unmasked := ws.MustCompileFrame(ws.NewTextFrame([]byte("x")))
	for _, c := range []struct {
		name     string
		frames   [][]byte
		messages string // joined by |
		answers  string // of which the last is the close frame's code
		code     uint16
	}{
		{"messages", [][]byte{text("one"), text(""), masked(ws.OpBinary, true, "three")}, "one||three", "", 0},
		{"a message of 64 KiB", [][]byte{text(strings.Repeat("x", 1<<16))}, strings.Repeat("x", 1<<16), "", 0},
		{"a ping between fragments", [][]byte{
			masked(ws.OpText, false, "be"), masked(ws.OpPing, true, "hey"), masked(ws.OpContinuation, false, ""), masked(ws.OpContinuation, true, "fore"), text("after"),
		}, "before|after", "\x8a\x03hey", 0},
		{"pings and a pong", [][]byte{masked(ws.OpPing, true, ""), masked(ws.OpPong, true, "?"), masked(ws.OpPing, true, "b")}, "", "\x8a\x00\x8a\x01b", 0},
		{"a close", [][]byte{masked(ws.OpClose, true, closing(4001, "bye")), text("late")}, "", "", 4001},
		{"a close without a code", [][]byte{masked(ws.OpClose, true, "")}, "", "", closeNormal},
		{"a close with a code nobody may send", [][]byte{masked(ws.OpClose, true, closing(1006, ""))}, "", "", closeProtocolError},
		{"a close of one byte", [][]byte{masked(ws.OpClose, true, "\x03")}, "", "", closeProtocolError},
		{"a close with a reason that is no text", [][]byte{masked(ws.OpClose, true, closing(1000, "\xff"))}, "", "", closeNotText},
		{"a text that is no UTF-8", [][]byte{text("one"), text("\xce\xba\xed\xa0\x80")}, "one", "", closeNotText},
		{"a text that ends inside a character", [][]byte{text("\xce")}, "", "", closeNotText},
		{"a text whose first fragment is no UTF-8", [][]byte{masked(ws.OpText, false, "\xff")}, "", "", closeNotText},
		{"a character over fragments, with a ping in it", [][]byte{
			masked(ws.OpText, false, "\xf0\x9f"), masked(ws.OpPing, true, "\xff"), masked(ws.OpContinuation, false, "\x92"), masked(ws.OpContinuation, true, "\xac"),
		}, "💬", "\x8a\x01\xff", 0},
		{"bytes that are no UTF-8", [][]byte{masked(ws.OpBinary, true, "\xff")}, "\xff", "", 0},
		{"a frame without a mask", [][]byte{text("one"), unmasked}, "one", "", closeProtocolError},
		{"reserved bits", [][]byte{{0xC1, 0x80, 0, 0, 0, 0}}, "", "", closeProtocolError},
		{"a reserved opcode", [][]byte{{0x83, 0x80, 0, 0, 0, 0}}, "", "", closeProtocolError},
		{"a fragment of nothing", [][]byte{masked(ws.OpContinuation, true, "x")}, "", "", closeProtocolError},
		{"a message inside a message", [][]byte{masked(ws.OpText, false, "be"), text("x")}, "", "", closeProtocolError},
		{"a ping in fragments", [][]byte{masked(ws.OpPing, false, "x")}, "", "", closeProtocolError},
		{"a length with the sign bit", [][]byte{{0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, "", "", closeProtocolError},
		{"a message over the limit", [][]byte{masked(ws.OpText, false, strings.Repeat("x", 1<<16)), masked(ws.OpContinuation, true, "x")}, "", "", closeTooBig},
		{"half a ping between fragments", [][]byte{masked(ws.OpText, false, "be"), masked(ws.OpPing, true, "hey")[:6]}, "", "", 0},
		{"the header of a message over the limit", [][]byte{{0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}}, "", "", closeTooBig},
		{"half a message", [][]byte{text("one"), {0x81, 0x85, 0, 0, 0, 0, 'h'}}, "one", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var answers, goodbye []byte
			r := &wsReader{
				pong:   func(frame []byte) error { answers = append(answers, frame...); return nil },
				finish: func(frame []byte) { goodbye = frame },
			}
			r.init(bytes.NewReader(bytes.Join(c.frames, nil)), 1<<16)
			var messages []string
			for {
				if _, err := r.next(); err != nil {
					break
				}
				message, err := io.ReadAll(r)
				if err != nil {
					break
				}
				messages = append(messages, string(message))
			}
			if got := strings.Join(messages, "|"); got != c.messages {
				t.Errorf("the messages are %.40q, want %.40q", got, c.messages)
			}
			if string(answers) != c.answers {
				t.Errorf("the answers are %q, want %q", answers, c.answers)
			}
			code := uint16(0)
			if len(goodbye) >= 4 {
				code = binary.BigEndian.Uint16(goodbye[2:])
			}
			if code != c.code {
				t.Errorf("the goodbye is %q, want the code %d", goodbye, c.code)
			}
			if _, err := r.next(); err == nil || !errors.Is(err, r.err) {
				t.Errorf("behind the end: %v", err)
			}
		})
	}
}

// What is left unread of a message is no part of the next.
func TestNextMessageDropsTheRest(t *testing.T) {
	r := &wsReader{pong: func([]byte) error { return nil }}
	r.init(bytes.NewReader(bytes.Join([][]byte{
		masked(ws.OpText, false, "one"), masked(ws.OpPing, true, ""), masked(ws.OpContinuation, true, "more"), masked(ws.OpBinary, true, "two"),
	}, nil)), 0)
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	var first [2]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		t.Fatal(err)
	}
	kind, err := r.next()
	if err != nil || kind != ws.OpBinary {
		t.Fatalf("next: %v, %v", kind, err)
	}
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "two" {
		t.Fatalf("read: %q, %v", rest, err)
	}
}
