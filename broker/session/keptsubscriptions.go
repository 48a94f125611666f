package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/internal/keylock"
)

// Subscriptions of a device that asked to find them again (MQTT session expiry) are stored: at
// each SUBSCRIBE, before its SUBACK, and when the connection begins and ends, since their time
// counts from its end. A connection that takes over another of this node takes the filters
// from that one's memory instead.

// keptSubscriptions has the writes of one device follow each other.
type keptSubscriptions struct {
	locks keylock.Locks // by user/device

	mu     sync.Mutex
	ending map[keptKey]chan struct{} // closed when what a connection's end does to the store is done
}

type keptKey struct {
	user   chat.UserID
	device chat.DeviceID
}

func (k keptKey) String() string { return string(k.user) + "/" + string(k.device) }

// keepTimeout bounds how long a connection waits for the store of kept subscriptions.
const keepTimeout = 5 * time.Second

// sweepKept is how often those are forgotten whose time is over.
const sweepKept = 6 * time.Hour

// keeping is what a session knows of its stored subscriptions.
type keeping struct {
	stored  bool // there may be some in the store
	changed bool // the store does not have the latest
}

// begin notes that a connection ends. The next one of that device waits until done is called.
func (k *keptSubscriptions) begin(key keptKey) (done func()) {
	ended := make(chan struct{})
	k.mu.Lock()
	if k.ending == nil {
		k.ending = make(map[keptKey]chan struct{})
	}
	k.ending[key] = ended
	k.mu.Unlock()
	return func() {
		k.mu.Lock()
		if k.ending[key] == ended {
			delete(k.ending, key)
		}
		k.mu.Unlock()
		close(ended)
	}
}

func (k *keptSubscriptions) awaitEnd(ctx context.Context, key keptKey) {
	k.mu.Lock()
	ended := k.ending[key]
	k.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// load reads what is stored for a device that connects: the filters that hold, and whether
// there is anything.
func (r *Registry) load(p *Params) (filters []subscription, holds, stored bool, err error) {
	key := keptKey{p.Caller.User, p.Caller.Device}
	ctx, cancel := context.WithTimeout(r.ctx, keepTimeout)
	defer cancel()
	r.keptSubs.awaitEnd(ctx, key)
	k, err := r.store.Subscriptions(ctx, key.user, key.device)
	switch {
	case errors.Is(err, chat.ErrNotFound):
		return nil, false, false, nil
	case err != nil && p.CleanStart: // it wants none, and stores its own in their place
		return nil, false, true, nil
	case err != nil:
		r.log.Warn("kept subscriptions cannot be read, the client is to try again", "user", key.user, "error", err)
		return nil, false, false, chat.Refuse(chat.CodeUnavailable, "the session cannot be read now")
	}
	for _, f := range k.Filters {
		if filter, err := contracts.ParseFilter(f.Name); err == nil { // another version may have allowed it
			filters = append(filters, subscription{f.Name, filter, f.QoS})
		}
	}
	started := r.started
	if gone := r.presence.LastGone(); gone.After(started) { // that is when connections ended which were not told of
		started = gone
	}
	return filters, k.Hold(r.now(), started), true, nil
}

// KeepSubscriptions stores the subscriptions if they have changed and are to outlive the
// connection. If the store does not take them they hold all the same, and are stored with the
// next change or when the connection ends.
func (s *Session) KeepSubscriptions(ctx context.Context) {
	s.mu.Lock()
	due := s.keeping.changed && s.params.KeepFor > 0
	s.mu.Unlock()
	if due {
		s.storeSubscriptions(ctx, chat.KeptSubscriptions{Connected: true, At: s.started})
	}
}

// storeSubscriptions stores the session's subscriptions as k, which lacks only them, or
// forgets them if they are not to be kept. After the end of the connection it does nothing if a
// later connection has stored its own.
func (s *Session) storeSubscriptions(ctx context.Context, k chat.KeptSubscriptions) {
	key := keptKey{s.user, s.device}
	unlock, err := s.reg.keptSubs.locks.Lock(ctx, key.String())
	if err != nil {
		return
	}
	defer unlock()
	s.mu.Lock()
	if k.Connected && s.ended { // what the end stores, or has stored, is newer
		s.mu.Unlock()
		return
	}
	filters, was := s.declared.share().filters, s.keeping
	k.Keep = min(s.params.KeepFor, s.reg.limits.KeepSubscriptions)
	s.keeping.changed, s.keeping.stored = false, was.stored || k.Keep > 0
	s.mu.Unlock()
	switch {
	case k.Keep <= 0 && !was.stored:
		return
	case !k.Connected:
		if before, err := s.reg.store.Subscriptions(ctx, key.user, key.device); err == nil && before.At.After(k.At) {
			return
		}
	}
	if k.Keep <= 0 {
		err = s.reg.store.DeleteSubscriptions(ctx, key.user, key.device, s.conn)
	} else {
		k.Filters = make([]chat.KeptFilter, len(filters))
		for i, f := range filters {
			k.Filters[i] = chat.KeptFilter{Name: f.name, QoS: f.qos}
		}
		err = s.reg.store.PutSubscriptions(ctx, key.user, key.device, s.conn, k)
	}
	switch {
	case errors.Is(err, chat.ErrTakenOver):
		s.Close(TakenOver)
	case err != nil:
		s.reg.log.Warn("subscriptions not stored", "user", s.user, "device", s.device, "error", err)
		s.mu.Lock()
		s.keeping.changed = true
		s.mu.Unlock()
	}
}

// keepFromStart brings the store up to date with a connection that begins. What an earlier
// connection left, and this one does not want, goes at once.
func (s *Session) keepFromStart() {
	s.mu.Lock()
	stale := s.keeping.stored && s.params.CleanStart
	due := !s.params.SubscribesAll && (s.params.KeepFor > 0 || stale)
	s.mu.Unlock()
	if !due {
		return
	}
	store := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, keepTimeout)
		defer cancel()
		s.storeSubscriptions(ctx, chat.KeptSubscriptions{Connected: true, At: s.started})
	}
	if stale {
		store(s.reg.ctx)
		return
	}
	s.reg.spawn(store)
}

// keepAtEnd does the same for a connection that ends and that no other has taken over.
func (s *Session) keepAtEnd() {
	s.mu.Lock()
	due := !s.params.SubscribesAll && (s.params.KeepFor > 0 || s.keeping.stored)
	s.mu.Unlock()
	if !due {
		return
	}
	done, at := s.reg.keptSubs.begin(keptKey{s.user, s.device}), s.reg.now()
	s.reg.spawn(func(ctx context.Context) {
		defer done()
		ctx, cancel := context.WithTimeout(ctx, keepTimeout)
		defer cancel()
		s.storeSubscriptions(ctx, chat.KeptSubscriptions{At: at})
	})
}

// sweepSubscriptions forgets those whose time is over, now and then.
func (r *Registry) sweepSubscriptions(ctx context.Context) {
	tick := time.NewTicker(sweepKept)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.beat.ending():
			return
		case <-ctx.Done():
			return
		}
		if !r.sweeps.Held() {
			continue // another node does so
		}
		if err := r.store.SweepSubscriptions(ctx, r.now()); err != nil && ctx.Err() == nil {
			r.log.Warn("old subscriptions not forgotten, the next sweep tries again", "error", err)
		}
	}
}
