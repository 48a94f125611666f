package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// A frame that a client sends right behind its upgrade request, before the answer, is
// handled. The connection is like any other: it gets frames, and the server sees its end.
func TestFrameBehindTheUpgrade(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	conn, err := net.Dial("tcp", s.http)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	frame := `{"t":"typing"}` // without a thread
	request := fmt.Sprintf("GET /v1/realtime HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: parley.v1\r\n\r\n", s.http, bob.token)
	masked := append([]byte{0x81, 0x80 | byte(len(frame)), 0, 0, 0, 0}, frame...) // a mask of zeros
	if _, err := conn.Write(append([]byte(request), masked...)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade: %v, %v", answer, err)
	}
	next := func() (f struct{ T, Code string }) {
		t.Helper()
		var header [2]byte
		for i := range header {
			if header[i], err = in.ReadByte(); err != nil {
				t.Fatal(err)
			}
		}
		length := int(header[1])
		if length == 126 {
			high, _ := in.ReadByte()
			low, _ := in.ReadByte()
			length = int(high)<<8 | int(low)
		}
		payload := make([]byte, length)
		for i := range payload {
			if payload[i], err = in.ReadByte(); err != nil {
				t.Fatal(err)
			}
		}
		if header[0] != 0x81 || json.Unmarshal(payload, &f) != nil {
			t.Fatalf("got %#x %q", header[0], payload)
		}
		return f
	}
	seen := map[string]bool{}
	for !seen["error"] || !seen["caught_up"] {
		seen[next().T] = true
	}
	ann.createGroup(t, bob.user)
	for !seen["thread"] {
		seen[next().T] = true
	}
	_ = conn.Close()
	eventually(t, "that bob is gone", func() bool { return s.metric(t, "parley_sessions") == 0 })
}
