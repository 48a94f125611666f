// Package jwkstest makes signing keys and the key sets that publish them, for
// tests.
package jwkstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// JWK is one key of a document, to be changed at will.
type JWK map[string]any

// With is the key with a member set to something else; nil leaves it out.
func (j JWK) With(member string, value any) JWK {
	changed := JWK{}
	for k, v := range j {
		changed[k] = v
	}
	changed[member] = value
	if value == nil {
		delete(changed, member)
	}
	return changed
}

// Document is a key set.
func Document(t testing.TB, keys ...JWK) []byte {
	t.Helper()
	if keys == nil {
		keys = []JWK{}
	}
	doc, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Signer is a private key with a name.
type Signer struct {
	ID     string
	Method jwt.SigningMethod
	Key    crypto.Signer
}

// New makes a signer of RS256, ES256 or EdDSA.
func New(t testing.TB, alg, kid string) Signer {
	t.Helper()
	s := Signer{ID: kid, Method: jwt.GetSigningMethod(alg)}
	var err error
	switch alg {
	case "RS256":
		s.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		s.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, s.Key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no keys of %s here", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// JWK is the public part, with kid, alg and use.
func (s Signer) JWK() JWK {
	j := JWK{"kid": s.ID, "alg": s.Method.Alg(), "use": "sig"}
	switch public := s.Key.Public().(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", Encode(public.N.Bytes()), Encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := public.Bytes() // of a key that was just made
		half := (len(point) - 1) / 2
		j["kty"], j["crv"] = "EC", public.Curve.Params().Name
		j["x"], j["y"] = Encode(point[1:1+half]), Encode(point[1+half:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", Encode(public)
	}
	return j
}

// Encode is base64url as JSON Web Keys have it.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Sign makes a token; the header names the key, unless that has no name.
func (s Signer) Sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	return s.SignWith(t, claims, nil)
}

// SignWith is Sign with members of the header set to something else; nil leaves
// one out.
func (s Signer) SignWith(t testing.TB, claims jwt.MapClaims, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(s.Method, claims)
	if s.ID != "" {
		token.Header["kid"] = s.ID
	}
	for k, v := range header {
		token.Header[k] = v
		if v == nil {
			delete(token.Header, k)
		}
	}
	signed, err := token.SignedString(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
