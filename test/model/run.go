// Package model is the client contract as plain code, and the test that holds the
// product's use cases to it. The test runs random histories on two services that
// share a store, and on the model, and compares all that anybody is told. Its own
// tests run them on both stores.
//
// A failed history is shrunk to the operations that matter and printed, line by
// line, with the command that runs it again.
//
// Read in this order: run.go runs histories, operation.go has what they are made of,
// model.go what the contract says follows from them; runner.go applies an operation
// to the services and to the model; send.go and the other files named after use cases
// have the operations, choose.go what they are about and refusals.go when they are
// refused; look.go and compare.go compare what users see, notices.go what the bus is
// told; trial.go and shrink.go are for histories that fail.
package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/store/storetest"
)

// Run runs random histories of six people on two services that share the subject's
// store, and on the model, which shares no rule with package chat: what they create,
// send, retry, edit, delete, pin, block, read and let expire. After each operation it
// compares the answer, what the bus was told and what the operation touched, and now
// and then all that anybody may see.
//
// It runs all histories, or as many as the flag -model.budget leaves time for, and
// prints how many, whether the test passes or fails.
func Run(t *testing.T, s storetest.Subject, effort Effort) {
	t.Helper()
	p := &progress{effort: effort.flagged(), began: time.Now()}
	defer func() { fmt.Printf("model: %s: %s\n", t.Name(), p) }()
	for p.next() {
		began := time.Now()
		seed := p.effort.seed
		if seed == 0 {
			seed = rand.Uint64()
		}
		history := drawHistory(seed, p.effort.Operations)
		if failed := tryHistory(t, s, p.effort, history); failed.failure != "" {
			shrunk := shrink(t, s, p.effort, history[:failed.ran])
			t.Fatalf(failureReport, seed, failed.ran, failed.failure, shrunk.ran, strings.Join(shrunk.lines, "\n"), shrunk.failure,
				t.Name(), p.effort.Operations, seed)
		}
		p.ended(began)
	}
}

// failureReport is what a failed test prints.
const failureReport = `the history of seed %d fails at operation %d: %s
Shrunk to %d operations:
%s
%s
To run it again: go test ./test/model -run '^%s$' -model.operations=%d -model.seed=%d`
