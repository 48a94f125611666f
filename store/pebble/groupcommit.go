package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// errClosed is what calls after Close get.
var errClosed = errors.New("the store is closed")

// durable is the database as seen through its stable storage.
//
// Pebble shows a synced commit to readers before its log is synced, so reading
// the database could tell of what a crash then takes back. Therefore one
// goroutine commits: it takes all batches that wait, writes them, syncs the log
// once, takes a snapshot, makes that the one readers read, and only then
// answers the writers. Readers see the state of the last finished sync: at once,
// whole, and without waiting for the next.
type durable struct {
	db    *pebble.DB
	log   *slog.Logger
	costs *costs
	queue chan *commit
	ended chan struct{} // closed when the committing goroutine has returned
	views sync.WaitGroup

	mu      sync.Mutex
	current *view // what readers read
	failure error // the first failed commit; none is tried after it
	closed  bool
}

// commit is one batch on its way; done receives its outcome.
type commit struct {
	batch *pebble.Batch
	done  chan error
}

// maxGroup bounds how many batches share one sync.
const maxGroup = 1024

// view is a consistent state of the database, all of it durable. Every call of
// the store holds one from its first look until it is done, which is also what
// Close waits for.
type view struct {
	snap *pebble.Snapshot
	of   *durable
	refs int // guarded by of.mu; one is that of being current
}

func newDurable(db *pebble.DB, log *slog.Logger, costs *costs) *durable {
	d := &durable{db: db, log: log, costs: costs, queue: make(chan *commit, maxGroup), ended: make(chan struct{})}
	d.current = &view{snap: db.NewSnapshot(), of: d, refs: 1}
	go d.run()
	return d
}

// view gives the present durable state. It must be released.
func (d *durable) view() (*view, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	d.views.Add(1)
	d.current.refs++
	return d.current, nil
}

func (v *view) release() {
	v.unref()
	v.of.views.Done()
}

func (v *view) unref() {
	v.of.mu.Lock()
	v.refs--
	last := v.refs == 0
	v.of.mu.Unlock()
	if last {
		_ = v.snap.Close() // always nil
	}
}

// commit makes a batch durable and visible; the batch is used up. It cannot be
// cancelled once it is on its way: its locks must outlive it. The caller holds a
// view.
func (d *durable) commit(ctx context.Context, b *pebble.Batch) error {
	if err := ctx.Err(); err != nil {
		_ = b.Close()
		return context.Cause(ctx)
	}
	if err := d.failed(); err != nil {
		_ = b.Close()
		return err
	}
	d.costs.commit(b)
	c := &commit{batch: b, done: make(chan error, 1)}
	d.queue <- c
	return <-c.done
}

// failed is the failure after which nothing is written any more.
func (d *durable) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failure
}

func (d *durable) run() {
	defer close(d.ended)
	for first := range d.queue {
		group := []*commit{first}
		for len(group) < maxGroup && len(d.queue) > 0 {
			group = append(group, <-d.queue)
		}
		d.commitGroup(group)
	}
}

func (d *durable) commitGroup(group []*commit) {
	err := d.failed()
	if err == nil {
		err = d.write(group)
	}
	old := d.publish(err)
	for _, c := range group {
		_ = c.batch.Close()
		c.done <- err
	}
	if old != nil {
		old.unref()
	}
}

// write applies the batches and syncs the log behind the last of them. The log
// is one file after another in order: synced there, it is synced before.
func (d *durable) write(group []*commit) error {
	last := len(group) - 1
	for _, c := range group[:last] {
		if err := d.db.Apply(c.batch, pebble.NoSync); err != nil {
			return fmt.Errorf("write to the log: %w", err)
		}
	}
	// Not Apply with Sync: if the sync failed, that would end the process.
	if err := d.db.ApplyNoSyncWait(group[last].batch, pebble.Sync); err != nil {
		return fmt.Errorf("write to the log: %w", err)
	}
	if err := group[last].batch.SyncWait(); err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	return nil
}

// publish shows readers what is durable now and returns the view they had. After
// a failed sync nobody knows what is on the disk, and asking again does not
// tell (a second fsync may succeed without having written): readers keep what
// they have, and nothing is written until a restart has read the log.
func (d *durable) publish(failure error) (old *view) {
	if failure != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.failure == nil {
			d.log.Error("the store takes no writes until the server is restarted", "error", failure)
			d.failure = fmt.Errorf("the store takes no writes until it is restarted: %w", failure)
		}
		return nil
	}
	next := &view{snap: d.db.NewSnapshot(), of: d, refs: 1}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, d.current = d.current, next
	return old
}

// close waits for all calls under way. Later ones get errClosed.
func (d *durable) close() {
	d.mu.Lock()
	already := d.closed
	d.closed = true
	d.mu.Unlock()
	if already {
		return
	}
	d.views.Wait()
	close(d.queue)
	<-d.ended
	d.current.unref()
}

// lookup reads one key of a view; found is false if it is not there.
func lookup[T any](v *view, key []byte, decode func([]byte) (T, error)) (value T, found bool, err error) {
	v.of.costs.get()
	return lookupIn(v.snap, key, decode)
}

func lookupIn[T any](r pebble.Reader, key []byte, decode func([]byte) (T, error)) (value T, found bool, err error) {
	raw, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return value, false, nil
	}
	if err != nil {
		return value, false, fmt.Errorf("read key %x: %w", key, err)
	}
	value, err = decode(raw)
	if err = errors.Join(err, closer.Close()); err != nil {
		return value, false, fmt.Errorf("read key %x: %w", key, err)
	}
	return value, true, nil
}

// iterator goes over the keys of a range. It must be closed.
func (v *view) iterator(ctx context.Context, r keyRange) (*pebble.Iterator, error) {
	v.of.costs.open()
	return v.snap.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: r.lower, UpperBound: r.upper})
}

// scanPatience is after how many keys a scan looks whether somebody still waits.
const scanPatience = 256

// scan calls visit with the keys of a range and their values, in order or in
// reverse, until it returns false. Both slices are only lent.
func (v *view) scan(ctx context.Context, r keyRange, reverse bool, visit func(key, value []byte) (more bool, err error)) (err error) {
	it, err := v.iterator(ctx, r)
	if err != nil {
		return fmt.Errorf("scan from %x: %w", r.lower, err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok, steps := first(), 0; ok; ok, steps = next(), steps+1 {
		if steps%scanPatience == scanPatience-1 && ctx.Err() != nil {
			return fmt.Errorf("scan from %x: %w", r.lower, context.Cause(ctx))
		}
		v.of.costs.step()
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read key %x: %w", it.Key(), err)
		}
		more, err := visit(it.Key(), value)
		if err != nil {
			return fmt.Errorf("read key %x: %w", it.Key(), err)
		}
		if !more {
			return nil
		}
	}
	return it.Error()
}
