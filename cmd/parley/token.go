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

// scopes are all scopes that a token can have.
var scopes = []chat.Scope{chat.ScopeRead, chat.ScopeWrite, chat.ScopeSystem, chat.ScopeAdmin}

// printToken is `parley token`.
func printToken(args []string, stdout io.Writer) error {
	var (
		keys                     keySettings
		sub, device, scope, data string
		ttl                      time.Duration
	)
	fs := newFlagSet("parley token")
	fs.StringVar(&sub, "sub", "", "`user` id, required")
	fs.StringVar(&device, "device", "", "`device` id that the token is bound to (default: any device)")
	fs.StringVar(&scope, "scope", "chat.read chat.write", "`scopes`, separated by spaces")
	fs.DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is valid")
	fs.StringVar(&data, "data", "./data", "`directory` in which serve --dev keeps its secret")
	keys.register(fs)
	// The file of --config may be that of serve, with other flags in it.
	if err := parse(fs, args, stdout, ff.WithIgnoreUndefined(true)); err != nil {
		return err
	}
	if sub == "" {
		return errors.New("--sub is required")
	}
	if ttl <= 0 {
		return errors.New("--ttl must be positive")
	}
	secret, err := keys.readSecret(data)
	if err != nil {
		return err
	}
	claims := auth.Claims{
		User: chat.UserID(sub), Device: chat.DeviceID(device),
		Issuer: keys.issuer, Audience: keys.audience, Issued: time.Now(), Expires: time.Now().Add(ttl),
	}
	for s := range strings.FieldsSeq(scope) {
		if !slices.Contains(scopes, chat.Scope(s)) {
			return fmt.Errorf("--scope: there is no scope %q, the scopes are %v", s, scopes)
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
