package pebble

import (
	"context"
	"errors"
	"testing"
)

// Who does not wait any more does not have the rest of a long log read.
func TestAScanEndsWithItsContext(t *testing.T) {
	c := newCosted(t, 2, 2*scanPatience)
	v, err := c.state.view()
	c.must(err)
	defer v.release()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	visited := 0
	err = v.scan(ctx, eventsBetween(c.sent[0].Thread, 0, lastSeq), false, func(_, _ []byte) (bool, error) {
		if visited++; visited == 10 {
			cancel(gone)
		}
		return true, nil
	})
	if !errors.Is(err, gone) || visited > scanPatience {
		t.Errorf("%v after %d keys, want to hear that the client has gone after %d", err, visited, scanPatience)
	}
}
