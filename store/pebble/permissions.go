package pebble

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// closeToOthers takes the permissions of everybody but the owner from a store's directory and
// its files, since they hold messages. An earlier version or an operator may have left them
// open. It logs one line if it has changed anything. What it cannot change it logs too, and
// the store is opened all the same.
func closeToOthers(dir string, log *slog.Logger) {
	closed, failed := 0, error(nil)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // it has just been removed
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 == 0 || !info.Mode().IsRegular() && !info.IsDir() {
			return nil
		}
		mode := fs.FileMode(0o600)
		if info.IsDir() {
			mode = 0o700
		}
		if refused := os.Chmod(path, mode); refused != nil {
			failed = refused
		} else {
			closed++
		}
		return nil
	})
	if closed > 0 {
		log.Warn("the store's directory was open to others and is not any more", "dir", dir, "files", closed)
	}
	if err := errors.Join(err, failed); err != nil {
		log.Warn("whether the store's directory is open to others cannot be changed", "dir", dir, "error", err)
	}
}
