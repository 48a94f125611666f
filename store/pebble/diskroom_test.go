package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

// fullFS is a disk that is full while it is told so: nothing can be written, or made. It says that
// it has room, so that a write is tried.
type fullFS struct {
	vfs.FS
	full *atomic.Bool
}

func (fs fullFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if fs.full.Load() {
		return nil, syscall.ENOSPC
	}
	f, err := fs.FS.Create(name, category)
	return fullFile{f, fs.full}, err
}

func (fs fullFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if fs.full.Load() {
		return nil, syscall.ENOSPC
	}
	f, err := fs.FS.ReuseForWrite(from, to, category)
	return fullFile{f, fs.full}, err
}

type fullFile struct {
	vfs.File
	full *atomic.Bool
}

func (f fullFile) Write(p []byte) (int, error) {
	if f.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

// A write that fails on a full disk ends the writing, and not the reading. Once the disk has room
// the store says that it can be opened anew, with all that was acknowledged.
func TestAFullDiskIsToldWhenItIsOver(t *testing.T) {
	disk := fullFS{vfs.NewCrashableMem(), new(atomic.Bool)}
	s, err := Open("db", Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	put := func(s *Store, by chat.UserID) error {
		return s.PutBlock(t.Context(), chat.Block{User: by, Blocked: "mallory", At: testTime})
	}
	has := func(s *Store, by chat.UserID) bool {
		t.Helper()
		yes, err := s.HasBlocked(t.Context(), by, "mallory")
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if err := put(s, "ann"); err != nil {
		t.Fatal(err)
	}
	disk.full.Store(true)
	for range 3 {
		if err := put(s, "bob"); !errors.Is(err, chat.ErrStoreFull) {
			t.Fatalf("a write on a full disk: %v", err)
		}
	}
	if err := s.Ping(t.Context()); !errors.Is(err, chat.ErrStoreFull) {
		t.Errorf("Ping on a full disk: %v", err)
	}
	if err := s.PutLastSeen(t.Context(), "ann", testTime); !errors.Is(err, chat.ErrStoreFull) {
		t.Errorf("a write that is not synced, on a full disk: %v", err)
	}
	if !has(s, "ann") || has(s, "bob") {
		t.Error("what was acknowledged, and only that, is not read any more")
	}
	if _, err := Open("other", Options{FS: disk}); err == nil || !strings.Contains(err.Error(), "other") || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("opening a store on a full disk: %v", err)
	}
	select {
	case err := <-s.Failed():
		t.Fatalf("with the disk still full the store is to be opened anew: %v", err)
	default:
	}
	disk.full.Store(false)
	select {
	case err := <-s.Failed():
		t.Log(err)
	case <-time.After(2 * time.Minute):
		t.Fatal("nobody is told that the disk has room")
	}
	if err := put(s, "bob"); err == nil {
		t.Error("the store takes writes again, though nobody knows what is on the disk")
	}
	_ = s.Close() // what had failed fails again
	s = open(t, Options{FS: disk})
	if !has(s, "ann") {
		t.Error("what was acknowledged is lost")
	}
	if err := put(s, "bob"); err != nil || !has(s, "bob") {
		t.Errorf("the store that was opened anew: %v", err)
	}
}

// smallFS is a disk with that much room.
type smallFS struct {
	vfs.FS
	left *atomic.Uint64
}

func (fs smallFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: fs.left.Load(), TotalBytes: 1 << 40}, nil
}

// Writes are refused while there is less room than Pebble itself may need, and go on by themselves.
func TestTheReserveIsKept(t *testing.T) {
	disk := smallFS{vfs.NewMem(), new(atomic.Uint64)}
	disk.left.Store(reserve)
	s := open(t, Options{FS: disk})
	until := func(full bool) {
		t.Helper()
		deadline := time.After(2 * time.Minute)
		for errors.Is(s.Ping(t.Context()), chat.ErrStoreFull) != full {
			select {
			case <-time.After(time.Millisecond):
			case <-deadline:
				t.Fatalf("it never became so that the disk is full: %v", full)
			}
		}
	}
	until(false)
	if err := s.PutBlock(t.Context(), chat.Block{User: "ann", Blocked: "bob", At: testTime}); err != nil {
		t.Errorf("with just enough room: %v", err)
	}
	disk.left.Store(reserve - 1)
	until(true)
	if err := s.PutBlock(t.Context(), chat.Block{User: "ann", Blocked: "cid", At: testTime}); !errors.Is(err, chat.ErrStoreFull) {
		t.Errorf("with a byte too little: %v", err)
	}
	disk.left.Store(reserve)
	until(false)
	if err := s.PutBlock(t.Context(), chat.Block{User: "ann", Blocked: "cid", At: testTime}); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// Writes are refused, too, while the disk makes hardly any more files.
func TestTheReserveOfFilesIsKept(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem()})
	for n, c := range []struct {
		free, total uint64
		refused     bool
	}{
		{reservedFiles, 1 << 20, false},
		{reservedFiles - 1, 1 << 20, true},
		{10, 80, false},
		{9, 80, true},
		{0, 0, false}, // the disk does not tell
	} {
		s.state.room.files = func(string) (uint64, uint64) { return c.free, c.total }
		s.state.room.looked = time.Time{}
		err := s.PutBlock(t.Context(), chat.Block{User: chat.UserID(fmt.Sprint("user", n)), Blocked: "mallory", At: testTime})
		if errors.Is(err, chat.ErrStoreFull) != c.refused || !c.refused && err != nil {
			t.Errorf("with %d of %d files left: %v", c.free, c.total, err)
		}
	}
}

// noLogFS is a disk that makes no log while it is told so.
type noLogFS struct {
	vfs.FS
	full *atomic.Bool
}

func (fs noLogFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if fs.full.Load() && strings.HasSuffix(name, ".log") {
		return nil, syscall.ENOSPC
	}
	return fs.FS.Create(name, category)
}

// A store that cannot begin its next log ends the process with one line and code 1, and all that
// was acknowledged is there at the next start. The process is this test's, run again.
func TestNoNextLogEndsTheProcess(t *testing.T) {
	if dir := os.Getenv("PARLEY_TEST_NO_NEXT_LOG"); dir != "" {
		writeUntilNoLog(dir)
	}
	dir := filepath.Join(t.TempDir(), "store")
	again := exec.Command(os.Args[0], "-test.run", "^TestNoNextLogEndsTheProcess$")
	again.Env = append(os.Environ(), "PARLEY_TEST_NO_NEXT_LOG="+dir)
	var stdout, stderr strings.Builder
	again.Stdout, again.Stderr = &stdout, &stderr
	if err := again.Run(); again.ProcessState == nil || again.ProcessState.ExitCode() != 1 {
		t.Fatalf("the process ended with %v\n%s", err, &stderr)
	}
	if lines := strings.Split(strings.TrimSpace(stderr.String()), "\n"); len(lines) != 1 || !strings.Contains(lines[0], dir) || !strings.Contains(lines[0], "no space left") {
		t.Errorf("the process said:\n%s", &stderr)
	}
	written := strings.Count(stdout.String(), "\n")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range written {
		_, closer, err := s.db.Get(testKey(n))
		if err != nil {
			t.Fatalf("what was acknowledged as %d of %d: %v", n+1, written, err)
		}
		closer.Close()
	}
	if written == 0 {
		t.Error("nothing was written before")
	}
}

// writeUntilNoLog writes to a store until that ends the process. It prints a line for each
// acknowledged write.
func writeUntilNoLog(dir string) {
	disk := noLogFS{vfs.Default, new(atomic.Bool)}
	s, err := Open(dir, Options{FS: disk, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		panic(err)
	}
	disk.full.Store(true)
	for n := range 10_000 {
		_, done, err := s.locked(context.Background(), "test")
		if err != nil {
			panic(err)
		}
		b := s.db.NewBatch()
		err = errors.Join(b.Set(testKey(n), make([]byte, 16<<10), nil), s.state.commit(context.Background(), b))
		done()
		if err != nil {
			panic(err)
		}
		fmt.Println(n)
	}
}

func testKey(n int) []byte { return fmt.Append(nil, "~", n) }
