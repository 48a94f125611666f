package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// logLine is what the tests look at in a line of the server's log.
type logLine struct {
	Msg, Level, Protocol, Over, Addr, User, Device, Reason, Route, Code string

	LastedMS *int64 `json:"lasted_ms"`
	Frames   *int
	Status   int
	NotShown int `json:"not_shown"`
}

// lines are the lines of the log with this message.
func (l *serverLog) of(msg string) []logLine {
	var found []logLine
	for text := range strings.Lines(l.String()) {
		var line logLine
		if json.Unmarshal([]byte(text), &line) == nil && line.Msg == msg {
			found = append(found, line)
		}
	}
	return found
}

// awaitLine waits for the one line of the log with this message about a device.
func (s *server) awaitLine(t *testing.T, msg string, about func(logLine) bool) logLine {
	t.Helper()
	var found []logLine
	eventually(t, "the log has the line "+msg, func() bool {
		found = nil
		for _, line := range s.log.of(msg) {
			if about(line) {
				found = append(found, line)
			}
		}
		return len(found) > 0
	})
	if len(found) > 1 {
		t.Errorf("%d lines %q, want one: %+v", len(found), msg, found)
	}
	return found[0]
}

func ofDevice(user, device string) func(logLine) bool {
	return func(l logLine) bool { return l.User == user && l.Device == device }
}

func TestEveryEndOfAConnectionIsOneLine(t *testing.T) {
	s := startServer(t, "--ping-interval", "300ms")
	kinds := map[string]struct{ protocol, over string }{
		"JSON": {"json", "websocket"}, "MQTT5-ws": {"mqtt5", "websocket"}, "MQTT5-tcp": {"mqtt5", "tcp"},
		"MQTT311-ws": {"mqtt3.1.1", "websocket"}, "MQTT311-tcp": {"mqtt3.1.1", "tcp"},
	}
	check := func(t *testing.T, p protocol, d *device, reason string, frames int) {
		t.Helper()
		line := s.awaitLine(t, "connection ended", ofDevice(d.user, d.id))
		want := kinds[p.name]
		if line.Protocol != want.protocol || line.Over != want.over || line.Level != "INFO" {
			t.Errorf("%s over %s at %s, want %s over %s at INFO", line.Protocol, line.Over, line.Level, want.protocol, want.over)
		}
		if line.Reason != reason {
			t.Errorf("it ended for %q, want %q", line.Reason, reason)
		}
		if host, _, err := net.SplitHostPort(line.Addr); err != nil || host != "127.0.0.1" {
			t.Errorf("the address is %q", line.Addr)
		}
		if line.LastedMS == nil || *line.LastedMS < 0 || *line.LastedMS > patience.Milliseconds() {
			t.Errorf("it lasted %v ms", line.LastedMS)
		}
		if line.Frames == nil || *line.Frames < frames {
			t.Errorf("it was sent %v frames, want %d at least", line.Frames, frames)
		}
	}
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			user := "ann-" + p.name
			leaves, goes, old := s.device(t, user, "leaves"), s.device(t, user, "goes"), s.device(t, user, "old")
			bob := s.device(t, "bob-"+p.name, "b")
			thread := bob.createGroup(t, user)
			c := p.live(t, leaves, options{})
			c.untilMessage(t, bob.send(t, thread.ID, "hello").ID)
			c.close()
			check(t, p, leaves, "client_disconnected", 2)
			p.live(t, goes, options{}).drop()
			check(t, p, goes, "client_gone", 1)
			p.live(t, old, options{})
			p.live(t, old, options{}).close()
			ends := func() (lines []logLine) {
				for _, l := range s.log.of("connection ended") {
					if l.User == user && l.Device == "old" {
						lines = append(lines, l)
					}
				}
				return lines
			}
			eventually(t, "both connections of the device have ended", func() bool { return len(ends()) == 2 })
			reasons := map[string]bool{}
			for _, l := range ends() {
				reasons[l.Reason] = true
			}
			if !reasons["taken_over"] || !reasons["client_disconnected"] {
				t.Errorf("a takeover and a goodbye have the reasons %v", reasons)
			}
		})
	}

	t.Run("a malformed packet", func(t *testing.T) {
		d := s.device(t, "cid", "bad")
		r := dialRaw(t, s, mqtt5)
		r.accepted(t, helloOf(d))
		r.bytes(t, []byte{0x82, 2, 0, 1}) // a SUBSCRIBE without a filter
		if line := s.awaitLine(t, "connection ended", ofDevice("cid", "bad")); line.Reason != "protocol_error" && line.Reason != "malformed" {
			t.Errorf("it ended for %q", line.Reason)
		}
	})
	t.Run("a silent JSON client", func(t *testing.T) {
		d := s.device(t, "cid", "silent")
		conn := rawUpgrade(t, s, d)
		_, _ = io.Copy(io.Discard, conn) // reads, and answers no ping
		if line := s.awaitLine(t, "connection ended", ofDevice("cid", "silent")); line.Reason != "unresponsive" {
			t.Errorf("it ended for %q", line.Reason)
		}
	})
	t.Run("a keep-alive that has passed", func(t *testing.T) {
		d := s.device(t, "cid", "asleep")
		h := helloOf(d)
		h.keepAlive = 1
		dialRaw(t, s, mqtt5).accepted(t, h)
		if line := s.awaitLine(t, "connection ended", ofDevice("cid", "asleep")); line.Reason != "keep_alive" {
			t.Errorf("it ended for %q", line.Reason)
		}
	})
	t.Run("an expired token", func(t *testing.T) {
		claims := userClaims("cid", "expired")
		claims["exp"] = time.Now().Add(time.Second).Unix()
		d := &device{srv: s, user: "cid", id: "expired", token: mint(t, secret, claims)}
		jsonProtocol.open(t, d, options{})
		if line := s.awaitLine(t, "connection ended", ofDevice("cid", "expired")); line.Reason != "token_expired" {
			t.Errorf("it ended for %q", line.Reason)
		}
	})
	t.Run("a stop", func(t *testing.T) {
		jsonProtocol.live(t, s.device(t, "cid", "last"), options{})
		s.stop(t)
		if line := s.awaitLine(t, "connection ended", ofDevice("cid", "last")); line.Reason != "shutting_down" {
			t.Errorf("it ended for %q", line.Reason)
		}
	})
}

// rawUpgrade is a WebSocket of a device whose client answers nothing.
func rawUpgrade(t *testing.T, s *server, d *device, headers ...string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.http, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /v1/realtime HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nAuthorization: Bearer %s\r\n%s\r\n", s.http, d.token, strings.Join(headers, ""))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// A client that is not admitted is a line that says why, by every protocol; the client itself
// is told no more than before.
func TestEveryRefusedConnectSaysWhy(t *testing.T) {
	beforeTheStore(t)
	s := startServer(t, "--jwt-issuer", "https://issuer.example", "--max-connections-per-user", "1")
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := userClaims("ann", "")
		c["iss"] = "https://issuer.example"
		change(c)
		return c
	}
	token := func(change func(jwt.MapClaims)) string { return mint(t, secret, claims(change)) }
	nothing := func(jwt.MapClaims) {}
	first := &device{srv: s, user: "many", id: "first", token: token(func(c jwt.MapClaims) { c["sub"], c["device_id"] = "many", "first" })}
	jsonProtocol.live(t, first, options{})
	for _, c := range []struct{ reason, user, token string }{
		{"expired", "", token(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() })},
		{"signature", "", mint(t, []byte("another secret of more than 32 bytes"), claims(nothing))},
		{"issuer", "", token(func(c jwt.MapClaims) { c["iss"] = "https://else.example" })},
		{"not valid yet", "", token(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() })},
		{"no exp", "", token(func(c jwt.MapClaims) { delete(c, "exp") })},
		{"malformed", "", "no.token.here"},
		{"missing_scope", "ann", token(func(c jwt.MapClaims) { c["scope"] = "chat.write" })},
		{"rate_limited", "many", token(func(c jwt.MapClaims) { c["sub"] = "many" })},
	} {
		for _, p := range []protocol{jsonProtocol, mqtt5TCP, mqtt311WS} {
			t.Run(c.reason+" by "+p.name, func(t *testing.T) {
				id := strings.ReplaceAll(c.reason, " ", "-") + "." + p.name
				d := &device{srv: s, user: cmp.Or(c.user, "ann"), id: id, token: c.token} // a 3.1.1 client sends no password without a name
				protocol := map[string]string{"JSON": "json", "MQTT5-tcp": "mqtt5", "MQTT311-ws": "mqtt3.1.1"}[p.name]
				var line logLine
				eventually(t, "the log says that it was refused", func() bool {
					if _, err := p.connect(d, options{}); err == nil { // again: only ten lines a second are shown
						t.Fatal("it was admitted")
					}
					for _, line = range s.log.of("connect refused") {
						if line.Reason == c.reason && line.Protocol == protocol {
							return true
						}
					}
					return false
				})
				if line.User != c.user || line.Addr == "" || line.Level != "INFO" {
					t.Errorf("the line is %+v, want the user %q", line, c.user)
				}
			})
		}
	}
	t.Run("origin", func(t *testing.T) {
		header := http.Header{"Authorization": {"Bearer " + token(nothing)}, "Origin": {"https://evil.example"}}
		eventually(t, "the log says that it was refused", func() bool {
			if _, err := connectJSONWith(nil, options{}, s.url("ws")+"/v1/realtime", header, nil); refusedWith(err) != http.StatusForbidden {
				t.Fatalf("it was refused with %v", err) // again: only ten lines a second are shown
			}
			return slices.ContainsFunc(s.log.of("connect refused"), func(l logLine) bool { return l.Reason == "origin_not_allowed" })
		})
	})
	if strings.Contains(s.log.String(), "eyJ") {
		t.Error("the log holds a token")
	}
}

func TestRefusedConnectsAreSampled(t *testing.T) {
	beforeTheStore(t)
	s := startServer(t)
	const attempts = 300
	bad := hello{clientID: "x", password: "no.token.here", keepAlive: 60}
	began := time.Now()
	for range attempts {
		r := dialRaw(t, s, mqtt5)
		if ack := r.connect(t, bad); ack.code != 0x86 {
			t.Fatalf("CONNACK %#x", ack.code)
		}
		r.Close()
	}
	seconds := int(time.Since(began)/time.Second) + 2
	lines, told := s.log.of("connect refused"), 0
	for _, l := range lines {
		told += 1 + l.NotShown
	}
	t.Logf("%d refused in %v: %d lines, which tell of %d", attempts, time.Since(began).Round(time.Millisecond), len(lines), told)
	if len(lines) < 10 || len(lines) > 10*seconds {
		t.Errorf("%d lines, want 10 a second", len(lines))
	}
	if told > attempts {
		t.Errorf("the lines tell of %d, there were %d", told, attempts)
	}
	if n := s.metric(t, `parley_connects_refused_total{protocol="mqtt5",reason="malformed"}`); n != attempts {
		t.Errorf("%v are counted, there were %d", n, attempts)
	}
}

func TestClientAddressBehindProxies(t *testing.T) {
	beforeTheStore(t)
	const client = "198.51.100.7"
	v2 := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\x7f\x00\x00\x01\x04\xd2\x07\x5b") // 198.51.100.7:1234
	v1 := []byte("PROXY TCP4 198.51.100.7 127.0.0.1 1234 1883\r\n")
	trusting, strict := startServer(t, "--trusted-proxies", "10.0.0.0/8,127.0.0.1"), startServer(t, "--trusted-proxies", "10.0.0.0/8")
	connect := func(t *testing.T, s *server, user string, header []byte) {
		t.Helper()
		d := s.device(t, user, "d")
		r := dialRaw(t, s, mqtt5)
		r.bytes(t, header)
		r.accepted(t, helloOf(d))
		r.bytes(t, []byte{0xE0, 0})
	}
	host := func(addr string) string {
		if h, _, err := net.SplitHostPort(addr); err == nil {
			return h
		}
		return addr
	}
	for name, c := range map[string]struct {
		header []byte
		want   string
	}{"v1": {v1, client}, "v2": {v2, client}, "none": {nil, "127.0.0.1"}} {
		t.Run("MQTT behind a proxy, PROXY "+name, func(t *testing.T) {
			connect(t, trusting, name, c.header)
			if line := trusting.awaitLine(t, "connection ended", ofDevice(name, "d")); host(line.Addr) != c.want {
				t.Errorf("the address is %q, want %q", line.Addr, c.want)
			}
		})
		if c.header == nil {
			continue
		}
		t.Run("a stranger's PROXY "+name+" is no MQTT", func(t *testing.T) {
			r := dialRaw(t, strict, mqtt5)
			r.bytes(t, c.header)
			_ = r.SetReadDeadline(time.Now().Add(patience))
			if n, err := r.Read(make([]byte, 1)); err == nil {
				t.Errorf("it was answered with %d bytes", n)
			}
		})
	}
	for _, c := range []struct {
		name, forwarded, want string
		s                     *server
	}{
		{"a proxy's word", client, client, trusting},
		{"what the client made up stands left", "1.1.1.1, " + client, client, trusting},
		{"two proxies", client + ", 10.1.2.3", client, trusting},
		{"a stranger's word", client, "127.0.0.1", strict},
	} {
		t.Run("WebSocket, "+c.name, func(t *testing.T) {
			user := strings.NewReplacer(" ", "-", "'", "-", ",", "-").Replace(c.name)
			d := c.s.device(t, user, "d")
			header := http.Header{"Authorization": {"Bearer " + d.token}, "X-Forwarded-For": {c.forwarded}}
			conn, err := connectJSONWith(d, options{}, d.realtimeURL("ws", ""), header, nil)
			if err != nil {
				t.Fatal(err)
			}
			conn.close()
			if line := c.s.awaitLine(t, "connection ended", ofDevice(user, "d")); host(line.Addr) != c.want {
				t.Errorf("the address is %q, want %q", line.Addr, c.want)
			}
		})
		t.Run("MQTT over WebSocket, "+c.name, func(t *testing.T) {
			user := "m-" + strings.NewReplacer(" ", "-", "'", "-", ",", "-").Replace(c.name)
			d := c.s.device(t, user, "d")
			conn, err := mqtt.NewWebsocket(d.realtimeURL("ws", ""), nil, patience, http.Header{"X-Forwarded-For": {c.forwarded}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := rawOn(t, conn, mqtt5)
			r.accepted(t, helloOf(d))
			r.Close()
			if line := c.s.awaitLine(t, "connection ended", ofDevice(user, "d")); host(line.Addr) != c.want {
				t.Errorf("the address is %q, want %q", line.Addr, c.want)
			}
		})
	}
}
