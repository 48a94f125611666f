package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// TokenProvider gives a token that is good now. Your own service makes them; a client asks
// again a little before the one that it has ends.
type TokenProvider func(ctx context.Context) (string, error)

// StaticToken is a token that is never renewed.
func StaticToken(token string) TokenProvider {
	return func(context.Context) (string, error) { return token, nil }
}

// renewBefore is how long before its end a token is renewed; one with a short life after four
// fifths of it.
const renewBefore = time.Minute

// freshFor is how long a new token is not renewed, whatever its end: by a clock that is ahead, each
// may seem to have ended.
const freshFor = time.Second

// tokens is the token in use. The lock is a channel, so that who waits for it can give up.
type tokens struct {
	provider TokenProvider
	lock     chan struct{} // holds one value while it is free
	current  string
	begun    time.Time
	ends     time.Time // zero: it cannot be read, and counts as endless
}

func newTokens(provider TokenProvider) *tokens {
	t := &tokens{provider: provider, lock: make(chan struct{}, 1)}
	t.lock <- struct{}{}
	return t
}

func (t *tokens) acquire(ctx context.Context) error {
	select {
	case <-t.lock:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *tokens) release() { t.lock <- struct{}{} }

// get returns the present token, or a new one if that should be renewed.
func (t *tokens) get(ctx context.Context) (string, error) {
	if err := t.acquire(ctx); err != nil {
		return "", err
	}
	defer t.release()
	if now := time.Now(); t.current != "" && (now.Before(t.renewAt()) || now.Sub(t.begun) < freshFor) {
		return t.current, nil
	}
	err := t.fetch(ctx)
	if err != nil && t.current != "" && time.Now().Before(t.ends) {
		return t.current, nil // it still holds
	}
	return t.current, err
}

// renewed returns a token other than the one that was refused, asking for it unless somebody
// else already has.
func (t *tokens) renewed(ctx context.Context, refused string) (string, error) {
	if err := t.acquire(ctx); err != nil {
		return "", err
	}
	defer t.release()
	if t.current != refused && t.current != "" {
		return t.current, nil
	}
	err := t.fetch(ctx)
	return t.current, err
}

// forget has the next one who needs a token ask for another.
func (t *tokens) forget(ctx context.Context) {
	if t.acquire(ctx) == nil {
		t.current = ""
		t.release()
	}
}

func (t *tokens) fetch(ctx context.Context) error {
	token, err := t.provider(ctx)
	if err != nil {
		return fmt.Errorf("get a token: %w", err)
	}
	t.current, t.begun, t.ends = token, time.Now(), expiryOf(token)
	return nil
}

func (t *tokens) renewAt() time.Time {
	if t.ends.IsZero() {
		return t.begun.Add(100 * 365 * 24 * time.Hour)
	}
	late := t.begun.Add(t.ends.Sub(t.begun) / 5 * 4)
	if early := t.ends.Add(-renewBefore); early.After(late) {
		return early
	}
	return late
}

// untilRenewal is how long the present token need not be renewed.
func (t *tokens) untilRenewal(ctx context.Context) (string, time.Duration, error) {
	if err := t.acquire(ctx); err != nil {
		return "", 0, err
	}
	defer t.release()
	return t.current, time.Until(t.renewAt()), nil
}

// expiryOf reads when a token ends, without checking it; zero if it cannot be read.
func expiryOf(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}
