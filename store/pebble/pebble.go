// Package pebble is the embedded store: one directory, one process, no server
// beside it. It keeps the promises of [chat.Store] on github.com/cockroachdb/pebble,
// a log-structured key-value store. Times are kept to the millisecond.
//
// Read in this order: keys.go (the layout on disk, one line a kind of key), view.go
// (what readers see), groupcommit.go (how a batch becomes durable), append.go (an
// append from its locks to its batch), fold.go (how an edit, a deletion or a reaction
// rewrites its message), duplicates.go
// and keydays.go (how a retry is recognised). codec.go,
// recordcodec.go, eventcodec.go and messagecodec.go say what stands under the keys;
// clientseqcache.go and blockercache.go spare a send its reads; every other file
// implements a part of the port.
//
// The way of a write:
//
//	Append ─► locks: the thread, the idempotency keys        held until the answer
//	            │
//	          view: a snapshot of what is durable            reads see this and nothing newer
//	            │   what is read there decides
//	          batch: all keys of the write, or none
//	            │
//	          queue ─► the committing goroutine: writes all batches that wait,
//	                   syncs once, makes the next view, then answers each writer
//
// So each write is atomic, all writers of a moment share one sync, and of two writes
// that want the same thing (a seq, a key, a pair of people) the later one sees what
// the earlier one did.
package pebble

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/keylock"
	"github.com/parleyhq/parley/store/base"
)

// formatVersion is the layout of keys and values that this build writes. Raise
// it when an older build could not read the store any more. A store of a format from
// oldestFormat on is used as it is: what is read of it says which format it has, and
// what is written has the new one.
const (
	formatVersion = 6 // control messages have epochs, a mark says how high the one of the other kind was
	oldestFormat  = 3
)

// Options of a store. The zero value is good.
type Options struct {
	FS                vfs.FS           // the disk if nil
	IdempotencyWindow time.Duration    // how long a retry is recognised by its key; that of chat.DefaultLimits if 0
	Now               func() time.Time // time.Now if nil
	Log               *slog.Logger     // silent if nil
	CacheBytes        int64            // block cache, beside the memtables; 32 MB if 0
	OpenTables        int              // how many files are kept open; 1,000 if 0

	costs *costs // for tests
}

// Store implements [chat.Store].
type Store struct {
	db                *pebble.DB
	lock              io.Closer // of the directory
	state             *durable
	locks             keylock.Locks
	clientSeqs        *clientSeqCache
	blockers          *blockerCache
	heads             *headCache
	keyDays           keyDays
	conns             atomic.Int64 // how many connections were admitted since the store was opened
	removals          removals
	newest            time.Time // the ceiling when the store was opened
	id                chat.StoreID
	idempotencyWindow time.Duration
	now               func() time.Time
	log               *slog.Logger

	backups sync.RWMutex // held by those that are being made
	closed  bool         // guarded by backups

	failed       chan error
	stopSweeping context.CancelFunc
	sweeping     sync.WaitGroup
}

var _ chat.Store = (*Store)(nil)

// Open opens the store in a directory, and makes both if they do not exist. It
// refuses a directory that is in use, and one whose format this build does not
// know.
func Open(dir string, opts Options) (_ *Store, err error) {
	opts = opts.orDefaults()
	lock, err := lockDirectory(opts.FS, dir)
	if err != nil {
		return nil, err
	}
	if err := checkWhole(opts.FS, dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if opts.FS == vfs.Default {
		closeToOthers(dir, opts.Log)
	}
	db, err := openDB(dir, opts, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := checkFormat(db); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), db.Close(), lock.Close())
	}
	ceiling, err := readCeiling(db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), db.Close(), lock.Close())
	}
	id, err := readID(db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), db.Close(), lock.Close())
	}
	s := &Store{
		id: id, db: db, lock: lock, state: newDurable(db, ceiling, opts.Log, opts.costs, newRoom(opts.FS, dir)), newest: ceiling,
		clientSeqs: newClientSeqCache(), blockers: newBlockerCache(), heads: newHeadCache(),
		idempotencyWindow: opts.IdempotencyWindow, now: opts.Now, log: opts.Log, failed: make(chan error, 1),
	}
	if err := s.readKeyDays(); err != nil {
		s.state.close()
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), db.Close(), lock.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stopSweeping = stop
	s.sweeping.Go(func() { s.sweepEvery(ctx, sweepInterval) })
	s.sweeping.Go(func() { s.awaitRoom(ctx, opts.FS, dir) })
	return s, nil
}

func (o Options) orDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	o.CacheBytes = cmp.Or(o.CacheBytes, 32<<20)
	base.Defaults(&o.IdempotencyWindow, &o.Now, &o.Log)
	return o
}

// memTableBytes is the size of a memtable. Messages of 64 KB would fill Pebble's default
// of 4 MB every few milliseconds, and each flush costs a sync of the manifest and a file
// in L0.
const memTableBytes = 16 << 20

// tuned gives the settings of Pebble that differ from its defaults.
func tuned(o Options, lock *pebble.Lock) *pebble.Options {
	p := &pebble.Options{
		FS:   o.FS,
		Lock: lock,
		// Pebble reserves two memtables in the cache: the one that is written, and the
		// one that is flushed or kept for reuse. Without room for them nothing would be
		// left for blocks, and each read would go to a file.
		CacheSize: o.CacheBytes + 2*memTableBytes,
		Logger:    logger{o.Log},
		// A named version, not FormatNewest: there is no way back to an older one.
		FormatMajorVersion: pebble.FormatValueSeparation,
		MemTableSize:       memTableBytes,
		MaxOpenFiles:       o.OpenTables, // 0 is Pebble's default, 1,000
		// A range deletion is flushed after this time also in a quiet store, so that the
		// idempotency keys it drops, and overwritten heads, give their room back.
		FlushDelayDeleteRange: 10 * time.Second,
		// A burst may let L0 grow further than Pebble's default of 12 before
		// writers are held up; reads go through the filters.
		L0StopWritesThreshold: 24,
	}
	for i := range p.Levels {
		// Most lookups of a send are for keys that do not exist (its idempotency key on
		// two days): the filters answer them without reading a block.
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return p
}

func lockDirectory(disk vfs.FS, dir string) (*pebble.Lock, error) {
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the store's directory: %w", err)
	}
	lock, err := pebble.LockDirectory(dir, disk)
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return nil, fmt.Errorf("open the store in %s: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the store in %s is in use by another process (%w)", dir, err)
	}
	return lock, nil
}

// checkFormat refuses a store of a format that is not known, and has the store say that
// it has the present one.
func checkFormat(db *pebble.DB) error {
	raw, closer, err := db.Get(formatKey())
	if errors.Is(err, pebble.ErrNotFound) {
		return db.Set(formatKey(), binary.AppendUvarint(nil, formatVersion), pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("read the format version: %w", err)
	}
	version, n := binary.Uvarint(raw)
	if err := closer.Close(); err != nil {
		return fmt.Errorf("read the format version: %w", err)
	}
	if n <= 0 || version > math.MaxInt64 {
		version = 0 // which is no format
	}
	if err := base.CheckFormat(int64(version), oldestFormat, formatVersion); err != nil || version == formatVersion {
		return err
	}
	if err := noteDevices(db); err != nil {
		return err
	}
	return db.Set(formatKey(), binary.AppendUvarint(nil, formatVersion), pebble.Sync)
}

// readID gives the store's id. A store without one is new, or of a build that gave none: it
// gets one.
func readID(db *pebble.DB) (id chat.StoreID, err error) {
	id, found, err := lookupIn(db, storeIDKey(), decodeStoreID)
	if err != nil || found {
		return id, err
	}
	id = chat.NewStoreID()
	if err := db.Set(storeIDKey(), id[:], pebble.Sync); err != nil {
		return id, fmt.Errorf("name the store: %w", err)
	}
	return id, nil
}

func decodeStoreID(value []byte) (id chat.StoreID, err error) {
	if len(value) != len(id) {
		return id, fmt.Errorf("the store's id has %d bytes", len(value))
	}
	return chat.StoreID(value), nil
}

// ID implements [chat.Store].
func (s *Store) ID() chat.StoreID { return s.id }

// Ping reports whether the store takes reads and writes.
func (s *Store) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v, err := s.state.view()
	if err != nil {
		return err
	}
	defer v.release()
	return s.state.checkWritable()
}

// Failed tells once, by an error, that the store has failed and has to be opened anew, and that
// nothing is in the way of that any more.
func (s *Store) Failed() <-chan error { return s.failed }

// awaitRoom waits until a commit has failed, and then until the disk takes writes again.
func (s *Store) awaitRoom(ctx context.Context, disk vfs.FS, dir string) {
	select {
	case <-s.state.lost:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := probe(disk, dir); err != nil {
			s.log.Warn("the disk of the store takes no writes yet", "dir", dir, "error", err)
			continue
		}
		s.failed <- fmt.Errorf("the store in %s had failed and its disk takes writes again: it has to be opened anew (%w)", dir, s.state.failed())
		return
	}
}

// Stats gives figures for operators.
func (s *Store) Stats() base.Stats {
	return base.Stats{Bytes: func() int64 { return int64(s.db.Metrics().DiskSpaceUsage()) }, Syncs: s.state.syncs}
}

// Close waits for the calls under way and closes the database. Calls after it
// fail; closing twice is not allowed.
func (s *Store) Close() error {
	s.backups.Lock()
	s.closed = true
	s.backups.Unlock()
	s.stopSweeping()
	s.sweeping.Wait()
	s.state.close()
	if err := errors.Join(s.db.Close(), s.lock.Close()); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}
