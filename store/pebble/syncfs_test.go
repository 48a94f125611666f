package pebble

import "github.com/cockroachdb/pebble/v2/vfs"

// syncFS hands every sync of a file or a directory to a function, which does it.
type syncFS struct {
	vfs.FS
	on func(name string, sync func() error) error
}

func (fs syncFS) Unwrap() vfs.FS { return fs.FS }

func (fs syncFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.watched(name, f), err
}

func (fs syncFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(from, to, category)
	return fs.watched(to, f), err
}

func (fs syncFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return fs.watched(name, f), err
}

func (fs syncFS) watched(name string, f vfs.File) vfs.File {
	if f == nil {
		return nil
	}
	return syncFile{f, name, fs.on}
}

type syncFile struct {
	vfs.File
	name string
	on   func(name string, sync func() error) error
}

func (f syncFile) Sync() error     { return f.on(f.name, f.File.Sync) }
func (f syncFile) SyncData() error { return f.on(f.name, f.File.SyncData) }

func (f syncFile) SyncTo(length int64) (fullSync bool, err error) {
	err = f.on(f.name, func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	return fullSync, err
}
