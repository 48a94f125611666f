package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// withOpenFiles is the server under a limit of open files.
func withOpenFiles(t *testing.T, limit int) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "parley")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", limit, parleyBinary)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}

// Strangers that open connections and say nothing use up no descriptors: the oldest of them make
// room, and whoever has a token is served.
func TestStrangersUseUpNoDescriptors(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	const openFiles, strangers = 256, 600
	s := &server{
		dir: t.TempDir(), store: newStore(t, t.TempDir()), http: "127.0.0.1:0", tcp: "127.0.0.1:0",
		binary: withOpenFiles(t, openFiles),
	}
	if err := os.WriteFile(s.secretFile(), append(secret, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() {
		if s.running() {
			s.stop(t)
		}
	})
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	thread := ann.createGroup(t, "bob").ID
	resident := mqtt5TCP.live(t, bob, options{}) // since before the strangers came
	shed := make(chan struct{}, strangers)
	for i := range strangers {
		conn, err := net.DialTimeout("tcp", []string{s.tcp, s.http}[i%2], patience)
		if err != nil {
			t.Fatalf("stranger %d: %v", i, err)
		}
		t.Cleanup(func() { conn.Close() })
		if i%4 == 1 {
			_, _ = io.WriteString(conn, "POST /v1/threads HTTP/1.1\r\nHost: x\r\n") // and no more
		}
		go func() {
			_, _ = conn.Read(make([]byte, 1))
			shed <- struct{}{}
		}()
	}
	eventually(t, "strangers are shed", func() bool { return len(shed) > 0 })
	if got := s.status("/readyz"); got != http.StatusOK {
		t.Errorf("/readyz is %d among strangers", got)
	}
	line := mqtt5TCP.live(t, s.device(t, "bob", "late"), options{})
	web := jsonProtocol.live(t, s.device(t, "bob", "web"), options{})
	var last message
	for i := range 100 { // the store has to write too
		last = ann.send(t, thread, strconv.Itoa(i))
	}
	for _, c := range []*client{resident, line, web} {
		c.untilMessage(t, last.ID)
	}
	if got := s.status("/readyz"); got != http.StatusOK {
		t.Errorf("/readyz is %d after it", got)
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err == nil && len(descriptors) >= openFiles {
		t.Errorf("the server has %d of %d descriptors open", len(descriptors), openFiles)
	}
	lines := strings.Count(s.log.String(), `"level":"ERROR"`) + strings.Count(s.log.String(), `"level":"WARN"`)
	if lines > 50 {
		t.Errorf("the server warned %d times:\n%s", lines, tail(s.log.String(), 20))
	}
	t.Logf("%d strangers, %d shed, %d of %d descriptors in use, %d warnings", strangers, len(shed), len(descriptors), openFiles, lines)
}

// With as many connections of people with tokens as may be, the next is told so, on every protocol.
// Probes are answered all the same, and who leaves makes room.
func TestConnectionsInAll(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	const most = 6
	s := startServer(t, "--max-connections", strconv.Itoa(most))
	var lines []*raw
	connect := func(i int, version byte) (*raw, connack) {
		d := s.device(t, fmt.Sprint("user-", i), "phone")
		r := dialRaw(t, s, version)
		return r, r.connect(t, helloOf(d))
	}
	for i := range most {
		r, ack := connect(i, mqtt5)
		if ack.code != 0 {
			t.Fatalf("connection %d of %d: CONNACK %#x", i+1, most, ack.code)
		}
		lines = append(lines, r)
	}
	if _, ack := connect(most, mqtt5); ack.code != 0x89 {
		t.Errorf("one too many: CONNACK %#x, want 0x89", ack.code)
	}
	if _, ack := connect(most, mqtt311); ack.code != 3 {
		t.Errorf("one too many of 3.1.1: CONNACK %d, want 3", ack.code)
	}
	d := s.device(t, "ann", "phone")
	get := func(path, more string) *http.Response {
		t.Helper()
		conn, err := net.DialTimeout("tcp", s.http, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+d.token+"\r\n"+more+"\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
		return resp
	}
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for what, resp := range map[string]*http.Response{
		"REST": get("/v1/threads", ""), "a WebSocket": get("/v1/realtime", upgrade),
		"MQTT over a WebSocket": get("/v1/realtime", upgrade+"Sec-WebSocket-Protocol: mqtt\r\n"),
	} {
		var p struct{ Code string }
		_ = json.NewDecoder(resp.Body).Decode(&p)
		if resp.StatusCode != http.StatusServiceUnavailable || p.Code != "unavailable" || resp.Header.Get("Retry-After") == "" || !resp.Close {
			t.Errorf("%s: %s, %s, %v", what, resp.Status, p.Code, resp.Header)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if resp := get(path, ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for _, r := range lines { // all of them are still there
		r.ping(t)
	}
	lines[0].Close()
	eventually(t, "who left makes room", func() bool {
		_, ack := connect(most, mqtt5)
		return ack.code == 0
	})
}

// One address can have a bound of its own.
func TestConnectionsPerAddress(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	s := startServer(t, "--max-connections-per-address", "2")
	ann, bob, cid := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "cid", "c")
	first := dialRaw(t, s, mqtt5)
	first.accepted(t, helloOf(ann))
	dialRaw(t, s, mqtt5).accepted(t, helloOf(bob))
	if ack := dialRaw(t, s, mqtt5).connect(t, helloOf(cid)); ack.code != 0x89 {
		t.Errorf("the third of an address: CONNACK %#x, want 0x89", ack.code)
	}
	first.Close()
	eventually(t, "who left makes room", func() bool { return dialRaw(t, s, mqtt5).connect(t, helloOf(cid)).code == 0 })
}
