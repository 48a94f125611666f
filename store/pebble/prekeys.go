package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// prekeyKeys are the prefixes of the keys of one-time prekeys of one kind.
type prekeyKeys struct{ stored, taken byte }

var prekeyKeysOf = [...]prekeyKeys{
	chat.PlainPrekeys: {prefixOneTime, prefixTaken},
	chat.PQPrekeys:    {prefixPQOneTime, prefixPQTaken},
}

// PutPrekeys implements [chat.PrekeyStore].
func (s *Store) PutPrekeys(ctx context.Context, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (chat.StoredPrekeys, error) {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return chat.StoredPrekeys{}, err
	}
	// The user's lock decides how many devices it has, the device's how many keys.
	seen := deviceKey(prefixSeen, user, device)
	v, done, err := s.locked(ctx, string(devicesPrefix(prefixPrekeys, user)), string(deviceKey(prefixPrekeys, user, device)), string(seen))
	if err != nil {
		return chat.StoredPrekeys{}, err
	}
	defer done()

	b := s.db.NewBatch()
	stored, err := v.putPrekeys(ctx, b, user, device, u)
	if err == nil { // a refused upload makes no device
		_, err = s.putSeen(b, seen, u.At)
	}
	if err != nil {
		return chat.StoredPrekeys{}, errors.Join(fmt.Errorf("put the prekeys of %s/%s: %w", user, device, err), b.Close())
	}
	if err := s.state.commit(ctx, b); err != nil {
		return chat.StoredPrekeys{}, fmt.Errorf("put the prekeys of %s/%s: %w", user, device, err)
	}
	return stored, nil
}

// putPrekeys puts an upload into a batch, which fails only once it is committed.
func (v *view) putPrekeys(ctx context.Context, b *pebble.Batch, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (stored chat.StoredPrekeys, err error) {
	before, err := v.prekeysBefore(ctx, user, device)
	if err != nil {
		return stored, err
	}
	var left chat.PrekeyCounts
	switch {
	case before == nil:
		stored.Change = chat.DeviceAdded
	case u.Resets(before):
		stored.Change = chat.IdentityChanged
		dropOneTimeKeys(b, user, device)
	default:
		left, err = v.oneTimeLeft(user, device)
	}
	ignored := [...]*[]uint32{chat.PlainPrekeys: &stored.Ignored, chat.PQPrekeys: &stored.PQIgnored}
	for _, kind := range chat.PrekeyKinds {
		if err != nil {
			return stored, err
		}
		*ignored[kind], err = v.addOneTimeKeys(b, kind, user, device, u, stored.Change == "", &left)
	}
	if err != nil {
		return stored, err
	}
	if stored.Change != "" {
		_ = b.Set(keysChangedKey(user), encodeTime(u.At), nil)
	}
	record := encodePrekeys(u.Stored(user, device, before, left))
	_ = b.Set(deviceKey(prefixPrekeys, user, device), record, nil)
	_ = b.Set(deviceKey(prefixOneTimeLeft, user, device), encodePrekeyCounts(left), nil)
	stored.PrekeyDevice, err = decodePrekeys(user, device, record)
	stored.Left = left
	return stored, err
}

// dropOneTimeKeys removes a device's one-time keys and all that is known of their ids.
func dropOneTimeKeys(b *pebble.Batch, user chat.UserID, device chat.DeviceID) {
	for _, keys := range prekeyKeysOf {
		for _, prefix := range []byte{keys.stored, keys.taken} {
			r := within(oneTimePrefix(prefix, user, device))
			_ = b.DeleteRange(r.lower, r.upper, nil)
		}
	}
}

// prekeysBefore gives the keys that a device has, or nil. It is ErrTooManyDevices if the
// device has none and the user has the most devices that it may have.
func (v *view) prekeysBefore(ctx context.Context, user chat.UserID, device chat.DeviceID) (before *chat.PrekeyDevice, err error) {
	others := 0
	key := deviceKey(prefixPrekeys, user, device)
	err = v.scan(ctx, within(devicesPrefix(prefixPrekeys, user)), false, func(other, value []byte) (bool, error) {
		if !bytes.Equal(key, other) {
			others++
			return true, nil
		}
		d, err := decodePrekeys(user, device, value)
		before = &d
		return true, err
	})
	if err == nil && before == nil && others >= chat.MaxPrekeyDevices {
		err = chat.ErrTooManyDevices
	}
	return before, err
}

// addOneTimeKeys puts an upload's one-time keys of a kind into a batch. It raises how many the
// device has left, and gives the ids that it ignores. Of a new installation no id is known.
func (v *view) addOneTimeKeys(b *pebble.Batch, kind chat.PrekeyKind, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload, known bool, left *chat.PrekeyCounts) (ignored []uint32, err error) {
	keys := u.OneTimeOf(kind)
	ids := make(map[uint32]chat.PrekeyState, len(keys))
	for _, k := range keys {
		if !known {
			break
		}
		if ids[k.ID], err = v.oneTimeState(kind, user, device, k.ID); err != nil {
			return nil, err
		}
	}
	admitted, err := u.Admit(kind, left[kind], ids)
	if err != nil {
		return nil, err
	}
	left[kind] += len(admitted.Added)
	for _, k := range append(admitted.Added, admitted.Replaced...) {
		_ = b.Set(oneTimeKey(prekeyKeysOf[kind].stored, user, device, k.ID), encodeOneTime(kind, k), nil)
	}
	return admitted.Ignored, nil
}

// encodeOneTime packs a one-time key without its id, which is in its key. A plain one is no
// more than its bytes.
func encodeOneTime(kind chat.PrekeyKind, k chat.SignedPrekey) []byte {
	if kind == chat.PlainPrekeys {
		return k.Public
	}
	return appendStr(appendStr(nil, k.Public), k.Signature)
}

func decodeOneTime(kind chat.PrekeyKind, id uint32, value []byte) (k chat.SignedPrekey, err error) {
	k.ID = id
	if kind == chat.PlainPrekeys {
		k.Public = bytes.Clone(value)
		return k, nil
	}
	d := decode(value)
	k.Public, k.Signature = d.bytes(), d.bytes()
	return k, d.end()
}

// oneTimeState is what is known of the id of a one-time key.
func (v *view) oneTimeState(kind chat.PrekeyKind, user chat.UserID, device chat.DeviceID, id uint32) (chat.PrekeyState, error) {
	if taken, err := v.has(oneTimeKey(prekeyKeysOf[kind].taken, user, device, id)); taken || err != nil {
		return chat.PrekeyTaken, err
	}
	if stored, err := v.has(oneTimeKey(prekeyKeysOf[kind].stored, user, device, id)); stored || err != nil {
		return chat.PrekeyStored, err
	}
	return chat.PrekeyUnknown, nil
}

// oneTimeLeft is how many one-time keys a device has.
func (v *view) oneTimeLeft(user chat.UserID, device chat.DeviceID) (chat.PrekeyCounts, error) {
	left, _, err := lookup(v, deviceKey(prefixOneTimeLeft, user, device), decodePrekeyCounts)
	return left, err
}

// PrekeyDevices implements [chat.PrekeyStore].
func (s *Store) PrekeyDevices(ctx context.Context, users []chat.UserID) ([]chat.PrekeyDevice, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	var devices []chat.PrekeyDevice
	for _, user := range users {
		of := devicesPrefix(prefixPrekeys, user)
		err := v.scan(ctx, within(of), false, func(key, value []byte) (bool, error) {
			p, err := decodePrekeys(user, chat.DeviceID(key[len(of):]), value)
			devices = append(devices, p)
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	return devices, nil
}

// CountPrekeys implements [chat.PrekeyStore].
func (s *Store) CountPrekeys(_ context.Context, devices []chat.PrekeyDevice) ([]chat.PrekeyCounts, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	left := make([]chat.PrekeyCounts, len(devices))
	for i, d := range devices {
		if left[i], err = v.oneTimeLeft(d.User, d.Device); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// TakePrekey implements [chat.PrekeyStore]. The keys are gone from stable storage, and their
// ids remembered there, before they are given. What is given with them is what the device has
// at that moment.
func (s *Store) TakePrekey(ctx context.Context, listed chat.PrekeyDevice) (chat.DeviceBundle, error) {
	user, device := listed.User, listed.Device
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return chat.DeviceBundle{}, err
	}
	v, done, err := s.locked(ctx, string(deviceKey(prefixPrekeys, user, device)))
	if err != nil {
		return chat.DeviceBundle{}, err
	}
	defer done()
	b := s.db.NewBatch()
	bundle, err := v.takePrekey(ctx, b, user, device)
	if err != nil || b.Empty() {
		return bundle, errors.Join(err, b.Close())
	}
	if err := s.state.commit(ctx, b); err != nil {
		return chat.DeviceBundle{}, fmt.Errorf("take a prekey of %s/%s: %w", user, device, err)
	}
	return bundle, nil
}

// takePrekey puts into a batch that the device's first one-time keys are taken.
func (v *view) takePrekey(ctx context.Context, b *pebble.Batch, user chat.UserID, device chat.DeviceID) (chat.DeviceBundle, error) {
	d, found, err := lookup(v, deviceKey(prefixPrekeys, user, device), func(value []byte) (chat.PrekeyDevice, error) {
		return decodePrekeys(user, device, value)
	})
	if err != nil {
		return chat.DeviceBundle{}, err
	}
	if !found {
		return chat.DeviceBundle{}, fmt.Errorf("the prekeys of %s/%s: %w", user, device, chat.ErrNotFound)
	}
	left, err := v.oneTimeLeft(user, device)
	if err != nil {
		return chat.DeviceBundle{}, err
	}
	var taken [len(chat.PrekeyKinds)]*chat.SignedPrekey
	for _, kind := range chat.PrekeyKinds {
		if left[kind] == 0 || !d.Gives(kind) {
			continue
		}
		if taken[kind], err = v.firstOneTimeKey(ctx, kind, user, device); err != nil {
			return chat.DeviceBundle{}, err
		}
	}
	bundle, err := d.Bundle(taken[chat.PlainPrekeys], taken[chat.PQPrekeys])
	if err != nil {
		return chat.DeviceBundle{}, err
	}
	for kind, k := range taken {
		if k == nil {
			continue
		}
		left[kind]--
		_ = b.Delete(oneTimeKey(prekeyKeysOf[kind].stored, user, device, k.ID), nil) // a batch fails only once it is committed
		_ = b.Set(oneTimeKey(prekeyKeysOf[kind].taken, user, device, k.ID), nil, nil)
	}
	if !b.Empty() {
		_ = b.Set(deviceKey(prefixOneTimeLeft, user, device), encodePrekeyCounts(left), nil)
	}
	return bundle, nil
}

// firstOneTimeKey is the device's one-time key of a kind with the lowest id, or nil.
func (v *view) firstOneTimeKey(ctx context.Context, kind chat.PrekeyKind, user chat.UserID, device chat.DeviceID) (first *chat.SignedPrekey, err error) {
	err = v.scan(ctx, within(oneTimePrefix(prekeyKeysOf[kind].stored, user, device)), false, func(key, value []byte) (bool, error) {
		k, err := decodeOneTime(kind, oneTimeID(key), value)
		first = &k
		return false, err
	})
	return first, err
}
