// Package jwks holds the public keys that tokens are verified with when others
// sign them: a JSON Web Key Set (RFC 7517) in a file or at a URL, kept up to date
// (contract 2). [Parse] is the reading of a document, [Source] keeps the last good
// one.
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

// The algorithms of contract 2, as the header alg of a token and the member alg of
// a key name them. A key fits exactly one, by its kind.
const (
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// Algorithms are all that a key set may verify. None is symmetric: a token of
// HS256 never meets a key of a set.
func Algorithms() []string { return []string{RS256, ES256, EdDSA} }

// Why a set has no key for a token.
var (
	ErrUnknownKey = errors.New("no key of the set has this kid")
	ErrNoKey      = errors.New("no key of the set fits the token")
	ErrSeveral    = errors.New("several keys of the set fit the token")
)

// Set is the usable keys of one document. It does not change.
type Set struct {
	keys []key
	// left is why keys of the document are not used, for the log.
	left []string
	// print tells sets apart, whatever the order of their documents.
	print [sha256.Size]byte
	// generation numbers the sets of a Source, from 1.
	generation uint64
}

// key is one usable key. What it verifies follows from its kind, not from what
// the document says.
type key struct {
	id, alg string
	public  crypto.PublicKey
	print   string // of the key itself
}

func (k key) same(other key) bool { return k.id == other.id && k.print == other.print }

// Len is how many keys can be used.
func (s *Set) Len() int { return len(s.keys) }

// Find gives the key for a token of this alg that names this kid, "" for none.
// Exactly one has to fit: a token without kid is good only while the set has one
// key of its alg, and so is one whose kid several keys of that alg share.
// ErrUnknownKey says that no key has the kid, whatever its alg.
func (s *Set) Find(alg, kid string) (crypto.PublicKey, error) {
	var found crypto.PublicKey
	known := false
	for _, k := range s.keys {
		if kid != "" && k.id != kid {
			continue
		}
		known = true
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
	case kid != "" && !known:
		return nil, ErrUnknownKey
	}
	return nil, ErrNoKey
}

// maxKeys bounds a document, the looking through it, and what the log says of it.
const maxKeys = 256

// Parse reads a document. Keys that are not for our signatures, or not sound, are
// left out, as RFC 7517 section 5 has it: other kinds of keys may stand beside
// ours. A document without any usable key is an error, and so is one with
// a member given twice.
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
		return nil, fmt.Errorf("it has %d keys, at most %d are taken", len(wire.Keys), maxKeys)
	}
	s := &Set{}
	for i, raw := range wire.Keys {
		var w wireKey
		err := json.Unmarshal(raw, &w)
		if err == nil {
			err = s.add(w)
		}
		if err != nil {
			s.left = append(s.left, fmt.Sprintf("%s: %v", keyName(i, w.ID), err))
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

// keyName is how the log calls the i-th key of a document.
func keyName(i int, kid string) string {
	if kid == "" {
		return fmt.Sprintf("key %d", i+1)
	}
	return fmt.Sprintf("key %d (kid %.64q)", i+1, kid)
}

// why is what is wrong with a document without usable keys, in one line.
func (s *Set) why() string {
	const most = 3
	if len(s.left) == 0 {
		return ": it is empty"
	}
	text := strings.Join(s.left[:min(most, len(s.left))], "; ")
	if n := len(s.left) - most; n > 0 {
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

// printOf is a fingerprint of a key, its kind included.
func printOf(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return string(sum[:]), nil
}
