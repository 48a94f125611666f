package jwks

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/parleyhq/parley/auth/jwks/jwkstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// document makes the document of a key set.
func document(t testing.TB, keys ...jwkstest.JWK) []byte {
	t.Helper()
	return jwkstest.Document(t, keys...)
}

func TestKeysOfEveryKind(t *testing.T) {
	for _, alg := range Algorithms() {
		signer := jwkstest.New(t, alg, "k")
		for what, jwk := range map[string]jwkstest.JWK{
			"with alg and use":  signer.JWK(),
			"without":           signer.JWK().With("alg", nil).With("use", nil),
			"with key_ops":      signer.JWK().With("key_ops", []string{"verify"}),
			"with certificates": signer.JWK().With("x5c", []string{"MIIB"}).With("x5t", "abc").With("issuer", map[string]any{"a": 1}),
		} {
			set, err := Parse(document(t, jwk))
			if err != nil {
				t.Errorf("%s %s: %v", alg, what, err)
				continue
			}
			public, err := set.Find(alg, "k")
			if err != nil {
				t.Errorf("%s %s: %v", alg, what, err)
				continue
			}
			if !signer.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(public) {
				t.Errorf("%s %s: another key", alg, what)
			}
		}
	}
}

// A key that cannot be used is left out of a set, and a document of such keys alone is
// refused.
func TestKeysThatAreLeftOut(t *testing.T) {
	rs, es, ed := jwkstest.New(t, RS256, "bad").JWK(), jwkstest.New(t, ES256, "bad").JWK(), jwkstest.New(t, EdDSA, "bad").JWK()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wide := jwkstest.Signer{ID: "bad", Method: jwt.SigningMethodES384, Key: p384}.JWK()
	short := append([]byte{0x80}, bytes.Repeat([]byte{1}, 127)...)
	good := jwkstest.New(t, ES256, "good")
	for what, c := range map[string]struct {
		jwk  jwkstest.JWK
		says string
	}{
		"for encryption":             {rs.With("use", "enc"), `use "enc"`},
		"of an unknown use":          {rs.With("use", "tls"), `use "tls"`},
		"to encrypt with":            {rs.With("key_ops", []string{"encrypt", "wrapKey"}), "key_ops"},
		"to sign with only":          {es.With("key_ops", []string{"sign"}), "key_ops"},
		"with empty key_ops":         {es.With("key_ops", []string{}), "key_ops"},
		"RSA of 1024 bits":           {rs.With("n", jwkstest.Encode(short)), "1024 bits"},
		"RSA too large":              {rs.With("n", jwkstest.Encode(append([]byte{0xFF}, make([]byte, 2048)...))), "at most"},
		"RSA with an even n":         {rs.With("n", jwkstest.Encode(append([]byte{0xFF}, make([]byte, 255)...))), "modulus"},
		"RSA with e = 1":             {rs.With("e", "AQ"), "exponent"},
		"RSA with an even e":         {rs.With("e", "BA"), "exponent"},
		"RSA with a huge e":          {rs.With("e", "AQAAAAAB"), "exponent"},
		"RSA without n":              {rs.With("n", nil), "its n"},
		"RSA for RS512":              {rs.With("alg", "RS512"), `"RS512"`},
		"RSA for PS256":              {rs.With("alg", "PS256"), `"PS256"`},
		"RSA for encryption by alg":  {rs.With("alg", "RSA-OAEP"), "RSA-OAEP"},
		"RSA for HS256":              {rs.With("alg", "HS256"), `"HS256"`},
		"RSA for none":               {rs.With("alg", "none"), `"none"`},
		"RSA for ES256":              {rs.With("alg", "ES256"), `"ES256"`},
		"EC of P-384":                {wide, "P-384"},
		"EC without a curve":         {es.With("crv", nil), "curve"},
		"EC of P-256 for ES384":      {es.With("alg", "ES384"), `"ES384"`},
		"EC off the curve":           {es.With("x", es["y"]), "no point"},
		"EC with a short x":          {es.With("x", "AQAB"), "32 bytes"},
		"EC without y":               {es.With("y", nil), "its y"},
		"OKP of Ed448":               {ed.With("crv", "Ed448"), "Ed448"},
		"OKP of X25519":              {ed.With("crv", "X25519"), "X25519"},
		"OKP with a long x":          {ed.With("x", jwkstest.Encode(make([]byte, 33))), "32 bytes"},
		"a shared secret":            {jwkstest.JWK{"kty": "oct", "kid": "bad", "k": "c2VjcmV0", "alg": "HS256"}, "shared secret"},
		"a private key":              {ed.With("d", "AAAA"), "private part"},
		"of another kind":            {jwkstest.JWK{"kty": "AKP", "kid": "bad"}, `"AKP"`},
		"of no kind":                 {jwkstest.JWK{"kid": "bad"}, "kty"},
		"with a kty in lower case":   {rs.With("kty", "rsa"), `"rsa"`},
		"with a kid that is no text": {rs.With("kid", 7), "kid"},
		"with bad base64":            {ed.With("x", "?"), "base64url"},
	} {
		t.Run(what, func(t *testing.T) {
			set, err := Parse(document(t, c.jwk))
			if err == nil {
				t.Fatalf("alone it is a set of %v", set.names())
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("it should say in one line that %q, it says: %v", c.says, err)
			}
			set, err = Parse(document(t, c.jwk, good.JWK()))
			if err != nil {
				t.Fatalf("beside a good one: %v", err)
			}
			if set.Len() != 1 || len(set.leftOut) != 1 {
				t.Errorf("beside a good one: uses %v, leaves out %v", set.names(), set.leftOut)
			}
		})
	}
}

func TestPaddedBase64IsRead(t *testing.T) {
	signer := jwkstest.New(t, EdDSA, "k")
	jwk := signer.JWK()
	if _, err := Parse(document(t, jwk.With("x", jwk["x"].(string)+"="))); err != nil {
		t.Error(err)
	}
}

func TestGarbageIsNoSet(t *testing.T) {
	good := string(document(t, jwkstest.New(t, EdDSA, "k").JWK()))
	for what, doc := range map[string]string{
		"nothing":              "",
		"null":                 "null",
		"HTML":                 "<!doctype html><html></html>",
		"a list":               "[]",
		"a single key":         `{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`,
		"no keys":              "{}",
		"null keys":            `{"keys":null}`,
		"empty":                `{"keys":[]}`,
		"keys that are texts":  `{"keys":["a","b","c","d","e"]}`,
		"keys in capitals":     strings.Replace(good, `"keys"`, `"KEYS"`, 1),
		"keys twice":           strings.Replace(good, `{"keys"`, `{"keys":[],"keys"`, 1),
		"a member twice":       strings.Replace(good, `"kty"`, `"kty":"RSA","kty"`, 1),
		"two documents":        good + good,
		"cut":                  good[:len(good)-1],
		"no UTF-8":             strings.Replace(good, `"k"`, "\"\xff\"", 1),
		"deeply nested":        strings.Repeat(`{"keys":[`, 20_000),
		"too many keys":        `{"keys":[{}` + strings.Repeat(`,{}`, maxKeys) + `]}`,
		"a problem document":   `{"type":"about:blank","status":500}`,
		"a token's own header": `{"alg":"none"}`,
	} {
		set, err := Parse([]byte(doc))
		if err == nil {
			t.Errorf("%s: a set of %v", what, set.names())
		} else if strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
			t.Errorf("%s: the error is no line: %v", what, err)
		}
	}
}

func TestWhichKeyFits(t *testing.T) {
	rsaA, ecA, ecB := jwkstest.New(t, RS256, "a").JWK(), jwkstest.New(t, ES256, "a").JWK(), jwkstest.New(t, ES256, "b").JWK()
	otherA := jwkstest.New(t, ES256, "a").JWK()
	unnamed := jwkstest.New(t, EdDSA, "").JWK().With("kid", nil)
	for what, c := range map[string]struct {
		keys     []jwkstest.JWK
		alg, kid string
		want     error
	}{
		"by kid":                              {[]jwkstest.JWK{ecA, ecB}, ES256, "b", nil},
		"kid shared by two kinds":             {[]jwkstest.JWK{rsaA, ecA}, ES256, "a", nil},
		"kid shared by two kinds, the other":  {[]jwkstest.JWK{rsaA, ecA}, RS256, "a", nil},
		"kid shared by two of a kind":         {[]jwkstest.JWK{ecA, otherA, ecB}, ES256, "a", ErrSeveral},
		"the same key twice":                  {[]jwkstest.JWK{ecA, ecA}, ES256, "a", nil},
		"kid of another kind":                 {[]jwkstest.JWK{rsaA, ecB}, ES256, "a", ErrNoKey},
		"unknown kid":                         {[]jwkstest.JWK{rsaA, ecB}, ES256, "c", ErrUnknownKey},
		"unknown kid, one key without":        {[]jwkstest.JWK{unnamed}, EdDSA, "c", ErrUnknownKey},
		"no kid, one key of the kind":         {[]jwkstest.JWK{rsaA, ecB}, ES256, "", nil},
		"no kid, one key without":             {[]jwkstest.JWK{unnamed, ecA}, EdDSA, "", nil},
		"no kid, two keys of the kind":        {[]jwkstest.JWK{ecA, ecB}, ES256, "", ErrSeveral},
		"no kid, no key of the kind":          {[]jwkstest.JWK{ecA, ecB}, RS256, "", ErrNoKey},
		"another algorithm":                   {[]jwkstest.JWK{rsaA}, "RS512", "a", ErrNoKey},
		"a symmetric algorithm":               {[]jwkstest.JWK{rsaA}, "HS256", "a", ErrNoKey},
		"a symmetric algorithm, without kid":  {[]jwkstest.JWK{rsaA}, "HS256", "", ErrNoKey},
		"no algorithm":                        {[]jwkstest.JWK{rsaA}, "none", "a", ErrNoKey},
		"an unknown algorithm of unknown kid": {[]jwkstest.JWK{rsaA}, "", "x", ErrUnknownKey},
	} {
		set, err := Parse(document(t, c.keys...))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		public, err := set.Find(c.alg, c.kid)
		if !errors.Is(err, c.want) || (public == nil) != (c.want != nil) {
			t.Errorf("%s: got %T, %v, want %v", what, public, err, c.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	a, b := jwkstest.New(t, ES256, "a").JWK(), jwkstest.New(t, EdDSA, "b").JWK()
	fingerprintOf := func(keys ...jwkstest.JWK) [32]byte {
		set, err := Parse(document(t, keys...))
		if err != nil {
			t.Fatal(err)
		}
		return set.print
	}
	if fingerprintOf(a, b) != fingerprintOf(b, a) || fingerprintOf(a, b) != fingerprintOf(b, a, a.With("use", "enc"), b) {
		t.Error("the same keys in another order look new")
	}
	for what, other := range map[string][32]byte{
		"one less":     fingerprintOf(a),
		"another name": fingerprintOf(a.With("kid", "c"), b),
		"another key":  fingerprintOf(jwkstest.New(t, ES256, "a").JWK(), b),
	} {
		if other == fingerprintOf(a, b) {
			t.Errorf("%s: looks the same", what)
		}
	}
}

// FuzzParse checks that Parse returns for any document, and that every key it accepts can
// be used.
func FuzzParse(f *testing.F) {
	f.Add(document(f, jwkstest.New(f, ES256, "a").JWK(), jwkstest.New(f, EdDSA, "").JWK()))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := Parse(doc)
		if err != nil {
			return
		}
		if set.Len() == 0 {
			t.Fatal("an empty set is no error")
		}
		for _, k := range set.keys {
			if _, err := set.Find(k.alg, k.id); err != nil && !errors.Is(err, ErrSeveral) {
				t.Errorf("%s %q: %v", k.alg, k.id, err)
			}
		}
	})
}
