package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/rest"
)

// pair is the two files of a certificate that an operator configures.
type pair struct {
	cert, key string
	roots     *x509.CertPool // the authorities of all certificates that were ever in the files
	ends      time.Time      // when the first certificate that renew makes expires
}

func newPair(t *testing.T) *pair {
	t.Helper()
	dir := t.TempDir()
	p := &pair{
		cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
		roots: x509.NewCertPool(), ends: time.Now().Add(24 * time.Hour),
	}
	p.renew(t, 1)
	return p
}

func (p *pair) flags() []string { return []string{"--tls-cert", p.cert, "--tls-key", p.key} }

func (p *pair) client() *tls.Config { return &tls.Config{RootCAs: p.roots, ServerName: "localhost"} }

// renew writes another, self-signed certificate to the files.
func (p *pair) renew(t *testing.T, serial int64) {
	t.Helper()
	certPEM, keyPEM := p.make(t, serial)
	writeFile(t, p.cert, certPEM)
	writeFile(t, p.key, keyPEM)
}

func (p *pair) make(t *testing.T, serial int64) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint("certificate ", serial)},
		NotBefore: p.ends.Add(-48 * time.Hour), NotAfter: p.ends.Add(time.Duration(serial-1) * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.roots.AppendCertsFromPEM(certPEM)
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// dialTLS connects and gives the serial number of the server's certificate.
func dialTLS(t *testing.T, addr net.Addr, config *tls.Config) (*tls.Conn, int64) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.NetConn().Close() })
	return conn, conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestServesTLS(t *testing.T) {
	p := newPair(t)
	s := startNode(t, append(p.flags(), "--jwt-secret", testSecret, "--mqtt-listen", "127.0.0.1:0", "--mqtts-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")...)
	s.trust(p.client())
	good, err := auth.Mint([]byte(testSecret), auth.Claims{User: "alice", Scopes: scopes, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := s.get(t, "https", "/v1/threads", good); status != 200 {
		t.Errorf("by https: %d: %s", status, body)
	}
	if s.log.count(`"tls":true`) != 2 || s.log.count(`"tls":false`) != 2 {
		t.Errorf("the log should tell of two listeners with TLS and two without:\n%s", s.log)
	}

	// The plain listeners speak no TLS, and those with TLS speak nothing else.
	for what, addr := range map[string]net.Addr{"mqtts": s.mqtts.Addr(), "mqtt": s.mqtt.Addr()} {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got, err := connectMQTT(conn); (err == nil) != (what == "mqtt") {
			t.Errorf("plain to %s: %d, %v", what, got, err)
		}
	}
	secure, _ := dialTLS(t, s.mqtts.Addr(), p.client())
	if code, err := connectMQTT(secure); code != 4 && code != 5 { // the refusal of a token in MQTT
		t.Errorf("MQTT over TLS: %d, %v", code, err)
	}
	s.client.Timeout = time.Second
	if resp, err := s.client.Get("http://" + s.http.Addr().String() + "/healthz"); err == nil {
		resp.Body.Close()
		t.Errorf("by http: %s", resp.Status)
	}
	if resp, err := s.client.Get("http://" + s.scrape.Addr().String() + "/metrics"); err != nil {
		t.Error(err)
	} else {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := "parley_tls_certificate_not_after_timestamp_seconds " + strconv.FormatFloat(float64(p.ends.Unix()), 'g', -1, 64)
		if !strings.Contains(string(body), want) || !strings.Contains(string(body), "parley_tls_renewal_failures_total 0") {
			t.Errorf("the metrics have no %q", want)
		}
	}
}

// connectMQTT sends a CONNECT of MQTT 3.1.1 with a bad token, and reads the code of
// the CONNACK.
func connectMQTT(conn net.Conn) (byte, error) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("\x10\x15\x00\x04MQTT\x04\xC2\x00\x3C\x00\x01d\x00\x01u\x00\x03bad")); err != nil {
		return 0, err
	}
	var connack [4]byte
	if _, err := io.ReadFull(conn, connack[:]); err != nil {
		return 0, err
	}
	if connack[0] != 0x20 {
		return 0, fmt.Errorf("an answer of %x", connack)
	}
	return connack[3], nil
}

func TestTLSVersionsAndSuites(t *testing.T) {
	p := newPair(t)
	s := startNode(t, append(p.flags(), "--jwt-secret", testSecret, "--mqtts-listen", "127.0.0.1:0")...)
	for what, c := range map[string]struct {
		change func(*tls.Config)
		addr   net.Addr
		says   string // what the error says; "": the pair is accepted
		proto  string
	}{
		"1.2":          {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, s.http.Addr(), "", ""},
		"1.3":          {func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, s.http.Addr(), "", ""},
		"1.1":          {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, s.http.Addr(), "version", ""},
		"1.1 for MQTT": {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, s.mqtts.Addr(), "version", ""},
		"CBC": {func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}, s.http.Addr(), "handshake failure", ""},
		"a browser":           {func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, s.http.Addr(), "", "http/1.1"},
		"HTTP/2 only":         {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, s.http.Addr(), "protocol", ""},
		"MQTT with its name":  {func(c *tls.Config) { c.NextProtos = []string{"mqtt"} }, s.mqtts.Addr(), "", "mqtt"},
		"a browser, at MQTT":  {func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, s.mqtts.Addr(), "protocol", ""},
		"a stranger's trust":  {func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, s.http.Addr(), "authority", ""},
		"another host's name": {func(c *tls.Config) { c.ServerName = "chat.example" }, s.http.Addr(), "chat.example", ""},
	} {
		config := p.client()
		c.change(config)
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", c.addr.String(), config)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
		if err == nil {
			if got := conn.ConnectionState().NegotiatedProtocol; got != c.proto {
				t.Errorf("%s: speaks %q, want %q", what, got, c.proto)
			}
			conn.Close()
		}
	}
}

func TestCertificatesThatRefuseToStart(t *testing.T) {
	p, other := newPair(t), newPair(t)
	dir := t.TempDir()
	garbage := writeFile(t, filepath.Join(dir, "garbage"), []byte("garbage"))
	missing := filepath.Join(dir, "nothing")
	secret := []string{"--jwt-secret", testSecret}
	for says, args := range map[string][]string{
		"go together":                         {"--tls-cert", p.cert},
		"set both":                            {"--tls-key", p.key},
		"--mqtts-listen needs --tls-cert and": {"--mqtts-listen", "127.0.0.1:0"},
		"private key does not match":          {"--tls-cert", p.cert, "--tls-key", other.key},
		"are no pair":                         {"--tls-cert", garbage, "--tls-key", p.key},
		"key.pem and --tls-key":               {"--tls-cert", p.key, "--tls-key", p.cert}, // exchanged
		garbage:                               {"--tls-cert", p.cert, "--tls-key", garbage},
		"read --tls-cert: ":                   {"--tls-cert", missing, "--tls-key", p.key},
		"read --tls-key: ":                    {"--tls-cert", p.cert, "--tls-key", missing},
		dir + " is no plain file":             {"--tls-cert", p.cert, "--tls-key", dir},
		"--mqtts-listen: listen tcp":          append(p.flags(), "--mqtts-listen", portInUse(t)),
		"--mqtts-listen: listen tcp: address": append(p.flags(), "--mqtts-listen", "nowhere"),
		"--listen: listen tcp":                append(p.flags(), "--listen", portInUse(t)),
	} {
		refusesToStart(t, says, append(secret, args...)...)
	}
}

// An operator renews the certificate while the server runs. The next handshakes use the new
// one, and files that are no pair change nothing.
func TestRenewal(t *testing.T) {
	p := newPair(t)
	s := startNode(t, append(p.flags(), "--jwt-secret", testSecret, "--mqtts-listen", "127.0.0.1:0")...)
	shows := func(what string, serial int64) {
		t.Helper()
		s.cert.mu.Lock()
		s.cert.looked = time.Time{} // long ago
		s.cert.mu.Unlock()
		for _, addr := range []net.Addr{s.http.Addr(), s.mqtts.Addr()} {
			if _, got := dialTLS(t, addr, p.client()); got != serial {
				t.Errorf("%s: certificate %d is shown, want %d", what, got, serial)
			}
		}
	}
	const inUse, refused = `"the certificate is in use"`, "cannot use the renewed certificate"
	says := func(what string, used, refusals int) {
		t.Helper()
		if u, r := s.log.count(inUse), s.log.count(refused); u != used || r != refusals || s.cert.failures.Load() != int64(refusals) {
			t.Errorf("%s: the log tells of %d in use and %d refused, want %d and %d; %d are counted", what, u, r, used, refusals, s.cert.failures.Load())
		}
	}
	shows("at first", 1)
	standing, _ := dialTLS(t, s.mqtts.Addr(), p.client())
	says("at first", 1, 0)

	p.renew(t, 2)
	shows("renewed", 2)
	says("renewed", 2, 0)
	if code, err := connectMQTT(standing); err != nil {
		t.Errorf("a connection from before: %d, %v", code, err)
	}

	certPEM, keyPEM := p.make(t, 3)
	writeFile(t, p.cert, certPEM)
	shows("half renewed", 2)
	shows("half renewed, once more", 2)
	says("half renewed", 2, 1)
	writeFile(t, p.key, keyPEM)
	shows("wholly renewed", 3)
	says("wholly renewed", 3, 1)

	writeFile(t, p.cert, []byte("garbage"))
	shows("garbage", 3)
	says("garbage", 3, 2)
	if err := os.Remove(p.key); err != nil {
		t.Fatal(err)
	}
	shows("gone", 3)
	shows("gone, once more", 3)
	says("gone", 3, 3)
	p.renew(t, 4)
	shows("back", 4)
	says("back", 4, 3)
}

// The files are symbolic links that change together, as Kubernetes and certbot make them.
func TestRenewalByLink(t *testing.T) {
	first, second := newPair(t), newPair(t)
	second.renew(t, 2)
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	if err := os.Symlink(filepath.Dir(first.cert), link); err != nil {
		t.Fatal(err)
	}
	c, err := loadCertificate(filepath.Join(link, "cert.pem"), filepath.Join(link, "key.pem"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(filepath.Dir(second.cert), link+"2"), os.Rename(link+"2", link)); err != nil {
		t.Fatal(err)
	}
	for _, serial := range []int64{1, 2} { // the files are not read again before lookEvery is over
		got, err := c.GetCertificate(nil)
		if err != nil || got.Leaf.SerialNumber.Int64() != serial {
			t.Errorf("certificate %v, %v, want %d", got.Leaf.SerialNumber, err, serial)
		}
		c.looked = c.looked.Add(-lookEvery)
	}
}

func TestCertificateThatIsOver(t *testing.T) {
	p := newPair(t)
	p.ends = time.Now().Add(-time.Hour)
	p.renew(t, 1)
	var log logBuffer
	if _, err := loadCertificate(p.cert, p.key, slog.New(slog.NewJSONHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if log.count(`"WARN"`) != 1 || log.count("clients will refuse it") != 1 {
		t.Errorf("the log: %s", log.String())
	}
}

// A client that connects and sends nothing, or stops within the handshake, is disconnected.
func TestSilentClientOfMQTTS(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := startNode(t, append(p.flags(), "--jwt-secret", testSecret, "--mqtts-listen", "127.0.0.1:0")...)
	silentClients(t, s.mqtts.Addr(), p)
}

func TestSilentClientOfHTTPS(t *testing.T) {
	p := newPair(t)
	c, err := loadCertificate(p.cert, p.key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := rest.New(rest.Config{Limits: rest.Limits{ReadTimeout: 300 * time.Millisecond}})
	served := make(chan error, 1)
	go func() { served <- server.Serve(&secureListener{ln, c.config(protocolHTTP)}) }()
	silentClients(t, ln.Addr(), p)
	if err := errors.Join(server.Shutdown(context.Background()), <-served); err != nil {
		t.Error(err)
	}
}

func silentClients(t *testing.T, addr net.Addr, p *pair) {
	t.Helper()
	clients := map[string]net.Conn{}
	for _, said := range []string{"", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"} {
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			_, err = conn.Write([]byte(said))
		}
		if err != nil {
			t.Fatal(err)
		}
		clients[fmt.Sprintf("after %d bytes", len(said))] = conn
	}
	clients["after the handshake"], _ = dialTLS(t, addr, p.client())
	for what, conn := range clients {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		for {
			if _, err := conn.Read(make([]byte, 512)); err != nil { // over HTTP the server first answers with the reason
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: still connected", what)
				}
				break
			}
		}
		conn.Close()
	}
}

// Closing never waits for a client that reads nothing.
func TestSecureConnClosesAtOnce(t *testing.T) {
	p := newPair(t)
	c, err := loadCertificate(p.cert, p.key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe() // without a buffer: a write waits until it is read
	defer theirs.Close()
	client := tls.Client(theirs, p.client())
	shaken := make(chan error, 1)
	go func() {
		// The server sends the tickets of TLS 1.3 after the handshake, and this client does not read them.
		shaken <- client.Handshake()
	}()
	config := c.config(protocolHTTP)
	config.SessionTicketsDisabled = true
	conn := &secureConn{tls.Server(ours, config)}
	if err := errors.Join(conn.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_ = conn.Close()
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// A stop with TLS clients of every kind is as quick as one without clients.
func TestStopWithTLS(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := startNode(t, append(p.flags(), "--jwt-secret", testSecret, "--mqtts-listen", "127.0.0.1:0")...)
	for _, addr := range []net.Addr{s.http.Addr(), s.mqtts.Addr()} {
		silent, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		dialTLS(t, addr, p.client())
	}
	start := time.Now()
	s.leave()
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestWelcomeTellsOfTLS(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	for secure, want := range map[bool][]string{true: {"https://127.0.0.1:8080/v1/threads", "wss://127"}, false: {"http://127.0.0.1:8080/v1/threads", "ws://127"}} {
		var out strings.Builder
		if err := welcome(&out, []byte(testSecret), addr, secure, nil); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("secure %v: no %q in\n%s", secure, w, out.String())
			}
		}
		if strings.Contains(out.String(), "%!") {
			t.Errorf("a bad format:\n%s", out.String())
		}
	}
}
