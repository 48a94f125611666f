// Package presence knows which users are here, on this node, and tells those who may
// know (docs/contract.md#presence-and-typing). It sees users come and go, waits out
// the grace of those who left, and has the changes announced. It also greets connections:
// it tells new ones who is online, and all who of those whom their user has just met.
//
// A few goroutines do all of that, and exist while there is something to do: so a wave of
// reconnections costs the deliveries beside it little. They take turns by user (queue.go).
// What a connection is told about a user is in order: announcements of one user come one
// after the other, and a greeting says nothing of a user who was announced since it began.
//
// Read in this order: presence.go (who is here), queue.go (whose turn it is), announce.go
// (what is told), greeting.go (whom a connection asks about).
package presence

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Chat is what presence asks of the domain; it is the chat service.
type Chat interface {
	// AnnouncePresence tells the people who may know that a user came or went.
	AnnouncePresence(ctx context.Context, p chat.Presence) error
	// OnlinePeers lists the users of whom a device that connects is told that they
	// are online.
	OnlinePeers(ctx context.Context, user chat.UserID) ([]chat.UserID, error)
	// NewPeers lists the users of whom a device is told that they are online when its
	// user comes to share a thread with them, by an event of that thread.
	NewPeers(ctx context.Context, user chat.UserID, thread chat.ThreadID, by chat.EventID) ([]chat.UserID, error)
	// PresenceFor tells the caller of one user.
	PresenceFor(ctx context.Context, c chat.Caller, user chat.UserID) (chat.Presence, error)
}

// Config is what a Tracker needs. All fields are required.
type Config struct {
	Chat  Chat
	Log   *slog.Logger
	Grace time.Duration // how long a user stays online without a connection
	Now   func() time.Time
	// Spawn runs a function in a goroutine that the caller waits for.
	Spawn func(func(context.Context))
}

// Tracker knows who is here. Its methods may be called from any goroutine.
type Tracker struct {
	cfg    Config
	seed   maphash.Seed
	shards [64]shard

	mu      sync.Mutex // guards all below; taken after a shard's
	todo    queue
	closed  bool
	leaving []departure // in order of time
	timer   *time.Timer // for the first of them; nil while there is none
}

type shard struct {
	mu    sync.RWMutex
	users map[chat.UserID]*user // who is online, or was until a moment ago
}

// user is what is known of one user. Its shard's lock guards it.
type user struct {
	leftAt    time.Time // when the last connection went; zero while there is one
	gone      bool      // and the grace is over
	announced bool      // as online
	queued    bool      // among the changed
}

type departure struct {
	user chat.UserID
	at   time.Time
}

// New makes a Tracker that knows nobody. Close ends it.
func New(cfg Config) *Tracker {
	t := &Tracker{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].users = make(map[chat.UserID]*user)
	}
	return t
}

func (t *Tracker) shard(id chat.UserID) *shard {
	return &t.shards[maphash.String(t.seed, string(id))%uint64(len(t.shards))]
}

// Online reports whether a device of the user is connected, or was until a moment ago.
func (t *Tracker) Online(id chat.UserID) bool {
	sh := t.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	u := sh.users[id]
	return u != nil && !u.gone
}

// Came notes a connection of a user. The caller orders it with Left: of one user
// they are not called at the same time.
func (t *Tracker) Came(id chat.UserID) {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[id]
	if u == nil {
		u = new(user)
		sh.users[id] = u
	}
	u.leftAt, u.gone = time.Time{}, false
	if !u.announced {
		t.change(u, id)
	}
}

// Left notes that the last connection of a user went, and gives the time of that.
func (t *Tracker) Left(id chat.UserID) time.Time {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[id]
	u.leftAt = t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return u.leftAt
	}
	t.leaving = append(t.leaving, departure{id, u.leftAt})
	if t.timer == nil {
		t.timer = time.AfterFunc(t.cfg.Grace, t.EndGraces)
	}
	return u.leftAt
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
			t.change(u, d.user)
		}
		sh.mu.Unlock()
	}
}

// change queues a user whose presence has changed. It is called with the lock of the
// user's shard held.
func (t *Tracker) change(u *user, id chat.UserID) {
	if u.queued {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	u.queued = !t.closed
	if u.queued {
		j := t.todo.of(id)
		j.announce = true
		t.todo.put(id, j)
		t.work()
	}
}

// Idle reports whether all that has happened so far is announced.
func (t *Tracker) Idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.todo.jobs) == 0
}

// Close ends all of it: what happens from here on is announced to nobody.
func (t *Tracker) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}
