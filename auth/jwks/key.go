package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// wireKey is a JSON Web Key as a document spells it (RFC 7517 section 4, RFC 7518
// section 6, RFC 8037 section 2). Names are matched exactly.
type wireKey struct {
	Kind   string         `json:"kty"`
	ID     string         `json:"kid"`
	Use    string         `json:"use"`
	Alg    string         `json:"alg"`
	Ops    *[]string      `json:"key_ops"`
	Curve  string         `json:"crv"`
	N      string         `json:"n"`
	E      string         `json:"e"`
	X      string         `json:"x"`
	Y      string         `json:"y"`
	Secret jsontext.Value `json:"d"` // the private part, which only the signer should have
}

// Bounds of an RSA key. The upper one bounds the time that a verification takes.
const (
	minRSABits = 2048
	maxRSABits = 16384
)

// key makes a usable key of what the document says, or says why it cannot be used.
func (w wireKey) key() (key, error) {
	k := key{id: w.ID}
	switch {
	case w.Use != "" && w.Use != "sig":
		return k, fmt.Errorf("use %.32q is not for signatures", w.Use)
	case w.Ops != nil && !slices.Contains(*w.Ops, "verify"):
		return k, errors.New("its key_ops do not include verify")
	case w.Secret != nil:
		return k, errors.New("it has its private part: publish the public part only, and make a new key")
	}
	var err error
	if k.alg, k.public, err = w.public(); err != nil {
		return k, err
	}
	if w.Alg != "" && w.Alg != k.alg {
		return k, fmt.Errorf("its alg is %.32q, such a key verifies %s only", w.Alg, k.alg)
	}
	k.print, err = printOf(k.public)
	return k, err
}

// public gives the public key and the one algorithm that it verifies.
func (w wireKey) public() (alg string, public crypto.PublicKey, err error) {
	switch {
	case w.Kind == "RSA":
		public, err = w.rsa()
		return RS256, public, err
	case w.Kind == "EC" && w.Curve == "P-256":
		public, err = w.ecdsa()
		return ES256, public, err
	case w.Kind == "OKP" && w.Curve == "Ed25519":
		public, err = w.ed25519()
		return EdDSA, public, err
	case w.Kind == "EC" || w.Kind == "OKP":
		return "", nil, fmt.Errorf("its curve %.32q is not supported", w.Curve)
	case w.Kind == "oct":
		return "", nil, errors.New("a shared secret does not belong in a key set")
	}
	return "", nil, fmt.Errorf("its kty %.32q is not supported", w.Kind)
}

func (w wireKey) rsa() (crypto.PublicKey, error) {
	n, err := decode("n", w.N)
	if err != nil {
		return nil, err
	}
	e, err := decode("e", w.E)
	if err != nil {
		return nil, err
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	switch bits := modulus.BitLen(); {
	case bits < minRSABits:
		return nil, fmt.Errorf("an RSA key of %d bits, at least %d are needed", bits, minRSABits)
	case bits > maxRSABits:
		return nil, fmt.Errorf("an RSA key of %d bits, at most %d are allowed", bits, maxRSABits)
	case modulus.Bit(0) == 0:
		return nil, errors.New("its n is no RSA modulus")
	// With an exponent of 1 every signature would be valid; crypto/rsa allows up to 31 bits.
	case exponent.BitLen() < 2 || exponent.BitLen() > 31 || exponent.Bit(0) == 0:
		return nil, errors.New("its e is no RSA exponent")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

func (w wireKey) ecdsa() (crypto.PublicKey, error) {
	x, err := decode("x", w.X)
	if err != nil {
		return nil, err
	}
	y, err := decode("y", w.Y)
	if err != nil {
		return nil, err
	}
	const size = 32 // RFC 7518 section 6.2.1.2: never shorter
	if len(x) != size || len(y) != size {
		return nil, fmt.Errorf("its x and y need %d bytes each", size)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("its x and y are no point of P-256")
	}
	return public, nil
}

func (w wireKey) ed25519() (crypto.PublicKey, error) {
	x, err := decode("x", w.X)
	if err != nil {
		return nil, err
	}
	if len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("its x needs %d bytes", ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(x), nil
}

// decode reads base64url. It accepts padding too, which some issuers add against RFC 7515.
func decode(member, text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("its %s is missing or no base64url", member)
	}
	return b, nil
}
