package client_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/client"
)

// Both stores keep the same, whatever the order of the changes.
func TestStoresKeepWhatTheyAreGiven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	file, err := client.OpenFileStore(path)
	if err != nil {
		t.Fatal(err)
	}
	memory := client.NewMemoryStore()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 5, 30, 17, 42, 11, 0, time.UTC)
	for _, s := range []client.Store{file, memory} {
		must(s.Reset(t.Context(), "a store"))
		must(s.SavePosition(t.Context(), "first", 3))
		must(s.SavePosition(t.Context(), "second", 1))
		must(s.SavePosition(t.Context(), "first", 4))
		for n := range uint64(3) {
			must(s.PutOutgoing(t.Context(), client.Outgoing{N: n + 1, ThreadID: "first", Key: "k", QueuedAt: at, Body: client.SendBody{ClientSeq: 7, Ciphertext: []byte{0}}}))
		}
		must(s.DropOutgoing(t.Context(), 2))
	}
	want, _ := memory.Load(t.Context())
	check := func(what string) {
		t.Helper()
		got, err := file.Load(t.Context())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	check("written")
	must(file.Close())
	if err := file.SavePosition(t.Context(), "first", 5); err == nil {
		t.Error("a closed store kept something")
	}

	// A loss of power in the middle of a line loses that change alone.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteString(`{"thread":"first","seq":`)
	must(err)
	must(f.Close())
	file, err = client.OpenFileStore(path)
	must(err)
	check("opened again")

	// However often it changes, the file stays small.
	for seq := range uint64(25_000) {
		must(file.SavePosition(t.Context(), "second", seq+2))
	}
	must(memory.SavePosition(t.Context(), "second", 25_001))
	want, _ = memory.Load(t.Context())
	must(file.Close())
	text, err := os.ReadFile(path)
	must(err)
	if lines := strings.Count(string(text), "\n"); lines > 11_000 {
		t.Errorf("the file has %d lines", lines)
	}
	file, err = client.OpenFileStore(path)
	must(err)
	check("after many changes")
	must(file.Reset(t.Context(), "another"))
	must(memory.Reset(t.Context(), "another"))
	want, _ = memory.Load(t.Context())
	check("of another store")
	must(file.Close())

	must(os.WriteFile(path, []byte("{\n{}\n"), 0o600))
	if _, err := client.OpenFileStore(path); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a file of something else: %v", err)
	}
}
