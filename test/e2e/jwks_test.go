package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuerKey is a key that an issuer of tokens signs with.
type issuerKey struct {
	kid    string
	method jwt.SigningMethod
	key    crypto.Signer
}

func newIssuerKey(t testing.TB, alg, kid string) issuerKey {
	t.Helper()
	k := issuerKey{kid: kid, method: jwt.GetSigningMethod(alg)}
	var err error
	switch alg {
	case "RS256":
		k.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		k.key = newKey()
	case "EdDSA":
		_, k.key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k issuerKey) jwk() map[string]string {
	encode := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kid": k.kid, "alg": k.method.Alg(), "use": "sig"}
	switch public := k.key.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := public.Bytes()
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", encode(point[1:33]), encode(point[33:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(public)
	}
	return jwk
}

// mint signs claims with key, which need not be the key that the token's header names.
func (k issuerKey) mint(t testing.TB, claims claimSet, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(k.method, claims)
	token.Header["kid"] = k.kid
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// device is a user's device with a token of this key.
func (k issuerKey) device(t testing.TB, s *server, user, id string) *device {
	t.Helper()
	return &device{srv: s, user: user, id: id, token: k.mint(t, userClaims(user, id), k.key)}
}

// issuer publishes a key set and counts who asks for it.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []issuerKey
	down    bool
	fetches int
}

func startIssuer(t testing.TB, keys ...issuerKey) *issuer {
	t.Helper()
	i := &issuer{keys: keys}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.fetches++
		if i.down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		doc := map[string][]map[string]string{"keys": {}}
		for _, k := range i.keys {
			doc["keys"] = append(doc["keys"], k.jwk())
		}
		_ = json.NewEncoder(w).Encode(doc)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) publish(down bool, keys ...issuerKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys, i.down = keys, down
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// tokenRefused checks that the token is refused by REST and by each protocol.
func (d *device) tokenRefused(t *testing.T, what string) {
	t.Helper()
	d.must(t, http.StatusUnauthorized, http.MethodGet, "/v1/threads", nil)
	if _, err := jsonProtocol.connect(d, options{}); refusedWith(err) != 401 {
		t.Errorf("%s: JSON: %v, want 401", what, err)
	}
	if got := dialRaw(t, d.srv, mqtt5).connect(t, helloOf(d)).code; got != 0x86 {
		t.Errorf("%s: MQTT 5: %#x, want 0x86", what, got)
	}
	if got := dialRawWS(t, d.srv, mqtt311, "").connect(t, helloOf(d)).code; got != 4 && got != 5 {
		t.Errorf("%s: MQTT 3.1.1: %d, want 4 or 5", what, got)
	}
}

// Tokens of every algorithm are accepted beside those of the secret, and people whose
// tokens have different keys talk to each other.
func TestTokensOfAKeySet(t *testing.T) {
	keys := []issuerKey{newIssuerKey(t, "RS256", "r"), newIssuerKey(t, "ES256", "e"), newIssuerKey(t, "EdDSA", "d")}
	s := startServer(t, "--jwks", startIssuer(t, keys...).URL+"/jwks")
	ann := s.device(t, "ann", "a") // her token is signed with the secret
	group := ann.createGroup(t, "RS256", "ES256", "EdDSA")
	var lines []*client
	for n, p := range []protocol{jsonProtocol, mqtt5TCP, mqtt311WS} {
		lines = append(lines, p.live(t, keys[n].device(t, s, keys[n].method.Alg(), "x"), options{}))
	}
	sent := ann.send(t, group.ID, "to all")
	for _, line := range lines {
		line.untilMessage(t, sent.ID)
	}

	for what, token := range forgeries(t, keys) {
		(&device{srv: s, user: "RS256", id: "x", token: token}).tokenRefused(t, what)
	}
}

// forgeries are tokens of a user that no key of the set has signed as its alg and kid say.
func forgeries(t *testing.T, keys []issuerKey) map[string]string {
	t.Helper()
	claims := userClaims("RS256", "x")
	rs, es := keys[0], keys[1]
	der, err := x509.MarshalPKIXPublicKey(rs.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := issuerKey{kid: rs.kid, method: jwt.SigningMethodHS256}
	ps := issuerKey{kid: rs.kid, method: jwt.SigningMethodPS256}
	return map[string]string{
		"HS256 by the public key":     hs.mint(t, claims, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256 by its DER":            hs.mint(t, claims, der),
		"HS256 by its modulus":        hs.mint(t, claims, []byte(rs.jwk()["n"])),
		"PS256 by the RSA key":        ps.mint(t, claims, rs.key),
		"none":                        issuerKey{rs.kid, jwt.SigningMethodNone, nil}.mint(t, claims, jwt.UnsafeAllowNoneSignatureType),
		"another key of the same kid": rs.mint(t, claims, newIssuerKey(t, "RS256", "r").key),
		"the kid of another kind":     issuerKey{kid: es.kid, method: rs.method}.mint(t, claims, rs.key),
		"an unknown kid":              issuerKey{kid: "made up", method: es.method}.mint(t, claims, es.key),
	}
}

// The issuer changes its keys, and for a while does not answer. Tokens of the keys in the
// set stay good throughout, and those of a removed key are refused.
func TestKeyRotation(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	before, after := newIssuerKey(t, "ES256", "before"), newIssuerKey(t, "ES256", "after")
	started, issuer := time.Now(), startIssuer(t, before)
	s := startServer(t, "--jwks", issuer.URL)
	ann, bob := before.device(t, s, "ann", "a"), after.device(t, s, "bob", "b")
	group := ann.createGroup(t, bob.user)
	annLine := mqtt5TCP.live(t, ann, options{})

	issuer.publish(false, before, after) // first both keys, so that the old tokens stay good
	bobLine := jsonProtocol.live(t, bob, options{})
	if n := issuer.count(); n != 2 {
		t.Errorf("the keys were fetched %d times for one unknown kid", n)
	}
	bobLine.untilMessage(t, ann.send(t, group.ID, "of the old key").ID)
	annLine.untilMessage(t, bob.send(t, group.ID, "of the new key").ID)

	issuer.publish(true)
	for n := range 20 {
		eve := issuerKey{kid: fmt.Sprint("made up ", n), method: after.method}
		(&device{srv: s, user: "ann", id: "a", token: eve.mint(t, userClaims("ann", "a"), after.key)}).
			must(t, http.StatusUnauthorized, http.MethodGet, "/v1/threads", nil)
	}
	bobLine.untilMessage(t, ann.send(t, group.ID, "the issuer is away").ID)

	issuer.publish(false, after) // the old key goes
	last := newIssuerKey(t, "EdDSA", "last")
	eventually(t, "the old key is gone", func() bool {
		// A token with an unknown kid has the keys fetched, every ten seconds at most.
		cid := last.device(t, s, "cid", "c")
		cid.must(t, http.StatusUnauthorized, http.MethodGet, "/v1/threads", nil)
		a, err := ann.call(t.Context(), http.MethodGet, "/v1/threads", nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.status == http.StatusUnauthorized
	})
	ann.tokenRefused(t, "a key that is gone")
	sent := bob.send(t, group.ID, "of the key that stayed")
	annLine.untilMessage(t, sent.ID) // a connection stays open until its token expires
	if n, took := issuer.count(), time.Since(started); n > 5+int(took/(10*time.Second)) {
		t.Errorf("the keys were fetched %d times in %v", n, took)
	}
}
