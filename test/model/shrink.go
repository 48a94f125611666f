package model

import (
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/store/storetest"
)

// shrinkTime bounds how long a failed history is shrunk.
const shrinkTime = time.Minute

// shrink leaves operations out of a history that fails, ever fewer at a time, as long
// as it still fails. It runs what remains once more to print it.
func shrink(t *testing.T, s storetest.Subject, effort Effort, history []operation) *trial {
	deadline := time.Now().Add(shrinkTime)
	for size := len(history) / 2; size > 0 && time.Now().Before(deadline); {
		before := len(history)
		for end := len(history); end > 0 && time.Now().Before(deadline); end = min(end-size, len(history)) {
			rest := slices.Concat(history[:max(end-size, 0)], history[end:])
			if failed := tryHistory(t, s, effort, rest); failed.failure != "" {
				history = rest[:failed.ran]
			}
		}
		if size > 1 || len(history) == before { // at the end, until no single one can go
			size /= 2
		}
	}
	last := &trial{T: t, verbose: true}
	if last.run(s, effort, history); last.failure == "" {
		last.failure = "the history failed once, and did not fail when it was run for printing"
	}
	return last
}
