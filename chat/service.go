package chat

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/internal/keylock"
)

// Config is what a Service needs. Store and Bus are required.
type Config struct {
	Store  Store
	Bus    Bus
	Log    *slog.Logger
	Limits Limits           // zero fields take DefaultLimits
	Now    func() time.Time // time.Now if nil
	// Newest is the store's [LogStore.NewestID], from which the ids of new events and reports go on.
	Newest EventID
	// Skew is that of the clock, of a store that has one of its own; else nil.
	Skew *Skew
	// Sweeps is held by the node that sweeps, of those that share the store; nil: each does.
	Sweeps *Lease
	// Online reports whether a device of the user is connected; nobody is if nil.
	Online func(ctx context.Context, user UserID) (bool, error)
	// Connected lists the devices of a user that are connected, at any node; none are if nil.
	Connected func(user UserID) []DeviceID
}

// Service holds the use cases. Each checks the caller's scope, then that the caller
// is in the thread, then the request. Whatever it refuses, or fails to do, is an *Error
// that says what was wrong. What it returned successfully is durable.
type Service struct {
	store  Store
	bus    Bus
	log    *slog.Logger
	limits Limits
	now    func() time.Time
	online func(ctx context.Context, user UserID) (bool, error)
	queues *appendQueues
	cache  *threadCache
	stats  *Stats

	clock *idClock
	began EventID // no id of this process is lower
	skew  *Skew   // nil: the store has no clock
	sweep *Lease
	steps atomic.Int64 // of the wall clock

	reports reportIDs
	epochs  EpochGate // nil: epochs are taken

	ownStates   keylock.Locks // by user and thread
	statesAgain statesAgain

	unsubscribe []func() // from the bus

	rates           rates
	prekeyFetches   *spanLimits // by caller
	prekeyFetchesOf *spanLimits // by caller and target
	groupFetches    *spanLimits // by caller and thread
	deviceLists     *spanLimits // by caller
	deviceNews      *spanLimits // by user
	typings         *rateLimits // by user and thread
	signals         *rateLimits // by user

	strangersRefused atomic.Int64

	connected func(user UserID) []DeviceID
}

// New makes a Service.
func New(cfg Config) *Service {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Online == nil {
		cfg.Online = func(context.Context, UserID) (bool, error) { return false, nil }
	}
	if cfg.Connected == nil {
		cfg.Connected = func(UserID) []DeviceID { return nil }
	}
	l := cfg.Limits.orDefaults()
	s := &Service{
		store: cfg.Skew.Guard(cfg.Store), bus: cfg.Bus, skew: cfg.Skew, sweep: cfg.Sweeps, log: cfg.Log, limits: l, now: cfg.Now, online: cfg.Online,
		stats:           newStats(),
		rates:           newRates(l),
		prekeyFetches:   newSpanLimits(l.PrekeyFetches, time.Minute),
		prekeyFetchesOf: newSpanLimits(l.PrekeyFetchesOf, 10*time.Minute),
		groupFetches:    newSpanLimits(l.PrekeyFetchesOf, 10*time.Minute),
		deviceLists:     newSpanLimits(l.PrekeyFetches, time.Minute),
		deviceNews:      newSpanLimits(maxDeviceNews, time.Minute),
		connected:       cfg.Connected,
		typings:         newRateLimits(1/TypingInterval.Seconds(), 1),
		signals:         newRateLimits(l.SignalRate, int(math.Ceil(l.SignalRate))),
	}
	if shared, ok := cfg.Store.(SpanLimiter); ok {
		s.prekeyFetches.shared, s.prekeyFetches.name = shared, "prekeys"
		s.prekeyFetchesOf.shared, s.prekeyFetchesOf.name = shared, "prekeys_of"
		s.groupFetches.shared, s.groupFetches.name = shared, "prekeys_in"
		s.deviceLists.shared, s.deviceLists.name = shared, "devices_of"
		s.deviceNews.shared, s.deviceNews.name = shared, "device_news"
	}
	s.epochs, _ = cfg.Store.(EpochGate)
	s.cache = newThreadCache(s.store, s.now)
	s.clock = newIDClock(s.now, cfg.Newest, s.noteStep)
	s.began = EventIDAt(s.clock.Now())
	s.queues = newAppendQueues(s)
	s.reports.last = cfg.Newest
	s.unsubscribe = []func(){s.bus.Subscribe(s.cache), s.bus.Subscribe(s.clock)}
	return s
}

// Close waits for the appends that are under way, as long as ctx allows. No call
// may be made after it.
func (s *Service) Close(ctx context.Context) {
	s.queues.close(ctx)
	for _, unsubscribe := range s.unsubscribe {
		unsubscribe()
	}
}

// NewestID is the highest id of any event that this node knows of.
func (s *Service) NewestID() EventID { return s.clock.Newest() }

// ClockSkew is how far the clock is ahead of the store's, as last seen; 0 if the store has none.
func (s *Service) ClockSkew() time.Duration { return s.skew.By() }

// ClockSteps counts how often the wall clock was found to have been set.
func (s *Service) ClockSteps() int64 { return s.steps.Load() }

func (s *Service) noteStep(by time.Duration) {
	s.steps.Add(1)
	s.log.Warn("the clock of this machine was set", "by", by.Round(time.Millisecond).String())
}

// watchClockEvery is how soon a step of the wall clock is noticed while nothing is stored.
const watchClockEvery = time.Second

// WatchClock notices steps of the wall clock until ctx ends. Ids and positions hold
// without it.
func (s *Service) WatchClock(ctx context.Context) {
	ticker := time.NewTicker(watchClockEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.clock.Now()
		case <-ctx.Done():
			return
		}
	}
}

// Limits are the limits in force.
func (s *Service) Limits() Limits { return s.limits }

// Health is what the service needs and cannot have now.
type Health struct {
	Store error // nothing can be served without it; nil: it can be reached
	Bus   error // others are told late without it; nil: it can be reached
	// Clock is how the node's clock is apart from the store's: [ErrClockWrong] if nothing
	// is stored therefore; nil: it is not.
	Clock error
}

// Health asks store and bus whether they serve now, and what is known of the clock. It asks both
// at once: one that does not answer leaves no time for the other.
func (s *Service) Health(ctx context.Context) Health {
	h := Health{Clock: s.skew.Err()}
	var asked sync.WaitGroup
	asked.Go(func() { h.Store = s.store.Ping(ctx) })
	asked.Go(func() { h.Bus = s.bus.Ping(ctx) })
	asked.Wait()
	return h
}

// need refuses a caller whose token lacks a scope.
func (c Caller) need(s Scope) error {
	if !c.Has(s) {
		return Refuse(CodeMissingScope, "the token lacks the scope "+string(s))
	}
	return nil
}

func (s *Service) markTime() time.Time { return s.now().UTC().Truncate(time.Millisecond) }
