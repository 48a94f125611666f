// Package token verifies and mints the JSON Web Tokens that say who a caller is
// (contract 2). REST, WebSocket and MQTT share it, so that one rule settles the
// user, the device and the scopes for all three.
package token

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

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

// Config says which tokens are good.
type Config struct {
	Secret   []byte           // of HS256, at least MinSecretBytes
	Issuer   string           // the iss required; "" takes any
	Audience string           // the aud required; "" takes any
	Now      func() time.Time // time.Now if nil
}

// Verifier checks tokens. It remembers those it found good, so that a client's
// next request costs a hash instead of a signature.
type Verifier struct {
	// keys finds the key of each algorithm that is configured; no other is
	// accepted. A key set adds its RS256, ES256 and EdDSA here, and must purge
	// good when it drops a key.
	keys   map[string]jwt.Keyfunc
	parser *jwt.Parser
	now    func() time.Time
	good   *lru.Cache[[sha256.Size]byte, Identity]
}

// NewVerifier makes a Verifier, or says what is wrong with the configuration.
func NewVerifier(cfg Config) (*Verifier, error) {
	if err := checkSecret(cfg.Secret); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	good, err := lru.New[[sha256.Size]byte, Identity](cachedTokens)
	if err != nil {
		return nil, fmt.Errorf("make the token cache: %w", err)
	}
	secret := slices.Clone(cfg.Secret)
	v := &Verifier{
		keys: map[string]jwt.Keyfunc{
			jwt.SigningMethodHS256.Alg(): func(*jwt.Token) (any, error) { return secret, nil },
		},
		now:  cfg.Now,
		good: good,
	}
	v.parser = jwt.NewParser(v.options(cfg)...)
	return v, nil
}

func (v *Verifier) options(cfg Config) []jwt.ParserOption {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(slices.Collect(maps.Keys(v.keys))),
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
	key := sha256.Sum256([]byte(token))
	if id, ok := v.good.Get(key); ok {
		if v.now().Before(id.Expires.Add(Leeway)) {
			return id, nil
		}
		v.good.Remove(key)
		return Identity{}, refuse("the token has expired")
	}
	id, err := v.verify(token)
	if err == nil {
		v.good.Add(key, id)
	}
	return id, err
}

func (v *Verifier) verify(token string) (Identity, error) {
	var claims wireClaims
	_, err := v.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		return v.keys[t.Method.Alg()](t) // the parser has checked that it is one of them
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return Identity{}, refuse("the token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return Identity{}, refuse("the token is not valid yet")
	case err != nil:
		// Which check failed would help a forger more than a client.
		return Identity{}, refuse("the token is not acceptable")
	}
	return claims.identity()
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

// Claims are what a minted token says.
type Claims struct {
	User     chat.UserID
	Device   chat.DeviceID // "" leaves it to the client
	Scopes   []chat.Scope
	Issuer   string
	Audience string
	Issued   time.Time
	Expires  time.Time
}

// Mint signs a token with HS256 (contract 6, `parley token`).
func Mint(secret []byte, c Claims) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", err
	}
	if _, err := chat.ParseUserID(string(c.User)); err != nil {
		return "", fmt.Errorf("the user: %w", err)
	}
	if c.Device != "" {
		if _, err := chat.ParseDeviceID(string(c.Device)); err != nil {
			return "", fmt.Errorf("the device: %w", err)
		}
	}
	if c.Expires.IsZero() {
		return "", errors.New("a token needs a time of expiry")
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c.wire()).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign the token: %w", err)
	}
	return signed, nil
}

func (c Claims) wire() wireClaims {
	scopes := make([]string, len(c.Scopes))
	for i, s := range c.Scopes {
		scopes[i] = string(s)
	}
	w := wireClaims{Scope: strings.Join(scopes, " "), Device: string(c.Device)}
	w.Subject, w.Issuer, w.ExpiresAt = string(c.User), c.Issuer, jwt.NewNumericDate(c.Expires)
	if c.Audience != "" {
		w.Audience = jwt.ClaimStrings{c.Audience}
	}
	if !c.Issued.IsZero() {
		w.IssuedAt = jwt.NewNumericDate(c.Issued)
	}
	return w
}
