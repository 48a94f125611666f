package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	start  = time.Date(2026, 5, 30, 12, 0, 0, 0, time.UTC)
)

// clock is a clock that tests set by hand.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newVerifier(t *testing.T, cfg Config) (*Verifier, *clock) {
	t.Helper()
	c := &clock{start}
	cfg.Secret, cfg.Now = secret, c.now
	v, err := NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMintedTokenIsGood(t *testing.T) {
	v, _ := newVerifier(t, Config{Issuer: "iss", Audience: "aud"})
	tok, err := Mint(secret, Claims{
		User: "alice", Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite},
		Issuer: "iss", Audience: "aud", Issued: start, Expires: start.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"signature", "cache"} {
		id, err := v.Verify(tok)
		if err != nil {
			t.Fatalf("from the %s: %v", from, err)
		}
		if id.User != "alice" || id.Device != "phone" || len(id.Scopes) != 2 || !id.Expires.Equal(start.Add(time.Hour)) {
			t.Errorf("from the %s: %+v", from, id)
		}
	}
}

func TestRefusedTokens(t *testing.T) {
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	good := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "alice", "exp": at(time.Hour), "iss": "iss", "aud": "aud"}
		change(c)
		return c
	}
	hs := func(change func(jwt.MapClaims)) string { return sign(t, jwt.SigningMethodHS256, secret, good(change)) }
	same := func(jwt.MapClaims) {}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := newVerifier(t, Config{Issuer: "iss", Audience: "aud"})
	if _, err := v.Verify(hs(same)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, tok := range map[string]string{
		"empty":               "",
		"garbage":             "x.y.z",
		"too long":            hs(func(c jwt.MapClaims) { c["x"] = strings.Repeat("x", 10<<10) }),
		"alg none":            sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good(same)),
		"alg HS512":           sign(t, jwt.SigningMethodHS512, secret, good(same)),
		"alg ES256":           sign(t, jwt.SigningMethodES256, ecKey, good(same)),
		"wrong secret":        sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), good(same)),
		"signature cut":       strings.TrimRight(hs(same), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
		"missing exp":         hs(func(c jwt.MapClaims) { delete(c, "exp") }),
		"exp a string":        hs(func(c jwt.MapClaims) { c["exp"] = "soon" }),
		"expired":             hs(func(c jwt.MapClaims) { c["exp"] = at(-5 * time.Second) }),
		"nbf in the future":   hs(func(c jwt.MapClaims) { c["nbf"] = at(6 * time.Second) }),
		"wrong iss":           hs(func(c jwt.MapClaims) { c["iss"] = "other" }),
		"missing iss":         hs(func(c jwt.MapClaims) { delete(c, "iss") }),
		"wrong aud":           hs(func(c jwt.MapClaims) { c["aud"] = "other" }),
		"missing aud":         hs(func(c jwt.MapClaims) { delete(c, "aud") }),
		"missing sub":         hs(func(c jwt.MapClaims) { delete(c, "sub") }),
		"sub me":              hs(func(c jwt.MapClaims) { c["sub"] = "me" }),
		"sub malformed":       hs(func(c jwt.MapClaims) { c["sub"] = "a b" }),
		"sub a number":        hs(func(c jwt.MapClaims) { c["sub"] = 7 }),
		"device_id malformed": hs(func(c jwt.MapClaims) { c["device_id"] = "-x" }),
		"scope a list":        hs(func(c jwt.MapClaims) { c["scope"] = []string{"chat.read"} }),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := v.Verify(tok)
			if chat.CodeOf(err) != contracts.CodeUnauthenticated {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
}

func TestLeeway(t *testing.T) {
	v, _ := newVerifier(t, Config{})
	for name, claims := range map[string]jwt.MapClaims{
		"expired a moment ago": {"sub": "alice", "exp": start.Add(-4 * time.Second).Unix()},
		"valid in a moment":    {"sub": "alice", "exp": start.Add(time.Hour).Unix(), "nbf": start.Add(4 * time.Second).Unix()},
		"several audiences":    {"sub": "alice", "exp": start.Add(time.Hour).Unix(), "aud": []string{"a", "b"}},
	} {
		if _, err := v.Verify(sign(t, jwt.SigningMethodHS256, secret, claims)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCachedTokenExpires(t *testing.T) {
	v, now := newVerifier(t, Config{})
	tok, err := Mint(secret, Claims{User: "alice", Expires: start.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {time.Minute + 4*time.Second, true}, {time.Minute + 5*time.Second, false}, {time.Hour, false}} {
		now.Time = start.Add(tc.after)
		if _, err := v.Verify(tok); (err == nil) != tc.good {
			t.Errorf("after %v: %v", tc.after, err)
		}
	}
	if v.cache.Len() != 0 {
		t.Error("the expired token is still cached")
	}
}

func TestCacheIsBounded(t *testing.T) {
	v, _ := newVerifier(t, Config{})
	for i := range cachedTokens + 10 {
		v.cache.Add(tokenHash{byte(i), byte(i >> 8), byte(i >> 16)}, verified{})
	}
	if v.cache.Len() != cachedTokens {
		t.Errorf("holds %d tokens", v.cache.Len())
	}
}

func TestShortSecret(t *testing.T) {
	short := secret[:MinSecretBytes-1]
	if _, err := NewVerifier(Config{Secret: short}); err == nil {
		t.Error("a verifier took a secret of 31 bytes")
	}
	if _, err := Mint(short, Claims{User: "alice", Expires: start}); err == nil {
		t.Error("Mint took a secret of 31 bytes")
	}
}

func TestMintRefuses(t *testing.T) {
	for name, c := range map[string]Claims{
		"no user":    {Expires: start},
		"me":         {User: "me", Expires: start},
		"bad device": {User: "alice", Device: "a b", Expires: start},
		"no expiry":  {User: "alice"},
	} {
		if _, err := Mint(secret, c); err == nil {
			t.Errorf("%s: minted", name)
		}
	}
}

func TestCallerDevice(t *testing.T) {
	for _, tc := range []struct {
		claim   chat.DeviceID
		offered []string
		want    chat.DeviceID
		code    chat.Code
	}{
		{"", nil, "default", ""},
		{"", []string{"", ""}, "default", ""},
		{"", []string{"", "tablet"}, "tablet", ""},
		{"", []string{"phone", "tablet"}, "phone", ""},
		{"phone", nil, "phone", ""},
		{"phone", []string{"", "phone"}, "phone", ""},
		{"phone", []string{"tablet"}, "", contracts.CodeDeviceMismatch},
		{"phone", []string{"phone", "tablet"}, "", contracts.CodeDeviceMismatch},
		{"", []string{"a b"}, "", chat.CodeInvalidRequest},
		{"phone", []string{"a b"}, "", contracts.CodeDeviceMismatch},
		{"phone", []string{"phone", "-"}, "", contracts.CodeDeviceMismatch},
		{"", []string{"phone", "-"}, "", chat.CodeInvalidRequest},
	} {
		c, err := Identity{User: "alice", Device: tc.claim, Scopes: []chat.Scope{chat.ScopeRead}}.Caller(tc.offered...)
		switch {
		case tc.code != "":
			if chat.CodeOf(err) != tc.code {
				t.Errorf("%q with %q: got %v, want %s", tc.claim, tc.offered, err, tc.code)
			}
		case err != nil:
			t.Errorf("%q with %q: %v", tc.claim, tc.offered, err)
		case c.User != "alice" || c.Device != tc.want || !c.Has(chat.ScopeRead):
			t.Errorf("%q with %q: got %+v, want device %s", tc.claim, tc.offered, c, tc.want)
		}
	}
}

// A live connection takes a new token of the same user, and of the same device if it names
// one, that allows reading.
func TestRenewal(t *testing.T) {
	v, c := newVerifier(t, Config{})
	live := chat.Caller{User: "alice", Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
	of := func(user chat.UserID, device chat.DeviceID, scopes ...chat.Scope) string {
		tok, err := Mint(secret, Claims{User: user, Device: device, Scopes: scopes, Issued: start, Expires: start.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	for _, tok := range []string{of("alice", "phone", chat.ScopeRead), of("alice", "", chat.ScopeRead)} {
		if id, err := v.Renew(tok, live); err != nil || len(id.Scopes) != 1 || !id.Expires.Equal(start.Add(time.Hour)) {
			t.Errorf("a good token: %+v, %v", id, err)
		}
	}
	for what, refused := range map[string]struct {
		token string
		code  chat.Code
	}{
		"another user":   {of("bob", "phone", chat.ScopeRead), contracts.CodeUnauthenticated},
		"another device": {of("alice", "tablet", chat.ScopeRead), contracts.CodeDeviceMismatch},
		"no chat.read":   {of("alice", "phone", chat.ScopeWrite), chat.CodeMissingScope},
		"nonsense":       {"x.y.z", contracts.CodeUnauthenticated},
		"none":           {"", contracts.CodeUnauthenticated},
		"too long":       {strings.Repeat("x", maxTokenBytes+1), contracts.CodeUnauthenticated},
	} {
		if _, err := v.Renew(refused.token, live); chat.CodeOf(err) != refused.code {
			t.Errorf("%s: %v, want %s", what, err, refused.code)
		}
	}
	c.Time = start.Add(time.Hour + Leeway)
	if _, err := v.Renew(of("alice", "phone", chat.ScopeRead), live); chat.CodeOf(err) != contracts.CodeUnauthenticated {
		t.Errorf("an expired one: %v", err)
	}
}
