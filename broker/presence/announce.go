package presence

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// lookTimeout bounds one announcement and one greeting.
const lookTimeout = 5 * time.Second

// Greet has a connection told what its greeting says. Nothing is told after Close.
func (t *Tracker) Greet(g Guest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.guests = append(t.guests, g)
		t.work()
	}
}

// work starts the goroutine unless it runs. It is called with mu held.
func (t *Tracker) work() {
	if !t.working {
		t.working = true
		t.cfg.Spawn(t.run)
	}
}

func (t *Tracker) run(ctx context.Context) {
	for {
		id, guest, more := t.pop()
		switch {
		case !more:
			return
		case guest != nil:
			t.greet(ctx, guest)
		default:
			t.announce(ctx, id)
		}
	}
}

// pop gives what is to be done next, announcements before greetings. With nothing
// left it ends the run.
func (t *Tracker) pop() (id chat.UserID, guest Guest, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
	case len(t.changed) > 0:
		id, t.changed = t.changed[0], t.changed[1:]
		return id, nil, true
	case len(t.guests) > 0:
		guest, t.guests = t.guests[0], t.guests[1:]
		return "", guest, true
	}
	t.working, t.changed, t.guests = false, nil, nil
	return "", nil, false
}

// announce tells what a user's presence is now, if that is news.
func (t *Tracker) announce(ctx context.Context, id chat.UserID) {
	sh := t.shard(id)
	sh.mu.Lock()
	u := sh.users[id]
	u.queued = false
	now := chat.Presence{User: id, Online: !u.gone, LastSeen: u.leftAt}
	if now.Online {
		now.LastSeen = time.Time{}
	} else {
		delete(sh.users, id)
	}
	news := u.announced != now.Online
	u.announced = now.Online
	sh.mu.Unlock()
	if !news {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := t.cfg.Chat.AnnouncePresence(ctx, now); err != nil && ctx.Err() == nil {
		t.cfg.Log.Warn("a user's presence was not announced", "user", id, "online", now.Online, "error", err)
	}
}

// greet tells a connection what its greeting says.
func (t *Tracker) greet(ctx context.Context, guest Guest) {
	g, caller := guest.DrainGreeting(), guest.Caller()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for _, id := range g.users {
		p, err := t.cfg.Chat.Presence(ctx, caller, id)
		if err == nil {
			guest.TellPresence(p)
		} else if chat.CodeOf(err) == chat.CodeUnavailable {
			t.notGreeted(caller, err)
		}
	}
	if !g.Everybody {
		return
	}
	peers, err := t.cfg.Chat.OnlinePeers(ctx, caller.User)
	if err != nil {
		t.notGreeted(caller, err)
	}
	for _, peer := range peers {
		// The announcement tells it of a user who has just come, before or after this.
		if !slices.Contains(g.announced, peer) && !t.unannounced(peer) {
			guest.TellPresence(chat.Presence{User: peer, Online: true})
		}
	}
}

// unannounced reports whether a user has come to this node and nobody was told yet.
func (t *Tracker) unannounced(id chat.UserID) bool {
	sh := t.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	u := sh.users[id]
	return u != nil && !u.announced
}

func (t *Tracker) notGreeted(c chat.Caller, err error) {
	if !errors.Is(err, context.Canceled) {
		t.cfg.Log.Warn("a session was not told who is online", "user", c.User, "device", c.Device, "error", err)
	}
}
