package auth_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
)

// A verifier turns a token into the identity that it proves, and the identity and
// what a request says of its device into the caller.
func ExampleVerifier() {
	secret := []byte("thirty-two bytes, known to nobody else")
	verifier, err := auth.NewVerifier(auth.Config{Secret: secret, Issuer: "example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	claims := auth.Claims{
		User: "alice", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}, Issuer: "example", Expires: time.Now().Add(time.Hour),
	}
	token, err := auth.Mint(secret, claims)
	if err != nil {
		fmt.Println(err)
		return
	}

	identity, err := verifier.Verify(token)
	fmt.Println(identity.User, identity.Scopes, err)
	caller, err := identity.Caller("phone")
	fmt.Println(caller.User, caller.Device, err)

	// A token that somebody else signed is refused.
	forged, err := auth.Mint([]byte("another secret of thirty-two bytes"), claims)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Verify(forged)
	refusal, _ := errors.AsType[*chat.Error](err)
	fmt.Println(refusal.Code, "-", refusal.Detail)

	// Output:
	// alice [chat.read chat.write] <nil>
	// alice phone <nil>
	// unauthenticated - the token is not acceptable
}
