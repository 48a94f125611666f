package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// strangersPrefix begins the keys of those whom a user has put into threads on a day without
// knowing them.
func strangersPrefix(d day, u chat.UserID) []byte {
	return appendName(binary.BigEndian.AppendUint32([]byte{prefixStranger}, uint32(d)), u)
}

// strangersBefore is the range of all those of days before d.
func strangersBefore(d day) keyRange {
	return keyRange{[]byte{prefixStranger}, binary.BigEndian.AppendUint32([]byte{prefixStranger}, uint32(d))}
}

// PutStrangers implements [chat.StrangerStore]. It reads those of the days on which somebody may
// have been noted who counts.
func (s *Store) PutStrangers(ctx context.Context, user chat.UserID, strangers []chat.UserID, most int, at time.Time) (time.Duration, error) {
	doing := fmt.Sprintf("count the strangers of %s", user)
	if err := errors.Join(checkName(user), checkUsers(strangers)); err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	v, done, err := s.locked(ctx, string(strangersPrefix(0, user)))
	if err != nil {
		return 0, err
	}
	defer done()
	fresh, others, err := v.strangers(ctx, user, strangers, at)
	if err != nil || len(fresh) == 0 {
		return 0, err
	}
	if wait := chat.StrangersWait(others, len(strangers), most, at); wait > 0 {
		return wait, nil
	}
	b := s.db.NewBatch()
	prefix := strangersPrefix(dayOf(at), user)
	for _, stranger := range fresh {
		if err := b.Set(append(slices.Clone(prefix), stranger...), encodeTime(at), nil); err != nil {
			return 0, errors.Join(err, b.Close())
		}
	}
	if err := s.state.commit(ctx, b); err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return 0, nil
}

// strangers tells which of the strangers do not count yet, and when the others whom the user
// has put into threads, and who count, were noted.
func (v *view) strangers(ctx context.Context, user chat.UserID, strangers []chat.UserID, at time.Time) (fresh []chat.UserID, others []time.Time, err error) {
	counts := make(map[chat.UserID]time.Time)
	for d := dayOf(at.Add(-chat.StrangersSpan)); d <= dayOf(at.Add(chat.StrangersSpan)); d++ {
		prefix := strangersPrefix(d, user)
		err := v.scan(ctx, within(prefix), false, func(key, value []byte) (bool, error) {
			noted, err := decodeTime(value)
			if err == nil && chat.StrangerCounts(noted, at) {
				counts[chat.UserID(key[len(prefix):])] = noted
			}
			return true, err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	for _, stranger := range strangers {
		if _, known := counts[stranger]; !known {
			fresh = append(fresh, stranger)
		}
		delete(counts, stranger)
	}
	for _, noted := range counts {
		others = append(others, noted)
	}
	return fresh, others, nil
}

func checkUsers(users []chat.UserID) error {
	for _, u := range users {
		if err := checkName(u); err != nil {
			return err
		}
	}
	return nil
}
