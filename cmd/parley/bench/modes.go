package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// fanout has senders write into one group, or to one topic of a broker.
func (r *run) fanout(ctx context.Context) error {
	n, senders := r.o.Receivers, r.o.Senders
	r.streams = make([]stream, senders)
	people, err := r.addDevices(n, senders)
	if err != nil {
		return err
	}
	topic := "bench/" + r.id
	filter, thread := func(int) string { return topic }, topic
	if !r.target.raw() {
		filter = everything
		if thread, err = r.target.group(people, r.devices[0].token); err != nil {
			return err
		}
	}
	if err := r.openAll(ctx, filter); err != nil {
		return err
	}
	// The senders are further devices of the group's users. A message goes to all devices
	// but the sending one, so every receiver gets every message.
	lanes := make([]*lane, senders)
	for i := range lanes {
		s, err := r.newSender(ctx, r.o.Via, people[i%n], "out"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		lanes[i] = &lane{r: r, sender: s, thread: thread, stream: uint32(i), jobs: r.jobsFor(senders)}
	}
	return r.load(ctx, lanes, n)
}

// pairs has one user of each pair send to the other. In the mode sends, that other is away.
func (r *run) pairs(ctx context.Context) error {
	n := r.o.Pairs
	r.streams = make([]stream, n)
	r.devices = make([]*device, n)
	lanes := make([]*lane, n)
	r.phase("making threads")
	err := each(ctx, n, parallel, func(ctx context.Context, i int) (err error) {
		from, to := r.target.user("a", i), r.target.user("b", i)
		if r.devices[i], err = r.newDevice(to, uint32(i), 1); err != nil {
			return err
		}
		s, err := r.newSender(ctx, r.o.Via, from, "out")
		if err != nil {
			return err
		}
		thread := "bench/" + from
		if !r.target.raw() {
			if thread, err = r.target.thread("1_TO_1", []string{from, to}, r.devices[i].token); err != nil {
				return err
			}
		}
		lanes[i] = &lane{r: r, sender: s, thread: thread, stream: uint32(i), jobs: r.jobsFor(n)}
		return nil
	})
	if err != nil {
		r.devices = slices.DeleteFunc(r.devices, func(d *device) bool { return d == nil })
		return err
	}
	if r.o.Mode == Sends {
		r.devices = nil
		return r.load(ctx, lanes, 0)
	}
	filter := everything
	if r.target.raw() {
		filter = func(i int) string { return lanes[i].thread }
	}
	if err := r.openAll(ctx, filter); err != nil {
		return err
	}
	return r.load(ctx, lanes, 1)
}

// idle opens connections and measures what they cost while they do nothing.
func (r *run) idle(ctx context.Context) error {
	if _, err := r.addDevices(r.o.Connections, 0); err != nil {
		return err
	}
	empty, err := r.snapshot()
	if err != nil {
		return err
	}
	if err := r.openAll(ctx, everything); err != nil {
		return err
	}
	r.phase("waiting until it is quiet")
	sleep(ctx, time.Now().Add(r.o.Settle))
	before, err := r.snapshot()
	if err != nil {
		return err
	}
	r.phase("idling")
	sleep(ctx, before.at.Add(r.o.Duration))
	after, err := r.snapshot()
	if err != nil {
		return err
	}
	r.account(before, after, after.at)
	r.report.memory(empty.server, after.server, r.o.Connections)
	return ctx.Err()
}

// catchup sends to devices that are away, and then lets all of them come back at once.
func (r *run) catchup(ctx context.Context) error {
	threads, err := r.catchupThreads(ctx)
	if err != nil {
		return err
	}
	// A device gets its position at its first connection. Without a position it would not
	// have missed anything.
	if err := r.openAll(ctx, everything); err != nil {
		return err
	}
	r.closeDevices()
	if err := r.sendAway(ctx, threads); err != nil {
		return err
	}
	r.phase("reconnecting")
	before, err := r.snapshot()
	if err != nil {
		return err
	}
	r.from.Store(r.since(time.Now())) // so that only live messages would be timed
	err = each(ctx, len(r.devices), len(r.devices), func(ctx context.Context, i int) error {
		began := time.Now()
		if err := r.devices[i].reopen(ctx, began.Add(stormPatience)); err != nil {
			return err
		}
		r.timing.record(timeCatchup, int64(time.Since(began)))
		return nil
	})
	if err != nil {
		return err
	}
	end := time.Now()
	after, err := r.snapshot()
	if err != nil {
		return err
	}
	r.account(before, after, end)
	return nil
}

// catchupThreads makes the devices and the threads of their groups.
func (r *run) catchupThreads(ctx context.Context) (threads []string, err error) {
	r.phase("making threads")
	groups := (r.o.Devices + r.o.Group - 1) / r.o.Group
	people := make([][]string, groups)
	for g := range people {
		people[g] = []string{r.target.user("s", g)}
	}
	for i := range r.o.Devices {
		g := i / r.o.Group
		d, err := r.newDevice(r.target.user("u", i), uint32(g*r.o.Threads), r.o.Threads)
		if err != nil {
			return nil, err
		}
		people[g] = append(people[g], d.user)
		r.devices = append(r.devices, d)
	}
	threads = make([]string, groups*r.o.Threads)
	r.streams = make([]stream, len(threads))
	err = each(ctx, len(threads), parallel, func(_ context.Context, i int) error {
		g := i / r.o.Threads
		token, err := r.target.token(people[g][0])
		if err != nil {
			return err
		}
		threads[i], err = r.target.group(people[g], token)
		return err
	})
	return threads, err
}

// sendAway sends the messages of each group, spread over its threads, while its devices are
// away.
func (r *run) sendAway(ctx context.Context, threads []string) error {
	r.phase("sending while all are away")
	return each(ctx, len(threads), r.o.Senders, func(ctx context.Context, i int) error {
		s, err := r.newSender(ctx, ViaREST, r.target.user("s", i/r.o.Threads), "out")
		if err != nil {
			return err
		}
		defer s.close()
		n := r.o.Messages / r.o.Threads
		if i%r.o.Threads < r.o.Messages%r.o.Threads {
			n++
		}
		for number := range n {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := s.send(threads[i], head{r.since(time.Now()), uint32(i), uint32(number)}); err != nil {
				return fmt.Errorf("to a device that is away: %w", err)
			}
			r.streams[i].sent.Store(uint32(number + 1))
			r.counts.sent.Add(1)
		}
		return nil
	})
}
