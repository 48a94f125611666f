package bench

import (
	"context"
	"sync"
	"time"
)

// lane is one sender's share of the load: a stream of messages into one thread.
type lane struct {
	r      *run
	sender sender
	thread string
	stream uint32
	next   uint32
	jobs   chan int64 // due times of messages; a sender that is behind sends them late
}

// send sends the lane's next message.
func (l *lane) send(intended int64) error {
	began := l.r.since(time.Now())
	if err := l.sender.send(l.thread, head{intended, l.stream, l.next}); err != nil {
		return err
	}
	l.next++
	l.r.streams[l.stream].sent.Store(l.next)
	l.r.counts.sent.Add(1)
	if intended >= l.r.measuredFrom() {
		l.r.timing.record(timeSend, l.r.since(time.Now())-intended)
		if l.r.o.Rate > 0 {
			l.r.timing.record(timeLate, began-intended)
		}
	}
	return nil
}

// measuredFrom is the end of the warm-up. Messages that were due earlier are not timed.
func (r *run) measuredFrom() int64 { return r.from.Load() }

// load runs the lanes for warm-up and duration, and then waits for the messages that are
// still on their way. Each message makes fan deliveries.
func (r *run) load(ctx context.Context, lanes []*lane, fan int) error {
	defer func() {
		for _, l := range lanes {
			l.sender.close()
		}
	}()
	start := time.Now()
	from, end := start.Add(r.o.Warmup), start.Add(r.o.Warmup+r.o.Duration)
	r.from.Store(r.since(from))
	r.phase("sending")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var senders sync.WaitGroup
	for _, l := range lanes {
		senders.Go(func() {
			var err error
			if r.o.Rate > 0 {
				err = l.paced(ctx, end.Add(sendTimeout))
			} else {
				err = l.unpaced(ctx, end, fan)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	if r.o.Rate > 0 {
		senders.Go(func() { pace(ctx, lanes, r.o.Rate, start, end, r.since) })
	}
	sleep(ctx, from)
	before, err := r.snapshot()
	if err != nil {
		cancel(err)
	}
	senders.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.phase("waiting for the last messages")
	last := r.awaitDeliveries(ctx, r.counts.sent.Load()*uint64(fan))
	after, err := r.snapshot()
	if err != nil {
		return err
	}
	r.account(before, after, last)
	return context.Cause(ctx)
}

// paced sends a message for each of the lane's jobs, until giveUp.
func (l *lane) paced(ctx context.Context, giveUp time.Time) error {
	for intended := range l.jobs {
		if ctx.Err() != nil || time.Now().After(giveUp) {
			l.r.counts.unsent.Add(1)
			continue // the remaining jobs are counted as unsent
		}
		if err := l.send(intended); err != nil {
			return err
		}
	}
	return nil
}

// gatePause is how long a sender pauses while the backlog is full.
const gatePause = 500 * time.Microsecond

// unpaced sends as fast as possible, but pauses while more than the backlog is on its way.
func (l *lane) unpaced(ctx context.Context, end time.Time, fan int) error {
	room := uint64(l.r.o.Backlog * len(l.r.devices))
	for ctx.Err() == nil && time.Now().Before(end) {
		if l.r.counts.sent.Load()*uint64(fan) > l.r.counts.deliveries.Load()+room {
			time.Sleep(gatePause)
			continue
		}
		if err := l.send(l.r.since(time.Now())); err != nil {
			return err
		}
	}
	return nil
}

// pace gives each lane in turn the due time of its next message. It never waits for a lane.
func pace(ctx context.Context, lanes []*lane, rate float64, start, end time.Time, since func(time.Time) int64) {
	defer func() {
		for _, l := range lanes {
			close(l.jobs)
		}
	}()
	for k := 0; ctx.Err() == nil; k++ {
		at := start.Add(time.Duration(float64(k) / rate * float64(time.Second)))
		if !at.Before(end) {
			return
		}
		waitUntil(at)
		lanes[k%len(lanes)].jobs <- since(at)
	}
}

// jobsFor makes the channel of a lane's jobs, with room for all of them, so that pace never
// waits.
func (r *run) jobsFor(lanes int) chan int64 {
	return make(chan int64, int(r.o.Rate*(r.o.Warmup+r.o.Duration).Seconds())/lanes+2)
}

// How long the end of a run waits.
const (
	sendTimeout = 20 * time.Second // for senders that are behind
	arriveQuiet = 5 * time.Second  // since the last delivery, for further ones
	arrivePoll  = 5 * time.Millisecond
)

// awaitDeliveries waits until that many deliveries have come, or none has come for
// arriveQuiet. It gives the time of the last one.
func (r *run) awaitDeliveries(ctx context.Context, expected uint64) (last time.Time) {
	got := r.counts.deliveries.Load()
	last = time.Now()
	for got < expected && ctx.Err() == nil && time.Since(last) < arriveQuiet {
		time.Sleep(arrivePoll)
		if now := r.counts.deliveries.Load(); now != got {
			got, last = now, time.Now()
		}
	}
	return last
}

func sleep(ctx context.Context, until time.Time) {
	select {
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
	}
}

// snapshot holds the figures of the run and of the server at one time.
type snapshot struct {
	at         time.Time
	server     usage
	client     float64 // CPU seconds
	deliveries uint64
	sent       uint64
}

func (r *run) snapshot() (snapshot, error) {
	use, err := r.source.read()
	if err != nil {
		return snapshot{}, err
	}
	return snapshot{time.Now(), use, ownCPU(), r.counts.deliveries.Load(), r.counts.sent.Load()}, nil
}

// account reports what happened between two snapshots. The last delivery was at last.
func (r *run) account(before, after snapshot, last time.Time) {
	p := r.report
	p.Seconds = last.Sub(before.at).Seconds()
	p.measured = after.deliveries - before.deliveries
	if p.Mode == Sends {
		p.measured = after.sent - before.sent
	}
	p.SendsPerSecond = float64(after.sent-before.sent) / p.Seconds
	p.DeliveriesPerSecond = float64(after.deliveries-before.deliveries) / p.Seconds
	p.ClientCPUSeconds = after.client - before.client
	p.serverUse(before.server, after.server)
}

// total reports the counts of the whole run. It is called when all devices are closed.
func (r *run) total() {
	p, c := r.report, &r.counts
	p.Connections = len(r.devices)
	p.Sent, p.Unsent = c.sent.Load(), c.unsent.Load()
	p.Deliveries, p.Receipts, p.OtherFrames = c.deliveries.Load(), c.receipts.Load(), c.other.Load()
	p.Duplicates, p.OutOfOrder, p.Strange, p.Broken = c.duplicates.Load(), c.outOfOrder.Load(), c.strange.Load(), c.broken.Load()
	p.Retries = c.retries.Load()
	p.Lost = r.lost()
	p.Timings = r.timing.summary()
}
