package e2e

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// mint signs claims as the server's operator would.
func mint(t testing.TB, key []byte, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// userClaims are the claims of an ordinary user's token. An empty device is left out.
func userClaims(user, device string) jwt.MapClaims {
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix(), "scope": "chat.read chat.write"}
	if device != "" {
		claims["device_id"] = device
	}
	return claims
}
