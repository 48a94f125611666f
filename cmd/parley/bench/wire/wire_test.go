package wire

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The packets of a client, compared byte by byte with the MQTT 5 specification.
func TestPacketsAsSent(t *testing.T) {
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"CONNECT with nothing": {appendConnect(nil, "c", "", ""), "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c"},
		"CONNECT":              {appendConnect(nil, "c", "u", "pw"), "\x10\x15\x00\x04MQTT\x05\xc2\x00\x00\x00\x00\x01c\x00\x01u\x00\x02pw"},
		"SUBSCRIBE":            {appendSubscribe(nil, 258, "v1/#"), "\x82\x0a\x01\x02\x00\x00\x04v1/#\x01"},
		"PUBLISH":              {appendPublish(nil, 258, "t", []byte("hi")), "\x32\x08\x00\x01t\x01\x02\x00hi"},
		"PUBACK":               {appendPuback(nil, 258), "\x40\x02\x01\x02"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestPacketsAsReceived(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct {
		in   string
		want packet
	}{
		"CONNACK":                 {"\x20\x03\x00\x00\x00", packet{kind: typeConnack}},
		"CONNACK refusing":        {"\x20\x03\x00\x86\x00", packet{kind: typeConnack, code: 0x86}},
		"SUBACK":                  {"\x90\x04\x00\x07\x00\x01", packet{kind: typeSuback, id: 7, code: 1}},
		"SUBACK with a property":  {"\x90\x08\x00\x07\x04\x1f\x00\x01x\x87", packet{kind: typeSuback, id: 7, code: 0x87}},
		"PUBACK without a code":   {"\x40\x02\x00\x07", packet{kind: typePuback, id: 7}},
		"PUBACK with one":         {"\x40\x04\x00\x07\x97\x00", packet{kind: typePuback, id: 7, code: 0x97}},
		"PUBLISH of QoS 0":        {"\x30\x05\x00\x01t\x00x", packet{kind: typePublish, topic: []byte("t"), body: []byte("x")}},
		"PUBLISH of QoS 1, again": {"\x3a\x07\x00\x01t\x00\x07\x00x", packet{kind: typePublish, qos: 1, id: 7, topic: []byte("t"), body: []byte("x")}},
		"PUBLISH with a property": {"\x30\x07\x00\x01t\x02\x01\x01x", packet{kind: typePublish, topic: []byte("t"), body: []byte("x")}},
		"a long PUBLISH":          {"\x30\xb0\x02\x00\x01t\x00" + long, packet{kind: typePublish, topic: []byte("t"), body: []byte(long)}},
		"DISCONNECT":              {"\xe0\x01\x8e", packet{kind: typeDisconnect, code: 0x8E}},
		"PINGRESP":                {"\xd0\x00", packet{kind: typePingresp}},
	} {
		got, n, err := nextPacket([]byte(c.in + "more"))
		if err != nil || n != len(c.in) {
			t.Errorf("%s: %d of %d bytes, %v", name, n, len(c.in), err)
		}
		if got.kind != c.want.kind || got.qos != c.want.qos || got.id != c.want.id || got.code != c.want.code ||
			!bytes.Equal(got.topic, c.want.topic) || !bytes.Equal(got.body, c.want.body) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		for cut := range len(c.in) {
			if _, n, err := nextPacket([]byte(c.in[:cut])); n != 0 || err != nil {
				t.Errorf("%s, its first %d bytes: %d, %v", name, cut, n, err)
			}
		}
	}
}

func TestMalformedPackets(t *testing.T) {
	for name, in := range map[string]string{
		"an endless length":             "\x30\xff\xff\xff\xff\x01",
		"longer than anything":          "\x30\xff\xff\xff\x7f",
		"a topic beyond its end":        "\x30\x03\x00\x09t",
		"no packet id":                  "\x32\x03\x00\x01t",
		"properties beyond its end":     "\x30\x04\x00\x01t\x09",
		"a CONNACK without a code":      "\x20\x01\x00",
		"a SUBACK without a code":       "\x90\x03\x00\x01\x00",
		"a PUBACK of nothing":           "\x40\x01\x00",
		"what only clients send":        "\x10\x00",
		"a type that there is not":      "\x00\x00",
		"a SUBACK that is all property": "\x90\x04\x00\x01\x09\x00",
	} {
		if _, _, err := nextPacket([]byte(in)); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzNextPacket(f *testing.F) {
	f.Add([]byte("\x3a\x07\x00\x01t\x00\x07\x00x"))
	f.Add([]byte("\x90\x08\x00\x07\x04\x1f\x00\x01x\x87"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, n, err := nextPacket(b); err == nil && n > len(b) {
			t.Errorf("%d of %d bytes", n, len(b))
		}
		if _, n, err := nextFrame(b); err == nil && n > len(b) {
			t.Errorf("a frame of %d of %d bytes", n, len(b))
		}
	})
}

func TestWebSocketFrames(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		payload := bytes.Repeat([]byte("x"), size)
		sent := append(appendFrameHead(nil, opText, size), payload...)
		if sent[1]&masked == 0 {
			t.Errorf("%d bytes: a client must mask", size)
		}
		received := unmasked(sent, size)
		f, n, err := nextFrame(append(slices.Clone(received), "more"...))
		if err != nil || n != len(received) || f.op != opText || !bytes.Equal(f.payload, payload) {
			t.Errorf("%d bytes: %d of %d, %v", size, n, len(received), err)
		}
		if _, n, err := nextFrame(received[:len(received)-1]); n != 0 || err != nil {
			t.Errorf("%d bytes, one missing: %d, %v", size, n, err)
		}
	}
	if _, _, err := nextFrame([]byte("\x81\x81\x00\x00\x00\x00x")); err == nil {
		t.Error("a server that masks was taken")
	}
}

// unmasked is a WebSocket frame as a server sends it.
func unmasked(frame []byte, size int) []byte {
	head := len(frame) - size - 4
	b := slices.Concat(frame[:head], frame[head+4:])
	b[1] &^= masked
	return b
}

// script is a server that reads and writes what a test says.
type script struct {
	t  *testing.T
	nc net.Conn
}

// serve runs the script against one connection of a client.
func serve(t *testing.T, play func(s *script)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(2 * time.Minute))
		play(&script{t, nc})
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func (s *script) expect(want string) {
	s.t.Helper()
	got := make([]byte, len(want))
	n := 0
	for n < len(want) {
		m, err := s.nc.Read(got[n:])
		if n += m; err != nil {
			s.t.Errorf("%q came, not %q: %v", got[:n], want, err)
			return
		}
	}
	if string(got) != want {
		s.t.Errorf("%q came, not %q", got, want)
	}
}

func (s *script) say(b string) {
	if _, err := s.nc.Write([]byte(b)); err != nil {
		s.t.Error(err)
	}
}

// upgrade reads a request and answers it.
func (s *script) upgrade(subprotocol string) (request string) {
	var b [1]byte
	for !strings.HasSuffix(request, "\r\n\r\n") {
		if _, err := s.nc.Read(b[:]); err != nil {
			s.t.Error(err)
			return request
		}
		request += string(b[:])
	}
	s.say("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: " + subprotocol + "\r\n\r\n")
	return request
}

func TestMQTTConversation(t *testing.T) {
	addr := serve(t, func(s *script) {
		s.expect("\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c")
		s.say("\x20\x03\x00\x00\x00")
		s.expect("\x82\x07\x00\x01\x00\x00\x01t\x01")
		// A frame before the SUBACK, and the start of another behind it.
		s.say("\x32\x08\x00\x01t\x00\x09\x00m1\x90\x04\x00\x01\x00\x01\x32\x08\x00\x01t")
		s.expect("\x40\x02\x00\x09")
		s.say("\x00\x0a\x00m2\x30\x06\x00\x01t\x00m3")
		s.expect("\x40\x02\x00\x0a")
		s.expect("\x32\x08\x00\x01t\x00\x02\x00up")
		s.say("\x40\x03\x00\x02\x97")
		s.expect("\x32\x08\x00\x01t\x00\x03\x00up")
		s.say("\xe0\x01\x8e")
	})
	var got []string
	c, err := Dial(t.Context(), Config{Protocol: MQTTTCP, Addr: addr, Device: "c", OnFrame: func(b []byte) { got = append(got, string(b)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	if err := c.Subscribe("t"); err != nil {
		t.Fatal(err)
	}
	for len(got) < 3 {
		if err := c.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []string{"m1", "m2", "m3"}) {
		t.Errorf("frames %q", got)
	}
	var refused *RefusedError
	if err := c.Publish("t", []byte("up")); !errors.As(err, &refused) || refused.Code != 0x97 {
		t.Errorf("the refused publish: %v", err)
	}
	if err := c.Publish("t", []byte("up")); err == nil || !strings.Contains(err.Error(), "0x8E") {
		t.Errorf("the end: %v", err)
	}
}

func TestJSONConversation(t *testing.T) {
	text := func(s string) string { return "\x81" + string(rune(len(s))) + s }
	masked := func(s string) string { return "\x81" + string([]byte{0x80 | byte(len(s))}) + "\x00\x00\x00\x00" + s }
	addr := serve(t, func(s *script) {
		if req := s.upgrade("parley.v1"); !strings.HasPrefix(req, "GET /v1/realtime?device_id=d HTTP/1.1\r\n") ||
			!strings.Contains(req, "\r\nAuthorization: Bearer jwt\r\n") {
			s.t.Errorf("the request %q", req)
		}
		s.say(text(`{"t":"msg"}`) + text(`{"t":"read"}`)[:5])
		s.expect(masked(`{"t":"client_ack","frame_seq":1}`))
		s.say(text(`{"t":"read"}`)[5:] + text(`{"t":"ping"}`))
		s.expect(masked(`{"t":"pong"}`) + masked(`{"t":"client_ack","frame_seq":3}`))
		s.say("\x88\x08\x11\x38why so")
	})
	var got []string
	c, err := Dial(t.Context(), Config{Protocol: JSON, Addr: addr, Device: "d", Token: "jwt", OnFrame: func(b []byte) { got = append(got, string(b)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	for err == nil {
		err = c.Receive()
	}
	if !strings.Contains(err.Error(), "4408 why so") {
		t.Errorf("the end: %v", err)
	}
	if !slices.Equal(got, []string{`{"t":"msg"}`, `{"t":"read"}`}) {
		t.Errorf("frames %q", got)
	}
}

// A packet may begin in one WebSocket frame and end in another.
func TestMQTTOverWebSocket(t *testing.T) {
	frame := func(b string) string { return "\x82" + string(rune(len(b))) + b }
	addr := serve(t, func(s *script) {
		s.upgrade("mqtt")
		s.expect("\x82\x90\x00\x00\x00\x00\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c")
		s.say(frame("\x20\x03\x00") + frame("\x00\x00\x32\x08\x00\x01t\x00\x09") + frame("\x00m1\x32\x08\x00\x01t\x00\x0a\x00m2"))
		s.expect("\x82\x88\x00\x00\x00\x00\x40\x02\x00\x09\x40\x02\x00\x0a")
	})
	var got []string
	c, err := Dial(t.Context(), Config{Protocol: MQTTWS, Addr: addr, Device: "c", OnFrame: func(b []byte) { got = append(got, string(b)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	for len(got) < 2 {
		if err := c.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []string{"m1", "m2"}) {
		t.Errorf("frames %q", got)
	}
}

func TestRefusedUpgrade(t *testing.T) {
	for _, head := range []string{"HTTP/1.1 401 Unauthorized\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"} {
		addr := serve(t, func(s *script) { s.say(head) })
		if c, err := Dial(t.Context(), Config{Protocol: JSON, Addr: addr}); err == nil {
			c.Close()
			t.Errorf("%q was taken", head)
		}
	}
}

// The buffer grows for a packet that does not fit, and its content stays.
func TestReaderGrows(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		defer server.Close()
		server.Write(bytes.Repeat([]byte("0123456789"), 10_000))
	}()
	r := reader{nc: client}
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	r.discard(10) // so that it does not start at 0
	for len(r.bytes()) < 99_990 {
		if err := r.fill(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(r.bytes(), bytes.Repeat([]byte("0123456789"), 10_000)[10:]) {
		t.Error("the bytes are not what was sent")
	}
}
