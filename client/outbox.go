package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// outbox has the messages on their way out. Each is stored before its first try, and stays until
// the server has it and the owner has taken it; every try has the same key, so that it is stored
// once. Threads go side by side, the messages of a thread one after the other: a lane is the
// goroutine of one thread that has something to send.
type outbox struct {
	c *Client

	mu      sync.Mutex
	items   []Outgoing // by N
	lanes   map[string]bool
	n       uint64
	lastSeq int64
	early   chan struct{}   // closed to end the pauses between tries
	changed chan struct{}   // closed when an item was sent, poisoned or discarded
	ctx     context.Context // of Run; nil while it does not run
	wg      sync.WaitGroup
}

func newOutbox(c *Client) *outbox {
	return &outbox{c: c, lanes: make(map[string]bool), early: make(chan struct{}), changed: make(chan struct{})}
}

func (o *outbox) load(items []Outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.items = items
	for _, item := range items {
		o.n = max(o.n, item.N)
		o.lastSeq = max(o.lastSeq, item.Body.ClientSeq)
	}
}

// nextSeq gives the next client_seq, which must be new on this device and above those before it.
// It comes from the clock, so it is new even if the client's store was lost. The caller has the
// lock.
func (o *outbox) nextSeq() int64 {
	o.lastSeq = max(o.lastSeq+1, time.Now().UnixMilli())
	return o.lastSeq
}

func (o *outbox) add(ctx context.Context, thread string, d Draft) (Outgoing, error) {
	if d.TTL < 0 {
		return Outgoing{}, fmt.Errorf("the TTL of a message is %v: it must not be negative", d.TTL)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	item := Outgoing{
		N: o.n, ThreadID: thread, Key: rand.Text(), QueuedAt: time.Now().UTC(),
		Body: SendBody{
			ClientSeq: o.nextSeq(), Ciphertext: slices.Clone(d.Ciphertext), ContentType: d.ContentType, ReplyTo: d.ReplyTo,
			AttachmentID: d.AttachmentID, AttachmentSHA256: d.AttachmentSHA256, TTLSeconds: int64((d.TTL + time.Second - 1) / time.Second), Epoch: d.Epoch,
		},
	}
	// Stored with the lock, so that the order of the file is that of the lane.
	if err := o.c.store.PutOutgoing(ctx, item); err != nil {
		return Outgoing{}, err
	}
	o.items = append(o.items, item)
	o.begin(thread)
	return item, nil
}

// begin has a lane work on the thread. The caller has the lock.
func (o *outbox) begin(thread string) {
	if o.ctx == nil || o.lanes[thread] {
		return
	}
	o.lanes[thread] = true
	ctx := o.ctx // the lane may begin after Run's end, when there is none
	o.wg.Go(func() { o.lane(ctx, thread) })
}

// start has the lanes work until ctx ends; wait waits for them.
func (o *outbox) start(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ctx = ctx
	for _, item := range o.items {
		if item.Problem == nil {
			o.begin(item.ThreadID)
		}
	}
}

func (o *outbox) wait() {
	o.mu.Lock()
	o.ctx = nil
	o.mu.Unlock()
	o.wg.Wait()
}

// hurry ends the pauses between tries.
func (o *outbox) hurry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.early)
	o.early = make(chan struct{})
}

// next is the message that the lane has to send; with none left the lane ends.
func (o *outbox) next(thread string) (item Outgoing, early <-chan struct{}, found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.items, func(i Outgoing) bool { return i.ThreadID == thread && i.Problem == nil })
	if i < 0 {
		delete(o.lanes, thread)
		return Outgoing{}, nil, false
	}
	return o.items[i], o.early, true
}

func (o *outbox) lane(ctx context.Context, thread string) {
	for failures := 0; ; {
		item, early, found := o.next(thread)
		if !found {
			return
		}
		err := o.try(ctx, item)
		switch {
		case err == nil:
			failures = 0
			continue
		case ctx.Err() != nil:
			o.leave(thread)
			return
		}
		o.c.failed(err)
		wait := backoff(failures, 500*time.Millisecond, 30*time.Second)
		var problem *ProblemError
		if errors.As(err, &problem) {
			wait = max(wait, time.Duration(min(problem.RetryAfter, laneRetryAfter))*time.Second)
		}
		failures++
		if pause(ctx, wait, early) != nil {
			o.leave(thread)
			return
		}
	}
}

// laneRetryAfter is the longest pause, in seconds, that a lane makes because it was asked to.
const laneRetryAfter = 300

func (o *outbox) leave(thread string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.lanes, thread)
}

// try sends a message once. It returns an error if it should be tried again.
func (o *outbox) try(ctx context.Context, item Outgoing) error {
	store := o.c.knownStore()
	message, differs, err := o.c.post(ctx, item)
	var problem *ProblemError
	switch {
	case err != nil && passes(err):
		return err
	case errors.As(err, &problem):
		item.Problem = &problem.Problem
		if err := o.replace(ctx, item); err != nil {
			return err
		}
		if o.c.options.OnPoisoned != nil {
			o.c.options.OnPoisoned(ctx, item)
		}
		return nil
	case err != nil:
		return err
	case differs:
		// Something else had this client_seq before: this message is not stored yet, and gets a new one.
		o.mu.Lock()
		item.Key, item.Body.ClientSeq = rand.Text(), o.nextSeq()
		o.mu.Unlock()
		return o.replace(ctx, item)
	}
	if err := o.c.handleOwn(ctx, message, store); err != nil {
		return err
	}
	return o.drop(ctx, item.N)
}

func (o *outbox) replace(ctx context.Context, item Outgoing) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.index(item.N)
	if i < 0 {
		return nil // discarded meanwhile
	}
	if err := o.c.store.PutOutgoing(ctx, item); err != nil {
		return err
	}
	o.items[i] = item
	o.tell()
	return nil
}

func (o *outbox) drop(ctx context.Context, n uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.index(n)
	if i < 0 {
		return nil
	}
	if err := o.c.store.DropOutgoing(ctx, n); err != nil {
		return err
	}
	o.items = slices.Delete(o.items, i, i+1)
	o.tell()
	return nil
}

func (o *outbox) retry(ctx context.Context, n uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.index(n)
	if i < 0 {
		return nil
	}
	item := o.items[i]
	item.Problem = nil
	if err := o.c.store.PutOutgoing(ctx, item); err != nil {
		return err
	}
	o.items[i] = item
	o.begin(item.ThreadID)
	return nil
}

func (o *outbox) index(n uint64) int {
	return slices.IndexFunc(o.items, func(i Outgoing) bool { return i.N == n })
}

// tell wakes who waits for a change. The caller has the lock.
func (o *outbox) tell() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *outbox) list() []Outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.items)
}

// flush waits until no message is on its way; those that can never be sent are not waited for.
func (o *outbox) flush(ctx context.Context) error {
	for {
		o.mu.Lock()
		pending := slices.ContainsFunc(o.items, func(i Outgoing) bool { return i.Problem == nil })
		changed := o.changed
		o.mu.Unlock()
		if !pending {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
