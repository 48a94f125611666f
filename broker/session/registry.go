package session

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/parleyhq/parley/broker/feed"
	"github.com/parleyhq/parley/broker/presence"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Limits bound sessions (docs/contract.md#limits). Zero fields take DefaultLimits.
type Limits struct {
	ConnectionsPerUser int
	Window             int           // unacknowledged frames per connection
	AckTimeout         time.Duration // how long a window may stay full
	PingInterval       time.Duration // WebSockets; 2.5 of it without a pong end a JSON connection
	KeepSubscriptions  time.Duration // the longest that subscriptions outlive a connection
	PresenceGrace      time.Duration // how long a user stays online without a connection
}

// DefaultLimits are those of docs/contract.md#limits.
var DefaultLimits = Limits{
	ConnectionsPerUser: 10,
	Window:             1024,
	AckTimeout:         60 * time.Second,
	PingInterval:       30 * time.Second,
	KeepSubscriptions:  24 * time.Hour,
	PresenceGrace:      10 * time.Second,
}

func (l Limits) orDefaults() Limits {
	d := DefaultLimits
	l.ConnectionsPerUser = cmp.Or(l.ConnectionsPerUser, d.ConnectionsPerUser)
	l.Window = cmp.Or(l.Window, d.Window)
	l.AckTimeout = cmp.Or(l.AckTimeout, d.AckTimeout)
	l.PingInterval = cmp.Or(l.PingInterval, d.PingInterval)
	l.KeepSubscriptions = cmp.Or(l.KeepSubscriptions, d.KeepSubscriptions)
	l.PresenceGrace = cmp.Or(l.PresenceGrace, d.PresenceGrace)
	return l
}

// Chat is what sessions ask of the domain; it is the chat service.
type Chat interface {
	// Acknowledge records what a device has received.
	Acknowledge(ctx context.Context, user chat.UserID, device chat.DeviceID, a chat.Ack) error
	// Typing tells a thread's others that the caller is typing.
	Typing(ctx context.Context, c chat.Caller, thread chat.ThreadID) error
	// Signal tells a signal of the caller's device to a thread's people.
	Signal(ctx context.Context, c chat.Caller, sig chat.Signal) error

	// ForgetOverflow forgets devices of a user that has too many. A new one has connected.
	ForgetOverflow(ctx context.Context, user chat.UserID) error
	// CheckDevice refuses a token that was issued before the device that it names was removed.
	CheckDevice(ctx context.Context, user chat.UserID, device chat.DeviceID, issued time.Time) error

	// NewestID is the highest id of any event that the node knows of.
	NewestID() chat.EventID

	presence.Chat
}

// Store is what sessions use of the store. [chat.Store] has it.
type Store interface {
	feed.Store
	chat.SubscriptionStore
	AdmitDevice(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Admitted, error)
	RemovedSince(ctx context.Context, since time.Time) ([]chat.Removal, error)
	RaisePosition(ctx context.Context, user chat.UserID, device chat.DeviceID, conn chat.Conn, p chat.Position) error
	PutLastSeen(ctx context.Context, user chat.UserID, at time.Time) error
	ID() chat.StoreID
}

// Config is what a Registry needs. Store, Bus and Chat are required.
type Config struct {
	Store  Store
	Bus    chat.Bus
	Chat   Chat
	Log    *slog.Logger
	Limits Limits
	Now    func() time.Time
	// Verify judges a new token for the connection of a caller. It is the verifier's Renew.
	Verify func(token string, c chat.Caller) (Token, error)
	// Node is this process among those that serve the store; zero: one is drawn.
	Node chat.NodeID
	// Sweeps is held by the node that sweeps, of those that share the store; nil: each does.
	Sweeps *chat.Lease
}

// Registry knows every session of this node and wakes those that an event
// concerns. It is sharded by user: nothing is shared between unrelated ones.
type Registry struct {
	store  Store
	chat   Chat
	log    *slog.Logger
	limits Limits
	now    func() time.Time
	verify func(token string, c chat.Caller) (Token, error)
	node   chat.NodeID
	bus    chat.Bus
	sweeps *chat.Lease

	started  time.Time
	logs     *feed.Logs
	states   *toldStates
	keptSubs keptSubscriptions
	inFlight inFlights
	beat     heartbeat
	presence *presence.Tracker
	seed     maphash.Seed
	users    [64]userShard
	stats    *Stats
	lost     chan struct{} // has an item while sessions are to look for what was lost

	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	wg          sync.WaitGroup
	unsubscribe func()
}

type userShard struct {
	mu       sync.RWMutex
	sessions map[chat.UserID][]*Session
	storing  map[keptKey]int      // ended, and what they had acknowledged is not stored yet
	awaited  map[keptKey]*awaited // connections to other nodes
	closed   bool
}

// NewRegistry makes a Registry and subscribes it to the bus. Close ends it.
func NewRegistry(cfg Config) *Registry {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Verify == nil {
		cfg.Verify = func(string, chat.Caller) (Token, error) {
			return Token{}, chat.Refuse(contracts.CodeUnauthenticated, "tokens cannot be renewed")
		}
	}
	for cfg.Node == 0 {
		cfg.Node = chat.NodeID(rand.Uint64())
	}
	r := &Registry{
		node: cfg.Node, bus: cfg.Bus, verify: cfg.Verify, sweeps: cfg.Sweeps,
		store: cfg.Store, chat: cfg.Chat, log: cfg.Log, limits: cfg.Limits.orDefaults(), now: cfg.Now,
		logs: &feed.Logs{Store: cfg.Store, Tails: feed.NewTailCache(), Newest: cfg.Chat.NewestID}, seed: maphash.MakeSeed(), stats: newStats(),
	}
	r.states = newToldStates()
	r.started = r.now()
	r.lost = make(chan struct{}, 1)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for i := range r.users {
		r.users[i].sessions = make(map[chat.UserID][]*Session)
		r.users[i].storing, r.users[i].awaited = make(map[keptKey]int), make(map[keptKey]*awaited)
	}
	r.presence = presence.New(presence.Config{
		Chat: r.chat, Log: r.log, Node: r.node, Grace: r.limits.PresenceGrace, Now: r.now, Spawn: r.spawn,
		Tell: r.tellNodes, PutLastSeen: r.store.PutLastSeen,
	})
	r.unsubscribe = cfg.Bus.Subscribe(r)
	r.spawn(r.compareNodes)
	r.spawn(func(ctx context.Context) { r.beat.run(ctx, r) })
	r.spawn(r.sweepSubscriptions)
	r.spawn(r.spreadLosses)
	return r
}

// spawn runs f in a goroutine that Close waits for.
func (r *Registry) spawn(f func(context.Context)) {
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		f(r.ctx)
	}()
}

func (r *Registry) shard(user chat.UserID) *userShard {
	return &r.users[maphash.String(r.seed, string(user))%uint64(len(r.users))]
}

// Open admits a connection. One of the same device is taken over; otherwise a
// user with too many is refused with CodeRateLimited, and one whose subscriptions
// cannot be read with CodeUnavailable (docs/contract.md#connecting). The session
// does nothing before Start, and must End.
func (r *Registry) Open(p Params) (*Session, error) {
	s := &Session{
		reg: r, params: p, user: p.Caller.User, device: p.Caller.Device,
		started: r.now(), done: make(chan struct{}), expiry: -1,
		window: window{limit: r.limits.Window, receiveMax: p.ReceiveMaximum},
	}
	s.token.Store(&Token{p.Caller, p.Expires, p.Key})
	s.lastPong = s.started
	s.declared.everything = p.SubscribesAll
	s.greeting.Everybody = p.SubscribesAll
	if err := r.Admits(p.Caller); err != nil {
		return nil, err
	}
	stored, err := r.number(s)
	if err != nil {
		return nil, err
	}
	s.feed = feed.New(r.logs, feed.Reader{User: s.user, Device: s.device, LastSeen: p.LastSeen, Stored: stored})
	var kept []subscription
	var holds bool
	if !p.SubscribesAll {
		if kept, holds, s.keeping.stored, err = r.load(&s.params); err != nil {
			return nil, err
		}
	}
	if err := r.admit(s, kept, holds); err != nil {
		return nil, err
	}
	if s.beaten {
		return s, nil
	}
	r.tellNodes(chat.NodeNotice{Admitted: new(s.connection())})
	s.keepFromStart()
	if s.prev != nil {
		s.prev.takenOver()
	}
	return s, nil
}

// Admits reports whether Open would refuse that caller now.
func (r *Registry) Admits(c chat.Caller) error {
	sh := r.shard(c.User)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, err := r.place(sh, c.User, c.Device)
	return err
}

// place finds the session that a device has already, or -1. It is called with
// the shard's lock held.
func (r *Registry) place(sh *userShard, user chat.UserID, device chat.DeviceID) (int, error) {
	if sh.closed {
		return -1, chat.Refuse(chat.CodeUnavailable, "the server is shutting down")
	}
	mine := sh.sessions[user]
	i := slices.IndexFunc(mine, func(o *Session) bool { return o.device == device })
	if i < 0 && len(mine)+r.devicesElsewhere(user, device, mine) >= r.limits.ConnectionsPerUser {
		return -1, chat.Refuse(chat.CodeRateLimited, "too many connections of this user")
	}
	return i, nil
}

// admit makes a session one of its user's. kept are the subscriptions that the store has for
// the device, if they hold.
func (r *Registry) admit(s *Session, kept []subscription, holds bool) error {
	sh := r.shard(s.user)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i, err := r.place(sh, s.user, s.device)
	if err != nil {
		return err
	}
	r.beat.add(s) // before another connection can take it over, and so remove it
	r.stats.Sessions.Add(1)
	mine := slices.Clone(sh.sessions[s.user]) // readers hold the old slice
	older, newer := r.elsewhere(s)
	if s.beaten = newer || i >= 0 && mine[i].conn > s.conn; s.beaten {
		return nil
	}
	if older > 0 {
		s.await = sh.await(s, older)
	}
	if i >= 0 {
		s.prev = mine[i]
		mine[i] = s
	} else {
		mine = append(mine, s)
	}
	sh.sessions[s.user] = mine
	r.presence.Came(s.connection())
	if !s.params.SubscribesAll {
		s.resumed = s.inherit(kept, holds || older > 0 && len(kept) > 0)
	}
	s.interest = s.declared.share()
	return nil
}

// remove forgets an ended session. Its subscriptions are kept if it asked for it.
// It gives the time from which the user has none on this node; zero while it has.
func (r *Registry) remove(s *Session) (lastSeen time.Time) {
	sh := r.shard(s.user)
	sh.mu.Lock()
	mine := sh.sessions[s.user]
	if i := slices.Index(mine, s); i >= 0 {
		mine = slices.Delete(slices.Clone(mine), i, i+1)
		lastSeen = r.presence.Left(s.connection())
		s.keepAtEnd()
	}
	sh.storing[keptKey{s.user, s.device}]++
	if len(mine) == 0 {
		delete(sh.sessions, s.user)
	} else {
		sh.sessions[s.user] = mine
	}
	sh.mu.Unlock()
	r.beat.remove(s)
	r.stats.Sessions.Add(-1)
	return lastSeen
}

// Online reports whether a device of the user is connected, or was until a moment ago.
func (r *Registry) Online(_ context.Context, user chat.UserID) (bool, error) {
	return r.presence.Online(user), nil
}

// Connected lists the devices of a user that are connected, at any node.
func (r *Registry) Connected(user chat.UserID) []chat.DeviceID { return r.presence.Devices(user) }

// of lists a user's sessions on this node. The slice is shared: it is not written to.
func (r *Registry) of(user chat.UserID) []*Session {
	sh := r.shard(user)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.sessions[user]
}

// filtersOfOthers is how long the names of the filters are that a user's other sessions have.
func (r *Registry) filtersOfOthers(s *Session) (bytes int) {
	for _, other := range r.of(s.user) {
		if other == s {
			continue
		}
		other.mu.Lock()
		bytes += other.declared.size()
		other.mu.Unlock()
	}
	return bytes
}

func (r *Registry) all() []*Session {
	var all []*Session
	for i := range r.users {
		sh := &r.users[i]
		sh.mu.RLock()
		for _, mine := range sh.sessions {
			all = append(all, mine...)
		}
		sh.mu.RUnlock()
	}
	return all
}

// Drain admits no more connections and tells those there are to go elsewhere.
func (r *Registry) Drain() {
	for i := range r.users {
		r.users[i].mu.Lock()
		r.users[i].closed = true
		r.users[i].mu.Unlock()
	}
	for _, s := range r.all() {
		s.Close(ShuttingDown)
	}
}

// Close ends all that sessions still do. Their connections are closed before.
// What they had acknowledged is stored as far as ctx allows.
func (r *Registry) Close(ctx context.Context) {
	r.unsubscribe()
	r.presence.Close()
	defer r.tellNodes(chat.NodeNotice{Closing: true})
	for _, s := range r.all() {
		s.End()
	}
	done := make(chan struct{})
	r.beat.stop()
	go func() {
		r.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	r.cancel()
	<-done
}
