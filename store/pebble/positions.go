package pebble

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// Positions and last-seen times are written without a sync and may be lost in a crash.
// They are read from the database itself, not from the view of what is durable, so that
// a device that stored its position reads it at once.

// Position implements [chat.PositionStore].
func (s *Store) Position(_ context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	p, found, err := lookupUnsynced(s, positionKey(user, device), decodePosition)
	if err != nil {
		return chat.Position{}, false, fmt.Errorf("the position of %s/%s: %w", user, device, err)
	}
	return p, found, nil
}

// PutPosition implements [chat.PositionStore].
func (s *Store) PutPosition(_ context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) error {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return err
	}
	return s.putUnsynced(positionKey(user, device), encodePosition(p))
}

// LastSeen implements [chat.LastSeenStore].
func (s *Store) LastSeen(_ context.Context, user chat.UserID) (time.Time, error) {
	at, found, err := lookupUnsynced(s, lastSeenKey(user), decodeTime)
	if err != nil || !found {
		return time.Time{}, err
	}
	return at, nil
}

// PutLastSeen implements [chat.LastSeenStore].
func (s *Store) PutLastSeen(ctx context.Context, user chat.UserID, at time.Time) error {
	key := lastSeenKey(user)
	unlock, err := s.locks.Lock(ctx, string(key))
	if err != nil {
		return err
	}
	defer unlock()
	before, found, err := lookupUnsynced(s, key, decodeTime)
	if err != nil || found && !at.After(before) {
		return err
	}
	return s.putUnsynced(key, encodeTime(at))
}

// lookupUnsynced reads the value last written to a key, durable or not.
func lookupUnsynced[T any](s *Store, key []byte, decode func([]byte) (T, error)) (value T, found bool, err error) {
	v, err := s.state.view() // for Close to wait for
	if err != nil {
		return value, false, err
	}
	defer v.release()
	s.state.costs.get()
	return lookupIn(s.db, key, decode)
}

func (s *Store) putUnsynced(key, value []byte) error {
	v, err := s.state.view() // for Close to wait for
	if err != nil {
		return err
	}
	defer v.release()
	if err := s.state.failed(); err != nil {
		return err
	}
	s.state.costs.write()
	return s.db.Set(key, value, pebble.NoSync)
}
