package presence

import (
	"context"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// maxWorkers is how many goroutines look things up at once.
const maxWorkers = 8

// looksAtOnce is after how many look-ups of a greeting other users have their turn.
const looksAtOnce = 8

// queue holds what is to be done, by user. A user is in it once, however much there is to
// do for it, and has one goroutine at a time, which does one step: an announcement, or a
// part of a greeting. Then it is behind all others who wait. So a user whose steps are many
// or slow holds up itself, and of the goroutines one.
type queue struct {
	jobs    map[chat.UserID]*job
	changed []chat.UserID // those of them that are to be announced, who come first
	guests  []chat.UserID // the others
	workers int
}

// job is what is to be done for one user.
type job struct {
	announce            bool
	visits              []*visit // of its connections
	taken               bool     // a goroutine does a step of it
	inChanged, inGuests bool     // it waits there
}

// visit is a greeting under way.
type visit struct {
	guest    Guest
	greeting Greeting
	begun    bool
}

// of is the job of a user, which the caller adds to and then puts.
func (q *queue) of(id chat.UserID) *job {
	j := q.jobs[id]
	if j == nil {
		if q.jobs == nil {
			q.jobs = make(map[chat.UserID]*job)
		}
		j = new(job)
		q.jobs[id] = j
	}
	return j
}

// put has the user wait for its turn, unless it does or a goroutine is at it: that one
// puts it when it has done its step.
func (q *queue) put(id chat.UserID, j *job) {
	switch {
	case j.taken:
	case j.announce && !j.inChanged:
		j.inChanged = true
		q.changed = append(q.changed, id)
	case !j.announce && len(j.visits) > 0 && !j.inGuests:
		j.inGuests = true
		q.guests = append(q.guests, id)
	}
}

// dropGone drops the greetings of connections that have ended, so that a user who connects
// again and again has no more of them than connections.
func (j *job) dropGone() {
	waiting := j.visits
	if j.taken && len(waiting) > 0 {
		waiting = waiting[1:] // a goroutine may be at the first
	}
	left := slices.DeleteFunc(waiting, func(v *visit) bool { return v.guest.Gone() })
	j.visits = j.visits[:len(j.visits)-len(waiting)+len(left)]
}

// pop takes the user whose turn it is.
func (q *queue) pop() (id chat.UserID, j *job, more bool) {
	for len(q.changed) > 0 || len(q.guests) > 0 {
		if len(q.changed) > 0 {
			id, q.changed = q.changed[0], q.changed[1:]
			j = q.jobs[id]
			j.inChanged = false
		} else {
			id, q.guests = q.guests[0], q.guests[1:]
			j = q.jobs[id]
			j.inGuests = false
		}
		if !j.taken && (j.announce || len(j.visits) > 0) {
			j.taken = true
			return id, j, true
		}
		q.forgetIdle(id, j)
	}
	return "", nil, false
}

// done gives back a user. If there is more to do for it, it waits behind the others.
func (q *queue) done(id chat.UserID, j *job) {
	j.taken = false
	q.put(id, j)
	q.forgetIdle(id, j)
}

func (q *queue) forgetIdle(id chat.UserID, j *job) {
	if !j.taken && !j.inChanged && !j.inGuests {
		delete(q.jobs, id)
	}
}

// work starts a goroutine if there are not enough. It is called with mu held.
func (t *Tracker) work() {
	if t.todo.workers < min(maxWorkers, len(t.todo.jobs)) {
		t.todo.workers++
		t.cfg.Spawn(t.run)
	}
}

// run does step after step until none waits.
func (t *Tracker) run(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.todo.workers-- }()
	for !t.closed {
		id, j, more := t.todo.pop()
		if !more {
			return
		}
		var v *visit
		if j.announce {
			j.announce = false
		} else {
			v = j.visits[0]
		}
		t.mu.Unlock()
		over := t.step(ctx, id, v)
		t.mu.Lock()
		if v != nil && over {
			j.visits = j.visits[1:]
		}
		t.todo.done(id, j)
	}
}

// step does one step for a user, and reports whether the greeting is over.
func (t *Tracker) step(ctx context.Context, id chat.UserID, v *visit) bool {
	if v == nil {
		t.announce(ctx, id)
		return false
	}
	return t.greet(ctx, v)
}
