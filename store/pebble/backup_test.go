package pebble

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

func mustOpen(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// backedUp is a backup of a store with one thread of three events, made while the store was
// open, which has had another event since.
func backedUp(t *testing.T) (store, backup string, id chat.StoreID) {
	t.Helper()
	store, backup = filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "backup")
	s := mustOpen(t, store)
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	mustAppend(t, s, messageOf(1, 2, "a"), messageOf(1, 3, "b"))
	p := chat.Position{Through: map[chat.ThreadID]chat.Seq{{15: 1}: 2}, Acknowledged: true}
	if _, err := s.BeginPosition(t.Context(), "bob", "phone", p); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(backup); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, messageOf(1, 4, "c"))
	mustClose(t, s)
	return store, backup, s.ID()
}

// A backup of an open store is what it had at that moment. What is restored from it is a
// store with an id of its own, which goes on.
func TestBackupIsRestored(t *testing.T) {
	_, backup, id := backedUp(t)
	for range 2 { // to verify changes nothing
		c, err := Verify(backup)
		if want := (Contents{id, 1, 3, 2}); err != nil || c != want {
			t.Fatalf("the backup has %+v, %v; want %+v", c, err, want)
		}
	}
	restored := filepath.Join(t.TempDir(), "new")
	fresh, err := Restore(backup, restored)
	if err != nil || fresh == id {
		t.Fatalf("Restore = %s, %v; the store before was %s", fresh, err, id)
	}
	s := mustOpen(t, restored)
	defer mustClose(t, s)
	got, err := s.Thread(t.Context(), chat.ThreadID{15: 1})
	if err != nil || got.Head.Seq != 3 || s.ID() != fresh {
		t.Errorf("the thread of store %s is %+v, %v", s.ID(), got, err)
	}
	if p, found, err := s.Position(t.Context(), "bob", "phone"); err != nil || !found || p.Through[chat.ThreadID{15: 1}] != 2 {
		t.Errorf("the position is %+v, %v, %v", p, found, err)
	}
	mustAppend(t, s, messageOf(1, 4, "another"))
	if c, err := Verify(backup); err != nil || c.Events != 3 {
		t.Errorf("after the restored store was written the backup has %+v, %v", c, err)
	}
}

func TestBackupOfAClosedStore(t *testing.T) {
	store, _, id := backedUp(t)
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	if err := BackupOf(store, dir); err != nil {
		t.Fatal(err)
	}
	if c, err := Verify(dir); err != nil || c.Store != id || c.Events != 4 {
		t.Errorf("it has %+v, %v", c, err)
	}
}

func TestBackupsRefused(t *testing.T) {
	store, backup, _ := backedUp(t)
	used, partial, nothing := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "nothing")
	if err := errors.Join(os.WriteFile(filepath.Join(used, "file"), nil, 0o600), os.Mkdir(filepath.Join(partial, partialName), 0o700)); err != nil {
		t.Fatal(err)
	}
	_, restoreUsed := Restore(backup, used)
	_, restorePartial := Restore(partial, t.TempDir())
	_, verifyPartial := Verify(partial)
	_, verifyStore := Verify(store)
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"into a directory with a file":    {BackupOf(store, used), "is not empty"},
		"of no store":                     {BackupOf(nothing, t.TempDir()), "there is no store"},
		"of an empty directory":           {BackupOf(t.TempDir(), t.TempDir()), "there is no store"},
		"restored onto something":         {restoreUsed, "is not empty"},
		"of an interrupted backup":        {restorePartial, "no whole backup"},
		"verifying an interrupted backup": {verifyPartial, "no whole backup"},
		"verifying a store":               {verifyStore, "no whole backup"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, c.err, c.says)
		}
	}
	if _, err := os.Stat(nothing); err == nil {
		t.Error("a store was made where there was none")
	}
}

// A store whose restoring was interrupted is not opened.
func TestInterruptedRestoreIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, interruptedName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "parley restore") {
		t.Errorf("Open = %v", err)
	}
}

// Verify finds a log with a gap, and a head that says more than the log has.
func TestVerifyFindsWhatIsMissing(t *testing.T) {
	for _, seq := range []chat.Seq{2, 3} {
		_, backup, _ := backedUp(t)
		db, err := pebble.Open(filepath.Join(backup, copyName), tuned(Options{}.orDefaults(), nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Delete(eventKey(chat.ThreadID{15: 1}, seq), pebble.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		if c, err := Verify(backup); err == nil {
			t.Errorf("event %d is missing, and Verify = %+v", seq, c)
		}
	}
}

// filesOf is what the files of a directory hold.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

// A backup of a stopped store of an earlier format is of the present one, and the store stays as
// it is, to be used by the build that wrote it. Files of others in its directory are not copied.
func TestBackupLeavesAStoreOfAnEarlierFormat(t *testing.T) {
	fixture, err := filepath.Abs("testdata/format5.hex")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	load(t, vfs.Default, fixture)
	db, err := pebble.Open("db", tuned(Options{FS: vfs.Default}.orDefaults(), nil))
	if err != nil {
		t.Fatal(err)
	}
	// Some of it in a table, the last in the log.
	if err := errors.Join(db.Flush(), db.Set([]byte("~last"), nil, pebble.Sync), db.Close(), os.WriteFile("db/secret", []byte("hush"), 0o600)); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, "db")
	if err := BackupOf("db", "backup"); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(filesOf(t, "db"), before) {
		t.Errorf("the store had %v, and has %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(filesOf(t, "db"))))
	}
	if _, copied := filesOf(t, "backup/store")["secret"]; copied {
		t.Error("a file that is not the store's was copied")
	}
	if _, err := Verify("backup"); err != nil {
		t.Error(err)
	}
	if _, err := Restore("backup", "restored"); err != nil {
		t.Fatal(err)
	}
	for dir, format := range map[string]byte{"db": 5, "restored": formatVersion} {
		readOnly := tuned(Options{FS: vfs.Default}.orDefaults(), nil)
		readOnly.ReadOnly = true
		db, err := pebble.Open(dir, readOnly)
		if err != nil {
			t.Fatal(err)
		}
		raw, closer, err := db.Get(formatKey())
		if err != nil || !bytes.Equal(raw, []byte{format}) {
			t.Errorf("the store in %s has format %x, %v; want %d", dir, raw, err, format)
		}
		if _, last, err := db.Get([]byte("~last")); err != nil {
			t.Errorf("what was written last into %s: %v", dir, err)
		} else if err := last.Close(); err != nil {
			t.Error(err)
		}
		if err := errors.Join(closer.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, "restored")
	defer mustClose(t, s)
	checkFormat5(t, s)
}
