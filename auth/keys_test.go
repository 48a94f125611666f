package auth

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/parleyhq/parley/auth/jwks"
	"github.com/parleyhq/parley/auth/jwks/jwkstest"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// published is a key set in a file, as an operator would configure it.
type published struct {
	file string
	keys *jwks.Source
}

func publish(t testing.TB, keys ...jwkstest.JWK) *published {
	t.Helper()
	p := &published{file: filepath.Join(t.TempDir(), "jwks.json")}
	p.replace(t, keys...)
	var err error
	if p.keys, err = jwks.Open(t.Context(), p.file, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.keys.Close)
	return p
}

func (p *published) replace(t testing.TB, keys ...jwkstest.JWK) {
	t.Helper()
	if err := os.WriteFile(p.file, jwkstest.Document(t, keys...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withKeys makes a verifier of a key set, and of a secret if that is not nil.
func withKeys(t testing.TB, p *published, secret []byte) (*Verifier, *clock) {
	t.Helper()
	c := &clock{start}
	v, err := NewVerifier(Config{Secret: secret, Keys: p.keys, Issuer: "iss", Audience: "aud", Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

func goodClaims() jwt.MapClaims {
	return jwt.MapClaims{
		"sub": "alice", "device_id": "phone", "scope": "chat.read", "iss": "iss", "aud": "aud",
		"exp": start.Add(time.Hour).Unix(),
	}
}

func (v *Verifier) refuses(t *testing.T, what, token string) {
	t.Helper()
	if id, err := v.Verify(token); chat.CodeOf(err) != contracts.CodeUnauthenticated {
		t.Errorf("%s: got %+v, %v", what, id, err)
	}
}

func (v *Verifier) accepts(t *testing.T, what, token string) {
	t.Helper()
	id, err := v.Verify(token)
	if err != nil || id.User != "alice" || id.Device != "phone" || len(id.Scopes) != 1 {
		t.Errorf("%s: got %+v, %v", what, id, err)
	}
}

// The rules about claims are the same for every algorithm
// (docs/contract.md#authentication).
func TestRulesOfEveryAlgorithm(t *testing.T) {
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	for _, alg := range jwks.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			signer, other := jwkstest.New(t, alg, "k"), jwkstest.New(t, alg, "k")
			v, _ := withKeys(t, publish(t, signer.JWK()), nil)
			v.accepts(t, "the good one", signer.Sign(t, goodClaims()))
			v.accepts(t, "without kid", signer.SignWith(t, goodClaims(), map[string]any{"kid": nil}))
			v.refuses(t, "of another key", other.Sign(t, goodClaims()))
			good := signer.Sign(t, goodClaims())
			v.refuses(t, "with its signature cut", good[:len(good)-2])
			v.refuses(t, "without a signature", good[:strings.LastIndex(good, ".")+1])
			v.refuses(t, "with other claims", swapClaims(good, signer.Sign(t, jwt.MapClaims{"sub": "eve"})))
			for member, bad := range map[string]any{
				"crit": []string{"exp"}, "kid": 7, "alg": "none",
			} {
				v.refuses(t, "with the header "+member, signer.SignWith(t, goodClaims(), map[string]any{member: bad}))
			}
			for member, bad := range map[string][]any{
				"exp": {nil, "soon", at(-5 * time.Second)}, "nbf": {at(6 * time.Second)}, "iss": {nil, "other"},
				"aud": {nil, "other"}, "sub": {nil, "me", "a b", 7}, "device_id": {"-x"}, "scope": {[]string{"chat.read"}},
			} {
				for _, value := range bad {
					claims := goodClaims()
					claims[member] = value
					if value == nil {
						delete(claims, member)
					}
					v.refuses(t, member, signer.Sign(t, claims))
				}
			}
			within := goodClaims()
			within["exp"], within["nbf"] = at(-4*time.Second), at(4*time.Second)
			v.accepts(t, "within the leeway", signer.Sign(t, within))
		})
	}
}

// swapClaims puts the claims of one token under the signature of another.
func swapClaims(token, other string) string {
	parts := strings.Split(token, ".")
	parts[1] = strings.Split(other, ".")[1]
	return strings.Join(parts, ".")
}

func TestSecretAndKeySet(t *testing.T) {
	signer := jwkstest.New(t, "ES256", "k")
	hs := sign(t, jwt.SigningMethodHS256, secret, goodClaims())
	p := publish(t, signer.JWK())
	both, _ := withKeys(t, p, secret)
	both.accepts(t, "by the secret", hs)
	both.accepts(t, "by the key", signer.Sign(t, goodClaims()))
	both.refuses(t, "by another secret", sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), goodClaims()))

	only, _ := withKeys(t, p, nil)
	only.refuses(t, "by a secret where there is none", hs)
	only.refuses(t, "by an empty secret", sign(t, jwt.SigningMethodHS256, []byte{}, goodClaims()))
	without, _ := newVerifier(t, Config{})
	without.refuses(t, "by a key where there is no set", signer.Sign(t, goodClaims()))

	if _, err := NewVerifier(Config{Keys: p.keys, Secret: []byte{}}); err == nil {
		t.Error("an empty secret beside a key set is no mistake")
	}
	if _, err := NewVerifier(Config{}); err == nil {
		t.Error("a verifier without any key")
	}
}

// An old attack: the bytes of a public key, which everybody knows, serve as the secret of
// an HS256 token.
func TestAlgorithmConfusion(t *testing.T) {
	rs, es := jwkstest.New(t, "RS256", "rsa"), jwkstest.New(t, "ES256", "ec")
	p := publish(t, rs.JWK(), es.JWK())
	for _, own := range [][]byte{nil, secret} {
		v, _ := withKeys(t, p, own)
		for _, signer := range []jwkstest.Signer{rs, es} {
			for what, public := range publicForms(t, signer, p.file) {
				for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
					forged := jwt.NewWithClaims(method, goodClaims())
					forged.Header["kid"] = signer.ID
					token, err := forged.SignedString(public)
					if err != nil {
						t.Fatal(err)
					}
					v.refuses(t, method.Alg()+" by the "+what, token)
				}
			}
		}
		// A key of one kind never verifies another algorithm, whatever the token's kid is.
		for what, method := range map[string]jwt.SigningMethod{
			"RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512, "PS256": jwt.SigningMethodPS256,
		} {
			other := jwkstest.Signer{ID: rs.ID, Method: method, Key: rs.Key}
			v.refuses(t, what, other.Sign(t, goodClaims()))
		}
		v.refuses(t, "kid of another kind", rs.SignWith(t, goodClaims(), map[string]any{"kid": "ec"}))
		v.refuses(t, "alg of another kind", rs.SignWith(t, goodClaims(), map[string]any{"alg": "ES256"}))
		none := jwt.NewWithClaims(jwt.SigningMethodNone, goodClaims())
		none.Header["kid"] = rs.ID
		token, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
		if err != nil {
			t.Fatal(err)
		}
		v.refuses(t, "none", token)
		for _, alg := range []string{"None", "NONE", "rs256", "Rs256", "", " RS256"} {
			v.refuses(t, "alg "+alg, rs.SignWith(t, goodClaims(), map[string]any{"alg": alg}))
		}
		// A key that the token itself brings along is not trusted.
		eve := jwkstest.New(t, "ES256", "")
		v.refuses(t, "a key in the header", eve.SignWith(t, goodClaims(), map[string]any{"jwk": eve.JWK(), "jku": "https://eve.example"}))
	}
}

// publicForms are the forms in which a public key is usually published.
func publicForms(t *testing.T, s jwkstest.Signer, file string) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	forms := map[string][]byte{
		"DER": der, "PEM": block, "PEM without its last line end": block[:len(block)-1],
		"base64 of the DER": []byte(base64.StdEncoding.EncodeToString(der)), "key set": doc, "nothing": {},
	}
	for member, value := range s.JWK() {
		forms["member "+member] = []byte(value.(string))
	}
	if n, ok := s.JWK()["n"].(string); ok {
		if forms["modulus"], err = base64.RawURLEncoding.DecodeString(n); err != nil {
			t.Fatal(err)
		}
	}
	return forms
}

func TestTokensWithoutKid(t *testing.T) {
	a, b, ed := jwkstest.New(t, "ES256", "a"), jwkstest.New(t, "ES256", "b"), jwkstest.New(t, "EdDSA", "")
	noKid := map[string]any{"kid": nil}
	one, _ := withKeys(t, publish(t, a.JWK(), ed.JWK()), nil)
	one.accepts(t, "the only one of its kind", a.SignWith(t, goodClaims(), noKid))
	one.accepts(t, "the only one of its kind", ed.Sign(t, goodClaims()))
	one.accepts(t, "an empty kid is none", a.SignWith(t, goodClaims(), map[string]any{"kid": ""}))
	two, _ := withKeys(t, publish(t, a.JWK(), b.JWK()), nil)
	two.refuses(t, "one of two", a.SignWith(t, goodClaims(), noKid))
	two.accepts(t, "one of two, named", a.Sign(t, goodClaims()))
	same, _ := withKeys(t, publish(t, a.JWK(), b.JWK().With("kid", "a")), nil)
	same.refuses(t, "one of two of the same name", a.Sign(t, goodClaims()))
}

// A key is rotated: with it end its tokens, the cached ones too.
func TestRotation(t *testing.T) {
	before, after := jwkstest.New(t, "ES256", "before"), jwkstest.New(t, "EdDSA", "after")
	p := publish(t, before.JWK())
	v, now := withKeys(t, p, secret)
	old, fresh := before.Sign(t, goodClaims()), after.Sign(t, goodClaims())
	hs := sign(t, jwt.SigningMethodHS256, secret, goodClaims())
	v.accepts(t, "before", old)
	v.accepts(t, "before, remembered", old)
	v.accepts(t, "by the secret", hs)

	p.replace(t, after.JWK())
	v.accepts(t, "the old one until the set is read again", old)
	v.accepts(t, "the new one", fresh) // an unknown kid: the set is read again
	v.refuses(t, "the old one", old)
	v.accepts(t, "the new one, remembered", fresh)
	v.accepts(t, "by the secret", hs)

	now.Time = start.Add(time.Hour + Leeway)
	for _, token := range []string{old, fresh, hs} {
		v.refuses(t, "an hour later", token)
	}
}

// A cached token still expires, and is still checked against the present keys.
func TestCachedTokens(t *testing.T) {
	signer := jwkstest.New(t, "ES256", "k")
	keys := &counted{KeySet: publish(t, signer.JWK()).keys}
	now := &clock{start}
	v, err := NewVerifier(Config{Keys: keys, Now: now.now})
	if err != nil {
		t.Fatal(err)
	}
	token := signer.Sign(t, goodClaims())
	for range 10 {
		v.accepts(t, "again", token)
	}
	if keys.looked != 1 {
		t.Errorf("verified %d times", keys.looked)
	}
	keys.newer++
	v.accepts(t, "after another key has come", token)
	v.accepts(t, "and again", token)
	if keys.looked != 2 {
		t.Errorf("verified %d times", keys.looked)
	}
	now.Time = start.Add(time.Hour + Leeway)
	v.refuses(t, "expired", token)
	if v.cache.Len() != 0 {
		t.Error("the expired token is still cached")
	}
}

// counted is a key set that counts its look-ups, and that can pretend to have changed.
type counted struct {
	KeySet
	looked int
	newer  uint64
}

func (c *counted) Key(alg, kid string) (key crypto.PublicKey, generation uint64, err error) {
	c.looked++
	key, generation, err = c.KeySet.Key(alg, kid)
	return key, generation + c.newer, err
}

func (c *counted) Generation() uint64 { return c.KeySet.Generation() + c.newer }

// BenchmarkVerify is what a request pays for its token: the first time, when the token is
// cached, and when many requests with it come at once.
func BenchmarkVerify(b *testing.B) {
	var keys []jwkstest.JWK
	tokens := map[string]string{}
	claims := goodClaims()
	claims["exp"] = time.Now().Add(time.Hour).Unix()
	for _, alg := range jwks.Algorithms() {
		signer := jwkstest.New(b, alg, alg)
		keys = append(keys, signer.JWK())
		tokens[alg] = signer.Sign(b, claims)
	}
	hs, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		b.Fatal(err)
	}
	tokens["HS256"] = hs
	v, err := NewVerifier(Config{Secret: secret, Keys: publish(b, keys...).keys})
	if err != nil {
		b.Fatal(err)
	}
	for _, alg := range append([]string{"HS256"}, jwks.Algorithms()...) {
		b.Run(alg+"/first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.verify(tokens[alg]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/cached", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(tokens[alg]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/cached, in parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := v.Verify(tokens[alg]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
