// Package presence knows which users are here, on this node and on all, and tells those who may
// know (docs/contract.md#presence-and-typing). It sees users come and go, waits out
// the grace of those who left, and has the changes announced. It also greets connections:
// it tells new ones who is online, and all who of those whom their user has just met.
//
// A few goroutines do all of that, and exist while there is something to do: so a wave of
// reconnections costs the deliveries beside it little. They take turns by user (queue.go).
// What a connection is told about a user is in order: announcements of one user come one
// after the other, and a greeting says nothing of a user who was announced since it began.
//
// Of several nodes, the one to which a user connects announces that it came, and the one to
// which it was connected last that it went. Each knows all connections: from what the others
// tell it, and from comparing sums with them, since what they tell may be lost. If the node
// that was to announce something has died, one of the others does.
//
// Read in this order: presence.go (who is here), grace.go (who has left, and which node says
// so), nodes.go (who is at other nodes), orphans.go (who was at a node that died), queue.go
// (whose turn it is), announce.go (what is told), greeting.go (whom a connection asks about).
package presence

import (
	"context"
	"log/slog"
	"slices"
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
	Node  chat.NodeID   // this one
	Grace time.Duration // how long a user stays online without a connection
	Now   func() time.Time
	// Spawn runs a function in a goroutine that the caller waits for.
	Spawn func(func(context.Context))
	// Tell hands a notice to the other nodes. It is called without a lock.
	Tell func(chat.NodeNotice)
	// PutLastSeen stores when a user was last connected, for a node that died.
	PutLastSeen func(ctx context.Context, user chat.UserID, at time.Time) error
}

// Tracker knows who is here. Its methods may be called from any goroutine.
type Tracker struct {
	cfg    Config
	shards [chat.ConnectionShards]shard

	mu      sync.Mutex // guards all below; taken after a shard's
	todo    queue
	closed  bool
	leaving []departure // in order of time
	timer   *time.Timer // for the first of them; nil while there is none
	past    []departure // those whose grace is over, and who are still to be forgotten (Forget); in order of time
	orphans orphans
	others  map[chat.NodeID]bool // the other nodes that live
	dead    map[chat.NodeID]bool // those that were found to be gone, and have not shown all their connections since
	gone    time.Time            // when the last of them went
}

type shard struct {
	mu    sync.RWMutex
	users map[chat.UserID]*user // who is online, or was until a moment ago
	sums  map[chat.NodeID]uint64
}

// user is what is known of one user. Its shard's lock guards it.
type user struct {
	conns     []conn      // of its devices, at all nodes
	last      chat.NodeID // where the last of them was
	leftAt    time.Time   // when the last connection went; zero while there is one
	gone      bool        // and the grace is over
	mine      bool        // it was connected here when it was last connected anywhere: this node announces that it went
	orphan    bool        // it waits among the orphans
	announced bool        // as online, as far as this node knows
	heard     heard       // what the connections here were told last
	queued    bool        // among the changed
}

// conn is the connection of a device at a node.
type conn struct {
	node   chat.NodeID
	device chat.DeviceID
	number chat.Conn
}

// heard is an announcement that was heard, or nothing.
type heard byte

const (
	heardOnline heard = 1 + iota
	heardOffline
)

// New makes a Tracker that knows nobody. Close ends it.
func New(cfg Config) *Tracker {
	t := &Tracker{cfg: cfg, others: make(map[chat.NodeID]bool), dead: make(map[chat.NodeID]bool)}
	for i := range t.shards {
		t.shards[i].users = make(map[chat.UserID]*user)
		t.shards[i].sums = make(map[chat.NodeID]uint64)
	}
	return t
}

func shardOf(id chat.UserID) int { return int(chat.UserHash(id) % chat.ConnectionShards) }

func (t *Tracker) shard(id chat.UserID) *shard { return &t.shards[shardOf(id)] }

// Online reports whether a device of the user is connected, or was until a moment ago.
func (t *Tracker) Online(id chat.UserID) bool {
	sh := t.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	u := sh.users[id]
	return u != nil && !u.gone
}

// Devices lists the devices of a user that are connected, at all nodes.
func (t *Tracker) Devices(id chat.UserID) (devices []chat.DeviceID) {
	sh := t.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	u := sh.users[id]
	if u == nil {
		return nil
	}
	for _, c := range u.conns {
		if !slices.Contains(devices, c.device) {
			devices = append(devices, c.device)
		}
	}
	return devices
}

// Came notes a connection to this node. The caller orders it with Left: of one user
// they are not called at the same time.
func (t *Tracker) Came(c chat.Connection) {
	sh := t.shard(c.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.user(c.User)
	sh.add(u, t.cfg.Node, c)
	u.mine = true
	if !u.announced {
		t.change(u, c.User)
	}
}

// Left notes that a connection to this node has gone. If it was the user's last one here,
// it gives the time of that.
func (t *Tracker) Left(c chat.Connection) (last time.Time) {
	sh := t.shard(c.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[c.User]
	if u == nil || !sh.remove(u, t.cfg.Node, c) || u.isAt(t.cfg.Node) {
		return time.Time{}
	}
	now := t.cfg.Now()
	t.leave(u, c.User, t.cfg.Node, now)
	return now
}

// user finds or makes what is known of a user.
func (sh *shard) user(id chat.UserID) *user {
	u := sh.users[id]
	if u == nil {
		u = new(user)
		sh.users[id] = u
	}
	return u
}

// add notes a connection in place of an earlier one of the device to the same node. It
// reports false for one that is known, or not the newest there.
func (sh *shard) add(u *user, node chat.NodeID, c chat.Connection) bool {
	i := slices.IndexFunc(u.conns, func(o conn) bool { return o.node == node && o.device == c.Device })
	switch {
	case i < 0:
		u.conns = append(u.conns, conn{node, c.Device, c.Conn})
	case u.conns[i].number >= c.Conn:
		return false
	default:
		sh.sums[node] ^= chat.Connection{User: c.User, Device: c.Device, Conn: u.conns[i].number}.Sum()
		u.conns[i].number = c.Conn
	}
	sh.sums[node] ^= c.Sum()
	u.leftAt, u.gone, u.orphan = time.Time{}, false, false
	return true
}

// remove forgets a connection, and reports whether it was known.
func (sh *shard) remove(u *user, node chat.NodeID, c chat.Connection) bool {
	i := slices.Index(u.conns, conn{node, c.Device, c.Conn})
	if i < 0 {
		return false
	}
	u.conns = slices.Delete(u.conns, i, i+1)
	sh.sums[node] ^= c.Sum()
	return true
}

func (u *user) isAt(node chat.NodeID) bool {
	return slices.ContainsFunc(u.conns, func(c conn) bool { return c.node == node })
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
