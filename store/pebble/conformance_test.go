package pebble

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store that the end of the test closes.
func open(tb storetest.TB, opts Options) *Store {
	tb.Helper()
	s, err := Open("db", opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

// crashable is a store on a disk that forgets what was not synced.
type crashable struct {
	*Store
	disk *vfs.MemFS
	now  func() time.Time
}

func openCrashable(tb storetest.TB, disk *vfs.MemFS, now func() time.Time) chat.Store {
	return crashable{open(tb, Options{FS: syncFS{disk, slowly}, Now: now}), disk, now}
}

// slowly syncs as a disk does: it takes its time. On one that did not, racing
// writers would come one after another.
func slowly(name string, sync func() error) error {
	if strings.HasSuffix(name, ".log") {
		time.Sleep(100 * time.Microsecond)
	}
	return sync()
}

var subject = storetest.Subject{
	Open: func(tb storetest.TB, now func() time.Time) chat.Store {
		return openCrashable(tb, vfs.NewCrashableMem(), now)
	},
	Reopen: func(tb storetest.TB, s chat.Store) chat.Store {
		old := s.(crashable)
		return openCrashable(tb, old.disk.CrashClone(vfs.CrashCloneCfg{}), old.now)
	},
}

func TestConformance(t *testing.T) { storetest.Run(t, subject) }

func TestModel(t *testing.T) {
	storetest.RunModel(t, subject, storetest.Effort{Histories: 30, Steps: 100})
}

// BenchmarkStore runs on the disk that holds the temporary directory.
func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, storetest.Subject{Open: func(tb storetest.TB, now func() time.Time) chat.Store {
		s, err := Open(b.TempDir(), Options{Now: now})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = s.Close() })
		return s
	}})
}
