package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// authority signs the certificates of every server the suite starts, and every
// client of the suite trusts it.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

var testAuthority = sync.OnceValue(func() authority {
	a := authority{key: newKey(), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the suite's authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = sign(template, template, a.key, a.key)
	a.pool.AddCert(a.cert)
	return a
})

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

// clientTLS is the TLS configuration of the suite's clients: the certificate has to be for
// the address that they dial, and signed by authority.
func clientTLS() *tls.Config { return &tls.Config{RootCAs: testAuthority().pool} }

// certificateFiles are what --tls-cert and --tls-key name.
type certificateFiles struct{ cert, key string }

// renew puts a new certificate into the files, as an operator's tool does.
func (f certificateFiles) renew(t testing.TB, serial int64) {
	t.Helper()
	a, key := testAuthority(), newKey()
	leaf := sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "a server of the suite"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, key, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{f.cert: {Type: "CERTIFICATE", Bytes: leaf.Raw}, f.key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
}

// startSecureServer runs a server with TLS.
func startSecureServer(t *testing.T, extra ...string) (*server, certificateFiles) {
	t.Helper()
	dir := t.TempDir()
	files := certificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	files.renew(t, 100)
	return startServer(t, append(extra, "--tls-cert", files.cert, "--tls-key", files.key, "--mqtts-listen", "127.0.0.1:0")...), files
}

// dialTLS makes a connection as autopaho does, with a lock around each write: paho may write
// its first ping while it writes another packet with several calls.
func dialTLS(d *device, _ string) (net.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", d.srv.mqtts, clientTLS())
	if err != nil {
		return nil, err
	}
	return packets.NewThreadSafeConn(conn), nil
}

// The additional protocols of a server with TLS. Those of the variable protocols work there
// too, by wss instead of ws.
var (
	mqtt5TLS   = protocol{"MQTT5-tls", func(d *device, o options) (*client, error) { return connectMQTT5(d, o, dialTLS) }}
	mqtt311TLS = protocol{"MQTT311-tls", func(d *device, o options) (*client, error) { return connectMQTT311(d, o, dialTLS) }}
)

// The conversation of TestEveryPairOfProtocols, by https and the protocols with TLS.
func TestConversationsOverTLS(t *testing.T) {
	s, _ := startSecureServer(t)
	for _, pair := range [][2]protocol{{jsonProtocol, mqtt5TLS}, {mqtt311TLS, mqtt5WS}, {mqtt311WS, jsonProtocol}, {mqtt5TLS, mqtt311TLS}} {
		t.Run(pair[0].name+" and "+pair[1].name, func(t *testing.T) {
			t.Parallel()
			pairScenario(t, s, pair[0], pair[1])
		})
	}
}

// The MQTT libraries connect by their own TLS code, with an address and a configuration.
func TestLibrariesDialTLS(t *testing.T) {
	s, _ := startSecureServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	for name, target := range map[string]string{"socket": "mqtts://" + s.mqtts, "WebSocket": s.url("ws") + "/v1/realtime"} {
		t.Run("MQTT 3.1.1 by "+name, func(t *testing.T) {
			bob := s.device(t, "bob", "old-"+name)
			got := make(chan string, 64)
			cli := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(target).SetTLSConfig(clientTLS()).SetClientID(bob.id).
				SetUsername(bob.user).SetPassword(bob.token).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- string(m.Payload()) }))
			for _, step := range []func() mqtt.Token{cli.Connect, func() mqtt.Token { return cli.Subscribe("v1/threads/+/frames", 1, nil) }} {
				if token := step(); !token.WaitTimeout(patience) || token.Error() != nil {
					t.Fatal(token.Error())
				}
			}
			defer cli.Disconnect(250)
			awaitPayload(t, got, ann.send(t, group.ID, "to 3.1.1").ID)
		})
		t.Run("MQTT 5 by "+name, func(t *testing.T) {
			bob := s.device(t, "bob", "new-"+name)
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan string, 64)
			manager, err := autopaho.NewConnection(t.Context(), autopaho.ClientConfig{
				ServerUrls: []*url.URL{u}, TlsCfg: clientTLS(), KeepAlive: 30,
				ConnectUsername: bob.user, ConnectPassword: []byte(bob.token),
				ClientConfig: paho.ClientConfig{
					ClientID: bob.id,
					OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
						got <- string(p.Packet.Payload)
						return true, nil
					}},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			defer func() { _ = manager.Disconnect(ctx) }()
			if err := manager.AwaitConnection(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := manager.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "v1/threads/+/frames", QoS: 1}}}); err != nil {
				t.Fatal(err)
			}
			awaitPayload(t, got, ann.send(t, group.ID, "to 5").ID)
		})
	}
}

func awaitPayload(t *testing.T, got <-chan string, id string) {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case payload := <-got:
			if strings.Contains(payload, `"id":"`+id+`"`) {
				return
			}
		case <-deadline:
			t.Fatalf("%s did not come", id)
		}
	}
}

// The certificate is renewed while people talk: new connections get the new one, and open
// ones go on.
func TestRenewedCertificate(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	s, files := startSecureServer(t)
	ann, bob, cid := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "cid", "c")
	group := ann.createGroup(t, bob.user, cid.user)
	before := []*client{mqtt5TLS.live(t, bob, options{}), jsonProtocol.live(t, cid, options{})}
	shown := func(addr string) int64 {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, clientTLS())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := shown(s.mqtts); got != 100 {
		t.Fatalf("certificate %d is shown", got)
	}
	files.renew(t, 101)
	for _, addr := range []string{s.mqtts, s.http} {
		eventually(t, "the new certificate is shown", func() bool { return shown(addr) == 101 })
	}
	// A new certificate with the old key is no pair and is not used.
	key, err := os.ReadFile(files.key)
	if err != nil {
		t.Fatal(err)
	}
	files.renew(t, 102)
	if err := os.WriteFile(files.key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log tells of the half renewal", func() bool {
		return shown(s.mqtts) == 101 && strings.Contains(s.log.String(), "cannot use the renewed certificate")
	})
	sent := ann.send(t, group.ID, "after the renewal")
	for _, c := range before {
		c.untilMessage(t, sent.ID)
	}
}

// When the server stops, clients connected by TLS are told so with the same codes as others.
func TestTerminationOverTLS(t *testing.T) {
	s, _ := startSecureServer(t)
	ann, bob, cid := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "cid", "c")
	json, fifth, third := jsonProtocol.live(t, ann, options{}), mqtt5TLS.live(t, bob, options{}), mqtt311TLS.live(t, cid, options{})
	silent, err := net.Dial("tcp", s.mqtts)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if got := s.status("/readyz"); got != http.StatusOK {
		t.Fatalf("/readyz is %d before", got)
	}
	start := time.Now()
	s.terminate(t)
	json.awaitEnd(t, 1012)
	fifth.awaitEnd(t, 0x8B)
	third.watch(patience, func([]frame) bool { return false })
	if !third.over() {
		t.Error("the MQTT 3.1.1 connection is still there")
	}
	s.awaitExit(t)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// Refusals come through TLS with their codes.
func TestRefusalsOverTLS(t *testing.T) {
	s, _ := startSecureServer(t)
	ann := s.device(t, "ann", "a").withClaims(t, func(c claimSet) { c["exp"] = time.Now().Add(-time.Minute).Unix() })
	for _, c := range []struct {
		protocol
		want []int
	}{
		{jsonProtocol, []int{401}},
		{mqtt5TLS, []int{0x86}},
		{mqtt5WS, []int{0x86}},
		{mqtt311TLS, []int{4, 5}},
		{mqtt311WS, []int{4, 5}},
	} {
		_, err := c.connect(ann, options{})
		if got := refusedWith(err); got != c.want[0] && got != c.want[len(c.want)-1] {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
