package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/measure"
)

// errClosed is what calls after Close get.
var errClosed = errors.New("the store is closed")

// durable shows readers the part of the database that is on stable storage.
//
// Pebble itself shows a commit to readers before it is synced, so a reader could learn
// of a message that a crash then takes back. Therefore one goroutine commits all
// batches: it drains the queue, writes the batches, syncs the log once, makes a
// snapshot, gives that to readers, and only then answers the writers.
// Readers see the state of the last finished sync and never wait for the next one.
type durable struct {
	db    *pebble.DB
	log   *slog.Logger
	costs *costs
	syncs *measure.Histogram
	room  *room
	queue chan *commit
	// ceiling is above the times of all ids that are stored, and stored itself. Only
	// the committing goroutine uses it.
	ceiling time.Time
	ended   chan struct{} // closed when the committing goroutine has returned
	lost    chan struct{} // closed by the first commit that failed
	views   sync.WaitGroup

	mu      sync.Mutex
	current *view // what readers read
	failure error // the first failed commit; none is tried after it
	closed  bool
}

// commit is one batch on its way; done receives its outcome.
type commit struct {
	batch  *pebble.Batch
	newest chat.EventID // of the events, or the report, in it
	done   chan error
}

// maxGroup bounds how many batches share one sync.
const maxGroup = 1024

func newDurable(db *pebble.DB, ceiling time.Time, log *slog.Logger, costs *costs, room *room) *durable {
	d := &durable{
		db: db, ceiling: ceiling, log: log, costs: costs, room: room, syncs: newSyncs(),
		queue: make(chan *commit, maxGroup), ended: make(chan struct{}), lost: make(chan struct{}),
	}
	d.current = &view{snap: db.NewSnapshot(), of: d, refs: 1}
	go d.run()
	return d
}

// commit makes a batch durable and visible, and closes it. Once the batch is in the
// queue, ctx does not stop it; the caller keeps its locks until commit returns. The
// caller holds a view.
func (d *durable) commit(ctx context.Context, b *pebble.Batch) error {
	return d.commitEvents(ctx, b, chat.EventID{})
}

// commitEvents commits a batch with events, the newest of which has the given id, or with
// the report that has it.
func (d *durable) commitEvents(ctx context.Context, b *pebble.Batch, newest chat.EventID) error {
	if err := ctx.Err(); err != nil {
		_ = b.Close()
		return context.Cause(ctx)
	}
	if err := d.checkWritable(); err != nil {
		_ = b.Close()
		return err
	}
	d.costs.commit(b)
	c := &commit{batch: b, newest: newest, done: make(chan error, 1)}
	d.queue <- c
	return <-c.done
}

// failed is the error of the first commit that failed, after which none is tried; or nil.
func (d *durable) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failure
}

// newSyncs makes the histogram of the times of syncs.
func newSyncs() *measure.Histogram {
	return measure.NewTimes(100*time.Microsecond, 500*time.Microsecond, time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond,
		10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond,
		time.Second, 5*time.Second)
}

// checkWritable returns why the store takes no writes now, or nil.
func (d *durable) checkWritable() error {
	if err := d.failed(); err != nil {
		return err
	}
	return d.room.check()
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
		err = full(d.write(group))
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

// write applies the batches and syncs the log after the last of them. The log is
// written in order, so that sync covers the batches before it, too. Pebble panics where it cannot
// begin a new log.
func (d *durable) write(group []*commit) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = gaveUp(broken)
		}
	}()
	last := len(group) - 1
	if err := d.raiseCeiling(group); err != nil {
		return err
	}
	for _, c := range group[:last] {
		if err := d.db.Apply(c.batch, pebble.NoSync); err != nil {
			return fmt.Errorf("write to the log: %w", err)
		}
	}
	defer d.syncs.Since(time.Now())
	// Apply with Sync would end the process if the sync failed.
	if err := d.db.ApplyNoSyncWait(group[last].batch, pebble.Sync); err != nil {
		return fmt.Errorf("write to the log: %w", err)
	}
	if err := group[last].batch.SyncWait(); err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	return nil
}

// ceilingAhead is how far the ceiling is raised above an id that has reached it: it is
// written once in so long, and ids go on from there after a restart.
const ceilingAhead = 3 * time.Second

// raiseCeiling has the group's first batch store a higher ceiling, if an event in the
// group has reached it. What is synced is then never above the stored ceiling: a crash
// may lose the end of the group, but not its beginning alone.
func (d *durable) raiseCeiling(group []*commit) error {
	var newest time.Time
	for _, c := range group {
		if at := chat.IDTime(c.newest); !c.newest.IsZero() && at.After(newest) {
			newest = at
		}
	}
	if newest.Before(d.ceiling) || newest.IsZero() {
		return nil
	}
	d.ceiling = newest.Add(ceilingAhead)
	return group[0].batch.Set(ceilingKey(), encodeTime(d.ceiling), nil)
}

// gaveUp is the error of a panic of Pebble.
func gaveUp(broken any) error {
	if err, ok := broken.(error); ok {
		return fmt.Errorf("pebble gave up: %w", err)
	}
	return fmt.Errorf("pebble gave up: %v", broken)
}

// publish makes what is durable now the view of readers, and returns the one before.
// After a failed sync it is unknown what is on the disk, and a second sync does not
// tell: it may succeed without having written anything. Then readers keep their view,
// and nothing is written until a restart has read the log.
func (d *durable) publish(failure error) (old *view) {
	if failure != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.failure == nil {
			d.log.Error("the store takes no writes until the server is restarted", "error", failure)
			d.failure = full(fmt.Errorf("the store takes no writes until it is restarted: %w", failure))
			close(d.lost)
		}
		return nil
	}
	next := &view{snap: d.db.NewSnapshot(), of: d, refs: 1}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, d.current = d.current, next
	return old
}

// close waits for all calls under way. Calls after it get errClosed.
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
