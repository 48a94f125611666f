package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait after so many failures: twice as long each time, up to most, of
// which a random part of one half is left out, so that many clients do not come at once.
func backoff(failures int, first, most time.Duration) time.Duration {
	wait := min(first<<min(failures, 20), most)
	return wait/2 + rand.N(wait/2+1)
}

// pause waits, until early is closed at most. It returns an error only if ctx ends.
func pause(ctx context.Context, wait time.Duration, early <-chan struct{}) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
