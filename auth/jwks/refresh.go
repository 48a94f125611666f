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

// When a key set is fetched (docs/contract.md#authentication).
const (
	// RefreshEvery is the time between two periodic fetches.
	RefreshEvery = 5 * time.Minute
	// AskEvery is the shortest time between two fetches because of an unknown kid.
	AskEvery = 10 * time.Second
	// fetchTimeout bounds one fetch, so that a start ends in time
	// (docs/contract.md#running-a-server).
	fetchTimeout = 5 * time.Second
	// maxWait bounds how long a token with an unknown kid waits for fetches.
	maxWait = 3 * time.Second
)

// fetch gets the document in its present form.
type fetch func(ctx context.Context) ([]byte, error)

// Source keeps the last good key set of a file or URL. One goroutine fetches the
// document: every RefreshEvery, and when a token names a kid that is not in the set. The
// check of such a token waits for the fetch, and all that come meanwhile wait for the same
// one. A fetch that fails, or brings a document without usable keys, changes nothing. No
// lock is held during a fetch. Many goroutines may use a Source.
type Source struct {
	name  string // the location without credentials, for the log
	fetch fetch
	log   *slog.Logger
	set   atomic.Pointer[Set]

	cancel  context.CancelFunc
	wanted  chan struct{} // one slot: a fetch is requested because of an unknown kid
	stopped chan struct{} // closed when the fetching goroutine has ended

	// missing has the keys that were not in the last good fetches, with how many these were.
	// Only the fetching goroutine uses it.
	missing map[string]int
	gone    atomic.Pointer[func(keys []string)]

	fetches, failures atomic.Int64
	succeeded         atomic.Int64 // time of the last good fetch, in Unix seconds

	mu      sync.Mutex
	asked   time.Time     // when a fetch was last requested; zero: never
	fetched chan struct{} // closed at the end of the fetch that is requested or running; nil if there is none
	closed  bool
}

// Stats are the figures of a Source for the metrics.
type Stats struct {
	Keys              int
	Fetches, Failures int64
	Succeeded         time.Time // the last good fetch
}

// Open reads the key set of a file or URL (see [Check]) and keeps it up to date
// until Close. If the first fetch brings none, Open fails, within fetchTimeout.
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
		wanted: make(chan struct{}, 1), stopped: make(chan struct{}), missing: make(map[string]int),
	}
	first, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	s.use(first)
	ctx, s.cancel = context.WithCancel(context.Background()) // ctx ends when the server has started
	go s.run(ctx)
	return s, nil
}

// Key gives the key for a token of this alg and kid, by the rule of [Set.Find], and the
// generation of the set that the key is in. For an unknown kid it has the set fetched, at
// most once in AskEvery, and waits for that at most maxWait.
func (s *Source) Key(alg, kid string) (public crypto.PublicKey, generation uint64, err error) {
	var patience <-chan time.Time
	for {
		set := s.set.Load()
		public, err = set.Find(alg, kid)
		if !errors.Is(err, ErrUnknownKey) {
			return public, set.generation, err
		}
		fetched := s.requestFetch()
		if fetched == nil {
			if s.set.Load() != set { // a fetch has ended since the set was read above
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

// Generation is the number of the present set. It rises when a key comes or goes.
func (s *Source) Generation() uint64 { return s.set.Load().generation }

// Stats gives the present figures.
func (s *Source) Stats() Stats {
	return Stats{
		Keys: s.set.Load().Len(), Fetches: s.fetches.Load(), Failures: s.failures.Load(),
		Succeeded: time.Unix(s.succeeded.Load(), 0),
	}
}

// Close ends the goroutine that fetches, and all waiting for a fetch.
func (s *Source) Close() {
	s.cancel()
	<-s.stopped
}

// requestFetch requests a fetch because of an unknown kid, unless one is requested or
// running. The channel that it returns is closed at the end of that fetch. It is nil if
// the last request is less than AskEvery ago.
func (s *Source) requestFetch() <-chan struct{} {
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
	s.wanted <- struct{}{} // does not wait: the slot was emptied before the last fetch ended
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
			s.endFetch(true)
			return
		case <-tick.C:
			s.beginPeriodicFetch()
		case <-s.wanted:
		}
		s.refresh(ctx)
		s.endFetch(false)
	}
}

// beginPeriodicFetch lets the tokens that come from now on wait for the periodic fetch. If
// a fetch was requested meanwhile, the periodic one serves that request too.
func (s *Source) beginPeriodicFetch() {
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

// endFetch tells all who wait for the fetch that it has ended.
func (s *Source) endFetch(closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = closed
	if s.fetched != nil {
		close(s.fetched)
		s.fetched = nil
	}
}

// refresh fetches the document, and replaces the set if the keys have changed.
func (s *Source) refresh(ctx context.Context) {
	set, err := s.load(ctx)
	switch {
	case ctx.Err() != nil: // the server is stopping
	case err != nil:
		s.log.Warn("cannot refresh the key set, the last good one stays", "jwks", s.name, "error", err,
			"last_good", time.Unix(s.succeeded.Load(), 0).UTC())
	default:
		gone := s.miss(set)
		if set.print != s.set.Load().print {
			s.use(set)
		}
		if tell := s.gone.Load(); tell != nil && len(gone) > 0 {
			(*tell)(gone)
		}
	}
}

// OnGone has tell called with the fingerprints of keys (see [Fingerprint]) that were missing
// from two fetches running. It must not block.
func (s *Source) OnGone(tell func(keys []string)) { s.gone.Store(&tell) }

// goneAfter is from how many fetches running a key has to be missing until what it has
// signed counts for nothing any more (docs/contract.md#authentication).
const goneAfter = 2

// miss notes which keys are not in the set that was fetched, and lists those that are gone
// by that.
func (s *Source) miss(fetched *Set) (gone []string) {
	for _, k := range s.set.Load().keys {
		if _, missing := s.missing[k.print]; !missing {
			s.missing[k.print] = 0 // it may be now, for the first time
		}
	}
	for _, k := range fetched.keys {
		delete(s.missing, k.print)
	}
	for fingerprint := range s.missing {
		if s.missing[fingerprint]++; s.missing[fingerprint] >= goneAfter {
			gone = append(gone, fingerprint)
			delete(s.missing, fingerprint)
		}
	}
	return gone
}

func (s *Source) use(set *Set) {
	set.generation = 1
	if old := s.set.Load(); old != nil {
		set.generation = old.generation + 1
	}
	s.set.Store(set)
	s.log.Info("the key set is in use", "jwks", s.name, "keys", set.names(), "left_out", set.leftOut)
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
