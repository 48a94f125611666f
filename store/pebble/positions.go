package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// Position implements [chat.DeviceStore].
func (s *Store) Position(_ context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	v, err := s.state.view()
	if err != nil {
		return chat.Position{}, false, err
	}
	defer v.release()
	// Not through the view: positions are not durable when stored, and a device
	// reads its own.
	raw, closer, err := s.db.Get(positionKey(user, device))
	if errors.Is(err, pebble.ErrNotFound) {
		return chat.Position{}, false, nil
	}
	if err != nil {
		return chat.Position{}, false, fmt.Errorf("read the position of %s/%s: %w", user, device, err)
	}
	p, err := decodePosition(raw)
	if err = errors.Join(err, closer.Close()); err != nil {
		return chat.Position{}, false, fmt.Errorf("read the position of %s/%s: %w", user, device, err)
	}
	return p, true, nil
}

// PutPosition implements [chat.DeviceStore].
func (s *Store) PutPosition(_ context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) error {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return err
	}
	v, err := s.state.view()
	if err != nil {
		return err
	}
	defer v.release()
	if err := s.state.failed(); err != nil {
		return err
	}
	return s.db.Set(positionKey(user, device), encodePosition(p), pebble.NoSync)
}
