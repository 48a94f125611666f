package presence

import (
	"context"
	"errors"
	"time"

	"github.com/parleyhq/parley/chat"
)

// lookTimeout bounds one announcement and one part of a greeting.
const lookTimeout = 5 * time.Second

// announceAgainAfter is when an announcement that failed is made again: the store may be slow,
// or away.
const announceAgainAfter = 2 * time.Second

// Greet has a connection told what its greeting says. Nothing is told after Close.
func (t *Tracker) Greet(g Guest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	id := g.Caller().User
	j := t.todo.of(id)
	j.dropGone()
	j.visits = append(j.visits, &visit{guest: g})
	t.todo.put(id, j)
	t.work()
}

// announce tells what a user's presence is now, if that is news.
func (t *Tracker) announce(ctx context.Context, id chat.UserID) {
	sh := t.shard(id)
	sh.mu.Lock()
	u := sh.users[id]
	if u == nil {
		sh.mu.Unlock()
		return
	}
	now := chat.Presence{User: id, Online: !u.gone, LastSeen: u.leftAt}
	if now.Online {
		now.LastSeen = time.Time{}
	}
	news, elsewhere := u.announced != now.Online, u.last != t.cfg.Node
	u.queued, u.orphan, u.announced = false, false, now.Online
	sh.mu.Unlock()
	if news && !t.tell(ctx, now, elsewhere) {
		t.announceAgain(now)
		return
	}
	if now.Online {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if u == sh.users[id] && u.gone && !u.queued {
		t.forgetLater(sh, u, id)
	}
}

// tell tells a user's presence, and reports false if that failed and nobody was told.
func (t *Tracker) tell(ctx context.Context, p chat.Presence, elsewhere bool) bool {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if elsewhere && !p.Online {
		if err := t.cfg.PutLastSeen(look, p.User, p.LastSeen); err != nil && ctx.Err() == nil {
			t.cfg.Log.Warn("not stored when a user was last connected", "user", p.User, "error", err)
		}
	}
	err := t.cfg.Chat.AnnouncePresence(look, p)
	if err != nil && ctx.Err() == nil {
		t.cfg.Log.Warn("a user's presence was not announced, and is announced later", "user", p.User, "online", p.Online, "error", err)
	}
	return err == nil
}

// announceAgain has a presence that nobody could be told announced after a while, unless it
// has changed by then: else the others would see the user as it was until it comes or goes
// again.
func (t *Tracker) announceAgain(p chat.Presence) {
	sh := t.shard(p.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[p.User]
	if u == nil {
		return
	}
	u.announced = !p.Online
	time.AfterFunc(announceAgainAfter, func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if u == sh.users[p.User] && u.gone != p.Online {
			t.change(u, p.User)
		}
	})
}

// forgetLater forgets a user who is gone: at once on a node that is alone, else once no other
// can announce the same.
func (t *Tracker) forgetLater(sh *shard, u *user, id chat.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.others) == 0 {
		delete(sh.users, id)
		return
	}
	t.remember(id, u.leftAt)
}

// greet tells a connection the next part of what its greeting says, and reports whether
// that was the last.
func (t *Tracker) greet(ctx context.Context, v *visit) (over bool) {
	if v.guest.Gone() {
		return true
	}
	if !v.begun {
		v.begun, v.greeting = true, v.guest.BeginGreeting()
	}
	caller := v.guest.Caller()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	g := &v.greeting
	looks := min(looksAtOnce, len(g.users))
	for _, id := range g.users[:looks] {
		p, err := t.cfg.Chat.PresenceFor(ctx, caller, id)
		if err == nil {
			v.guest.TellPresence(p)
		} else if chat.CodeOf(err) == chat.CodeUnavailable {
			t.notGreeted(caller, err)
		}
	}
	if g.users = g.users[looks:]; looks > 0 && (len(g.users) > 0 || g.more()) {
		return false
	}
	if len(g.met) > 0 {
		peers, err := t.cfg.Chat.NewPeers(ctx, caller.User, g.met[0].thread, g.met[0].by)
		t.tellOnline(v.guest, peers, err)
		if g.met = g.met[1:]; g.more() {
			return false
		}
	} else if g.Everybody {
		peers, err := t.cfg.Chat.OnlinePeers(ctx, caller.User)
		t.tellOnline(v.guest, peers, err)
	}
	v.guest.EndGreeting()
	return true
}

// tellOnline tells a connection of users who are online and of whom it may know, if they
// could be found.
func (t *Tracker) tellOnline(guest Guest, peers []chat.UserID, err error) {
	if err != nil {
		t.notGreeted(guest.Caller(), err)
	}
	for _, peer := range peers {
		// The announcement tells it of a user who has just come, before or after this.
		if !t.unannounced(peer) {
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
