package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
)

// Opcodes of RFC 6455, 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// Close codes of RFC 6455, 7.4.1.
const (
	wsNormal      = 1000
	wsProtocol    = 1002
	wsUnsupported = 1003
	wsNotUTF8     = 1007
	wsTooBig      = 1009
)

// rawWS is a WebSocket without a library: the test writes any byte, and sees every frame.
type rawWS struct {
	net.Conn
	in *bufio.Reader
}

// upgradeWS sends an upgrade request with these headers beside the usual ones; one that is
// empty is left out.
func upgradeWS(t testing.TB, s *server, headers map[string]string) (*rawWS, *http.Response) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.http, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := "GET /v1/realtime HTTP/1.1\r\nHost: " + s.http + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	all := map[string]string{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
	for name, value := range headers {
		all[name] = value
	}
	for name, value := range all {
		if value != "" {
			request += name + ": " + value + "\r\n"
		}
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	ws := &rawWS{conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(ws.in, nil)
	if err != nil {
		t.Fatalf("the answer to an upgrade: %v", err)
	}
	return ws, resp
}

// dialFrames opens a JSON connection, or one of MQTT with its CONNECT done.
func dialFrames(t testing.TB, d *device, mqtt bool) *rawWS {
	t.Helper()
	headers := map[string]string{"Authorization": "Bearer " + d.token}
	if mqtt {
		headers = map[string]string{"Sec-WebSocket-Protocol": "mqtt"}
	}
	ws, resp := upgradeWS(t, d.srv, headers)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade is answered %s", resp.Status)
	}
	if !mqtt {
		return ws
	}
	var connect bytes.Buffer
	p := &v5.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: d.id, CleanStart: true,
		PasswordFlag: true, Password: []byte(d.token), Properties: &v5.Properties{},
	}
	if _, err := p.WriteTo(&connect); err != nil {
		t.Fatal(err)
	}
	ws.write(t, wsFrame(opBinary, true, connect.Bytes()), 0)
	if f, err := ws.next(); err != nil || f.op != opBinary || len(f.payload) < 4 || f.payload[0] != v5.CONNACK<<4 || f.payload[3] != 0 {
		t.Fatalf("the answer to CONNECT is %d %x, %v", f.op, f.payload, err)
	}
	return ws
}

// wsFrame is a client's frame, with the shortest form of its length and a mask.
func wsFrame(op byte, fin bool, payload []byte) []byte {
	first := op
	if fin {
		first |= 0x80
	}
	b := append(wsHeader(first, uint64(len(payload))), 0x37, 0xFA, 0x21, 0x3D)
	mask := b[len(b)-4:]
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// wsHeader is the header of a masked frame, without the mask.
func wsHeader(first byte, length uint64) []byte {
	switch {
	case length < 126:
		return []byte{first, 0x80 | byte(length)}
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(length))
	}
	return binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length)
}

// wsAnnounce is the header alone of a frame that would be of that length.
func wsAnnounce(op byte, length uint64) []byte {
	return append(wsHeader(0x80|op, length), 1, 2, 3, 4)
}

// wsClosing is a close frame.
func wsClosing(code uint16, reason string) []byte {
	return wsFrame(opClose, true, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// write writes bytes in pieces of at most size; 0 is all at once.
func (ws *rawWS) write(t testing.TB, b []byte, size int) {
	t.Helper()
	if size == 0 {
		size = max(len(b), 1)
	}
	for piece := range slices.Chunk(b, size) {
		if _, err := ws.Write(piece); err != nil {
			return // the server has hung up: the reading says why
		}
	}
}

type wsRead struct {
	op      byte
	payload []byte
}

// next reads one of the server's frames, which are whole and have no mask.
func (ws *rawWS) next() (wsRead, error) {
	var h [2]byte
	if _, err := io.ReadFull(ws.in, h[:]); err != nil {
		return wsRead{}, err
	}
	if h[0]&0xF0 != 0x80 || h[1]&0x80 != 0 {
		return wsRead{}, fmt.Errorf("the server's frame begins with %x", h)
	}
	length := uint64(h[1])
	extra := map[uint64]int{126: 2, 127: 8}[length]
	if extra > 0 {
		var long [8]byte
		if _, err := io.ReadFull(ws.in, long[8-extra:]); err != nil {
			return wsRead{}, err
		}
		length = binary.BigEndian.Uint64(long[:])
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(ws.in, payload)
	return wsRead{h[0] & 0xF, payload}, err
}

// seenWS is what a connection has got.
type seenWS struct {
	answers []string // details of error frames, or kinds of MQTT packets
	pongs   []string
	code    int // of the close frame
}

// see reads until the end of the connection, or until done.
func (ws *rawWS) see(t testing.TB, got *seenWS, done func() bool) {
	t.Helper()
	for !done() {
		f, err := ws.next()
		if err != nil {
			if got.code == 0 {
				t.Errorf("the connection ends with %v after %+v", err, *got)
			}
			return
		}
		switch f.op {
		case opPong:
			got.pongs = append(got.pongs, string(f.payload))
		case opClose:
			if got.code != 0 || len(f.payload) < 2 {
				t.Errorf("a close frame %x after %+v", f.payload, *got)
				return
			}
			got.code = int(binary.BigEndian.Uint16(f.payload))
		case opText:
			var j struct{ T, Detail string }
			if err := json.Unmarshal(f.payload, &j); err != nil {
				t.Errorf("the frame %s: %v", f.payload, err)
			} else if j.T == "error" {
				got.answers = append(got.answers, j.Detail)
			}
		case opBinary:
			for rest := f.payload; len(rest) >= 2; rest = rest[2+int(rest[1]):] {
				if rest[0] == v5.PINGRESP<<4 {
					got.answers = append(got.answers, "pong of MQTT")
				}
			}
		}
	}
}

// What a client gets for each message that has come: a JSON frame of an unknown type is answered
// with an error frame, MQTT's ping with its pong.
const (
	unknownType = `{"t":"?"}`
	mqttPing    = "\xC0\x00"
)

// wsCase is what a client sends, and what it gets.
type wsCase struct {
	name    string
	sent    []byte
	answers int      // how many messages are answered
	pongs   []string // in this order
	code    int      // of the close frame; 0: the connection goes on
}

// wsCases are those that hold for both protocols. message is one that is answered, in frames of
// the opcode op.
func wsCases(op byte, message string) []wsCase {
	one := wsFrame(op, true, []byte(message))
	part := func(op byte, fin bool, payload string) []byte { return wsFrame(op, fin, []byte(payload)) }
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	first, rest := message[:1], message[1:]
	long := strings.Repeat("*", 125)
	cases := []wsCase{
		{"two messages", join(one, one), 2, nil, 0},
		{"an empty ping", part(opPing, true, ""), 0, []string{""}, 0},
		{"a ping of 125 bytes, not UTF-8", part(opPing, true, long[1:]+"\xFE"), 0, []string{long[1:] + "\xFE"}, 0},
		{"ten pings and a message", join(bytes.Repeat(part(opPing, true, "p"), 10), one), 1, slices.Repeat([]string{"p"}, 10), 0},
		{"a pong that nobody asked for", join(part(opPong, true, "x"), one), 1, nil, 0},
		{"a message in fragments", join(part(op, false, first), part(opContinuation, true, rest)), 1, nil, 0},
		{"fragments of nothing around it", join(
			part(op, false, ""), part(opContinuation, false, message), part(opContinuation, false, ""), part(opContinuation, true, ""), one), 2, nil, 0},
		{"pings and a pong between fragments", join(
			part(op, false, first), part(opPing, true, "1"), part(opPong, true, "x"), part(opContinuation, false, ""), part(opPing, true, "2"), part(opContinuation, true, rest), one), 2, []string{"1", "2"}, 0},
		{"a length in the longest form", join([]byte{0x80 | op, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, byte(len(message)), 0, 0, 0, 0}, []byte(message)), 1, nil, 0},

		{"a ping of 126 bytes", part(opPing, true, long+"*"), 0, nil, wsProtocol},
		{"a ping in fragments", join(part(opPing, false, "x"), part(opContinuation, true, "y")), 0, nil, wsProtocol},
		{"a close in fragments", part(opClose, false, ""), 0, nil, wsProtocol},
		{"a continuation of nothing", part(opContinuation, true, message), 0, nil, wsProtocol},
		{"a continuation of nothing that goes on", part(opContinuation, false, message), 0, nil, wsProtocol},
		{"a continuation after a whole message", join(one, part(opContinuation, true, message)), 1, nil, wsProtocol},
		{"a message inside a message", join(part(op, false, first), one), 0, nil, wsProtocol},
		{"a message that begins inside a message", join(part(op, false, first), part(op, false, rest)), 0, nil, wsProtocol},
		{"no mask", append([]byte{0x80 | op, byte(len(message))}, message...), 0, nil, wsProtocol},
		{"a ping without mask", []byte{0x80 | opPing, 0}, 0, nil, wsProtocol},
		{"a continuation without mask", join(part(op, false, first), append([]byte{0x80, byte(len(rest))}, rest...)), 0, nil, wsProtocol},
		{"a length with the first bit set", wsAnnounce(op, 1<<63|5), 0, nil, wsProtocol},
		{"a ping's length with the first bit set", wsAnnounce(opPing, 1<<63), 0, nil, wsProtocol},
		{"the longest length that can be announced", wsAnnounce(op, 1<<63-1), 0, nil, wsTooBig},
		{"a fragment that announces too much", join(part(op, false, first), wsAnnounce(opContinuation, 1<<62)), 0, nil, wsTooBig},
		{"a message after one that is too large", join(wsAnnounce(op, 1<<40), one), 0, nil, wsTooBig},
		{"too much, most of which comes", join(wsAnnounce(op, 4<<20), make([]byte, 3<<20)), 0, nil, wsTooBig},

		{"a close without a code", part(opClose, true, ""), 0, nil, wsNormal},
		{"a close, and more", join(part(opClose, true, ""), one, part(opPing, true, "late")), 0, nil, wsNormal},
		{"a close between fragments", join(part(op, false, first), wsClosing(wsNormal, ""), part(opContinuation, true, rest)), 0, nil, wsNormal},
		{"a close of one byte", part(opClose, true, "\x03"), 0, nil, wsProtocol},
		{"a close with the longest reason", wsClosing(wsNormal, long[2:]), 0, nil, wsNormal},
		{"a close with a reason over that", wsClosing(wsNormal, long[1:]), 0, nil, wsProtocol},
		{"a close with a reason that is no UTF-8", wsClosing(wsNormal, "caf\xe9"), 0, nil, wsNotUTF8},
		{"a close with a reason in UTF-8", wsClosing(wsNormal, "café"), 0, nil, wsNormal},
		{"a close without mask", []byte{0x80 | opClose, 2, 3, 0xE8}, 0, nil, wsProtocol},
	}
	for _, bits := range []byte{0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70} {
		reserved := func(frame []byte) []byte { return append([]byte{frame[0] | bits}, frame[1:]...) }
		cases = append(cases,
			wsCase{fmt.Sprintf("reserved bits %#x", bits), join(one, reserved(one)), 1, nil, wsProtocol},
			wsCase{fmt.Sprintf("reserved bits %#x of a ping", bits), reserved(part(opPing, true, "")), 0, nil, wsProtocol},
			wsCase{fmt.Sprintf("reserved bits %#x of a close", bits), reserved(wsClosing(wsNormal, "")), 0, nil, wsProtocol},
			wsCase{fmt.Sprintf("reserved bits %#x of a continuation", bits), join(part(op, false, first), reserved(part(opContinuation, true, rest))), 0, nil, wsProtocol})
	}
	for _, reserved := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases = append(cases, wsCase{fmt.Sprintf("the reserved opcode %d", reserved), join(one, part(reserved, true, ""), one), 1, nil, wsProtocol})
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, wsCase{fmt.Sprintf("a close with %d", code), wsClosing(code, "bye"), 0, nil, int(code)})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, wsCase{fmt.Sprintf("a close with %d, which nobody may send", code), wsClosing(code, "bye"), 0, nil, wsProtocol})
	}
	return cases
}

// wsTextCases are about texts and their limit, which only JSON connections have.
func wsTextCases() []wsCase {
	sized := func(n int) string { return unknownType[:8] + strings.Repeat(" ", n-len(unknownType)) + "}" }
	text := func(payload string) []byte { return wsFrame(opText, true, []byte(payload)) }
	bytewise := func(payload string) []byte { // each byte a fragment, with pings in between
		var b []byte
		for i := range len(payload) {
			op := byte(opContinuation)
			if i == 0 {
				op = opText
			}
			b = append(b, wsFrame(op, i == len(payload)-1, []byte(payload[i:i+1]))...)
		}
		return b
	}
	const limit = 16 << 10
	cases := []wsCase{
		{"a message of the limit", text(sized(limit)), 1, nil, 0},
		{"a message over the limit", text(sized(limit + 1)), 0, nil, wsTooBig},
		{"the header of one over the limit", wsAnnounce(opText, limit+1), 0, nil, wsTooBig},
		{"fragments up to the limit", append(wsFrame(opText, false, []byte(sized(limit)[:limit-1])), wsFrame(opContinuation, true, []byte("}"))...), 1, nil, 0},
		{"fragments over the limit", append(wsFrame(opText, false, make([]byte, limit)), wsAnnounce(opContinuation, 1)...), 0, nil, wsTooBig},
		{"a binary message", wsFrame(opBinary, true, []byte("\xFF")), 1, nil, 0},
		{"an empty text", text(""), 1, nil, 0},
	}
	for _, n := range []int{125, 126, 127, 128} {
		cases = append(cases, wsCase{fmt.Sprintf("a message of %d bytes", n), text(sized(n)), 1, nil, 0})
	}
	for _, valid := range []string{
		"κόσμε", "\u0080", "\u07FF", "\u0800", "\uD7FF", "\uE000", "\uFFFD", "\uFFFE", "\uFFFF", "\U00010000", "\U0010FFFF", "a\u0000b",
	} {
		cases = append(cases,
			wsCase{fmt.Sprintf("the text %+q", valid), text(valid), 1, nil, 0},
			wsCase{fmt.Sprintf("the text %+q byte by byte", valid), bytewise(valid), 1, nil, 0})
	}
	for _, invalid := range []string{
		"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x80\x80\xAF", "\xF0\x8F\xBF\xBF", "\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80", "\xFE", "\xFF", // overlong, or no such byte
		"\xED\xA0\x80", "\xED\xBF\xBF", "κ\xED\xA0\x80edited", "\xF4\x90\x80\x80", "\xF7\xBF\xBF\xBF", // surrogates, and above the last
		"\xCE", "\xE1\xBD", "\xF0\x9F\x92", "κόσμ\xCE", "\xCE\xCE\xB5", "\xE1\xBDx", // cut off
	} {
		cases = append(cases,
			wsCase{fmt.Sprintf("the text %+q", invalid), text(invalid), 0, nil, wsNotUTF8},
			wsCase{fmt.Sprintf("the text %+q byte by byte", invalid), bytewise(invalid), 0, nil, wsNotUTF8})
	}
	return append(cases,
		wsCase{"a first fragment that is no UTF-8, and nothing behind it", wsFrame(opText, false, []byte("\xFF")), 0, nil, wsNotUTF8},
		wsCase{"half a character in an unmended message", append(wsFrame(opText, false, []byte("\xCE")), wsFrame(opContinuation, true, nil)...), 0, nil, wsNotUTF8})
}

// The idea is that of the Autobahn test suite: whatever frames a client sends, it gets what
// RFC 6455 says, however the bytes are cut into packets.
func TestWebSocketFrames(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	s := startServer(t)
	d := s.device(t, "ann", "phone")
	for _, p := range []struct {
		name  string
		mqtt  bool
		cases []wsCase
	}{
		{"JSON", false, append(wsCases(opText, unknownType), wsTextCases()...)},
		{"MQTT", true, append(wsCases(opBinary, mqttPing),
			wsCase{"a text", wsFrame(opText, true, []byte(mqttPing)), 0, nil, wsUnsupported},
			wsCase{"a text that is no UTF-8", wsFrame(opText, true, []byte("\xFF")), 0, nil, wsUnsupported},
			wsCase{"a message over the limit", wsAnnounce(opBinary, 256<<10+1), 0, nil, wsTooBig})},
	} {
		t.Run(p.name, func(t *testing.T) {
			connections := 0
			for _, c := range p.cases {
				for _, size := range []int{0, 1} {
					if size == 1 && len(c.sent) > 64<<10 {
						continue // that many packets take long, and say nothing new
					}
					connections++
					c.run(t, dialFrames(t, d, p.mqtt), size)
				}
			}
			t.Logf("%d cases, %d connections", len(p.cases), connections)
		})
	}
}

func (c wsCase) run(t *testing.T, ws *rawWS, size int) {
	t.Helper()
	defer ws.Close()
	go ws.write(t, c.sent, size) // the server may stop reading
	var got seenWS
	if c.code == 0 {
		ws.see(t, &got, func() bool { return got.code != 0 || len(got.answers) >= c.answers && len(got.pongs) >= len(c.pongs) })
		ws.write(t, wsClosing(4321, ""), 0)
	}
	ws.see(t, &got, func() bool { return false })
	wantCode := c.code
	if wantCode == 0 {
		wantCode = 4321
	}
	if got.code != wantCode || !slices.Equal(got.pongs, c.pongs) {
		t.Errorf("%s, %d bytes a time: closed with %d after the pongs %q; want %d, %q", c.name, size, got.code, got.pongs, wantCode, c.pongs)
	}
	// Behind a close nothing is answered any more, so an answer to what came before may be missing.
	if n := len(got.answers); n > c.answers || c.code == 0 && n != c.answers {
		t.Errorf("%s, %d bytes a time: the answers are %q, want %d", c.name, size, got.answers, c.answers)
	}
}

// A client cuts its messages into fragments at random, with pings in between, and the bytes into
// packets: every message comes whole, and every ping has its pong.
func TestWebSocketFragments(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	s := startServer(t)
	ann := s.device(t, "ann", "phone")
	thread := ann.createGroup(t, "bob").ID
	rng := rand.New(rand.NewPCG(seed(t), 0))
	ws := dialFrames(t, ann, true)
	const messages = 60
	var wire []byte
	var texts, pings []string
	for i := range messages {
		text := strings.Repeat("é💬", rng.IntN(400)) + strconv.Itoa(i)
		texts = append(texts, text)
		body := asJSON(t, map[string]any{"client_seq": i + 1, "idempotency_key": fmt.Sprint("fragments-", i), "ciphertext": []byte(text)})
		var packet bytes.Buffer
		p := &v5.Publish{PacketID: uint16(i + 1), QoS: 1, Topic: "v1/threads/" + thread + "/messages", Payload: []byte(body), Properties: &v5.Properties{}}
		if _, err := p.WriteTo(&packet); err != nil {
			t.Fatal(err)
		}
		op, left := byte(opBinary), packet.Bytes()
		for {
			n := min(len(left), rng.IntN(1+len(packet.Bytes())))
			fin := n == len(left) && rng.IntN(3) > 0
			wire = append(wire, wsFrame(op, fin, left[:n])...)
			for rng.IntN(3) == 0 {
				pings = append(pings, strconv.Itoa(len(pings)))
				wire = append(wire, wsFrame(opPing, true, []byte(pings[len(pings)-1]))...)
			}
			if left, op = left[n:], opContinuation; fin {
				break
			}
		}
	}
	go func() {
		for len(wire) > 0 {
			n := min(len(wire), 1+rng.IntN(3000))
			if _, err := ws.Write(wire[:n]); err != nil {
				return
			}
			wire = wire[n:]
		}
	}()
	var got seenWS
	acks := 0
	for acks < messages || len(got.pongs) < len(pings) {
		f, err := ws.next()
		if err != nil {
			t.Fatalf("after %d of %d PUBACKs: %v", acks, messages, err)
		}
		switch f.op {
		case opPong:
			got.pongs = append(got.pongs, string(f.payload))
		case opBinary:
			for rest := f.payload; len(rest) >= 2; rest = rest[2+int(rest[1]):] {
				if acks++; rest[0] != v5.PUBACK<<4 || int(binary.BigEndian.Uint16(rest[2:])) != acks || rest[1] > 2 && rest[4] != 0 {
					t.Fatalf("the packet %x, want PUBACK %d", rest, acks)
				}
			}
		case opPing: // the server asks whether the client is alive
		default:
			t.Fatalf("a frame %d %x", f.op, f.payload)
		}
	}
	if !slices.Equal(got.pongs, pings) {
		t.Errorf("the pongs are %q, want %q", got.pongs, pings)
	}
	history := ann.history(t, thread)
	for i, m := range history {
		if string(m.Ciphertext) != texts[i] {
			t.Errorf("message %d is %q, want %q", i, m.Ciphertext, texts[i])
		}
	}
	if len(history) != messages {
		t.Errorf("%d messages are stored, want %d", len(history), messages)
	}
	t.Logf("%d messages, %d pings between fragments", messages, len(pings))
}

// An upgrade that is none, and one that asks for what the server does not speak, is refused.
func TestWebSocketUpgrade(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	s := startServer(t)
	d := s.device(t, "ann", "phone")
	const protocol, key = "Sec-WebSocket-Protocol", "Sec-WebSocket-Key"
	for _, c := range []struct {
		name, header, value string
		noToken             bool
		status              int
		chosen              string
	}{
		{"no subprotocol", protocol, "", false, 101, ""},
		{"ours", protocol, "parley.v1", false, 101, "parley.v1"},
		{"ours among others", protocol, "chat, parley.v1", false, 101, "parley.v1"},
		{"ours with the token", protocol, "bearer." + d.token + ",parley.v1", true, 101, "parley.v1"},
		{"the token alone", protocol, "bearer." + d.token, true, 101, ""},
		{"another", protocol, "chat", false, 400, ""},
		{"others", protocol, "chat, soap", false, 400, ""},
		{"another with the token", protocol, "chat, bearer." + d.token, true, 400, ""},
		{"another spelling", protocol, "Parley.v1", false, 400, ""},
		{"another without a token", protocol, "chat", true, 401, ""},
		{"MQTT among others", protocol, "chat, mqtt", true, 101, "mqtt"},

		{"no key", key, "", false, 400, ""},
		{"a key of 15 bytes", key, "AAAAAAAAAAAAAAAAAAAA", false, 400, ""},
		{"a key of 17 bytes", key, "AAAAAAAAAAAAAAAAAAAAAAA=", false, 400, ""},
		{"a key of 16 bytes", key, "AAAAAAAAAAAAAAAAAAAAAA==", false, 101, ""},
		{"a key without padding", key, "AAAAAAAAAAAAAAAAAAAAAA", false, 400, ""},
		{"a key that is no base64", key, "dGhlIHNhbXBsZSBub25jZ***", false, 400, ""},
		{"another version", "Sec-WebSocket-Version", "12", false, 400, ""},
		{"no version", "Sec-WebSocket-Version", "", false, 400, ""},
	} {
		headers := map[string]string{c.header: c.value}
		if !c.noToken {
			headers["Authorization"] = "Bearer " + d.token
		}
		ws, resp := upgradeWS(t, s, headers)
		if resp.StatusCode != c.status || resp.Header.Get(protocol) != c.chosen {
			t.Errorf("%s: %s with the subprotocol %q; want %d, %q", c.name, resp.Status, resp.Header.Get(protocol), c.status, c.chosen)
		}
		if c.status == http.StatusBadRequest {
			var p struct{ Code string }
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Code != "invalid_request" {
				t.Errorf("%s: the problem is %q, %v", c.name, p.Code, err)
			}
		}
		ws.Close()
	}
	// The rules for the key hold for MQTT, whose token comes later.
	if _, resp := upgradeWS(t, s, map[string]string{protocol: "mqtt", key: "AAAA"}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("MQTT with a short key: %s", resp.Status)
	}
}

// A WebSocket that carries MQTT is pinged, also while the client is silent.
func TestPingsOnMQTT(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	s := startServer(t, "--ping-interval", "200ms")
	d := s.device(t, "ann", "phone")
	ws := dialFrames(t, d, true)
	for range 3 {
		f, err := ws.next()
		if err != nil || f.op != opPing || len(f.payload) > 0 {
			t.Fatalf("a frame %d %x, %v; want a ping", f.op, f.payload, err)
		}
		ws.write(t, wsFrame(opPong, true, nil), 0)
	}
	// A client that answers no ping is not cut off: MQTT's keep-alive is for that.
	for range 5 {
		if f, err := ws.next(); err != nil || f.op != opPing {
			t.Fatalf("a frame %d %x, %v; want a ping", f.op, f.payload, err)
		}
	}
	ws.write(t, wsFrame(opBinary, true, []byte(mqttPing)), 0)
	var got seenWS
	ws.see(t, &got, func() bool { return len(got.answers) > 0 || got.code != 0 })
	if got.code != 0 {
		t.Errorf("the connection was closed with %d", got.code)
	}
}
