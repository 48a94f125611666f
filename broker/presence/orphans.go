package presence

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// The users of a dead node are announced so many at once, so many times a second: 1,000 a
// second in all (docs/contract.md#presence-and-typing).
const (
	orphansAtOnce = 100
	orphansEvery  = 100 * time.Millisecond
)

// rememberFor is how long a user who is gone is remembered, so that nobody here is told of it
// twice. If it is not announced by then, one of the nodes does so.
const rememberFor = time.Minute

// orphans are users who are gone, and whom a node that is dead was to announce. They wait in
// order. The Tracker's mu guards it.
type orphans struct {
	waiting []chat.UserID
	telling bool
}

// add has a user announced when its turn comes. It is called with mu held.
func (o *orphans) add(t *Tracker, id chat.UserID) {
	o.waiting = append(o.waiting, id)
	if !o.telling {
		o.telling = true
		t.cfg.Spawn(t.tellOrphans)
	}
}

// tellOrphans has them announced until none waits.
func (t *Tracker) tellOrphans(ctx context.Context) {
	tick := time.NewTicker(orphansEvery)
	defer tick.Stop()
	for {
		t.mu.Lock()
		due := t.orphans.waiting[:min(orphansAtOnce, len(t.orphans.waiting))]
		t.orphans.waiting = t.orphans.waiting[len(due):]
		if len(due) == 0 || t.closed {
			t.orphans = orphans{}
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		for _, id := range due {
			t.tellOrphan(id)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellOrphan has one announced, unless it has come back.
func (t *Tracker) tellOrphan(id chat.UserID) {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if u := sh.users[id]; u != nil && u.orphan {
		t.change(u, id)
	}
}

// remember notes that a user is gone and has still to be forgotten. It is called with mu held.
func (t *Tracker) remember(id chat.UserID, leftAt time.Time) {
	t.past = append(t.past, departure{id, leftAt})
}

// Forget forgets users who went some time ago. Those of them who were not announced are
// announced by one of the nodes that live.
func (t *Tracker) Forget() {
	now := t.cfg.Now()
	t.mu.Lock()
	due := 0
	for due < len(t.past) && now.Sub(t.past[due].at) >= t.cfg.Grace+rememberFor {
		due++
	}
	over := t.past[:due:due]
	t.past = t.past[due:]
	t.mu.Unlock()
	for _, d := range over {
		t.forgetUser(d, now.Sub(d.at) < t.cfg.Grace+2*rememberFor)
	}
}

func (t *Tracker) forgetUser(d departure, again bool) {
	sh := t.shard(d.user)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[d.user]
	switch {
	case u == nil || !u.gone || !u.leftAt.Equal(d.at) || u.orphan || u.queued:
	case u.announced && again:
		t.announceGone(u, d.user, true)
	default:
		delete(sh.users, d.user)
	}
}
