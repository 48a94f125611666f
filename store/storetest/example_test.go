package storetest_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/pebble"
	"github.com/parleyhq/parley/store/storetest"
)

// A store runs the suite from its own tests. All it says is how an empty store is
// opened, and how one is opened again after a crash.
func Example() {
	subject := storetest.Subject{
		Open: func(tb storetest.TB, now func() time.Time) chat.Store {
			s, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem(), Now: now})
			if err != nil {
				tb.Fatalf("Open: %v", err)
			}
			tb.Cleanup(func() {
				if err := s.Close(); err != nil {
					tb.Errorf("Close: %v", err)
				}
			})
			return s
		},
		Reopen: nil, // so that the test of a crash is skipped
	}

	// Each of these is a function of the store's package, beside the others of its tests.
	TestConformance := func(t *testing.T) { storetest.Run(t, subject) }
	TestModel := func(t *testing.T) { storetest.RunModel(t, subject, storetest.Effort{Histories: 100, Steps: 100}) }
	BenchmarkStore := func(b *testing.B) { storetest.Benchmark(b, subject) }

	_, _, _ = TestConformance, TestModel, BenchmarkStore
}
