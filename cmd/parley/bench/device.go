package bench

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parleyhq/parley/cmd/parley/bench/wire"
)

// counters count for the whole run. After each read a device adds what that read brought.
type counters struct {
	deliveries atomic.Uint64 // messages and receipts that were new to their receiver
	duplicates atomic.Uint64
	outOfOrder atomic.Uint64
	receipts   atomic.Uint64 // those of the deliveries that are receipts
	other      atomic.Uint64 // frames of other kinds
	strange    atomic.Uint64 // messages of another run, or for another device
	broken     atomic.Uint64 // connections that bench did not close
	connected  atomic.Int64
	retries    atomic.Uint64 // failed attempts of devices to come back
	sent       atomic.Uint64
	unsent     atomic.Uint64 // messages that were due and that no sender came to send
}

// device is one receiving connection. Its reader goroutine owns all fields, except that
// others may call conn.Close and use what is atomic.
type device struct {
	r        *run
	user     string
	name     string // device id
	token    string
	first    uint32            // index of its first stream
	received []receivedNumbers // of its streams, from first on

	onMessage func(h head, frame []byte) // called for each new message; nil: nothing is called
	onReceipt func(frame []byte)

	conn    *wire.Conn
	closing atomic.Bool
	done    chan struct{} // closed when the reader has ended
	caught  func()        // called at caught_up

	batch struct {
		latencies, receiptLatencies              []int64
		fresh, receipts, duplicates, late, other uint64
	}
}

// inbox is the device id of all receivers.
const inbox = "inbox"

func (r *run) newDevice(user string, first uint32, streams int) (*device, error) {
	token, err := r.target.token(user)
	if err != nil {
		return nil, err
	}
	return &device{r: r, user: user, name: inbox, token: token, first: first, received: make([]receivedNumbers, streams)}, nil
}

// addDevices makes a device for each of n users, all of whom receive the same streams,
// and names these users.
func (r *run) addDevices(n, streams int) (users []string, err error) {
	for i := range n {
		d, err := r.newDevice(r.target.user("u", i), 0, streams)
		if err != nil {
			return nil, err
		}
		r.devices = append(r.devices, d)
		users = append(users, d.user)
	}
	return users, nil
}

// open connects, subscribes and returns when the device has caught up: after the caught_up
// frame, or at a plain broker once it has subscribed.
func (d *device) open(ctx context.Context, filter string) error {
	caught := make(chan struct{})
	d.caught = sync.OnceFunc(func() { close(caught) })
	conn, err := d.r.target.dial(ctx, d.r.o.Protocol, d.user, d.name, d.token, d.handleFrame)
	if err != nil {
		return err
	}
	d.closing.Store(false)
	d.conn, d.done = conn, make(chan struct{})
	conn.SetDeadline(time.Now().Add(patience))
	if err := conn.Subscribe(filter); err != nil {
		conn.Close()
		d.conn = nil
		return fmt.Errorf("subscribe: %w", err)
	}
	conn.SetDeadline(time.Time{})
	d.r.counts.connected.Add(1)
	go d.read()
	if d.r.target.raw() {
		return nil
	}
	select {
	case <-caught:
		return nil
	case <-d.done:
		return fmt.Errorf("the connection of %s ended before it was caught up", d.user)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// How long a device tries to come back, and the longest pause between two attempts.
const (
	stormPatience = time.Minute
	maxRetryPause = 2 * time.Second
)

// reopen connects like a client that has lost its connection: until giveUp it tries again,
// after longer and longer pauses.
func (d *device) reopen(ctx context.Context, giveUp time.Time) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, maxRetryPause) {
		err := d.open(ctx, everything(0))
		if err == nil || ctx.Err() != nil || time.Now().After(giveUp) {
			return err
		}
		d.close()
		d.r.counts.retries.Add(1)
		d.r.report.note(err)
		sleep(ctx, time.Now().Add(pause))
	}
}

// read runs until the connection ends.
func (d *device) read() {
	defer close(d.done)
	for {
		err := d.conn.Receive()
		d.flush()
		if err == nil {
			continue
		}
		d.r.counts.connected.Add(-1)
		if !d.closing.Load() {
			d.r.counts.broken.Add(1)
			d.r.report.note(err)
		}
		return
	}
}

// close ends the connection and waits for its reader.
func (d *device) close() {
	if d.conn == nil {
		return
	}
	d.closing.Store(true)
	d.conn.Close()
	<-d.done
	d.conn = nil
}

// handleFrame is called for every frame.
func (d *device) handleFrame(frame []byte) {
	if d.r.target.raw() {
		h, ok := parseHead(frame)
		d.message(h, ok, frame)
		return
	}
	switch {
	case bytes.HasPrefix(frame, msgStart):
		h, ok := headOf(frame)
		d.message(h, ok, frame)
	case bytes.HasPrefix(frame, caughtUpStart):
		d.batch.other++
		d.flush() // whoever waits for caught_up reads the counts
		d.caught()
	case d.onReceipt != nil && bytes.HasPrefix(frame, readStart):
		d.onReceipt(frame)
	default:
		d.batch.other++
	}
}

func (d *device) message(h head, ok bool, frame []byte) {
	i := h.stream - d.first
	if !ok || h.stream < d.first || int(i) >= len(d.received) {
		d.r.counts.strange.Add(1)
		return
	}
	switch d.received[i].add(h.number) {
	case duplicate:
		d.batch.duplicates++
		return
	case late:
		d.batch.late++
	case inOrder, early:
	}
	d.fresh(h.intended)
	if d.onMessage != nil {
		d.onMessage(h, frame)
	}
}

// fresh counts a delivery that is not a duplicate and that was due at intended.
func (d *device) fresh(intended int64) {
	d.batch.fresh++
	if intended >= d.r.measuredFrom() && d.conn != nil {
		d.batch.latencies = append(d.batch.latencies, d.r.since(d.conn.ReadAt())-intended)
	}
}

// flush adds what the last read brought to the counters of the run.
func (d *device) flush() {
	b := &d.batch
	if n := b.fresh + b.receipts; n > 0 {
		d.r.counts.deliveries.Add(n)
		d.r.timing.record(timeDelivery, b.latencies...)
	}
	if b.receipts > 0 {
		d.r.counts.receipts.Add(b.receipts)
		d.r.timing.record(timeReceipt, b.receiptLatencies...)
	}
	if b.duplicates > 0 {
		d.r.counts.duplicates.Add(b.duplicates)
	}
	if b.late > 0 {
		d.r.counts.outOfOrder.Add(b.late)
	}
	if b.other > 0 {
		d.r.counts.other.Add(b.other)
	}
	b.latencies, b.receiptLatencies = b.latencies[:0], b.receiptLatencies[:0]
	b.fresh, b.receipts, b.duplicates, b.late, b.other = 0, 0, 0, 0, 0
}

// parallel is how many connections are opened, and threads made, at the same time.
const parallel = 64

// each runs do for 0 … n-1, that many at once. It starts no more after the first error,
// or the end of ctx, and returns that.
func each(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := 0; i < n && groupCtx.Err() == nil; i++ {
		group.Go(func() error { return do(groupCtx, i) })
	}
	return cmp.Or(group.Wait(), context.Cause(ctx))
}

// openAll opens the run's devices.
func (r *run) openAll(ctx context.Context, filter func(i int) string) error {
	r.phase("connecting")
	return each(ctx, len(r.devices), parallel, func(ctx context.Context, i int) error {
		began := time.Now()
		if err := r.devices[i].open(ctx, filter(i)); err != nil {
			return err
		}
		r.timing.record(timeConnect, int64(time.Since(began)))
		return nil
	})
}

// everything is the filter of all topics that a user may see
// (docs/contract.md#mqtt).
func everything(int) string { return "v1/#" }

// lost counts, over all receivers, the messages that did not arrive.
func (r *run) lost() (lost uint64) {
	for _, d := range r.devices {
		for i := range d.received {
			lost += d.received[i].lost(r.streams[int(d.first)+i].sent.Load())
		}
	}
	return lost
}
