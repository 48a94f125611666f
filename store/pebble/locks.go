package pebble

import (
	"context"
	"slices"
	"sync"
)

// keyLocks are mutual exclusion by name. A write holds the names that decide it
// (its thread, its idempotency keys, its pair of people) from before it looks
// until its commit is durable, so that of two that want the same thing the later
// one sees what the earlier one did.
//
// All names of an operation are taken in one call and in sorted order: no two
// operations can wait for each other.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

// keyLock is one name that somebody holds or waits for; refs, guarded by
// keyLocks.mu, counts them. Its slot is full while it is held.
type keyLock struct {
	slot chan struct{}
	refs int
}

// lock takes all names, or none if ctx ends first. Names may repeat.
func (l *keyLocks) lock(ctx context.Context, names ...string) (unlock func(), err error) {
	slices.Sort(names)
	names = slices.Compact(names)
	for i, name := range names {
		if err := l.lockOne(ctx, name); err != nil {
			l.unlock(names[:i])
			return nil, err
		}
	}
	return func() { l.unlock(names) }, nil
}

func (l *keyLocks) lockOne(ctx context.Context, name string) error {
	l.mu.Lock()
	k := l.held[name]
	if k == nil {
		if l.held == nil {
			l.held = make(map[string]*keyLock)
		}
		k = &keyLock{slot: make(chan struct{}, 1)}
		l.held[name] = k
	}
	k.refs++
	l.mu.Unlock()

	select {
	case k.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		l.release(name, k)
		return context.Cause(ctx)
	}
}

func (l *keyLocks) unlock(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		k := l.held[name]
		<-k.slot
		l.release(name, k)
	}
}

// release forgets a name nobody wants any more. The caller holds l.mu.
func (l *keyLocks) release(name string, k *keyLock) {
	if k.refs--; k.refs == 0 {
		delete(l.held, name)
	}
}
