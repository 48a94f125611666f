package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

// What follows runs the real proxies with the files of deploy/: only addresses, the paths of
// the certificate and the times of idle connections are replaced.

// proxyExample is a proxy's configuration as it is shipped.
type proxyExample struct {
	program, file string
	args          func(file string) []string
	listen        func(text string, https, mqtts, mqtt string) string // with addresses of the test
	http, mqtt    bool                                                // what it forwards
}

var proxyExamples = map[string]proxyExample{
	"nginx": {
		program: "nginx", file: "proxies/nginx.conf", http: true, mqtt: true,
		args: func(file string) []string {
			return []string{"-c", file, "-g", "daemon off; pid " + file + ".pid; error_log stderr notice;"}
		},
		listen: func(text, https, mqtts, mqtt string) string {
			return strings.NewReplacer("listen 443 ", "listen "+https+" ", "listen 8883 ", "listen "+mqtts+" ", "listen 1883;", "listen "+mqtt+";").Replace(text)
		},
	},
	"HAProxy": {
		program: "haproxy", file: "proxies/haproxy.cfg", http: true, mqtt: true,
		args: func(file string) []string { return []string{"-db", "-f", file} },
		listen: func(text, https, mqtts, mqtt string) string {
			return strings.NewReplacer("bind :443 ", "bind "+https+" ", "bind :8883 ", "bind "+mqtts+" ", "bind :1883\n", "bind "+mqtt+"\n").Replace(text)
		},
	},
	"HAProxy of compose": {
		program: "haproxy", file: "compose/haproxy.cfg", mqtt: true,
		args: func(file string) []string { return []string{"-db", "-f", file} },
		listen: func(text, _, mqtts, _ string) string {
			return strings.ReplaceAll(text, "bind :8883 ", "bind "+mqtts+" ")
		},
	},
	"Caddy": {
		program: "caddy", file: "proxies/Caddyfile", http: true,
		args: caddyArgs,
		listen: func(text, https, _, _ string) string {
			return caddyOptions + strings.ReplaceAll(text, "chat.example.com {", "https://"+https+" {")
		},
	},
	"Caddy of compose": {
		program: "caddy", file: "compose/Caddyfile", http: true,
		args: caddyArgs,
		listen: func(text, https, _, _ string) string {
			return caddyOptions + strings.ReplaceAll(text, "localhost {", "https://"+https+" {")
		},
	},
}

// caddyOptions have Caddy open no ports but those of the site.
const caddyOptions = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"

func caddyArgs(file string) []string {
	return []string{"run", "--adapter", "caddyfile", "--config", file}
}

// REST, WebSockets and MQTT go through each proxy, idle connections stay, and the server
// learns the addresses of the clients and of nobody whom they name.
func TestProxies(t *testing.T) {
	beforeTheStore(t)
	for name, example := range proxyExamples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := exec.LookPath(example.program)
			if err != nil {
				t.Skipf("there is no %s on this machine: install it to test deploy/%s", example.program, example.file)
			}
			s := startServer(t, "--trusted-proxies", "127.0.0.1", "--ping-interval", "3s")
			front := example.start(t, program, s)
			for _, pair := range example.pairs() {
				t.Run(pair[0].name+" and "+pair[1].name, func(t *testing.T) { pairScenario(t, front, pair[0], pair[1]) })
			}
			if example.http {
				checkForwardedAddress(t, front, s)
				checkIdleConnections(t, front)
			}
			if example.mqtt {
				checkProxiedAddress(t, front, s)
			}
		})
	}
}

// pairs are conversations by all protocols that the proxy forwards.
func (p proxyExample) pairs() [][2]protocol {
	switch {
	case !p.mqtt:
		return [][2]protocol{{jsonProtocol, mqtt5WS}, {mqtt311WS, jsonProtocol}}
	case !p.http:
		return [][2]protocol{{mqtt5TLS, mqtt311TLS}}
	case strings.Contains(p.file, "nginx"):
		return [][2]protocol{{jsonProtocol, mqtt5TLS}, {mqtt311TLS, mqtt5WS}, {mqtt311WS, jsonProtocol}, {mqtt5TCP, mqtt311TCP}}
	default:
		return [][2]protocol{{jsonProtocol, mqtt311TLS}, {mqtt5TLS, mqtt311WS}, {mqtt5WS, jsonProtocol}, {mqtt311TCP, mqtt5TCP}}
	}
}

// start runs the proxy before two nodes: the server, and an address at which nobody listens,
// as when a node has died. It gives a server whose addresses are those of the proxy, as far as
// it forwards.
func (p proxyExample) start(t *testing.T, program string, s *server) *server {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // a proxy may read as another user
		t.Fatal(err)
	}
	files := certificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	files.renew(t, 1)
	both := filepath.Join(dir, "both.pem")
	writeAll(t, both, readAll(t, files.cert)+readAll(t, files.key))

	https, mqtts, mqtt, dead := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	shipped := readAll(t, filepath.Join("..", "..", "deploy", p.file))
	text := p.listen(shipped, https, mqtts, mqtt)
	_, httpPort, err := net.SplitHostPort(s.http)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer(
		"10.0.0.11:8080", s.http, "10.0.0.12:8080", dead, "node1:8080", s.http, "node2:8080", dead,
		"10.0.0.11:1883", s.tcp, "10.0.0.12:1883", dead, "node1:1883", s.tcp, "node2:1883", dead,
		"check port 8080", "check port "+httpPort, " 60s", " 6s",
		"/etc/nginx/parley.crt", files.cert, "/etc/nginx/parley.key", files.key, "/etc/haproxy/parley.pem", both,
		"/etc/caddy/parley.crt", files.cert, "/etc/caddy/parley.key", files.key,
	).Replace(text)
	for _, left := range []string{"10.0.0.", "node1:", "/etc/caddy", "/etc/haproxy", "/etc/nginx/parley"} {
		if strings.Contains(text, left) {
			t.Fatalf("deploy/%s has %q in a place that this test does not know", p.file, left)
		}
	}
	config := filepath.Join(dir, "proxy.conf")
	writeAll(t, config, text)
	runProxy(t, program, dir, p.args(config)...)

	front := &server{dir: s.dir, store: s.store, http: https, mqtts: mqtts, tcp: mqtt, log: s.log}
	if p.http {
		eventually(t, "the proxy forwards", func() bool { return front.status("/readyz") == http.StatusOK })
		if got := front.status("/metrics"); got != http.StatusNotFound {
			t.Errorf("/metrics is %d to the public", got)
		}
		return front
	}
	eventually(t, "the proxy listens", func() bool {
		conn, err := net.Dial("tcp", mqtts)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	// REST goes to the server itself, whose certificate nobody checks since it has none.
	front.http, front.plainHTTP = s.http, true
	return front
}

// runProxy runs a proxy until the test ends.
func runProxy(t *testing.T, program, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	said := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it may have workers
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // it says that it was killed
		if t.Failed() {
			t.Logf("%s said:\n%s", program, said)
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String implements fmt.Stringer.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// elsewhere is an address of this machine that no proxy has: clients dial from it.
const elsewhere = "127.0.0.2"

func fromElsewhere() *net.Dialer {
	return &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(elsewhere)}}
}

// checkForwardedAddress has a client say that it is somebody else.
func checkForwardedAddress(t *testing.T, front, s *server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, front.url("http")+"/v1/threads", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	req.Header.Set("Authorization", "Bearer no.token.here")
	client := &http.Client{Transport: &http.Transport{DialContext: fromElsewhere().DialContext, TLSClientConfig: clientTLS(), DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	line := s.awaitLine(t, "request", func(l logLine) bool { return l.Status == http.StatusUnauthorized })
	if resp.StatusCode != http.StatusUnauthorized || line.Addr != elsewhere {
		t.Errorf("status %d, logged as from %s, want 401 from %s", resp.StatusCode, line.Addr, elsewhere)
	}
}

// checkProxiedAddress looks for the address of an MQTT client.
func checkProxiedAddress(t *testing.T, front, s *server) {
	t.Helper()
	d := front.device(t, "dan", "d")
	c, err := connectMQTT5(d, options{}, func(d *device, _ string) (net.Conn, error) {
		conn, err := tls.DialWithDialer(fromElsewhere(), "tcp", d.srv.mqtts, clientTLS())
		if err != nil {
			return nil, err
		}
		return packets.NewThreadSafeConn(conn), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.untilType(t, "caught_up")
	c.close()
	line := s.awaitLine(t, "connection ended", ofDevice(d.user, d.id))
	if host, _, err := net.SplitHostPort(line.Addr); err != nil || host != elsewhere {
		t.Errorf("an MQTT client is logged as from %s, want %s", line.Addr, elsewhere)
	}
}

// checkIdleConnections leaves WebSockets without traffic but the server's pings, for longer than
// the proxy keeps what is idle: three pings take 9 s, and it cuts after 6.
func checkIdleConnections(t *testing.T, front *server) {
	t.Helper()
	ann, bob := front.device(t, "ann", "idle"), front.device(t, "bob", "idle")
	group := ann.createGroup(t, bob.user)
	onJSON, onMQTT := jsonProtocol.live(t, ann, options{}), mqtt5WS.live(t, bob, options{})
	pings := 0
	onJSON.until(t, "third ping", func(f frame) bool {
		if f.T == "ping" {
			pings++
		}
		return pings == 3
	})
	sent := front.device(t, "bob", "other").send(t, group.ID, "still there?")
	onJSON.untilMessage(t, sent.ID)
	onMQTT.untilMessage(t, sent.ID)
}

// freeAddress is an address on which nobody listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func readAll(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeAll(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
