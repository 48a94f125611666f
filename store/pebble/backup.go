package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

// A backup is a directory with the copy of a store's directory in it. The copy gets that name
// once it is whole, so a backup that was interrupted passes for none.
const (
	copyName    = "store"
	partialName = "store.partial"
)

// interruptedName is a file in a directory whose restoring has not ended.
const interruptedName = "RESTORING"

// Backup makes a backup of the store, as it is at one moment during the call, in dir, which
// is absent or empty. Files that never change are linked where the file system can, and
// copied elsewhere. The store goes on meanwhile.
func (s *Store) Backup(dir string) error {
	s.backups.RLock() // Close waits
	defer s.backups.RUnlock()
	if s.closed {
		return errors.New("the store is closed")
	}
	if err := makeEmpty(dir); err != nil {
		return err
	}
	if err := s.db.Checkpoint(filepath.Join(dir, partialName), pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	return completeBackup(dir)
}

func completeBackup(dir string) error {
	if err := os.Rename(filepath.Join(dir, partialName), filepath.Join(dir, copyName)); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	return syncDir(dir)
}

// BackupOf makes a backup of a store that no process has open. It leaves the store as it is: of
// one of an earlier format the copy alone is upgraded.
func BackupOf(store, dir string) error {
	if err := mustExist(store); err != nil {
		return err
	}
	opts := Options{}.orDefaults()
	lock, err := lockDirectory(opts.FS, store)
	if err != nil {
		return err
	}
	err = checkWhole(opts.FS, store)
	if err == nil {
		err = copyUnopened(store, dir, opts)
	}
	return errors.Join(err, lock.Close())
}

// copyUnopened makes a backup of a store whose directory is locked.
func copyUnopened(store, dir string, opts Options) error {
	if err := makeEmpty(dir); err != nil {
		return err
	}
	partial := filepath.Join(dir, partialName)
	if err := os.Mkdir(partial, 0o700); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	if err := linkFiles(store, partial); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	copied, err := Open(partial, opts)
	if err != nil {
		return err
	}
	if err := copied.Close(); err != nil {
		return err
	}
	return completeBackup(dir)
}

// Names of Pebble's files, of which the tables never change. Other files may be in a store's
// directory.
var (
	files  = regexp.MustCompile(`^([0-9]+(-[0-9]+)?\.log|(MANIFEST|OPTIONS)-[0-9]+|CURRENT|marker\..+)$`)
	tables = regexp.MustCompile(`^[0-9]+\.(sst|blob)$`)
)

// linkFiles copies a database that nobody has open, as Checkpoint does.
func linkFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		source, copied := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case tables.MatchString(e.Name()):
			err = vfs.LinkOrCopy(vfs.Default, source, copied)
		case files.MatchString(e.Name()):
			err = copyFile(source, copied)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(to)
}

// mustExist refuses a directory without a store, which Open would make.
func mustExist(store string) error {
	desc, err := pebble.Peek(store, vfs.Default)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !desc.Exists:
		return fmt.Errorf("there is no store in %s", store)
	case err != nil:
		return fmt.Errorf("look for a store in %s: %w", store, err)
	}
	return nil
}

// makeEmpty makes a directory, unless there is an empty one.
func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil:
		return fmt.Errorf("look into the directory: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty", dir)
	}
	return nil
}

// Contents is what a backup was found to have.
type Contents struct {
	Store                     chat.StoreID
	Threads, Events, Messages int
}

// Verify opens a backup without changing it, reads all of it, and checks that each thread's
// log is whole.
func Verify(dir string) (c Contents, err error) {
	copied := filepath.Join(dir, copyName)
	if err := mustExist(copied); err != nil {
		return c, fmt.Errorf("%s is no whole backup: %w", dir, err)
	}
	opts := tuned(Options{FS: vfs.Default}.orDefaults(), nil)
	opts.ReadOnly = true
	db, err := pebble.Open(copied, opts)
	if err != nil {
		return c, fmt.Errorf("open the backup: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var found bool
	if c.Store, found, err = lookupIn(db, storeIDKey(), decodeStoreID); err == nil && !found {
		err = errors.New("the backup's store has no id")
	}
	if err != nil {
		return c, err
	}
	logs, err := c.readLogs(db)
	if err != nil {
		return c, err
	}
	for _, prefix := range everyPrefix() {
		if err := readAll(db, prefix, func(key, _ []byte) error {
			if prefix == prefixMessage {
				c.Messages++
			}
			return nil
		}); err != nil {
			return c, err
		}
	}
	return c, readAll(db, prefixHead, func(key, value []byte) error {
		thread := chat.ThreadID(key[1:])
		head, err := decodeHead(value)
		if err == nil && logs[thread] != head.Seq {
			err = fmt.Errorf("the log of thread %s has %d events and should have %d", thread, logs[thread], head.Seq)
		}
		c.Threads++
		return err
	})
}

// readLogs counts the events of each thread, whose log has to be without a gap.
func (c *Contents) readLogs(db *pebble.DB) (map[chat.ThreadID]chat.Seq, error) {
	logs := make(map[chat.ThreadID]chat.Seq)
	err := readAll(db, prefixEvent, func(key, _ []byte) error {
		thread, seq := chat.ThreadID(key[1:17]), seqOf(key)
		if logs[thread]++; logs[thread] != seq {
			return fmt.Errorf("the log of thread %s has event %d in place of %d", thread, seq, logs[thread])
		}
		c.Events++
		return nil
	})
	return logs, err
}

// everyPrefix lists what keys begin with, but for those that Verify reads otherwise.
func everyPrefix() (prefixes []byte) {
	for p := byte('A'); p <= 'z'; p++ {
		if p != prefixEvent && p != prefixHead {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

func readAll(db *pebble.DB, prefix byte, see func(key, value []byte) error) error {
	return scanIn(context.Background(), db, nil, within([]byte{prefix}), false, func(key, value []byte) (bool, error) {
		return true, see(key, value)
	})
}

// Restore makes a store of a backup in a directory that is absent or empty. The store is
// another one than that which the backup is of: it has an id of its own, by which clients
// learn that what they hold may be of events that are gone.
func Restore(backup, store string) (id chat.StoreID, err error) {
	copied := filepath.Join(backup, copyName)
	if err := mustExist(copied); err != nil {
		return id, fmt.Errorf("%s is no whole backup: %w", backup, err)
	}
	if err := makeEmpty(store); err != nil {
		return id, err
	}
	interrupted := filepath.Join(store, interruptedName)
	if err := os.WriteFile(interrupted, nil, 0o600); err != nil {
		return id, fmt.Errorf("restore: %w", err)
	}
	if err := copyFiles(copied, store); err != nil {
		return id, fmt.Errorf("restore: %w", err)
	}
	id = chat.NewStoreID()
	if err := rename(store, id); err != nil {
		return id, fmt.Errorf("restore: %w", err)
	}
	if err := os.Remove(interrupted); err != nil {
		return id, fmt.Errorf("restore: %w", err)
	}
	return id, syncDir(store)
}

// rename gives a store that was copied another id.
func rename(store string, id chat.StoreID) error {
	db, err := pebble.Open(store, tuned(Options{}.orDefaults(), nil))
	if err != nil {
		return err
	}
	return errors.Join(db.Set(storeIDKey(), id[:], pebble.Sync), db.Close())
}

// checkWhole refuses a directory whose restoring was interrupted.
func checkWhole(disk vfs.FS, dir string) error {
	if _, err := disk.Stat(disk.PathJoin(dir, interruptedName)); err == nil {
		return fmt.Errorf("the store in %s was not restored to the end: empty the directory and run parley restore again", dir)
	}
	return nil
}

// copyFiles copies the files of a directory, and syncs them. They are not linked, since the
// store writes to some of them.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is no plain file", e.Name())
		}
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return syncDir(to)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
