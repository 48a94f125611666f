package jwks

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// When a key set is fetched (contract 2).
const (
	// RefreshEvery is between two fetches that nobody asks for.
	RefreshEvery = 5 * time.Minute
	// AskEvery is the least between two fetches for the sake of an unknown kid.
	AskEvery = 10 * time.Second
	// fetchTimeout bounds one fetch, so that a start is decided in time (contract 6).
	fetchTimeout = 5 * time.Second
	// maxWait bounds what a token with an unknown kid waits for fetches.
	maxWait = 3 * time.Second
)

// fetch gets the document as it is now.
type fetch func(ctx context.Context) ([]byte, error)

// Source keeps the last good key set of a file or URL. One goroutine fetches, every
// RefreshEvery and when a token names a kid that is not there; that one asks and
// waits, and all who ask meanwhile share the fetch. A fetch that fails, or brings
// a document without usable keys, changes nothing. Nobody holds a lock while it
// goes on.
type Source struct {
	name  string // for the log: no credentials
	fetch fetch
	log   *slog.Logger
	set   atomic.Pointer[Set]

	cancel  context.CancelFunc
	wanted  chan struct{} // one slot: an unknown kid wants a fetch
	stopped chan struct{} // closed when the fetching goroutine has ended

	fetches, failures atomic.Int64
	succeeded         atomic.Int64 // when, in Unix seconds

	mu      sync.Mutex
	asked   time.Time     // when a fetch was last wanted; zero: never
	fetched chan struct{} // closed when the fetch that goes on, or is wanted, is over; nil if there is none
	closed  bool
}

// Stats are figures for the metrics.
type Stats struct {
	Keys              int
	Fetches, Failures int64
	Succeeded         time.Time // the last good fetch
}

// Open reads the key set of a file or URL (see [Check]) and keeps it up to date
// until Close. It fails, within fetchTimeout, if there is none to begin with.
func Open(ctx context.Context, location string, log *slog.Logger) (*Source, error) {
	get, name, err := fetcher(location)
	if err != nil {
		return nil, err
	}
	return open(ctx, get, name, log)
}

func open(ctx context.Context, get fetch, name string, log *slog.Logger) (*Source, error) {
	s := &Source{
		name: name, fetch: get, log: log,
		wanted: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	first, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	s.use(first)
	ctx, s.cancel = context.WithCancel(context.Background()) // the start's own ends with the start
	go s.run(ctx)
	return s, nil
}

// Key gives the key for a token of this alg and kid, by the rule of [Set.Find], and
// the generation of the set that it is in. An unknown kid has the set fetched,
// once in AskEvery, and waits for that no longer than maxWait.
func (s *Source) Key(alg, kid string) (public crypto.PublicKey, generation uint64, err error) {
	var patience <-chan time.Time
	for {
		set := s.set.Load()
		public, err = set.Find(alg, kid)
		if !errors.Is(err, ErrUnknownKey) {
			return public, set.generation, err
		}
		fetched := s.want()
		if fetched == nil {
			if s.set.Load() != set { // fetched between the two looks
				continue
			}
			return nil, 0, err
		}
		if patience == nil {
			timer := time.NewTimer(maxWait)
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-fetched:
		case <-patience:
			return nil, 0, err
		}
	}
}

// Generation numbers the present set: it rises when a key comes or goes.
func (s *Source) Generation() uint64 { return s.set.Load().generation }

// Stats gives the figures of now.
func (s *Source) Stats() Stats {
	return Stats{
		Keys: s.set.Load().Len(), Fetches: s.fetches.Load(), Failures: s.failures.Load(),
		Succeeded: time.Unix(s.succeeded.Load(), 0),
	}
}

// Close ends the fetching, and the waiting for it.
func (s *Source) Close() {
	s.cancel()
	<-s.stopped
}

// want is called for an unknown kid. It gives what closes at the end of the fetch
// that goes on, or of a new one; nil if it is too soon for that.
func (s *Source) want() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil
	case s.fetched != nil:
		return s.fetched
	case !s.asked.IsZero() && time.Since(s.asked) < AskEvery:
		return nil
	}
	s.asked = time.Now()
	s.fetched = make(chan struct{})
	s.wanted <- struct{}{} // free: its last one was taken before that fetch was over
	return s.fetched
}

// run fetches until ctx ends.
func (s *Source) run(ctx context.Context) {
	defer close(s.stopped)
	tick := time.NewTicker(RefreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.over(true)
			return
		case <-tick.C:
			s.begin()
		case <-s.wanted:
		}
		s.refresh(ctx)
		s.over(false)
	}
}

// begin lets who asks from now on wait for the fetch that nobody asked for. One
// that somebody did ask for is the same.
func (s *Source) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.wanted:
	default:
	}
	if s.fetched == nil {
		s.fetched = make(chan struct{})
	}
}

// over tells those who wait that the fetch is.
func (s *Source) over(closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = closed
	if s.fetched != nil {
		close(s.fetched)
		s.fetched = nil
	}
}

// refresh replaces the set if there is another one.
func (s *Source) refresh(ctx context.Context) {
	set, err := s.load(ctx)
	switch {
	case ctx.Err() != nil: // the server stops
	case err != nil:
		s.log.Warn("cannot refresh the key set, the last good one stays", "jwks", s.name, "error", err,
			"last_good", time.Unix(s.succeeded.Load(), 0).UTC())
	case set.print != s.set.Load().print:
		s.use(set)
	}
}

func (s *Source) use(set *Set) {
	set.generation = 1
	if old := s.set.Load(); old != nil {
		set.generation = old.generation + 1
	}
	s.set.Store(set)
	s.log.Info("the key set is in use", "jwks", s.name, "keys", set.names(), "left_out", set.left)
}

// load fetches and reads the document.
func (s *Source) load(ctx context.Context) (*Set, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	s.fetches.Add(1)
	doc, err := s.fetch(ctx)
	if err == nil {
		var set *Set
		if set, err = Parse(doc); err == nil {
			s.succeeded.Store(time.Now().Unix())
			return set, nil
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", fetchTimeout)
	}
	s.failures.Add(1)
	return nil, fmt.Errorf("%s: %w", s.name, err)
}
