package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// PutPrekeys implements [chat.PrekeyStore].
func (s *Store) PutPrekeys(ctx context.Context, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (chat.PrekeyDevice, error) {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return chat.PrekeyDevice{}, err
	}
	// The user's lock decides how many devices it has, the device's how many keys.
	v, done, err := s.locked(ctx, string(devicesPrefix(prefixPrekeys, user)), string(deviceKey(prefixPrekeys, user, device)))
	if err != nil {
		return chat.PrekeyDevice{}, err
	}
	defer done()

	if err := v.roomForDevice(ctx, user, device); err != nil {
		return chat.PrekeyDevice{}, fmt.Errorf("put the prekeys of %s/%s: %w", user, device, err)
	}
	b := s.db.NewBatch()
	left, err := v.addOneTimeKeys(b, user, device, u)
	if err != nil {
		return chat.PrekeyDevice{}, errors.Join(fmt.Errorf("put the prekeys of %s/%s: %w", user, device, err), b.Close())
	}
	stored := encodePrekeys(u.Stored(device, left))
	_ = b.Set(deviceKey(prefixPrekeys, user, device), stored, nil) // a batch fails only once it is committed
	_ = b.Set(deviceKey(prefixOneTimeLeft, user, device), encodeCount(left), nil)
	if err := s.state.commit(ctx, b); err != nil {
		return chat.PrekeyDevice{}, fmt.Errorf("put the prekeys of %s/%s: %w", user, device, err)
	}
	p, err := decodePrekeys(device, stored)
	p.OneTime = left
	return p, err
}

// roomForDevice is ErrTooManyDevices if the user has the most devices that it may have,
// and this one is not among them.
func (v *view) roomForDevice(ctx context.Context, user chat.UserID, device chat.DeviceID) error {
	others := 0
	key := deviceKey(prefixPrekeys, user, device)
	err := v.scan(ctx, within(devicesPrefix(prefixPrekeys, user)), false, func(other, _ []byte) (bool, error) {
		if !bytes.Equal(key, other) {
			others++
		}
		return true, nil
	})
	if err == nil && others >= chat.MaxPrekeyDevices {
		err = chat.ErrTooManyDevices
	}
	return err
}

// addOneTimeKeys puts an upload's one-time keys into a batch and says how many the
// device has then.
func (v *view) addOneTimeKeys(b *pebble.Batch, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (left int, err error) {
	left, err = v.oneTimeLeft(user, device)
	if err != nil {
		return 0, err
	}
	ids := make(map[uint32]chat.PrekeyState, len(u.OneTime))
	for _, k := range u.OneTime {
		if ids[k.ID], err = v.oneTimeState(user, device, k.ID); err != nil {
			return 0, err
		}
	}
	added, replaced, err := u.Admit(left, ids)
	for _, k := range slices.Concat(added, replaced) {
		_ = b.Set(oneTimeKey(prefixOneTime, user, device, k.ID), k.Public, nil) // a batch fails only once it is committed
	}
	return left + len(added), err
}

// oneTimeState is what is known of the id of a one-time key.
func (v *view) oneTimeState(user chat.UserID, device chat.DeviceID, id uint32) (chat.PrekeyState, error) {
	if taken, err := v.has(oneTimeKey(prefixTaken, user, device, id)); taken || err != nil {
		return chat.PrekeyTaken, err
	}
	if stored, err := v.has(oneTimeKey(prefixOneTime, user, device, id)); stored || err != nil {
		return chat.PrekeyStored, err
	}
	return chat.PrekeyUnknown, nil
}

// oneTimeLeft is how many one-time keys a device has.
func (v *view) oneTimeLeft(user chat.UserID, device chat.DeviceID) (int, error) {
	left, _, err := lookup(v, deviceKey(prefixOneTimeLeft, user, device), decodeCount)
	return left, err
}

// PrekeyDevices implements [chat.PrekeyStore].
func (s *Store) PrekeyDevices(ctx context.Context, user chat.UserID) ([]chat.PrekeyDevice, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	var devices []chat.PrekeyDevice
	of := devicesPrefix(prefixPrekeys, user)
	err = v.scan(ctx, within(of), false, func(key, value []byte) (bool, error) {
		p, err := decodePrekeys(chat.DeviceID(key[len(of):]), value)
		if err != nil {
			return false, err
		}
		p.OneTime, err = v.oneTimeLeft(user, p.Device)
		devices = append(devices, p)
		return true, err
	})
	return devices, err
}

// TakeOneTimePrekey implements [chat.PrekeyStore]. The key is gone from stable
// storage, and its id remembered there, before it is given.
func (s *Store) TakeOneTimePrekey(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Prekey, int, error) {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return chat.Prekey{}, 0, err
	}
	v, done, err := s.locked(ctx, string(deviceKey(prefixPrekeys, user, device)))
	if err != nil {
		return chat.Prekey{}, 0, err
	}
	defer done()

	key, found, err := v.firstOneTimeKey(ctx, user, device)
	if err != nil {
		return chat.Prekey{}, 0, err
	}
	if !found {
		return chat.Prekey{}, 0, fmt.Errorf("a one-time prekey of %s/%s: %w", user, device, chat.ErrNotFound)
	}
	left, err := v.oneTimeLeft(user, device)
	if err != nil {
		return chat.Prekey{}, 0, err
	}
	left--
	b := s.db.NewBatch() // it fails only once it is committed
	_ = b.Delete(oneTimeKey(prefixOneTime, user, device, key.ID), nil)
	_ = b.Set(oneTimeKey(prefixTaken, user, device, key.ID), nil, nil)
	_ = b.Set(deviceKey(prefixOneTimeLeft, user, device), encodeCount(left), nil)
	if err := s.state.commit(ctx, b); err != nil {
		return chat.Prekey{}, 0, fmt.Errorf("take a prekey of %s/%s: %w", user, device, err)
	}
	return key, left, nil
}

// firstOneTimeKey is the device's one-time key with the lowest id.
func (v *view) firstOneTimeKey(ctx context.Context, user chat.UserID, device chat.DeviceID) (first chat.Prekey, found bool, err error) {
	err = v.scan(ctx, within(oneTimePrefix(prefixOneTime, user, device)), false, func(key, value []byte) (bool, error) {
		first, found = chat.Prekey{ID: oneTimeID(key), Public: bytes.Clone(value)}, true
		return false, nil
	})
	return first, found, err
}
