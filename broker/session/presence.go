package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// presence says who is there (docs/contract.md#presence-and-typing): it sees
// users come and go, waits out the grace of those who left, and has the changes
// announced. It also greets new connections with who is online. All of that is
// done by one goroutine, which exists while there is something to do: so what a
// session is told about a user is in order, and a wave of reconnections costs
// the deliveries beside it little.
type presence struct {
	reg *Registry

	mu      sync.Mutex // guards all below; taken after a shard's
	changed []chat.UserID
	greeted []*Session
	working bool
	closed  bool
	leaving []departure // in order of time
	timer   *time.Timer // for the first of them; nil while there is none
}

// userPresence is what is known of a user who is online, or was until a moment ago.
// Its shard's lock guards it.
type userPresence struct {
	leftAt    time.Time // when the last connection went; zero while there is one
	gone      bool      // and the grace is over
	announced bool      // as online
	queued    bool      // among the changed
}

type departure struct {
	user chat.UserID
	at   time.Time
}

// Online reports whether a device of the user is connected, or was until a moment ago.
func (r *Registry) Online(_ context.Context, user chat.UserID) (bool, error) {
	sh := r.shard(user)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	p := sh.presence[user]
	return p != nil && !p.gone, nil
}

// came notes a connection. It is called with the shard's lock held, as is left.
func (p *presence) came(sh *userShard, user chat.UserID) {
	u := sh.presence[user]
	if u == nil {
		u = new(userPresence)
		sh.presence[user] = u
	}
	u.leftAt, u.gone = time.Time{}, false
	if !u.announced {
		p.change(u, user)
	}
}

// left notes that the last connection went, and when.
func (p *presence) left(sh *userShard, user chat.UserID) time.Time {
	u := sh.presence[user]
	u.leftAt = p.reg.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return u.leftAt
	}
	p.leaving = append(p.leaving, departure{user, u.leftAt})
	if p.timer == nil {
		p.timer = time.AfterFunc(p.reg.limits.PresenceGrace, p.part)
	}
	return u.leftAt
}

// part is called when the grace of the first departure is over.
func (p *presence) part() {
	p.mu.Lock()
	grace, now := p.reg.limits.PresenceGrace, p.reg.now()
	due := 0
	for due < len(p.leaving) && now.Sub(p.leaving[due].at) >= grace {
		due++
	}
	over := p.leaving[:due:due]
	p.leaving = p.leaving[due:]
	p.timer = nil
	if len(p.leaving) > 0 && !p.closed {
		p.timer = time.AfterFunc(grace-now.Sub(p.leaving[0].at), p.part)
	}
	p.mu.Unlock()
	for _, d := range over {
		sh := p.reg.shard(d.user)
		sh.mu.Lock()
		if u := sh.presence[d.user]; u != nil && u.leftAt.Equal(d.at) {
			u.gone = true
			p.change(u, d.user)
		}
		sh.mu.Unlock()
	}
}

// change has a user's presence looked at. It is called with the shard's lock held.
func (p *presence) change(u *userPresence, user chat.UserID) {
	if u.queued {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u.queued = !p.closed
	if u.queued {
		p.changed = append(p.changed, user)
		p.work()
	}
}

// work is called with mu held.
func (p *presence) work() {
	if !p.working {
		p.working = true
		p.reg.spawn(p.run)
	}
}

func (p *presence) run(ctx context.Context) {
	for {
		user, s, more := p.next()
		switch {
		case !more:
			return
		case s != nil:
			s.welcome(ctx)
		default:
			p.announce(ctx, user)
		}
	}
}

// next takes what is to be done next; with nothing left it ends the run.
func (p *presence) next() (user chat.UserID, s *Session, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
	case len(p.changed) > 0:
		user, p.changed = p.changed[0], p.changed[1:]
		return user, nil, true
	case len(p.greeted) > 0:
		s, p.greeted = p.greeted[0], p.greeted[1:]
		return "", s, true
	}
	p.working, p.changed, p.greeted = false, nil, nil
	return "", nil, false
}

// presenceTimeout bounds one look at who is there.
const presenceTimeout = 5 * time.Second

// announce tells what a user's presence is now, if that is news.
func (p *presence) announce(ctx context.Context, user chat.UserID) {
	sh := p.reg.shard(user)
	sh.mu.Lock()
	u := sh.presence[user]
	u.queued = false
	now := chat.Presence{User: user, Online: !u.gone, LastSeen: u.leftAt}
	if now.Online {
		now.LastSeen = time.Time{}
	} else {
		delete(sh.presence, user)
	}
	news := u.announced != now.Online
	u.announced = now.Online
	sh.mu.Unlock()
	if !news {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	if err := p.reg.chat.AnnouncePresence(ctx, now); err != nil && ctx.Err() == nil {
		p.reg.log.Warn("a user's presence was not announced", "user", user, "online", now.Online, "error", err)
	}
}

// close ends all of it: what happens from here on is announced by nobody.
func (p *presence) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// greeting is whose presence a client is to be told because it has just subscribed
// that, or connected.
type greeting struct {
	everybody bool // who is online
	users     []chat.UserID
	queued    bool
	told      []chat.UserID // whose coming was announced to the client since it was queued
}

// announced notes that the client is told of a user's presence anyway.
func (g *greeting) announced(user chat.UserID) {
	if g.queued && len(g.told) < maxEphemera {
		g.told = append(g.told, user)
	}
}

// add takes note of a subscription.
func (g *greeting) add(f contracts.Filter) {
	switch {
	case !f.Presence:
	case f.AnyUser:
		g.everybody = true
	case !slices.Contains(g.users, f.User):
		g.users = append(g.users, f.User)
	}
}

// take adds what another one says, and empties it.
func (g *greeting) take(asked *greeting) {
	g.everybody = g.everybody || asked.everybody
	for _, user := range asked.users {
		if !slices.Contains(g.users, user) {
			g.users = append(g.users, user)
		}
	}
	*asked = greeting{}
}

// greet has the client told what the greeting says, now that it may be. A JSON
// client finds it behind its caught_up.
func (s *Session) greet() {
	s.mu.Lock()
	g := &s.greeting
	due := s.begun && !s.ended && !g.queued && (g.everybody || len(g.users) > 0)
	g.queued = g.queued || due
	s.mu.Unlock()
	if !due {
		return
	}
	p := &s.reg.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.greeted = append(p.greeted, s)
		p.work()
	}
}

// welcome tells the client what its greeting says.
func (s *Session) welcome(ctx context.Context) {
	s.mu.Lock()
	g := s.greeting
	s.greeting = greeting{}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	for _, user := range g.users {
		p, err := s.reg.chat.Presence(ctx, s.params.Caller, user)
		if err == nil {
			s.hint(presenceOf(p, s.reg.now()))
		} else if chat.CodeOf(err) == chat.CodeUnavailable {
			s.notGreeted(err)
		}
	}
	if !g.everybody {
		return
	}
	peers, err := s.reg.chat.OnlinePeers(ctx, s.user)
	if err != nil {
		s.notGreeted(err)
	}
	for _, peer := range peers {
		// Of who has just come it is told by the announcement, before or after this.
		if !slices.Contains(g.told, peer) && !s.reg.unannounced(peer) {
			s.hint(presenceOf(chat.Presence{User: peer, Online: true}, s.reg.now()))
		}
	}
}

// unannounced reports whether a user has come to this node and nobody was told yet.
func (r *Registry) unannounced(user chat.UserID) bool {
	sh := r.shard(user)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	u := sh.presence[user]
	return u != nil && !u.announced
}

func (s *Session) notGreeted(err error) {
	if !errors.Is(err, context.Canceled) {
		s.reg.log.Warn("a session was not told who is there", "user", s.user, "device", s.device, "error", err)
	}
}
