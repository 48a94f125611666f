package pebble

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

// What a full disk does, and what ends it.
//
// Pebble cannot go on after a write that failed: what is on the disk is then unknown to it. So
// writes are refused while there is still a little room, which its own flushes and compactions
// need, and go on by themselves when there is more. If a write fails all the same, the store
// takes no more of them and probes its directory: once a write would succeed, only opening it
// anew is missing, which Failed tells.

// reserve is the room under which writes are refused: for the log that is begun next, a flush and a
// compaction, or an eighth of a disk that is small.
const reserve = 64 << 20

// reservedFiles is the number of files under which writes are refused, if the disk makes no more
// than so many: for the same log and tables, or an eighth of what a small disk can make.
const reservedFiles = 64

// roomEvery is how often the room is looked at. In that time the reserve is not used up.
const roomEvery = 100 * time.Millisecond

// probeEvery is how often a store that takes no writes tries whether its disk does.
const probeEvery = time.Second

// probeName is the file with which it tries.
const probeName = "probe"

// room says whether the disk of a directory has room for writes.
type room struct {
	disk vfs.FS
	dir  string
	// files tells how many files the disk can still make, and how many it can hold. A total
	// of zero is not known.
	files func(dir string) (free, total uint64)

	mu     sync.Mutex
	looked time.Time
	short  error
}

func newRoom(disk vfs.FS, dir string) *room {
	r := &room{disk: disk, dir: dir, files: freeFiles}
	if vfs.Root(disk) != vfs.Default {
		r.files = func(string) (free, total uint64) { return 0, 0 }
	}
	return r
}

// check returns an error that is chat.ErrStoreFull while there is too little room. Where the
// system does not tell the room, there is enough.
func (r *room) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < roomEvery {
		return r.short
	}
	r.looked, r.short = time.Now(), nil
	usage, err := r.disk.GetDiskUsage(r.dir)
	if err == nil && usage.AvailBytes < min(reserve, usage.TotalBytes/8) {
		r.short = fmt.Errorf("%w: the disk of %s has %d KiB left", chat.ErrStoreFull, r.dir, usage.AvailBytes>>10)
	}
	if free, total := r.files(r.dir); total > 0 && free < min(reservedFiles, total/8) {
		r.short = fmt.Errorf("%w: the disk of %s can make %d more files (inodes)", chat.ErrStoreFull, r.dir, free)
	}
	return r.short
}

// full marks an error for a full disk as chat.ErrStoreFull.
func full(err error) error {
	if vfs.IsNoSpaceError(err) && !errors.Is(err, chat.ErrStoreFull) {
		return fmt.Errorf("%w: %w", chat.ErrStoreFull, err)
	}
	return err
}

// probe writes as much as opening the store writes at least, and removes it again: what is in
// its logs becomes tables. A disk in memory always has room, and a mebibyte takes long there with
// the race detector: Pebble changes each byte that was written, to find who still reads it.
func probe(disk vfs.FS, dir string) (err error) {
	if _, inMemory := vfs.Root(disk).(*vfs.MemFS); inMemory {
		return nil
	}
	name := disk.PathJoin(dir, probeName)
	f, err := disk.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Remove(name)) }()
	block := make([]byte, 1<<20)
	for left := logBytes(disk, dir) + int64(len(block)); left > 0 && err == nil; left -= int64(len(block)) {
		_, err = f.Write(block)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// logBytes is the size of the logs in a store's directory.
func logBytes(disk vfs.FS, dir string) (size int64) {
	names, _ := disk.List(dir)
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		if info, err := disk.Stat(disk.PathJoin(dir, name)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// openDB opens the database. On a full disk Pebble would try for ever to write its tables.
func openDB(dir string, opts Options, lock *pebble.Lock) (*pebble.DB, error) {
	if err := probe(opts.FS, dir); err != nil {
		return nil, plain(dir, err)
	}
	type opened struct {
		db  *pebble.DB
		err error
	}
	stuck, done := make(chan error, 1), make(chan opened, 1)
	settings := tuned(opts, lock)
	paced := &pacedFS{FS: opts.FS}
	settings.FS = paced
	var serving atomic.Bool
	settings.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) {
			settings.Logger.Errorf("background error: %s", err)
			if vfs.IsNoSpaceError(err) {
				paced.full.Store(time.Now().UnixMilli())
				select {
				case stuck <- err:
				default:
				}
			}
		},
		// Pebble panics where it cannot begin its next log, in the middle of a commit and
		// without the lock that it unlocks then: nobody can recover from that. All that was
		// acknowledged is synced.
		WALCreated: func(info pebble.WALCreateInfo) {
			if info.Err != nil && serving.Load() {
				settings.Logger.Fatalf("begin the next log in %s: %v", dir, info.Err)
			}
		},
	}
	go func() {
		db, err := pebble.Open(dir, settings)
		serving.Store(err == nil)
		done <- opened{db, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, plain(dir, o.err)
		}
		return o.db, nil
	case err := <-stuck:
		select {
		case o := <-done: // it is open all the same
			if o.err == nil {
				return o.db, nil
			}
		case <-time.After(time.Second):
		}
		return nil, plain(dir, err)
	}
}

// plain names the directory, and of an error for a full disk nothing else.
func plain(dir string, err error) error {
	if vfs.IsNoSpaceError(err) {
		return fmt.Errorf("open the store in %s: %w: no space left on device", dir, chat.ErrStoreFull)
	}
	return fmt.Errorf("open the store in %s: %w", dir, err)
}

// pacedFS is a file system on which new tables wait a little after one that found no room.
// Pebble tries again at once, for ever.
type pacedFS struct {
	vfs.FS
	full atomic.Int64 // when a flush or a compaction found no room, in milliseconds
}

// pace is how long a table waits.
const pace = 500 * time.Millisecond

// Create implements vfs.FS.
func (p *pacedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") && time.Since(time.UnixMilli(p.full.Load())) < pace {
		time.Sleep(pace)
	}
	return p.FS.Create(name, category)
}

// Unwrap implements vfs.FS.
func (p *pacedFS) Unwrap() vfs.FS { return p.FS }
