package chat

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/parleyhq/parley/internal/workers"
)

// appenders serialises the appends of each thread. Whoever appends to an idle
// thread starts its queue; all that arrive while a commit is under way go into
// the next one together, so a busy thread costs one store write per batch, not
// one per message. Unrelated threads share nothing but a shard's map lock.
type appenders struct {
	svc     *Service
	shards  [64]appendShard
	leaders *workers.Pool
	wg      sync.WaitGroup // of leaders at work
}

// keptLeaders is how many leaders' goroutines wait for the next thread.
const keptLeaders = 64

type appendShard struct {
	mu     sync.Mutex
	queues map[ThreadID]*appendQueue
}

// maxIdleQueues bounds how many threads per shard are remembered between appends.
const maxIdleQueues = 256

// A batch ends at either bound, so that one commit stays well under the commit
// timeout and a store may write it in one request.
const (
	maxBatchOps   = 100
	maxBatchBytes = 1 << 20
)

// appendQueue is one thread's line. The mutex of its shard guards waiting and
// running; thread and users belong to the running leader.
type appendQueue struct {
	id      ThreadID
	waiting []*appendOp
	running bool

	thread *Thread  // the state after the last known event; nil: load it
	users  []UserID // thread.Users(), shared by the notices of many events
	doubt  *Head    // behind it events may be stored that nobody was told of
}

// rule drafts events (no seq, no id) for a thread's present state, or refuses. It
// is called by the thread's leader, perhaps more than once.
type rule func(context.Context, Thread) ([]Event, error)

// appendOp is one caller's wish.
type appendOp struct {
	rule  rule
	bytes int // of ciphertext, about
	// target is the message it is about. Its rule reads that from the store, so no
	// two ops about one message are in the same batch. Zero is none.
	target MessageID
	// ttl is how long the messages it makes live, counted from their event time.
	// Zero is for ever.
	ttl  time.Duration
	done chan struct{}

	// Set before done is closed.
	events []Event
	thread Thread // the state the rule decided on
	err    error
}

func newAppenders(svc *Service) *appenders {
	a := &appenders{svc: svc, leaders: workers.New(keptLeaders)}
	for i := range a.shards {
		a.shards[i].queues = make(map[ThreadID]*appendQueue)
	}
	return a
}

func (a *appenders) close(ctx context.Context) {
	a.leaders.Close()
	done := make(chan struct{})
	go func() {
		a.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (a *appenders) shard(id ThreadID) *appendShard {
	return &a.shards[binary.BigEndian.Uint16(id[14:])%uint16(len(a.shards))]
}

// append runs one rule in the thread's line and returns the events it made once
// they are durable and handed to the bus, with the thread as it was before them.
// A *DuplicateError comes as it is; any other failure is an *Error.
func (a *appenders) append(ctx context.Context, id ThreadID, op *appendOp) ([]Event, Thread, error) {
	a.enqueue(id, op)
	return op.wait(ctx)
}

func (op *appendOp) wait(ctx context.Context) ([]Event, Thread, error) {
	select {
	case <-op.done:
		return op.events, op.thread, op.err
	case <-ctx.Done():
		return nil, Thread{}, Unavailable("wait for the commit", context.Cause(ctx))
	}
}

// change appends what a rule decides that looks at nothing but the thread.
func (a *appenders) change(ctx context.Context, id ThreadID, decide func(Thread) ([]Event, error)) ([]Event, Thread, error) {
	return a.append(ctx, id, &appendOp{rule: func(_ context.Context, t Thread) ([]Event, error) { return decide(t) }})
}

// enqueue puts a rule into the thread's line; [appendOp.wait] gives its result.
func (a *appenders) enqueue(id ThreadID, op *appendOp) {
	op.done = make(chan struct{})
	sh := a.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[id]
	if q == nil {
		sh.makeRoom()
		q = &appendQueue{id: id}
		sh.queues[id] = q
	}
	q.waiting = append(q.waiting, op)
	if !q.running {
		q.running = true
		a.wg.Add(1)
		a.leaders.Go(func() { a.lead(sh, q) })
	}
}

// makeRoom forgets some thread that nobody appends to.
func (sh *appendShard) makeRoom() {
	if len(sh.queues) < maxIdleQueues {
		return
	}
	for id, q := range sh.queues {
		if !q.running {
			delete(sh.queues, id)
			return
		}
	}
}

// lead commits batch after batch until nobody waits.
func (a *appenders) lead(sh *appendShard, q *appendQueue) {
	defer a.wg.Done()
	for {
		batch := sh.next(q)
		if len(batch) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), a.svc.limits.CommitTimeout)
		a.commit(ctx, q, batch)
		cancel()
	}
}

// next takes the next batch out of the line, or ends the leader's run.
func (sh *appendShard) next(q *appendQueue) []*appendOp {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n, bytes := 0, 0
	var targets []MessageID
	for n < len(q.waiting) && n < maxBatchOps {
		op := q.waiting[n]
		if n > 0 && (bytes+op.bytes > maxBatchBytes || slices.Contains(targets, op.target)) {
			break
		}
		if !op.target.IsZero() {
			targets = append(targets, op.target)
		}
		bytes += op.bytes
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if n == 0 {
		q.running, q.waiting = false, nil
	}
	return batch
}

// commit settles every op of a batch. Losing the race for a seq to another node
// refreshes the head and tries again; a duplicate settles its op and the rest go on.
func (a *appenders) commit(ctx context.Context, q *appendQueue, ops []*appendOp) {
	present := q.thread == nil // it is about to be loaded, not remembered from an earlier batch
	for len(ops) > 0 {
		if err := a.refresh(ctx, q); err != nil {
			settle(ops, err)
			return
		}
		writing, decided := a.decide(ctx, q, ops, present)
		if !decided {
			q.thread, present = nil, true
			continue
		}
		if ops = writing; len(ops) == 0 {
			return
		}
		var events []Event
		for _, op := range ops {
			events = append(events, op.events...)
		}
		n, err := a.svc.store.Append(ctx, q.thread.Head, events)
		a.publish(q, events[:n])
		ops = settleCommitted(ops, n)
		var dup *DuplicateError
		switch {
		case err == nil:
		case errors.As(err, &dup) && len(ops) > 0:
			ops[0].finish(dup)
			ops = ops[1:]
		case errors.Is(err, ErrStaleHead) && ctx.Err() == nil:
			q.thread, present = nil, true
		default:
			q.doubt, q.thread = &q.thread.Head, nil
			settle(ops, Unavailable("append to the log", err))
			return
		}
	}
}

func (a *appenders) refresh(ctx context.Context, q *appendQueue) error {
	if q.thread != nil {
		return nil
	}
	t, err := a.svc.store.Thread(ctx, q.id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Refuse(CodeThreadNotFound, "no such thread")
	case err != nil:
		return Unavailable("load the thread", err)
	}
	q.thread, q.users = &t, t.Users()
	return a.tellDoubtful(ctx, q)
}

// tellDoubtful hints at events of an append whose outcome was unknown, now that
// the log shows that they were stored after all.
func (a *appenders) tellDoubtful(ctx context.Context, q *appendQueue) error {
	if q.doubt == nil {
		return nil
	}
	limit := Limit{Count: maxBatchOps, Bytes: maxBatchBytes}
	for q.doubt.Seq < q.thread.Head.Seq {
		stored, err := a.svc.store.Events(ctx, q.id, q.doubt.Seq, q.thread.Head.Seq, limit)
		if err != nil || len(stored) == 0 {
			q.thread = nil
			return Unavailable("read what was stored", err)
		}
		for i := range stored {
			a.svc.bus.Publish(Notice{Audience: audience(q.users, stored[i]), Event: &stored[i]})
		}
		q.doubt = &Head{Seq: stored[len(stored)-1].Seq}
	}
	q.doubt = nil
	return nil
}

// decide runs each op's rule on the state that the ops before it would leave,
// stamps the drafts with seq and id, and returns the ops that made any. The
// others are settled: refused, or nothing to do. No append would tell of those
// that the state was not the present one, so if it may not be, nothing is decided.
func (a *appenders) decide(ctx context.Context, q *appendQueue, ops []*appendOp, present bool) (writing []*appendOp, decided bool) {
	next := *q.thread
	for _, op := range ops {
		op.thread, op.events = next, nil
		drafts, err := op.rule(ctx, next)
		if err != nil || len(drafts) == 0 {
			if !present {
				return nil, false
			}
			op.finish(err)
			continue
		}
		for i := range drafts {
			e := &drafts[i]
			e.Thread, e.Seq, e.ID = q.id, next.Head.Seq+1, nextEventID(next.Head.ID, a.svc.now())
			if e.Kind == KindMessage && op.ttl > 0 {
				e.Message.ExpiresAt = e.At().Add(op.ttl)
			}
			if e.ChangesMessage() && e.Message != nil { // it shows its target as it is after it
				after := e.Message.Apply(*e)
				e.Message = &after
			}
			next = next.Apply(*e)
		}
		op.events = drafts
		writing = append(writing, op)
	}
	return writing, true
}

// publish rolls the line's state over committed events and hints at each.
func (a *appenders) publish(q *appendQueue, events []Event) {
	for i := range events {
		e := &events[i]
		next := q.thread.Apply(*e)
		q.thread = &next
		if e.Kind == KindThread {
			q.users = next.Users()
		}
		a.svc.bus.Publish(Notice{Audience: audience(q.users, *e), Event: e})
	}
}

// audience is who learns of an event: the participants after it, and whoever it removed.
func audience(users []UserID, e Event) []UserID {
	if e.Kind == KindThread && e.Change.Event == ParticipantRemoved {
		return append(users[:len(users):len(users)], e.Change.User)
	}
	return users
}

// settleCommitted finishes the ops whose events are among the first n and
// returns the rest.
func settleCommitted(ops []*appendOp, n int) []*appendOp {
	for len(ops) > 0 && n >= len(ops[0].events) {
		n -= len(ops[0].events)
		ops[0].finish(nil)
		ops = ops[1:]
	}
	return ops
}

func settle(ops []*appendOp, err error) {
	for _, op := range ops {
		op.finish(err)
	}
}

func (op *appendOp) finish(err error) {
	if err != nil {
		op.events = nil
	}
	op.err = err
	close(op.done)
}
