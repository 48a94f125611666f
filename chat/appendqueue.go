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

// appendQueues serialise the appends of each thread. Each thread has a queue of
// operations, and a leader while there are any: a goroutine that appends them in
// batches. All that arrive while a batch is being stored are the next batch, so a
// busy thread costs one store write per batch, not one per message. Threads share
// nothing but the lock of a shard's map.
//
//	callers               queue of a thread          its leader
//
//	Send ───┐
//	Edit ───┼─ enqueue ─► [ op1 op2 op3 op4 ] ─────► loads the thread, unless it has it from
//	React ──┘                 ▲                      the batch before: the head is event 6
//	   ▲                      │
//	   │                      │ what arrives         op1 decides on the thread after 6: 7 and 8
//	   │                      │ meanwhile is         op2 decides on the thread after 8: 9
//	   │                      │ the next batch       op3 refuses: its caller gets the error
//	   │                                             op4 decides on the thread after 9: 10
//	   │                                             each event is stamped with its seq and id
//	   │
//	   │                                             one Append of 7 to 10 behind head 6
//	   └───────── done: op1, op2, op4 ◄───────────── hands 7 to 10 to the bus
//
// Append may commit only the first few events. Their operations are done. If another
// node was faster, the leader loads the thread and has the rest decide again; if the
// next operation is a repetition, that one alone ends with the error.
type appendQueues struct {
	svc     *Service
	shards  [64]appendShard
	leaders *workers.Pool
	wg      sync.WaitGroup // of leaders at work
	doubts  doubts
	mints   openMints
}

// idleLeaders is how many leaders' goroutines wait for the next thread.
const idleLeaders = 64

type appendShard struct {
	mu     sync.Mutex
	queues map[ThreadID]*appendQueue
}

// maxIdleQueues bounds how many queues each shard keeps between appends.
const maxIdleQueues = 256

// A batch ends at either bound, so that one commit stays well under the commit
// timeout and a store may write it in one request.
const (
	maxBatchOps   = 100
	maxBatchBytes = 1 << 20
)

// appendQueue holds one thread's operations. The mutex of its shard guards waiting,
// running and doubtful; all below them belongs to the running leader.
type appendQueue struct {
	id       ThreadID
	waiting  []*operation
	running  bool
	doubtful bool // it has a doubt, and is not forgotten

	thread *Thread  // the state after the last known event; nil: load it
	users  []UserID // thread.Users(), shared by the notices of many events
	// doubt is the head behind which an append of unknown outcome may have stored
	// events that were not published, or may do so still; nil is none. See doubts.go.
	doubt *Head
}

// operation is one use case's change on its way through an append queue.
type operation struct {
	// decide drafts events (no seq, no id) for the thread's present state, or
	// refuses. The thread's leader calls it, perhaps more than once.
	decide func(context.Context, Thread) ([]Event, error)
	bytes  int // of ciphertext, about
	// target is the message it is about. As decide reads that from the store, no
	// two operations about one message are in the same batch. Zero is none.
	target MessageID
	// epoch is the one that it is to begin; zero is none. One that is refused is told which
	// message holds the epoch, so that has to be stored: no two are in the same batch.
	epoch Epoch
	// ttl is how long the messages it makes live, counted from their event time.
	// Zero is for ever.
	ttl time.Duration
	// order is of the sends that it must not overtake; nil is none.
	order *SendOrder
	// ask, if it is set, is called by the leader when the thread has been loaded.
	ask  func(*appendQueue)
	done chan struct{}

	// Set before done is closed.
	events []Event
	thread Thread // the state it decided on
	err    error
}

func newAppendQueues(svc *Service) *appendQueues {
	a := &appendQueues{svc: svc, leaders: workers.New(idleLeaders)}
	a.doubts.until, a.doubts.floors, a.doubts.closing = make(map[ThreadID]time.Time), make(map[ThreadID]EventID), make(chan struct{})
	a.mints.clock = svc.clock
	for i := range a.shards {
		a.shards[i].queues = make(map[ThreadID]*appendQueue)
	}
	return a
}

func (a *appendQueues) close(ctx context.Context) {
	a.doubts.close()
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

func (a *appendQueues) shard(id ThreadID) *appendShard {
	return &a.shards[binary.BigEndian.Uint16(id[14:])%uint16(len(a.shards))]
}

// append puts an operation through the thread's queue and returns the events it made
// once they are durable and handed to the bus, with the thread as it was before them.
// A *DuplicateError comes as it is; any other failure is an *Error.
func (a *appendQueues) append(ctx context.Context, id ThreadID, op *operation) ([]Event, Thread, error) {
	a.enqueue(id, op)
	return op.wait(ctx)
}

func (op *operation) wait(ctx context.Context) ([]Event, Thread, error) {
	select {
	case <-op.done:
		return op.events, op.thread, op.err
	case <-ctx.Done():
		return nil, Thread{}, Unavailable("wait for the commit", context.Cause(ctx))
	}
}

// enqueue puts an operation into the thread's queue; [operation.wait] gives its result.
func (a *appendQueues) enqueue(id ThreadID, op *operation) {
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
		if !q.running && !q.doubtful {
			delete(sh.queues, id)
			return
		}
	}
}

// lead appends batch after batch until the queue is empty.
func (a *appendQueues) lead(sh *appendShard, q *appendQueue) {
	defer a.wg.Done()
	for {
		batch := sh.popBatch(q)
		if len(batch) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), a.svc.limits.CommitTimeout)
		a.commit(ctx, q, batch)
		cancel()
	}
}

// popBatch pops the next batch off the queue. If there is none, the queue has no
// leader from then on.
func (sh *appendShard) popBatch(q *appendQueue) []*operation {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n, bytes := 0, 0
	var targets []MessageID
	epochs := false
	for n < len(q.waiting) && n < maxBatchOps {
		op := q.waiting[n]
		if n > 0 && (bytes+op.bytes > maxBatchBytes || slices.Contains(targets, op.target) || epochs && op.epoch > 0) {
			break
		}
		epochs = epochs || op.epoch > 0
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

// commit completes every operation of a batch. If another node took the seq, it loads
// the thread again and tries again; a duplicate ends its own operation alone.
func (a *appendQueues) commit(ctx context.Context, q *appendQueue, ops []*operation) {
	fresh := q.thread == nil // it is about to be loaded, not kept from an earlier batch
	ids := a.mints.begin()
	defer a.mints.end(ids)
	for len(ops) > 0 {
		if err := a.loadThread(ctx, q); err != nil {
			completeAll(ops, err)
			return
		}
		writing, decided := a.decide(ctx, q, ops, fresh)
		if !decided {
			q.thread, fresh = nil, true
			continue
		}
		if ops = writing; len(ops) == 0 {
			return
		}
		var events []Event
		for _, op := range ops {
			events = append(events, op.events...)
		}
		begun := time.Now()
		n, err := a.svc.store.Append(ctx, q.thread.Head, events)
		if n > 0 {
			a.svc.stats.Commits.Since(begun)
			q.doubt = nil // nothing else can come to stand there
		}
		a.publish(q, events[:n])
		for len(ops) > 0 && n >= len(ops[0].events) {
			n -= len(ops[0].events)
			ops[0].complete(nil)
			ops = ops[1:]
		}
		var dup *DuplicateError
		switch {
		case err == nil:
		case errors.As(err, &dup) && len(ops) > 0:
			ops[0].complete(dup)
			ops = ops[1:]
		case errors.Is(err, ErrStaleHead) && ctx.Err() == nil:
			q.thread, fresh = nil, true
		case errors.Is(err, ErrClockWrong): // so nothing of it was stored
			completeAll(ops, Unavailable("append to the log", err))
			return
		default:
			a.svc.stats.AppendErrors.Add(1)
			a.beginDoubt(q, q.thread.Head, ids.floor)
			completeAll(ops, Unavailable("append to the log", err))
			return
		}
	}
}

func (a *appendQueues) loadThread(ctx context.Context, q *appendQueue) error {
	if q.thread != nil {
		return nil
	}
	t, err := a.svc.thread(ctx, q.id)
	if err != nil {
		return err
	}
	a.svc.clock.hear(t.Head.ID)
	q.thread, q.users = &t, t.Users()
	if q.doubt == nil {
		return nil
	}
	return a.publishDoubtful(ctx, q)
}

// decide has each operation decide on the state that those before it would leave,
// stamps the drafts with seq and id, and returns the operations that made any. The
// others are completed: refused, or nothing to do. Unlike an append, these would
// never tell that the state was out of date. So if it is not fresh and there is one
// of these, decide stops and reports false: the thread is to be loaded first.
func (a *appendQueues) decide(ctx context.Context, q *appendQueue, ops []*operation, fresh bool) (writing []*operation, decided bool) {
	next := *q.thread
	for _, op := range ops {
		if op.order.isBroken() {
			op.complete(errBehindAnother)
			continue
		}
		op.thread, op.events = next, nil
		drafts, err := op.decide(ctx, next)
		if err != nil || len(drafts) == 0 {
			if !fresh {
				return nil, false
			}
			if op.ask != nil {
				op.ask(q)
			}
			op.complete(err)
			continue
		}
		for i := range drafts {
			e := &drafts[i]
			e.Thread, e.Seq, e.ID = q.id, next.Head.Seq+1, nextEventID(next.Head.ID, a.svc.clock.Now())
			e.At = a.svc.markTime()
			if e.Kind == KindMessage {
				e.Message.CreatedAt = e.At
				if op.ttl > 0 {
					e.Message.ExpiresAt = e.At.Add(op.ttl)
				}
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

// publish applies committed events to the queue's thread and hands each to the bus.
func (a *appendQueues) publish(q *appendQueue, events []Event) {
	for i := range events {
		e := &events[i]
		next := q.thread.Apply(*e)
		q.thread = &next
		if e.Kind == KindThread {
			q.users = next.Users()
		}
		told := e.Brief()
		a.svc.bus.Publish(Notice{Audience: audience(q.users, *e), Event: &told})
	}
}

// audience lists who is told of an event: the participants after it, and the one whom
// it removed.
func audience(users []UserID, e Event) []UserID {
	if e.Kind == KindThread && e.Change.Event == ParticipantRemoved {
		return append(users[:len(users):len(users)], e.Change.User)
	}
	return users
}

func completeAll(ops []*operation, err error) {
	for _, op := range ops {
		op.complete(err)
	}
}

// complete ends an operation and lets its caller go on.
func (op *operation) complete(err error) {
	if err != nil {
		op.events = nil
		op.order.failed(err)
	}
	op.err = err
	close(op.done)
}
