// Package model holds the product's use cases to a model of the contract: it plays
// random histories on both and compares all that anybody is told.
package model

import (
	"cmp"
	"flag"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/store/storetest"
)

// Effort says how many random histories are played and how many operations each takes.
// Zero is what the flags -rapid.checks and -rapid.steps say.
type Effort struct {
	Histories, Operations int

	// LookEvery spaces the looks of Run at what an operation has touched, for a store
	// that is slow to read: one operation in so many has one, by chance. Zero is every one.
	LookEvery int
}

// apply sets rapid's flags until the test ends; it has no other way to be told.
func (e Effort) apply(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int{"rapid.checks": e.Histories, "rapid.steps": e.Operations} {
		if n == 0 {
			continue
		}
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, before) })
	}
}

// Run plays random histories of six people on two services that share the
// subject's store, and on a model of the contract that shares no rule with package
// chat: what they create, send, retry, edit, delete, pin, block, read and let
// expire. After each operation it compares the answer, what the bus was told and what
// the operation touched, and now and then all that anybody may see.
//
// Zero effort is 20 histories of 2,000 operations. A failed history is shrunk to the
// operations that matter and printed, with how to play it again (-rapid.seed). It must
// not run in parallel with other tests that use rapid.
func Run(t *testing.T, s storetest.Subject, effort Effort) {
	t.Helper()
	effort.Histories, effort.Operations = cmp.Or(effort.Histories, 20), cmp.Or(effort.Operations, 2000)
	effort.apply(t)
	disableRapidShrink(t)
	var failed *trial // rapid plays what failed again
	played := 0
	rapid.Check(t, func(rt *rapid.T) {
		played++
		if failed == nil {
			history := drawHistory(rt, effort)
			if r := tryHistory(rt, s, history); r.failure != "" {
				failed = shrink(rt, s, history[:r.played])
			}
		}
		if failed != nil {
			for _, line := range failed.lines {
				rt.Log(line)
			}
			rt.Fatal(failed.failure)
		}
	})
	if played < effort.Histories { // rapid stops when the time of go test is nearly over, and calls it well
		t.Errorf("only %d histories of %d were played: give go test a longer -timeout", played, effort.Histories)
	}
}
