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
)

// The log says of every refused token which check it failed; the bearer is not told.
func TestReasonNamesTheCheckThatFailed(t *testing.T) {
	v, _ := newVerifier(t, Config{Issuer: "iss", Audience: "aud"})
	good := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "alice", "iss": "iss", "aud": "aud", "exp": start.Add(time.Hour).Unix()}
		change(c)
		return c
	}
	hs256 := func(change func(jwt.MapClaims)) string { return sign(t, jwt.SigningMethodHS256, secret, good(change)) }
	nothing := func(jwt.MapClaims) {}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		token string
		want  Reason
	}{
		{"", NoToken},
		{strings.Repeat("x", maxTokenBytes+1), TooLong},
		{"not.a.token", Malformed},
		{"nodots", Malformed},
		{sign(t, jwt.SigningMethodES256, ec, good(nothing)), BadAlgorithm},
		{sign(t, jwt.SigningMethodHS384, secret, good(nothing)), BadAlgorithm},
		{sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good(nothing)), BadAlgorithm},
		{sign(t, jwt.SigningMethodHS256, []byte("another secret of thirty-two bytes"), good(nothing)), BadSignature},
		{hs256(func(c jwt.MapClaims) { c["exp"] = start.Add(-time.Hour).Unix() }), Expired},
		{hs256(func(c jwt.MapClaims) { c["nbf"] = start.Add(time.Hour).Unix() }), NotYetValid},
		{hs256(func(c jwt.MapClaims) { delete(c, "exp") }), NoExpiry},
		{hs256(func(c jwt.MapClaims) { c["iss"] = "else" }), BadIssuer},
		{hs256(func(c jwt.MapClaims) { delete(c, "iss") }), BadIssuer},
		{hs256(func(c jwt.MapClaims) { c["aud"] = "else" }), BadAudience},
		{hs256(func(c jwt.MapClaims) { delete(c, "aud") }), BadAudience},
		{hs256(func(c jwt.MapClaims) { c["sub"] = "not a user" }), BadSubject},
		{hs256(func(c jwt.MapClaims) { c["device_id"] = "not a device" }), BadDevice},
	} {
		_, err := v.Verify(c.token)
		if got := ReasonOf(err); got != c.want {
			t.Errorf("the reason is %q, want %q (%v)", got, c.want, err)
		}
	}
	if got := ReasonOf(chat.Refuse(chat.CodeMissingScope, "")); got != "" {
		t.Errorf("a refusal that is about no token has the reason %q", got)
	}
}
