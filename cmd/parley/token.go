package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
)

var knownScopes = []chat.Scope{chat.ScopeRead, chat.ScopeWrite, chat.ScopeSystem, chat.ScopeAdmin}

// printToken is `parley token`.
func printToken(args []string, stdout io.Writer) error {
	var (
		keys                     keySettings
		sub, device, scope, data string
		ttl                      time.Duration
	)
	fs := newFlagSet("parley token")
	fs.StringVar(&sub, "sub", "", "user id (required)")
	fs.StringVar(&device, "device", "", "device id the token is for (default any)")
	fs.StringVar(&scope, "scope", "chat.read chat.write", "scopes, space-separated")
	fs.DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is good")
	fs.StringVar(&data, "data", "./data", "where serve --dev keeps its secret")
	keys.register(fs)
	// The file may be the one of serve.
	if err := parse(fs, args, stdout, ff.WithIgnoreUndefined(true)); err != nil {
		return err
	}
	if sub == "" {
		return errors.New("--sub is required")
	}
	if ttl <= 0 {
		return errors.New("--ttl must be positive")
	}
	secret, err := keys.load(data)
	if err != nil {
		return err
	}
	claims := auth.Claims{
		User: chat.UserID(sub), Device: chat.DeviceID(device),
		Issuer: keys.issuer, Audience: keys.audience, Issued: time.Now(), Expires: time.Now().Add(ttl),
	}
	for s := range strings.FieldsSeq(scope) {
		if !slices.Contains(knownScopes, chat.Scope(s)) {
			return fmt.Errorf("--scope: there is no %q, the scopes are %v", s, knownScopes)
		}
		claims.Scopes = append(claims.Scopes, chat.Scope(s))
	}
	signed, err := auth.Mint(secret, claims)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, signed)
	return err
}
