package chat

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// An append, or the creation of a thread, whose outcome is unknown is in doubt: the store
// did not answer in time, and what it was asked to do may have happened, or may still
// happen when the request comes through at last. Its caller gets an error, and perhaps
// does not come back. So the thread is looked at until the outcome is known, and what was
// stored is published.
//
// The events of an append can only land right behind the head that they were made for,
// as the places in a log are unique. So once the log has grown past that head, whatever
// stands there is all that there will be of the doubt.
const (
	lookEvery   = time.Second      // between two looks at a thread in doubt
	lookFor     = 30 * time.Second // what lands later is found with the thread's next event
	looksAtOnce = 16
	// maxDoubts bounds the threads that are looked at. Beyond it, a doubt is left to the
	// thread's next event at once.
	maxDoubts = 1024
)

// doubts are the threads in doubt.
type doubts struct {
	mu      sync.Mutex
	until   map[ThreadID]time.Time // when each is looked at for the last time
	floors  map[ThreadID]EventID   // of each: no id of what may still come is lower
	rest    EventID                // the same for all those that are too many to be looked at
	resting time.Time              // until when rest holds
	looking bool                   // a goroutine does
	closed  bool
	closing chan struct{}
}

// beginDoubt is called by the queue's leader when an append behind the given head failed
// without a known outcome. No id of the append is below the floor.
func (a *appendQueues) beginDoubt(q *appendQueue, head Head, floor EventID) {
	if q.doubt == nil {
		q.doubt = &head
	}
	q.thread = nil
	a.watch(q.id, floor)
}

// beginDoubtOfCreation is beginDoubt for a thread that may have been created.
func (a *appendQueues) beginDoubtOfCreation(id ThreadID, floor EventID) {
	sh := a.shard(id)
	sh.mu.Lock()
	if sh.queues[id] == nil { // else somebody has found the thread already
		sh.makeRoom()
		sh.queues[id] = &appendQueue{id: id, doubt: &Head{}}
	}
	sh.mu.Unlock()
	a.watch(id, floor)
}

// watch has a thread in doubt looked at for a while.
func (a *appendQueues) watch(id ThreadID, floor EventID) {
	d := &a.doubts
	d.mu.Lock()
	defer d.mu.Unlock()
	_, watched := d.until[id]
	if d.closed || !watched && len(d.until) >= maxDoubts {
		now := time.Now()
		if now.After(d.resting) || floor.Compare(d.rest) < 0 {
			d.rest = floor
		}
		d.resting = now.Add(lookFor)
		return
	}
	d.until[id] = time.Now().Add(lookFor)
	if before, found := d.floors[id]; !found || floor.Compare(before) < 0 {
		d.floors[id] = floor
	}
	a.setDoubtful(id, true)
	if !d.looking {
		d.looking = true
		a.wg.Go(a.lookAtDoubts)
	}
}

// setDoubtful says whether a thread's queue must not be forgotten.
func (a *appendQueues) setDoubtful(id ThreadID, doubtful bool) {
	sh := a.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if q := sh.queues[id]; q != nil {
		q.doubtful = doubtful
	}
}

// lookAtDoubts looks at all threads in doubt, again and again until there are none.
func (a *appendQueues) lookAtDoubts() {
	d := &a.doubts
	for {
		select {
		case <-time.After(lookEvery):
		case <-d.closing:
			return
		}
		d.mu.Lock()
		threads := slices.Collect(maps.Keys(d.until))
		d.looking = len(threads) > 0
		d.mu.Unlock()
		if len(threads) == 0 {
			return
		}
		var looks sync.WaitGroup
		places := make(chan struct{}, looksAtOnce)
		for _, id := range threads {
			places <- struct{}{}
			looks.Go(func() {
				a.lookAt(id)
				<-places
			})
		}
		looks.Wait()
	}
}

// lookAt puts an operation that changes nothing into the thread's queue: its leader loads
// the thread for it, and so publishes what was stored.
func (a *appendQueues) lookAt(id ThreadID) {
	ctx, cancel := context.WithTimeout(context.Background(), a.svc.limits.CommitTimeout)
	defer cancel()
	var mu sync.Mutex // ctx may end before the operation's turn: what follows belongs to both
	until, last := a.doubts.watchedUntil(id)
	known := false
	look := &operation{
		decide: func(context.Context, Thread) ([]Event, error) { return nil, nil },
		ask: func(q *appendQueue) {
			mu.Lock()
			defer mu.Unlock()
			// While this waited for its turn, there may have been a new doubt.
			if until, last = a.doubts.watchedUntil(id); last {
				q.doubt = nil
			}
			known = q.doubt == nil
		},
	}
	_, _, err := a.append(ctx, id, look)
	mu.Lock()
	defer mu.Unlock()
	if last || err == nil && known { // else the store does not answer, or nothing of it is there: not yet
		a.unwatch(id, until)
	}
}

// watchedUntil says until when a thread in doubt is looked at, and whether that is over.
func (d *doubts) watchedUntil(id ThreadID) (until time.Time, over bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	until = d.until[id]
	return until, time.Now().After(until)
}

// unwatch has a thread looked at no more, unless there was a new doubt since it was to be
// looked at until then.
func (a *appendQueues) unwatch(id ThreadID, until time.Time) {
	d := &a.doubts
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until[id].Equal(until) {
		delete(d.until, id)
		delete(d.floors, id)
		a.setDoubtful(id, false)
	}
}

// lowest is the lowest floor of what is in doubt, if anything is.
func (d *doubts) lowest() (floor EventID, doubtful bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !time.Now().After(d.resting) {
		floor, doubtful = d.rest, true
	}
	for _, of := range d.floors {
		if !doubtful || of.Compare(floor) < 0 {
			floor, doubtful = of, true
		}
	}
	return floor, doubtful
}

func (d *doubts) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		close(d.closing)
	}
}

// publishDoubtful publishes the events of an append whose outcome was unknown, now
// that the log shows that they were stored after all. While the log has not grown, the
// doubt lasts.
func (a *appendQueues) publishDoubtful(ctx context.Context, q *appendQueue) error {
	limit := Limit{Count: maxBatchOps, Bytes: maxBatchBytes}
	for q.doubt != nil && q.doubt.Seq < q.thread.Head.Seq {
		stored, err := a.svc.store.Events(ctx, q.id, q.doubt.Seq, q.thread.Head.Seq, limit)
		if err != nil || len(stored) == 0 {
			q.thread = nil
			return Unavailable("read what was stored", err)
		}
		for i := range stored {
			a.svc.bus.Publish(Notice{Audience: audience(q.users, stored[i]), Event: &stored[i]})
		}
		q.doubt = &Head{Seq: stored[len(stored)-1].Seq}
		if q.doubt.Seq >= q.thread.Head.Seq {
			q.doubt = nil
		}
	}
	return nil
}
