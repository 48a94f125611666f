package presence

import (
	"time"

	"github.com/parleyhq/parley/chat"
)

type departure struct {
	user chat.UserID
	at   time.Time
}

// leave begins the grace of a user whose last connection went. If it has others, it does
// nothing. It is called with the lock of the user's shard held.
func (t *Tracker) leave(u *user, id chat.UserID, from chat.NodeID, now time.Time) {
	if len(u.conns) > 0 {
		return
	}
	u.last, u.leftAt = from, now
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.leaving = append(t.leaving, departure{id, now})
	if t.timer == nil {
		t.timer = time.AfterFunc(t.cfg.Grace, t.EndGraces)
	}
}

// EndGraces has the users announced as gone whose grace is over. A timer of the
// Tracker calls it when the first one is.
func (t *Tracker) EndGraces() {
	t.mu.Lock()
	grace, now := t.cfg.Grace, t.cfg.Now()
	due := 0
	for due < len(t.leaving) && now.Sub(t.leaving[due].at) >= grace {
		due++
	}
	over := t.leaving[:due:due]
	t.leaving = t.leaving[due:]
	t.timer = nil
	if len(t.leaving) > 0 && !t.closed {
		t.timer = time.AfterFunc(grace-now.Sub(t.leaving[0].at), t.EndGraces)
	}
	t.mu.Unlock()
	for _, d := range over {
		sh := t.shard(d.user)
		sh.mu.Lock()
		if u := sh.users[d.user]; u != nil && u.leftAt.Equal(d.at) {
			u.gone = true
			t.announceGone(u, d.user, false)
		}
		sh.mu.Unlock()
	}
}

// announceGone has a user who is gone announced, by one node. It is called with the lock of the
// user's shard held; again says that the node which was to do so may not have.
func (t *Tracker) announceGone(u *user, id chat.UserID, again bool) {
	if u.mine && !again {
		t.change(u, id)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remember(id, u.leftAt)
	teller := u.last
	if again || !t.others[u.last] {
		teller = t.teller(id, 0)
	}
	if teller == t.cfg.Node && u.announced && !u.orphan && !t.closed {
		u.orphan = true
		t.orphans.add(t, id)
	}
}
