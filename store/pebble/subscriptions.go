package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// Subscriptions implements [chat.SubscriptionStore].
func (s *Store) Subscriptions(_ context.Context, user chat.UserID, device chat.DeviceID) (chat.KeptSubscriptions, error) {
	v, err := s.state.view()
	if err != nil {
		return chat.KeptSubscriptions{}, err
	}
	defer v.release()
	k, found, err := lookup(v, deviceKey(prefixFilters, user, device), decodeKept)
	if err == nil && !found {
		err = chat.ErrNotFound
	}
	if err != nil {
		return chat.KeptSubscriptions{}, fmt.Errorf("the subscriptions of %s/%s: %w", user, device, err)
	}
	return k, nil
}

// PutSubscriptions implements [chat.SubscriptionStore].
func (s *Store) PutSubscriptions(ctx context.Context, user chat.UserID, device chat.DeviceID, _ chat.Conn, k chat.KeptSubscriptions) error {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return err
	}
	of := devicesPrefix(prefixFilters, user)
	v, done, err := s.locked(ctx, string(of))
	if err != nil {
		return err
	}
	defer done()
	b := s.db.NewBatch()
	if err := keepWithinBound(ctx, v, b, of, device, k.Bytes()); err != nil {
		return errors.Join(fmt.Errorf("put the subscriptions of %s/%s: %w", user, device, err), b.Close())
	}
	if err := b.Set(deviceKey(prefixFilters, user, device), encodeKept(k), nil); err != nil {
		return errors.Join(err, b.Close())
	}
	return s.state.commit(ctx, b)
}

// keepWithinBound deletes the oldest of a user's kept subscriptions for which there is no room
// beside those of another device, of so many bytes.
func keepWithinBound(ctx context.Context, v *view, b *pebble.Batch, of []byte, device chat.DeviceID, bytes int) error {
	var others []base.Kept
	err := v.scan(ctx, within(of), false, func(key, value []byte) (bool, error) {
		if chat.DeviceID(key[len(of):]) == device {
			return true, nil
		}
		k, err := decodeKept(value)
		others = append(others, base.Kept{Key: string(key), At: k.At, Bytes: k.Bytes()})
		return true, err
	})
	if err != nil {
		return err
	}
	for _, k := range base.Surplus(others, bytes) {
		_ = b.Delete([]byte(k.Key), nil) // a batch fails only when it is committed
	}
	return nil
}

// DeleteSubscriptions implements [chat.SubscriptionStore].
func (s *Store) DeleteSubscriptions(ctx context.Context, user chat.UserID, device chat.DeviceID, _ chat.Conn) error {
	v, done, err := s.locked(ctx, string(devicesPrefix(prefixFilters, user)))
	if err != nil {
		return err
	}
	defer done()
	key := deviceKey(prefixFilters, user, device)
	found, err := v.has(key)
	if err != nil || !found {
		return err
	}
	b := s.db.NewBatch()
	if err := b.Delete(key, nil); err != nil {
		return errors.Join(err, b.Close())
	}
	return s.state.commit(ctx, b)
}

// SweepSubscriptions implements [chat.SubscriptionStore]. It reads all that is kept.
func (s *Store) SweepSubscriptions(ctx context.Context, now time.Time) error {
	due, err := s.dueSubscriptions(ctx, now)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := s.sweepKept(ctx, key, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dueSubscriptions(ctx context.Context, now time.Time) (due [][]byte, err error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	err = v.scan(ctx, within([]byte{prefixFilters}), false, func(key, value []byte) (bool, error) {
		k, err := decodeKept(value)
		if err == nil && !k.Until().After(now) {
			due = append(due, append([]byte(nil), key...))
		}
		return true, err
	})
	return due, err
}

// sweepKept deletes what is kept under a key, unless the device has connected meanwhile.
func (s *Store) sweepKept(ctx context.Context, key []byte, now time.Time) error {
	user, _, _ := bytes.Cut(key[1:], []byte{0})
	v, done, err := s.locked(ctx, string(devicesPrefix(prefixFilters, chat.UserID(user))))
	if err != nil {
		return err
	}
	defer done()
	k, found, err := lookup(v, key, decodeKept)
	if err != nil || !found || k.Until().After(now) {
		return err
	}
	b := s.db.NewBatch()
	if err := b.Delete(key, nil); err != nil {
		return errors.Join(err, b.Close())
	}
	return s.state.commit(ctx, b)
}

const keptVersion = 1

func encodeKept(k chat.KeptSubscriptions) []byte {
	b := appendBool([]byte{keptVersion}, k.Connected)
	b = appendTime(binary.AppendUvarint(b, uint64(k.Keep.Milliseconds())), k.At)
	b = binary.AppendUvarint(b, uint64(len(k.Filters)))
	for _, f := range k.Filters {
		b = append(appendStr(b, f.Name), f.QoS)
	}
	return b
}

func decodeKept(value []byte) (chat.KeptSubscriptions, error) {
	d := decode(value)
	d.version(keptVersion, keptVersion)
	k := chat.KeptSubscriptions{Connected: d.bool(), Keep: time.Duration(d.uvarint()) * time.Millisecond, At: d.time()}
	n := d.count()
	k.Filters = make([]chat.KeptFilter, 0, n)
	for range n {
		k.Filters = append(k.Filters, chat.KeptFilter{Name: d.str(), QoS: d.byte()})
	}
	return k, d.end()
}
