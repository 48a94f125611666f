package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// When a device is seen is written without a sync, like what raises its position: losing it
// makes a device seem unseen for a little longer. A device counts as seen also when its
// position was used.

// see notes that a device is there. It reports whether the device was not known.
func (s *Store) see(ctx context.Context, user chat.UserID, device chat.DeviceID, at time.Time) (isNew bool, err error) {
	key := deviceKey(prefixSeen, user, device)
	unlock, err := s.locks.Lock(ctx, string(key))
	if err != nil {
		return false, err
	}
	defer unlock()
	b := s.db.NewBatch()
	defer b.Close()
	isNew, err = s.putSeen(b, key, at)
	if err != nil {
		return false, err
	}
	return isNew, s.applyUnsynced(b)
}

// putSeen puts into a batch that the device of a key is there. The caller has locked the key.
func (s *Store) putSeen(b *pebble.Batch, key []byte, at time.Time) (isNew bool, err error) {
	seen, known, err := lookupUnsynced(s, key, decodeSeen)
	if err != nil {
		return false, err
	}
	if !known {
		seen.FirstSeen = at
	}
	if at.After(seen.LastSeen) {
		seen.LastSeen = at
	}
	return !known, b.Set(key, encodeSeen(seen), nil)
}

// Devices implements [chat.DeviceStore].
func (s *Store) Devices(ctx context.Context, user chat.UserID) ([]chat.SeenDevice, error) {
	return s.seenDevices(ctx, devicesPrefix(prefixSeen, user), func(chat.SeenDevice) bool { return true }, chat.MaxKeylessDevices*1024)
}

// UnseenDevices implements [chat.DeviceStore].
func (s *Store) UnseenDevices(ctx context.Context, since time.Time, count int) ([]chat.SeenDevice, error) {
	return s.seenDevices(ctx, []byte{prefixSeen}, func(d chat.SeenDevice) bool { return d.LastSeen.Before(since) }, count)
}

// seenDevices lists the devices whose keys begin with a prefix, of those that are wanted so many
// at most.
func (s *Store) seenDevices(ctx context.Context, prefix []byte, wanted func(chat.SeenDevice) bool, count int) (devices []chat.SeenDevice, err error) {
	v, err := s.state.view() // for Close to wait for
	if err != nil {
		return nil, err
	}
	defer v.release()
	err = scanIn(ctx, s.db, s.state.costs, within(prefix), false, func(key, value []byte) (bool, error) {
		d, err := decodeSeen(value)
		if err != nil {
			return false, err
		}
		user, device, _ := bytes.Cut(key[1:], []byte{0})
		d.User, d.Device = chat.UserID(user), chat.DeviceID(device)
		if !wanted(d) {
			return true, nil
		}
		used, found, err := lookupIn(s.db, positionKey(d.User, d.Device), decodePosition)
		if found && used.used.After(d.LastSeen) {
			d.LastSeen = used.used
		}
		if err == nil && wanted(d) {
			devices = append(devices, d)
		}
		return len(devices) < count, err
	})
	return devices, err
}

// ForgetDevice implements [chat.DeviceStore].
func (s *Store) ForgetDevice(ctx context.Context, d chat.SeenDevice, at time.Time) (forgotten, hadKeys bool, err error) {
	unchanged := func(now chat.SeenDevice) bool { return !now.LastSeen.After(d.LastSeen) }
	forgotten, hadKeys, err = s.forget(ctx, d.User, d.Device, at, unchanged, nil)
	if err != nil {
		err = fmt.Errorf("forget %s/%s: %w", d.User, d.Device, err)
	}
	return forgotten, hadKeys, err
}

// RemoveDevice implements [chat.DeviceStore].
func (s *Store) RemoveDevice(ctx context.Context, user chat.UserID, device chat.DeviceID, at time.Time) (chat.Removal, bool, error) {
	r := chat.Removal{User: user, Device: device, At: at, Conn: chat.Conn(s.conns.Add(1))}
	known, hadKeys, err := s.forget(ctx, user, device, at, func(chat.SeenDevice) bool { return true }, &r)
	if err == nil && !known {
		err = chat.ErrNotFound
	}
	if err != nil {
		return chat.Removal{}, false, fmt.Errorf("remove %s/%s: %w", user, device, err)
	}
	s.removals.add(r)
	return r, hadKeys, nil
}

// Bounds of the removals that a process remembers.
const (
	keepRemovals = 10 * time.Minute
	maxRemovals  = 10_000
)

// removals are the newest ones of this process, in order: a connection that was being admitted
// when its device was removed is told by a look at them. Those of a process before it concern
// no connection.
type removals struct {
	mu     sync.Mutex
	newest []chat.Removal
}

func (rs *removals) add(r chat.Removal) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for len(rs.newest) > 0 && (len(rs.newest) >= maxRemovals || r.At.Sub(rs.newest[0].At) > keepRemovals) {
		rs.newest = rs.newest[1:]
	}
	rs.newest = append(rs.newest, r)
}

func (rs *removals) since(at time.Time) (found []chat.Removal) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.newest {
		if !r.At.Before(at) {
			found = append(found, r)
		}
	}
	return found
}

// forget removes all of a device by one batch, if it is known and may be forgotten as it is. A
// removal, if there is one, is remembered with it.
func (s *Store) forget(ctx context.Context, user chat.UserID, device chat.DeviceID, at time.Time, may func(chat.SeenDevice) bool, r *chat.Removal) (done, hadKeys bool, err error) {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return false, false, err
	}
	seenKey, position, prekeys := deviceKey(prefixSeen, user, device), positionKey(user, device), deviceKey(prefixPrekeys, user, device)
	removals := devicesPrefix(prefixRemoved, user)
	v, unlock, err := s.locked(ctx, string(seenKey), string(position), string(prekeys),
		string(devicesPrefix(prefixPrekeys, user)), string(devicesPrefix(prefixFilters, user)), string(removals))
	if err != nil {
		return false, false, err
	}
	defer unlock()
	seen, known, err := lookupUnsynced(s, seenKey, decodeSeen)
	if err != nil {
		return false, false, err
	}
	if used, found, err := lookupUnsynced(s, position, decodePosition); err != nil {
		return false, false, err
	} else if found && used.used.After(seen.LastSeen) {
		seen.LastSeen = used.used
	}
	if hadKeys, err = v.has(prekeys); err != nil {
		return false, false, err
	}
	if !known && !hadKeys || !may(seen) {
		return false, false, nil
	}
	b := s.db.NewBatch() // it fails only once it is committed
	for _, key := range [][]byte{seenKey, position, prekeys, deviceKey(prefixOneTimeLeft, user, device), deviceKey(prefixFilters, user, device)} {
		_ = b.Delete(key, nil)
	}
	through := within(throughPrefix(user, device))
	_ = b.DeleteRange(through.lower, through.upper, nil)
	if hadKeys {
		dropOneTimeKeys(b, user, device)
		_ = b.Set(keysChangedKey(user), encodeTime(at), nil)
	}
	if r != nil {
		if err := v.makeRoomForRemoval(ctx, b, removals); err != nil {
			return false, false, errors.Join(err, b.Close())
		}
		_ = b.Set(deviceKey(prefixRemoved, user, device), encodeRemoved(*r), nil)
	}
	return true, hadKeys, s.state.commit(ctx, b)
}

// makeRoomForRemoval forgets the oldest of a user's removals, if there are as many as are kept.
func (v *view) makeRoomForRemoval(ctx context.Context, b *pebble.Batch, of []byte) error {
	var oldest []byte
	var at time.Time
	n := 0
	err := v.scan(ctx, within(of), false, func(key, value []byte) (bool, error) {
		r, err := decodeRemoved(value)
		if n++; oldest == nil || r.At.Before(at) {
			oldest, at = bytes.Clone(key), r.At
		}
		return true, err
	})
	if err == nil && n >= chat.MaxRemovals {
		err = b.Delete(oldest, nil)
	}
	return err
}

// RemovedAt implements [chat.DeviceStore].
func (s *Store) RemovedAt(_ context.Context, user chat.UserID, device chat.DeviceID) (time.Time, error) {
	v, err := s.state.view()
	if err != nil {
		return time.Time{}, err
	}
	defer v.release()
	r, _, err := lookup(v, deviceKey(prefixRemoved, user, device), decodeRemoved)
	return r.At, err
}

// RemovedSince implements [chat.DeviceStore]: only this process can remove a device.
func (s *Store) RemovedSince(_ context.Context, since time.Time) ([]chat.Removal, error) {
	return s.removals.since(since), nil
}

// KeysChangedAt implements [chat.DeviceStore].
func (s *Store) KeysChangedAt(_ context.Context, users []chat.UserID) ([]time.Time, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	changed := make([]time.Time, len(users))
	for i, user := range users {
		if changed[i], _, err = lookup(v, keysChangedKey(user), decodeTime); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// noteDevices has the devices of a store of a format before 6, which did not keep when they
// were seen, count as seen when their positions were used or their keys uploaded.
func noteDevices(db *pebble.DB) error {
	b := db.NewBatch()
	note := func(key []byte, at time.Time) error {
		seen := append([]byte{prefixSeen}, key[1:]...)
		if _, found, err := lookupIn(db, seen, decodeSeen); err != nil || found {
			return err
		}
		return b.Set(seen, encodeSeen(chat.SeenDevice{FirstSeen: at, LastSeen: at}), nil)
	}
	err := scanIn(context.Background(), db, nil, within([]byte{prefixPosition}), false, func(key, value []byte) (bool, error) {
		p, err := decodePosition(value)
		if err != nil {
			return false, err
		}
		at := p.used
		if p.old != nil {
			at = chat.IDTime(p.old.Time)
		}
		return true, note(key, at)
	})
	if err == nil {
		err = scanIn(context.Background(), db, nil, within([]byte{prefixPrekeys}), false, func(key, value []byte) (bool, error) {
			p, err := decodePrekeys("", "", value)
			if err != nil {
				return false, err
			}
			return true, note(key, p.UpdatedAt)
		})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("note when devices were seen: %w", err), b.Close())
	}
	return db.Apply(b, pebble.Sync)
}
