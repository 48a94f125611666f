package main

import "testing"

// Memory is given back once after each burst, when the burst is over.
func TestMemoryIsGivenBackInTheQuiet(t *testing.T) {
	const mb = 1 << 20
	var q quiet
	for i, step := range []struct {
		allocated, live uint64 // MB
		want            bool
	}{
		{100, 10, false}, // a burst
		{200, 50, false}, // goes on
		{200, 50, true},  // and is over
		{200, 50, false}, // nothing new
		{215, 50, false},
		{215, 50, false}, // little
		{217, 50, false},
		{217, 50, true}, // 17 MB since
		{257, 400, false},
		{257, 400, false}, // little of 400
		{357, 400, false},
		{357, 400, true},
	} {
		if got := q.worth(step.allocated*mb, step.live*mb); got != step.want {
			t.Errorf("look %d: %v, want %v", i, got, step.want)
		}
	}
}
