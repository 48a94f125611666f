// Package jwks holds the public keys that verify the tokens which others sign: a JSON
// Web Key Set (RFC 7517) in a file or at a URL, kept up to date
// (docs/contract.md#authentication).
//
// Begin with [Open]: it gives a [Source], which fetches the document now and then and
// keeps the last good [Set]. [Parse] reads one document.
//
// Read in this order: jwks.go and key.go (a document and its keys), fetch.go (what a
// location may be, and one download from it), refresh.go (when that is done, and how
// the set is replaced).
package jwks

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The algorithms of docs/contract.md#authentication, as the alg of a token's
// header and the alg of a key name them. A key fits exactly one of them, by its
// kind.
const (
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// Algorithms lists the algorithms that a key set can verify. None is symmetric, so a
// token of HS256 is never verified with a key of a set.
func Algorithms() []string { return []string{RS256, ES256, EdDSA} }

// The reasons why a set has no key for a token.
var (
	ErrUnknownKey = errors.New("no key of the set has this kid")
	ErrNoKey      = errors.New("no key of the set fits the token")
	ErrSeveral    = errors.New("several keys of the set fit the token")
)

// Set holds the usable keys of one document. It does not change.
type Set struct {
	keys []key
	// leftOut says, for the log, which keys of the document are not used and why.
	leftOut []string
	// print is the same for two sets of the same keys, in whatever order.
	print [sha256.Size]byte
	// generation numbers the sets of a Source, from 1.
	generation uint64
}

// key is one usable key. Which algorithm it verifies follows from its kind; the document
// cannot choose another.
type key struct {
	id, alg string
	public  crypto.PublicKey
	print   string // fingerprint of public
}

func (k key) same(other key) bool { return k.id == other.id && k.print == other.print }

// Len is the number of usable keys.
func (s *Set) Len() int { return len(s.keys) }

// Find gives the key for a token of this alg that names this kid, "" if it names none.
// Exactly one key has to fit. So a token without a kid needs a set with one key of its
// alg, and a kid that several keys of that alg share fits none. ErrUnknownKey says that
// no key of any alg has the kid.
//
// For example, in a set of an RS256 key "a" and an ES256 key "b", a token of ES256
// without a kid finds "b", one of RS256 that names "b" gets ErrNoKey, and one that names
// "c" gets ErrUnknownKey.
func (s *Set) Find(alg, kid string) (crypto.PublicKey, error) {
	var found crypto.PublicKey
	hasKid := false
	for _, k := range s.keys {
		if kid != "" && k.id != kid {
			continue
		}
		hasKid = true
		switch {
		case k.alg != alg:
		case found != nil:
			return nil, ErrSeveral
		default:
			found = k.public
		}
	}
	switch {
	case found != nil:
		return found, nil
	case kid != "" && !hasKid:
		return nil, ErrUnknownKey
	}
	return nil, ErrNoKey
}

// maxKeys bounds the keys of a document, and so the time to find one and the length of
// what the log says of them.
const maxKeys = 256

// Parse reads a document. It leaves out keys that are not sound or not for signatures of
// [Algorithms], since keys of other kinds may stand in the same document (RFC 7517
// section 5). A document without any usable key is an error, and so is one that has a
// member twice.
func Parse(doc []byte) (*Set, error) {
	var wire struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(doc, &wire); err != nil {
		return nil, fmt.Errorf("it is no JSON Web Key Set: %w", err)
	}
	if wire.Keys == nil {
		return nil, errors.New(`it is no JSON Web Key Set: it has no "keys"`)
	}
	if len(wire.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys, at most %d are allowed", len(wire.Keys), maxKeys)
	}
	s := &Set{}
	for i, raw := range wire.Keys {
		var w wireKey
		err := json.Unmarshal(raw, &w)
		if err == nil {
			err = s.add(w)
		}
		if err != nil {
			s.leftOut = append(s.leftOut, fmt.Sprintf("%s: %v", keyName(i, w.ID), err))
		}
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("it has no key for signatures of %s%s", strings.Join(Algorithms(), ", "), s.why())
	}
	s.fingerprint()
	return s, nil
}

func (s *Set) add(w wireKey) error {
	k, err := w.key()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.keys, k.same) { // the same key twice is one key
		s.keys = append(s.keys, k)
	}
	return nil
}

// keyName names the i-th key of a document in the log.
func keyName(i int, kid string) string {
	if kid == "" {
		return fmt.Sprintf("key %d", i+1)
	}
	return fmt.Sprintf("key %d (kid %.64q)", i+1, kid)
}

// why says in one line why a document has no usable keys.
func (s *Set) why() string {
	const most = 3
	if len(s.leftOut) == 0 {
		return ": it is empty"
	}
	text := strings.Join(s.leftOut[:min(most, len(s.leftOut))], "; ")
	if n := len(s.leftOut) - most; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	return ": " + text
}

// names lists the keys for the log.
func (s *Set) names() []string {
	names := make([]string, len(s.keys))
	for i, k := range s.keys {
		names[i] = fmt.Sprintf("%s %.64q", k.alg, k.id)
	}
	return names
}

func (s *Set) fingerprint() {
	sorted := slices.Clone(s.keys)
	slices.SortFunc(sorted, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.print, b.print))
	})
	h := sha256.New()
	for _, k := range sorted {
		fmt.Fprintf(h, "%q %s\n", k.id, k.print)
	}
	h.Sum(s.print[:0])
}

// Fingerprint tells a public key from all others, whatever its kid; "" is that of what is no
// public key.
func Fingerprint(public crypto.PublicKey) string {
	fingerprint, _ := printOf(public)
	return fingerprint
}

// printOf is a fingerprint of a key and its kind.
func printOf(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return string(sum[:]), nil
}
