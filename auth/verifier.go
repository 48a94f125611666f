// Package auth verifies and mints the JSON Web Tokens that say who a caller is
// (docs/contract.md#authentication). REST, WebSocket and MQTT share it, so that
// one rule decides about the user, the device and the scopes for all three.
//
// A [Verifier] turns a token into an [Identity], the identity and the device that a
// request names become the [chat.Caller] of a use case, and [Mint] makes tokens. Begin
// with the example of [Verifier]. Read in this order: verifier.go, identity.go,
// mint.go; the public keys of others are in package jwks.
package auth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/auth/jwks"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// The first two bounds are of docs/contract.md#authentication, the others the
// server's own.
const (
	Leeway         = 5 * time.Second // how far the clocks of issuer and server may differ
	MinSecretBytes = 32
	maxTokenBytes  = 8 << 10 // a longer token is refused unread
	cachedTokens   = 16 << 10
)

// Config says which tokens a [Verifier] accepts. It needs a secret, a key set or both.
// With both, the alg of a token decides which of them verifies it.
type Config struct {
	Secret   []byte           // for HS256, at least MinSecretBytes; nil refuses HS256
	Keys     KeySet           // for the algorithms that [jwks.Algorithms] lists; nil refuses these
	Issuer   string           // the iss that a token must have; "" accepts any
	Audience string           // the aud that a token must have; "" accepts any
	Now      func() time.Time // time.Now if nil
}

// KeySet is a set of public keys, which come and go while the server runs; *jwks.Source
// is one. Many goroutines may call its methods at once.
type KeySet interface {
	// Key gives the one key for a token of this alg that names this kid ("" if it names
	// none), and the generation of the set that has the key. For a kid that is not in
	// the set it may wait some seconds, until the set has been fetched anew.
	Key(alg, kid string) (key crypto.PublicKey, generation uint64, err error)
	// Generation is the number of the present set. It is never 0, and it changes
	// whenever a key has come or gone.
	Generation() uint64
}

// Verifier checks tokens. It caches what verified tokens prove, so that a client's
// next request costs a hash instead of a signature. Many goroutines may use it.
type Verifier struct {
	// finders has a finder for each algorithm that is configured. Tokens of other
	// algorithms are refused.
	finders map[string]finder
	keys    KeySet // nil if there is none
	parser  *jwt.Parser
	now     func() time.Time
	removed DeviceCheck // nil: no device was ever removed

	mu    sync.Mutex
	cache *simplelru.LRU[tokenHash, verified] // guarded by mu; of the tokens verified last
}

// tokenHash names a token in the cache, which holds no token itself.
type tokenHash [sha256.Size]byte

// finder gives the key for a token that names this kid, and the generation of the
// set that has the key: 0 for the secret, which never changes.
type finder func(kid string) (key any, generation uint64, err error)

// verified is what a token proves as long as its key is in the set of that generation.
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
	v := &Verifier{finders: findersOf(cfg), keys: cfg.Keys, now: cfg.Now}
	v.cache, _ = simplelru.NewLRU[tokenHash, verified](cachedTokens, nil) // only fails for a size below 1
	v.parser = jwt.NewParser(v.options(cfg)...)
	return v, nil
}

// findersOf keeps the two kinds of keys apart: HS256 is verified with the secret only,
// each other algorithm with public keys of its own kind only.
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

// DeviceCheck refuses a token that names a device which was removed after the token was
// issued (docs/contract.md#devices).
type DeviceCheck func(ctx context.Context, user chat.UserID, device chat.DeviceID, issued time.Time) error

// RefuseRemoved has Verify ask about each token that names a device. It is called before the
// first Verify.
func (v *Verifier) RefuseRemoved(check DeviceCheck) { v.removed = check }

// checkTimeout bounds how long Verify asks about a device.
const checkTimeout = 5 * time.Second

// Verify gives the identity that a token proves. Its errors are *chat.Error with the
// code unauthenticated, or those of the DeviceCheck.
func (v *Verifier) Verify(token string) (Identity, error) {
	id, err := v.identify(token)
	if err != nil || id.Device == "" || v.removed == nil {
		return id, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	if err := v.removed(ctx, id.User, id.Device, id.Issued); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// identify gives the identity that a token proves, whatever became of its device.
func (v *Verifier) identify(token string) (Identity, error) {
	if token == "" {
		return Identity{}, refuse("there is no token", NoToken)
	}
	if len(token) > maxTokenBytes {
		return Identity{}, refuse("the token is too long", TooLong)
	}
	hash := tokenHash(sha256.Sum256([]byte(token)))
	v.mu.Lock()
	cached, ok := v.cache.Get(hash)
	v.mu.Unlock()
	if ok && v.current(cached) {
		if v.now().Before(cached.Expires.Add(Leeway)) {
			return cached.Identity, nil
		}
		v.mu.Lock()
		v.cache.Remove(hash)
		v.mu.Unlock()
		return Identity{}, refuse("the token has expired", Expired)
	}
	result, err := v.verify(token)
	if err == nil {
		v.mu.Lock()
		v.cache.Add(hash, result)
		v.mu.Unlock()
	}
	return result.Identity, err
}

// Renew gives the identity that a new token of a live connection proves. It must be of the
// same user, and of the same device if it names one, and it must allow reading
// (docs/contract.md#authentication). Its errors are *chat.Error.
func (v *Verifier) Renew(token string, c chat.Caller) (Identity, error) {
	id, err := v.Verify(token)
	switch {
	case err != nil:
		return Identity{}, err
	case id.User != c.User:
		return Identity{}, refuse("the token is for another user", OtherUser)
	case id.Device != "" && id.Device != c.Device:
		return Identity{}, chat.Refuse(contracts.CodeDeviceMismatch, "the token is for another device")
	case !id.Has(chat.ScopeRead):
		return Identity{}, chat.Refuse(chat.CodeMissingScope, "the token lacks the scope chat.read")
	}
	return id, nil
}

// current reports whether the set of keys is still the one that the token was verified
// with. If it is not, the token has to be verified anew.
func (v *Verifier) current(cached verified) bool {
	return cached.generation == 0 || cached.generation == v.keys.Generation()
}

func (v *Verifier) verify(token string) (verified, error) {
	var claims wireClaims
	var generation uint64
	var fingerprint string
	parsed, err := v.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (key any, err error) {
		if err := strictHeader(t.Raw); err != nil {
			return nil, err
		}
		kid, err := keyID(t.Header)
		if err == nil {
			// The parser has checked that this alg has a finder.
			key, generation, err = v.finders[t.Method.Alg()](kid)
			if err == nil && generation != 0 {
				fingerprint = jwks.Fingerprint(key)
			}
		}
		return key, err
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return verified{}, refuse("the token has expired", Expired)
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return verified{}, refuse("the token is not valid yet", NotYetValid)
	case err != nil:
		// To say which check failed would help a forger more than a client. The log says it.
		return verified{}, refuse("the token is not acceptable", v.reasonOf(parsed, err))
	}
	id, err := claims.identity()
	id.Key = fingerprint
	return verified{id, generation}, err
}

var (
	errCritical = errors.New("the header has critical extensions")
	errKeyID    = errors.New("the kid is no string")
)

// keyID is the kid that a token's header names, "" if it names none. A token with the
// header crit is refused: crit lists extensions that a verifier must understand (RFC
// 7515 section 4.1.11), and this one understands none.
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
		return Identity{}, refuse("the token's sub is no user id", BadSubject)
	}
	id := Identity{User: user, Expires: c.ExpiresAt.Time}
	if c.IssuedAt != nil {
		id.Issued = c.IssuedAt.Time
	}
	if c.Device != "" {
		if id.Device, err = chat.ParseDeviceID(c.Device); err != nil {
			return Identity{}, refuse("the token's device_id is no device id", BadDevice)
		}
	}
	for _, s := range strings.Fields(c.Scope) {
		id.Scopes = append(id.Scopes, chat.Scope(s))
	}
	return id, nil
}

func refuse(detail string, why Reason) error {
	return chat.Refuse(contracts.CodeUnauthenticated, detail).Because(why)
}
