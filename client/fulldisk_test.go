//go:build unix

package client_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"github.com/parleyhq/parley/client"
)

// limitFiles has the system refuse to let files grow above so many bytes, as a full disk does:
// a write ends in the middle of a line.
func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// What a full disk does not take is refused, and what was kept before and comes after stays readable.
func TestAFullDiskLeavesTheFileReadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s, err := client.OpenFileStore(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(n uint64) error {
		return s.PutOutgoing(t.Context(), client.Outgoing{N: n, ThreadID: "first", Body: client.SendBody{Ciphertext: make([]byte, 300)}})
	}
	// A full disk takes no new file either: its name is that of a folder.
	if err := syscall.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	lift := limitFiles(t, 4<<10)
	kept := uint64(0)
	for put(kept+1) == nil {
		kept++
	}
	again := put(kept + 2)
	lift()
	if kept == 0 || again == nil {
		t.Fatalf("%d were kept, and then %v", kept, again)
	}
	if err := put(kept + 3); err != nil {
		t.Fatal("with room again:", err)
	}
	want, _ := s.Load(t.Context())
	if len(want.Outgoing) != int(kept)+1 {
		t.Errorf("%d messages are kept, not %d", len(want.Outgoing), kept+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Rmdir(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if s, err = client.OpenFileStore(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Load(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("opened again: %+v, %v, want %+v", got, err, want)
	}
}

// A change that was kept is no failure because the file could not be made smaller.
func TestAFileThatCannotBeMadeSmallerIsGoneOnWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s, err := client.OpenFileStore(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// The new file has another name, which a folder takes.
	if err := syscall.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(21_000) {
		if err := s.SavePosition(t.Context(), fmt.Sprint("thread ", seq%2), seq+1); err != nil {
			t.Fatalf("position %d: %v", seq+1, err)
		}
	}
}
