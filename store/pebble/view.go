package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// view is a consistent state of the database, all of it durable. Every call of
// the store holds one from its first read until it returns. Close waits until none is
// held.
type view struct {
	snap *pebble.Snapshot
	of   *durable
	refs int // guarded by of.mu: one for each call that holds it, one while it is current
}

// view gives the present durable state. The caller releases it.
func (d *durable) view() (*view, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	d.views.Add(1)
	d.current.refs++
	return d.current, nil
}

func (v *view) release() {
	v.unref()
	v.of.views.Done()
}

// locked waits for the named locks and then gives a view: what the caller reads in it
// stays true until done, which gives both back. The names are all that decide the
// caller's write: its thread, its idempotency keys, its pair of people.
func (s *Store) locked(ctx context.Context, names ...string) (v *view, done func(), err error) {
	unlock, err := s.locks.Lock(ctx, names...)
	if err != nil {
		return nil, nil, err
	}
	v, err = s.state.view()
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return v, func() { v.release(); unlock() }, nil
}

func (v *view) unref() {
	v.of.mu.Lock()
	v.refs--
	last := v.refs == 0
	v.of.mu.Unlock()
	if last {
		_ = v.snap.Close() // always nil
	}
}

// lookup reads one key of a view; found is false if it is not there.
func lookup[T any](v *view, key []byte, decode func([]byte) (T, error)) (value T, found bool, err error) {
	v.of.costs.get()
	return lookupIn(v.snap, key, decode)
}

func lookupIn[T any](r pebble.Reader, key []byte, decode func([]byte) (T, error)) (value T, found bool, err error) {
	raw, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return value, false, nil
	}
	if err != nil {
		return value, false, fmt.Errorf("read key %x: %w", key, err)
	}
	value, err = decode(raw)
	if err = errors.Join(err, closer.Close()); err != nil {
		return value, false, fmt.Errorf("read key %x: %w", key, err)
	}
	return value, true, nil
}

// iterator goes over the keys of a range. It must be closed.
func (v *view) iterator(ctx context.Context, r keyRange) (*pebble.Iterator, error) {
	v.of.costs.open()
	return v.snap.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: r.lower, UpperBound: r.upper})
}

// scanPatience is after how many keys a scan checks again whether its context has ended.
const scanPatience = 256

// scan calls visit with the keys of a range and their values, in order or in
// reverse, until it returns false. Both slices are valid only during the call.
func (v *view) scan(ctx context.Context, r keyRange, reverse bool, visit func(key, value []byte) (more bool, err error)) error {
	return scanIn(ctx, v.snap, v.of.costs, r, reverse, visit)
}

func scanIn(ctx context.Context, in pebble.Reader, costs *costs, r keyRange, reverse bool, visit func(key, value []byte) (more bool, err error)) (err error) {
	costs.open()
	it, err := in.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: r.lower, UpperBound: r.upper})
	if err != nil {
		return fmt.Errorf("scan from %x: %w", r.lower, err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok, steps := first(), 0; ok; ok, steps = next(), steps+1 {
		if steps%scanPatience == scanPatience-1 && ctx.Err() != nil {
			return fmt.Errorf("scan from %x: %w", r.lower, context.Cause(ctx))
		}
		costs.step()
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read key %x: %w", it.Key(), err)
		}
		more, err := visit(it.Key(), value)
		if err != nil {
			return fmt.Errorf("read key %x: %w", it.Key(), err)
		}
		if !more {
			return nil
		}
	}
	return it.Error()
}

// has reports whether a key is there.
func (v *view) has(key []byte) (bool, error) {
	_, found, err := lookup(v, key, func([]byte) (struct{}, error) { return struct{}{}, nil })
	return found, err
}
