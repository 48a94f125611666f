package model

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parleyhq/parley/store/storetest"
)

// trial is one history being run, and what came of it. It is a [storetest.TB] of
// its own, so that a failure ends the trial and not the test.
type trial struct {
	*testing.T
	verbose  bool // collect the lines
	lines    []string
	failure  string // "" while it goes well
	ran      int    // how many operations
	cleanups []func()
}

// abort is what a trial panics with when it fails.
type abort struct{}

// tryHistory runs a history to its end or its failure.
func tryHistory(tt *testing.T, s storetest.Subject, effort Effort, history []operation) *trial {
	t := &trial{T: tt}
	t.run(s, effort, history)
	return t
}

func (t *trial) run(s storetest.Subject, effort Effort, history []operation) {
	defer func() {
		if end := recover(); end != nil {
			if _, failed := end.(abort); !failed {
				panic(end)
			}
		}
		for _, f := range slices.Backward(t.cleanups) {
			f()
		}
	}()
	r := newRunner(t, s, effort.LookEvery)
	for _, op := range history {
		t.ran++
		if end := onOwnGoroutine(func() { r.do(op) }); end != nil {
			panic(end)
		}
	}
}

// onOwnGoroutine runs f on a goroutine of its own and returns what it panicked with.
// On one goroutine that does everything, the race detector's table of stacks would
// grow without end and soon take half of the time.
func onOwnGoroutine(f func()) (end any) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	return <-done
}

// Cleanup is called when the trial ends, not the test.
func (t *trial) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// Logf adds a line to what is printed of a failed history.
func (t *trial) Logf(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// Errorf fails the trial.
func (t *trial) Errorf(format string, args ...any) { t.failure = fmt.Sprintf(format, args...) }

// Fatalf fails the trial and ends it.
func (t *trial) Fatalf(format string, args ...any) {
	t.failure = fmt.Sprintf(format, args...)
	panic(abort{})
}

// Error fails the trial.
func (t *trial) Error(args ...any) { t.Errorf("%s", fmt.Sprint(args...)) }

// Fatal fails the trial and ends it.
func (t *trial) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

// Helper does nothing: lines of a history come from one place.
func (t *trial) Helper() {}
