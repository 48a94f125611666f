// Package auth verifies and mints the JSON Web Tokens that say who a caller is
// (contract 2). REST, WebSocket and MQTT share it, so that one rule settles the
// user, the device and the scopes for all three.
package auth

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parleyhq/parley/auth/jwks"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Bounds of contract 2, and our own.
const (
	Leeway         = 5 * time.Second // what clocks may differ by
	MinSecretBytes = 32
	maxTokenBytes  = 8 << 10 // a longer one is refused unread
	cachedTokens   = 16 << 10
)

// Config says which tokens are good. It needs a secret, a key set or both: the alg
// of a token chooses.
type Config struct {
	Secret   []byte           // of HS256, at least MinSecretBytes; nil takes none
	Keys     KeySet           // of the algorithms that [jwks.Algorithms] lists; nil takes none
	Issuer   string           // the iss required; "" takes any
	Audience string           // the aud required; "" takes any
	Now      func() time.Time // time.Now if nil
}

// KeySet are public keys that come and go while the server runs; *jwks.Source is
// one. Its methods may be called at once from many goroutines.
type KeySet interface {
	// Key gives the one key for a token of this alg that names this kid, "" for
	// none, and the generation of the set that has it. It may wait some seconds for
	// a kid that it does not know.
	Key(alg, kid string) (key crypto.PublicKey, generation uint64, err error)
	// Generation is that of the present set. It is never 0, and another one
	// whenever a key has come or gone.
	Generation() uint64
}

// Verifier checks tokens. It remembers those it found good, so that a client's
// next request costs a hash instead of a signature.
type Verifier struct {
	// finders find the key of each algorithm that is configured; no other is
	// accepted.
	finders map[string]finder
	keys    KeySet // nil if there is none
	parser  *jwt.Parser
	now     func() time.Time
	cache   *tokenCache
}

// finder gives the key for a token that names this kid, and the generation of the
// set that has it: 0 for the secret, which stays.
type finder func(kid string) (key any, generation uint64, err error)

// verified is what a good token proves while the key that signed it is good.
type verified struct {
	Identity
	generation uint64
}

// NewVerifier makes a Verifier, or says what is wrong with the configuration.
func NewVerifier(cfg Config) (*Verifier, error) {
	if cfg.Secret != nil || cfg.Keys == nil {
		if err := checkSecret(cfg.Secret); err != nil {
			return nil, err
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &Verifier{finders: findersOf(cfg), keys: cfg.Keys, now: cfg.Now, cache: newTokenCache(cachedTokens)}
	v.parser = jwt.NewParser(v.options(cfg)...)
	return v, nil
}

// findersOf keeps the two kinds of keys apart: HS256 sees the secret only, and the
// others see public keys only, each of its own kind.
func findersOf(cfg Config) map[string]finder {
	finders := make(map[string]finder)
	if cfg.Secret != nil {
		secret := slices.Clone(cfg.Secret)
		finders[jwt.SigningMethodHS256.Alg()] = func(string) (any, uint64, error) { return secret, 0, nil }
	}
	if cfg.Keys != nil {
		for _, alg := range jwks.Algorithms() {
			finders[alg] = func(kid string) (any, uint64, error) { return cfg.Keys.Key(alg, kid) }
		}
	}
	return finders
}

func (v *Verifier) options(cfg Config) []jwt.ParserOption {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(slices.Collect(maps.Keys(v.finders))),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(cfg.Now),
		jwt.WithStrictDecoding(),
	}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	return options
}

func checkSecret(secret []byte) error {
	if len(secret) < MinSecretBytes {
		return fmt.Errorf("the token secret has %d bytes, it needs at least %d", len(secret), MinSecretBytes)
	}
	return nil
}

// wireClaims are a token's claims as they are spelled (contract 2).
type wireClaims struct {
	jwt.RegisteredClaims
	Scope  string `json:"scope,omitempty"` // space-separated
	Device string `json:"device_id,omitempty"`
}

// Verify gives the identity that a token proves. Its errors are *chat.Error of
// code unauthenticated.
func (v *Verifier) Verify(token string) (Identity, error) {
	if token == "" {
		return Identity{}, refuse("there is no token")
	}
	if len(token) > maxTokenBytes {
		return Identity{}, refuse("the token is too long")
	}
	hash := tokenHash(sha256.Sum256([]byte(token)))
	if cached, ok := v.cache.get(hash); ok && v.current(cached) {
		if v.now().Before(cached.Expires.Add(Leeway)) {
			return cached.Identity, nil
		}
		v.cache.forget(hash)
		return Identity{}, refuse("the token has expired")
	}
	result, err := v.verify(token)
	if err == nil {
		v.cache.add(hash, result)
	}
	return result.Identity, err
}

// current reports whether the keys are still those that the token was verified
// with. A token of another generation is verified anew, by the keys of now.
func (v *Verifier) current(cached verified) bool {
	return cached.generation == 0 || cached.generation == v.keys.Generation()
}

func (v *Verifier) verify(token string) (verified, error) {
	var claims wireClaims
	var generation uint64
	_, err := v.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (key any, err error) {
		kid, err := keyID(t.Header)
		if err == nil {
			// The parser has checked that the alg is one of ours.
			key, generation, err = v.finders[t.Method.Alg()](kid)
		}
		return key, err
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return verified{}, refuse("the token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return verified{}, refuse("the token is not valid yet")
	case err != nil:
		// Which check failed would help a forger more than a client.
		return verified{}, refuse("the token is not acceptable")
	}
	id, err := claims.identity()
	return verified{id, generation}, err
}

var (
	errCritical = errors.New("the header has critical extensions")
	errKeyID    = errors.New("the kid is no text")
)

// keyID is the kid that a token names, "" for none. A header crit names what must
// be understood before the token is trusted (RFC 7515 section 4.1.11), and we
// understand no extension.
func keyID(header map[string]any) (string, error) {
	if _, ok := header["crit"]; ok {
		return "", errCritical
	}
	kid, ok := header["kid"]
	if !ok {
		return "", nil
	}
	id, ok := kid.(string)
	if !ok {
		return "", errKeyID
	}
	return id, nil
}

func (c wireClaims) identity() (Identity, error) {
	user, err := chat.ParseUserID(c.Subject)
	if err != nil {
		return Identity{}, refuse("the token's sub is no user id")
	}
	id := Identity{User: user, Expires: c.ExpiresAt.Time}
	if c.Device != "" {
		if id.Device, err = chat.ParseDeviceID(c.Device); err != nil {
			return Identity{}, refuse("the token's device_id is no device id")
		}
	}
	for _, s := range strings.Fields(c.Scope) {
		id.Scopes = append(id.Scopes, chat.Scope(s))
	}
	return id, nil
}

func refuse(detail string) error { return chat.Refuse(contracts.CodeUnauthenticated, detail) }
