// Package keylock has locks by name: two callers can hold locks at the same time if their
// names differ. A name that nobody holds or waits for takes no memory.
package keylock

import (
	"context"
	"slices"
	"sync"
)

// Locks is a set of named locks. The zero value is ready; it must not be copied after
// its first use.
type Locks struct {
	mu    sync.Mutex
	names map[string]*lock
}

// lock is one name that somebody holds or waits for.
type lock struct {
	held   chan struct{} // full while somebody holds the name
	wanted int           // how many hold it or wait for it; guarded by Locks.mu
}

// Lock waits until the caller holds all names, or until ctx ends: then it holds none
// and gets the context's cause. Names may repeat. unlock is called once.
//
// An operation that needs several names asks for all of them in one call. They are
// locked in sorted order, so no two operations can wait for each other.
func (l *Locks) Lock(ctx context.Context, names ...string) (unlock func(), err error) {
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

// Wanted is how many callers hold a name or wait for it now.
func (l *Locks) Wanted(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.names[name]; k != nil {
		return k.wanted
	}
	return 0
}

func (l *Locks) lockOne(ctx context.Context, name string) error {
	l.mu.Lock()
	k := l.names[name]
	if k == nil {
		if l.names == nil {
			l.names = make(map[string]*lock)
		}
		k = &lock{held: make(chan struct{}, 1)}
		l.names[name] = k
	}
	k.wanted++
	l.mu.Unlock()

	select {
	case k.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		l.leave(name, k)
		return context.Cause(ctx)
	}
}

func (l *Locks) unlock(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		k := l.names[name]
		<-k.held
		l.leave(name, k)
	}
}

// leave counts one caller less, and drops a name that nobody holds or waits for any more.
// It is called with l.mu held.
func (l *Locks) leave(name string, k *lock) {
	if k.wanted--; k.wanted == 0 {
		delete(l.names, name)
	}
}
