package pebble

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
)

// keyDays are the days of which the store has idempotency keys, so that a send looks for
// its key on these alone. Nearly always they are yesterday and today. A clock that was set
// back may have left later ones: a retry is recognised by those, too.
//
// A day stays here until its keys have been swept, so it may have none.
type keyDays struct {
	days atomic.Pointer[[]day] // newest first; never written into
	mu   sync.Mutex            // of those who change it
}

// since gives the days from d on, newest first.
func (k *keyDays) since(d day) []day {
	days := k.days.Load()
	if days == nil {
		return nil
	}
	older := slices.IndexFunc(*days, func(x day) bool { return x < d })
	if older < 0 {
		return *days
	}
	return (*days)[:older]
}

// add is called before an idempotency key of that day is written.
func (k *keyDays) add(d day) {
	if slices.Contains(k.since(0), d) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	days := slices.Clone(k.since(0))
	if at, found := slices.BinarySearchFunc(days, d, newestFirst); !found {
		days = slices.Insert(days, at, d)
		k.days.Store(&days)
	}
}

// dropBefore is called once the keys of the days before d have been swept.
func (k *keyDays) dropBefore(d day) {
	k.mu.Lock()
	defer k.mu.Unlock()
	days := slices.Clone(k.since(d))
	k.days.Store(&days)
}

func newestFirst(a, b day) int { return int(int64(b) - int64(a)) }

// readKeyDays finds the days when the store is opened, with a look at one key of each.
func (s *Store) readKeyDays() error {
	v, err := s.state.view()
	if err != nil {
		return err
	}
	defer v.release()
	rest := within([]byte{prefixIdempotency})
	for {
		var found *day
		err := v.scan(context.Background(), rest, true, func(key, _ []byte) (bool, error) {
			newest := day(binary.BigEndian.Uint32(key[1:]))
			found = &newest
			return false, nil
		})
		if err != nil || found == nil {
			return err
		}
		s.keyDays.add(*found)
		rest = idempotencyDaysBefore(*found)
	}
}
