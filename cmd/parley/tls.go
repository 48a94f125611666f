package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is the shortest time between two looks at the files of a certificate.
const lookEvery = 5 * time.Second

// certificate is the pair of --tls-cert and --tls-key
// (docs/contract.md#running-a-server). Operators renew it while the server
// runs: the first handshake after lookEvery reads the files again, and from
// then on handshakes use the new pair. A pair that is wrong or still incomplete
// changes nothing.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	failures          atomic.Int64

	mu     sync.Mutex // held by the handshake that reads the files
	looked time.Time  // when they were last read
	seen   string     // what was read then: the fingerprint of the files, or why they could not be read
}

// loadCertificate reads the pair, or says what is wrong with it.
func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, looked: time.Now()}
	certPEM, keyPEM, err := c.read()
	if err != nil {
		return nil, err
	}
	c.seen = fingerprint(certPEM, keyPEM)
	return c, c.use(certPEM, keyPEM)
}

// GetCertificate gives the pair to a handshake.
func (c *certificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() { // while another handshake reads the files, this one uses the present pair
		if time.Since(c.looked) >= lookEvery {
			c.look()
			c.looked = time.Now()
		}
		c.mu.Unlock()
	}
	return c.current.Load(), nil
}

// look reads the files and uses them if they have changed. It logs an error once, not with
// every look.
func (c *certificate) look() {
	certPEM, keyPEM, err := c.read()
	now := fingerprint(certPEM, keyPEM)
	if err != nil {
		now = err.Error()
	}
	if now == c.seen {
		return
	}
	c.seen = now
	if err == nil {
		err = c.use(certPEM, keyPEM)
	}
	if err != nil {
		c.failures.Add(1)
		c.log.Warn("cannot use the renewed certificate, the last good one stays", "error", err, "not_after", c.notAfter().UTC())
	}
}

func (c *certificate) read() (certPEM, keyPEM []byte, err error) {
	if certPEM, err = readPEM(c.certFile); err != nil {
		return nil, nil, fmt.Errorf("read --tls-cert: %w", err)
	}
	if keyPEM, err = readPEM(c.keyFile); err != nil {
		return nil, nil, fmt.Errorf("read --tls-key: %w", err)
	}
	return certPEM, keyPEM, nil
}

func (c *certificate) use(certPEM, keyPEM []byte) error {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("--tls-cert %s and --tls-key %s are no pair: %s", c.certFile, c.keyFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.current.Store(&pair)
	level, note := slog.LevelInfo, "the certificate is in use"
	if now := time.Now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		level, note = slog.LevelWarn, "the certificate is in use, and not valid now: clients will refuse it"
	}
	c.log.Log(context.Background(), level, note, "names", pair.Leaf.DNSNames, "addresses", pair.Leaf.IPAddresses,
		"not_before", pair.Leaf.NotBefore.UTC(), "not_after", pair.Leaf.NotAfter.UTC())
	return nil
}

func (c *certificate) notAfter() time.Time { return c.current.Load().Leaf.NotAfter }

// maxPEM bounds a file of certificates or keys.
const maxPEM = 1 << 20

func readPEM(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(b) > maxPEM {
		err = fmt.Errorf("%s has more than %d bytes", name, maxPEM)
	}
	return b, err
}

func fingerprint(certPEM, keyPEM []byte) string {
	sum := sha256.Sum256(bytes.Join([][]byte{certPEM, keyPEM}, []byte{0}))
	return string(sum[:])
}

// The application protocols of the two listeners (RFC 7301).
const (
	protocolHTTP = "http/1.1"
	protocolMQTT = "mqtt"
)

// config is the TLS configuration of a listener of this protocol: TLS 1.2 or 1.3, and with
// 1.2 only suites that have forward secrecy and authenticated encryption.
func (c *certificate) config(protocol string) *tls.Config {
	return &tls.Config{
		GetCertificate: c.GetCertificate,
		NextProtos:     []string{protocol},
		MinVersion:     tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// secureListener speaks TLS on each connection of another listener. The first read of a
// connection makes the handshake, under the deadline of whoever serves the connection, so
// that a silent client delays no other and is disconnected.
type secureListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (l *secureListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &secureConn{tls.Server(conn, l.config)}, nil
}

// secureConn is a TLS connection whose Close returns soon. That of tls.Conn waits up to 5 s
// until it has written TLS's goodbye to a client that reads nothing, and a stopping server
// closes one connection after the other.
type secureConn struct{ *tls.Conn }

// goodbyeTime bounds the writing of the goodbye. It is ample for a socket with room for it.
const goodbyeTime = 20 * time.Millisecond

// Close implements net.Conn.
func (c *secureConn) Close() error {
	cut := time.AfterFunc(goodbyeTime, func() { _ = c.NetConn().Close() })
	defer cut.Stop()
	return c.Conn.Close()
}
