package chat

import (
	"cmp"
	"context"
	"log/slog"
	"time"
)

// Config is what a Service needs. Store and Bus are required.
type Config struct {
	Store  Store
	Bus    Bus
	Log    *slog.Logger
	Limits Limits           // zero fields take DefaultLimits
	Now    func() time.Time // time.Now if nil
	// Online reports whether a device of the user is connected; nobody is if nil.
	Online func(ctx context.Context, user UserID) (bool, error)
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

	reports reportIDs

	unsubscribe func() // the cache from the bus

	rates           rates
	prekeyFetches   *spanLimits // by caller
	prekeyFetchesOf *spanLimits // by caller and target
	typings         *rateLimits // by user and thread
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
	l := cfg.Limits.orDefaults()
	s := &Service{
		store: cfg.Store, bus: cfg.Bus, log: cfg.Log, limits: l, now: cfg.Now, online: cfg.Online,
		stats:           newStats(),
		rates:           newRates(l),
		prekeyFetches:   newSpanLimits(l.PrekeyFetches, time.Minute),
		prekeyFetchesOf: newSpanLimits(l.PrekeyFetchesOf, 10*time.Minute),
		typings:         newRateLimits(1/TypingInterval.Seconds(), 1),
	}
	s.queues = newAppendQueues(s)
	s.cache = newThreadCache(s.store, s.now)
	s.unsubscribe = s.bus.Subscribe(s.cache)
	return s
}

// Close waits for the appends that are under way, as long as ctx allows. No call
// may be made after it.
func (s *Service) Close(ctx context.Context) {
	s.queues.close(ctx)
	s.unsubscribe()
}

// Limits are the limits in force.
func (s *Service) Limits() Limits { return s.limits }

// Health is what the service needs and cannot have now.
type Health struct {
	Store error // nothing can be served without it; nil: it can be reached
	Bus   error // others are told late without it; nil: it can be reached
}

// Health asks store and bus whether they serve now.
func (s *Service) Health(ctx context.Context) Health {
	return Health{Store: s.store.Ping(ctx), Bus: s.bus.Ping(ctx)}
}

// need refuses a caller whose token lacks a scope.
func (c Caller) need(s Scope) error {
	if !c.Has(s) {
		return Refuse(CodeMissingScope, "the token lacks the scope "+string(s))
	}
	return nil
}

func (s *Service) markTime() time.Time { return s.now().UTC().Truncate(time.Millisecond) }
