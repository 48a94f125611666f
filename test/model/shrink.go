package model

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/store/storetest"
)

// leaveCuttingToUs keeps rapid from cutting down what failed. It would do so from
// the left, small piece by small piece, each time with all that follows; a history
// that fails after a thousand wishes is done sooner by ever smaller halves.
func leaveCuttingToUs(t *testing.T) {
	const name = "rapid.shrinktime"
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, "0s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, before) })
}

// cutTime bounds how long a failed history is cut down.
const cutTime = time.Minute

// rehearsal is a history that is played, and what came of it: a TB that outlives
// the failure of what is played on it.
type rehearsal struct {
	*rapid.T
	aloud    bool // collect the lines
	lines    []string
	failure  string // "" while it goes well
	played   int
	cleanups []func()
}

// curtain ends a rehearsal that failed.
type curtain struct{}

// rehearse plays a history to its end or its failure.
func rehearse(rt *rapid.T, s storetest.Subject, history []wish) *rehearsal {
	r := &rehearsal{T: rt}
	r.play(s, history)
	return r
}

func (r *rehearsal) play(s storetest.Subject, history []wish) {
	defer func() {
		if end := recover(); end != nil {
			if _, failed := end.(curtain); !failed {
				panic(end)
			}
		}
		for _, f := range slices.Backward(r.cleanups) {
			f()
		}
	}()
	p := newPlayer(r, s)
	for _, w := range history {
		r.played++
		if end := onItsOwn(func() { p.play(w) }); end != nil {
			panic(end)
		}
	}
}

// onItsOwn runs f on a goroutine of its own and gives what it panicked with. On one
// goroutine that plays everything, the race detector's table of stacks grows without
// end, and soon takes half of the time.
func onItsOwn(f func()) (end any) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	return <-done
}

// cutDown leaves wishes out of a history that fails as long as it still does, and
// plays what is left aloud.
func cutDown(rt *rapid.T, s storetest.Subject, history []wish) *rehearsal {
	deadline := time.Now().Add(cutTime)
	for size := len(history) / 2; size > 0 && time.Now().Before(deadline); {
		before := len(history)
		for end := len(history); end > 0 && time.Now().Before(deadline); end = min(end-size, len(history)) {
			rest := slices.Concat(history[:max(end-size, 0)], history[end:])
			if r := rehearse(rt, s, rest); r.failure != "" {
				history = rest[:r.played]
			}
		}
		if size > 1 || len(history) == before { // at the end, until no single one can go
			size /= 2
		}
	}
	r := &rehearsal{T: rt, aloud: true}
	if r.play(s, history); r.failure == "" {
		r.failure = "a history failed once, and not again when it was played for printing"
	}
	return r
}

// Cleanup is called when the rehearsal ends, not the test.
func (r *rehearsal) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// Logf adds a line to what is printed of a failed history.
func (r *rehearsal) Logf(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// Errorf fails the rehearsal.
func (r *rehearsal) Errorf(format string, args ...any) { r.failure = fmt.Sprintf(format, args...) }

// Fatalf fails the rehearsal and ends it.
func (r *rehearsal) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	panic(curtain{})
}

// Fatal is Fatalf for what [storetest.Subject] may call.
func (r *rehearsal) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// Helper does nothing: lines of a history come from one place.
func (r *rehearsal) Helper() {}
