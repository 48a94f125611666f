package pebble

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// What raises a position is written without a sync and may be lost in a crash.
// Positions are read from the database itself, not from the view of what is durable, so
// that a device that stored its position reads it at once.

// Position implements [chat.PositionStore]. A position of an earlier format is converted
// the first time that it is read.
func (s *Store) Position(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	p, found, err := s.position(ctx, user, device)
	if err != nil {
		return chat.Position{}, false, fmt.Errorf("the position of %s/%s: %w", user, device, err)
	}
	return p, found, nil
}

func (s *Store) position(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	record, found, err := lookupUnsynced(s, positionKey(user, device), decodePosition)
	if err != nil || !found {
		return chat.Position{}, false, err
	}
	if record.old != nil {
		converted, err := record.old.Convert(ctx, user, s)
		if err != nil {
			return chat.Position{}, false, err
		}
		p, err := s.beginPosition(ctx, user, device, converted)
		return p, err == nil, err
	}
	if s.now().Sub(record.used) >= base.NoteUseEvery {
		_ = s.RaisePosition(ctx, user, device, 0, chat.Position{}) // else the next read does
	}
	through, err := s.through(ctx, user, device)
	return chat.Position{Through: through, Acknowledged: record.acknowledged}, true, err
}

// through reads how far a device has acknowledged in each thread.
func (s *Store) through(ctx context.Context, user chat.UserID, device chat.DeviceID) (map[chat.ThreadID]chat.Seq, error) {
	v, err := s.state.view() // for Close to wait for
	if err != nil {
		return nil, err
	}
	defer v.release()
	through := make(map[chat.ThreadID]chat.Seq)
	err = scanIn(ctx, s.db, s.state.costs, within(throughPrefix(user, device)), false, func(key, value []byte) (bool, error) {
		seq, err := decodeSeq(value)
		through[threadAtEnd(key)] = seq
		return true, err
	})
	return through, err
}

// BeginPosition implements [chat.PositionStore].
func (s *Store) BeginPosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) (chat.Position, error) {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return chat.Position{}, err
	}
	stored, err := s.beginPosition(ctx, user, device, p)
	if err != nil {
		return chat.Position{}, fmt.Errorf("begin the position of %s/%s: %w", user, device, err)
	}
	return stored, nil
}

// beginPosition stores a position unless there is one that needs no conversion.
func (s *Store) beginPosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) (chat.Position, error) {
	key := positionKey(user, device)
	_, done, err := s.locked(ctx, string(key))
	if err != nil {
		return chat.Position{}, err
	}
	defer done()
	record, found, err := lookupUnsynced(s, key, decodePosition)
	if err != nil {
		return chat.Position{}, err
	}
	if found && record.old == nil {
		through, err := s.through(ctx, user, device)
		return chat.Position{Through: through, Acknowledged: record.acknowledged}, err
	}
	b := s.db.NewBatch()
	errs := []error{b.Set(key, encodePosition(positionRecord{acknowledged: p.Acknowledged, used: s.now()}), nil)}
	for thread, seq := range p.Through {
		errs = append(errs, b.Set(throughKey(user, device, thread), encodeSeq(seq), nil))
	}
	if err := errors.Join(errs...); err != nil {
		return chat.Position{}, err
	}
	p.Through = maps.Clone(p.Through)
	return p, s.state.commit(ctx, b)
}

// AdmitDevice implements [chat.PositionStore]. All connections are those of one process, so it
// counts them in memory.
func (s *Store) AdmitDevice(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Admitted, error) {
	if err := errors.Join(checkName(user), checkName(device)); err != nil {
		return chat.Admitted{}, err
	}
	isNew, err := s.see(ctx, user, device, s.now())
	if errors.Is(err, chat.ErrStoreFull) { // what can be read is read, by a new device too
		return chat.Admitted{Conn: chat.Conn(s.conns.Add(1))}, nil
	}
	if err != nil {
		return chat.Admitted{}, fmt.Errorf("admit %s/%s: %w", user, device, err)
	}
	return chat.Admitted{Conn: chat.Conn(s.conns.Add(1)), New: isNew}, nil
}

// RaisePosition implements [chat.PositionStore].
func (s *Store) RaisePosition(ctx context.Context, user chat.UserID, device chat.DeviceID, _ chat.Conn, p chat.Position) error {
	key := positionKey(user, device)
	unlock, err := s.locks.Lock(ctx, string(key))
	if err != nil {
		return err
	}
	defer unlock()
	record, found, err := lookupUnsynced(s, key, decodePosition)
	if err != nil || !found || record.old != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	record.acknowledged, record.used = record.acknowledged || p.Acknowledged, s.now()
	if err := b.Set(key, encodePosition(record), nil); err != nil {
		return err
	}
	for thread, seq := range p.Through {
		key := throughKey(user, device, thread)
		before, _, err := lookupUnsynced(s, key, decodeSeq)
		if err != nil {
			return err
		}
		if seq > before {
			if err := b.Set(key, encodeSeq(seq), nil); err != nil {
				return err
			}
		}
	}
	return s.applyUnsynced(b)
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
	b := s.db.NewBatch()
	defer b.Close()
	if err := b.Set(key, encodeTime(at), nil); err != nil {
		return err
	}
	return s.applyUnsynced(b)
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

func (s *Store) applyUnsynced(b *pebble.Batch) (err error) {
	v, err := s.state.view() // for Close to wait for
	if err != nil {
		return err
	}
	defer v.release()
	if err := s.state.checkWritable(); err != nil {
		return err
	}
	defer func() { // as in durable.write; the next commit finds out the same
		if broken := recover(); broken != nil {
			err = gaveUp(broken)
		}
	}()
	s.state.costs.write(b)
	return s.db.Apply(b, pebble.NoSync)
}
