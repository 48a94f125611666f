package model

import (
	"flag"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/store/storetest"
)

// disableRapidShrink keeps rapid from cutting down what failed. It would do so from
// the left, small piece by small piece, each time with all that follows; a history
// that fails after a thousand operations is done sooner by ever smaller halves.
func disableRapidShrink(t *testing.T) {
	const name = "rapid.shrinktime"
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, "0s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, before) })
}

// shrinkTime bounds how long a failed history is shrunk.
const shrinkTime = time.Minute

// shrink leaves operations out of a history that fails, as long as it still fails,
// and plays what remains once more to print it.
func shrink(rt *rapid.T, s storetest.Subject, history []operation) *trial {
	deadline := time.Now().Add(shrinkTime)
	for size := len(history) / 2; size > 0 && time.Now().Before(deadline); {
		before := len(history)
		for end := len(history); end > 0 && time.Now().Before(deadline); end = min(end-size, len(history)) {
			rest := slices.Concat(history[:max(end-size, 0)], history[end:])
			if t := tryHistory(rt, s, rest); t.failure != "" {
				history = rest[:t.played]
			}
		}
		if size > 1 || len(history) == before { // at the end, until no single one can go
			size /= 2
		}
	}
	t := &trial{T: rt, verbose: true}
	if t.play(s, history); t.failure == "" {
		t.failure = "a history failed once, and not again when it was played for printing"
	}
	return t
}
