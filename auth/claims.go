package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// wireClaims are the claims of a token as its JSON spells them
// (docs/contract.md#authentication).
type wireClaims struct {
	jwt.RegisteredClaims
	Scope  string `json:"scope,omitempty"` // space-separated
	Device string `json:"device_id,omitempty"`
}

var (
	errClaimName = errors.New("a claim is spelled in another case")
	errClaimTime = errors.New("a time is no number")
)

// UnmarshalJSON reads the claims by their exact names. An object that has a name twice is
// refused, and so is one that has a claim of wireClaims in another case: who issues
// {"sub": "x", "SUB": "y"} and who reads it must not take it for two different users. The
// decoder of encoding/json, which the JWT library uses, takes the last of all of these.
func (c *wireClaims) UnmarshalJSON(data []byte) error {
	var names map[string]jsontext.Value
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	for name := range names {
		for _, claim := range claimNames {
			if name != claim && strings.EqualFold(name, claim) {
				return fmt.Errorf("%w: %q", errClaimName, name)
			}
		}
	}
	for _, claim := range []string{"exp", "nbf", "iat"} {
		if names[claim].Kind() == '"' { // which the library takes, too
			return fmt.Errorf("%w: %s", errClaimTime, claim)
		}
	}
	type plain wireClaims // without this method
	return json.Unmarshal(data, (*plain)(c))
}

// claimNames are the names of the claims of wireClaims.
var claimNames = []string{"sub", "exp", "nbf", "iat", "iss", "aud", "jti", "scope", "device_id"}

// strictHeader refuses a token whose header is not one JSON object with each name once. The
// JWT library takes the last of two, so that another reader of the same token could verify
// it with another key.
func strictHeader(token string) error {
	segment, _, _ := strings.Cut(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	var names map[string]jsontext.Value
	return json.Unmarshal(header, &names)
}
