package auth

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parleyhq/parley/auth/jwks"
)

// Reason is why a token was refused. It is for the log and the metrics: the bearer is told
// less, since it may be a forger. It is the cause of the error of [Verifier.Verify].
//
//nolint:errname // It is read as a reason, in log lines and labels, and is an error only to travel as a cause.
type Reason string

// The reasons.
//
//nolint:errname // See Reason.
const (
	NoToken      Reason = "no token"
	TooLong      Reason = "token too long"
	Malformed    Reason = "malformed"
	BadAlgorithm Reason = "alg not accepted"
	UnknownKey   Reason = "unknown kid" // no key of the set has the token's kid
	NoKey        Reason = "no key fits" // the token names no kid, or its key is of another alg
	SeveralKeys  Reason = "several keys fit"
	BadSignature Reason = "signature"
	Expired      Reason = "expired"
	NotYetValid  Reason = "not valid yet" // its nbf is in the future
	NoExpiry     Reason = "no exp"
	BadIssuer    Reason = "issuer"
	BadAudience  Reason = "audience"
	BadSubject   Reason = "sub is no user id"
	BadDevice    Reason = "device_id is no device id"
	OtherUser    Reason = "username is another user"
	BadClaims    Reason = "claims"
)

// Error implements error.
func (r Reason) Error() string { return string(r) }

// ReasonOf is why a token was refused, or "" if err is not about that.
func ReasonOf(err error) Reason {
	r, _ := errors.AsType[Reason](err)
	return r
}

// reasonOf names the check that a token has failed.
func (v *Verifier) reasonOf(token *jwt.Token, err error) Reason {
	for _, known := range []struct {
		err    error
		reason Reason
	}{
		{jwks.ErrUnknownKey, UnknownKey},
		{jwks.ErrNoKey, NoKey},
		{jwks.ErrSeveral, SeveralKeys},
		{jwt.ErrTokenMalformed, Malformed},
		{jwt.ErrTokenSignatureInvalid, BadSignature},
		{jwt.ErrTokenRequiredClaimMissing, NoExpiry},
		{jwt.ErrTokenInvalidIssuer, BadIssuer},
		{jwt.ErrTokenInvalidAudience, BadAudience},
		{jwt.ErrTokenUnverifiable, Malformed}, // a header that is not understood
	} {
		switch {
		case !errors.Is(err, known.err):
		case known.reason == BadSignature && !v.knows(token):
			return BadAlgorithm
		case known.reason == NoExpiry:
			return missingClaim(token)
		default:
			return known.reason
		}
	}
	return BadClaims
}

// missingClaim names the claim that is required of a token that lacks one.
func missingClaim(token *jwt.Token) Reason {
	if exp, err := token.Claims.GetExpirationTime(); err == nil && exp == nil {
		return NoExpiry
	}
	if iss, err := token.Claims.GetIssuer(); err == nil && iss == "" {
		return BadIssuer
	}
	return BadAudience
}

// knows reports whether tokens of this one's algorithm are verified at all.
func (v *Verifier) knows(token *jwt.Token) bool {
	return token == nil || token.Method == nil || v.finders[token.Method.Alg()] != nil
}
