package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parleyhq/parley/chat"
)

// Claims are what a token made by [Mint] says.
type Claims struct {
	User     chat.UserID
	Device   chat.DeviceID // "" lets the client choose the device
	Scopes   []chat.Scope
	Issuer   string
	Audience string
	Issued   time.Time
	Expires  time.Time
}

// Mint makes a token, signed with HS256 (docs/contract.md#running-a-server,
// `parley token`). The user and the time of expiry are required.
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
