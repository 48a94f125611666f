package pebble

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// CreateThread implements [chat.ThreadStore]. Repeating a creation that was
// stored (the same thread and event id) succeeds and changes nothing.
func (s *Store) CreateThread(ctx context.Context, created chat.Event) error {
	if created.Kind != chat.KindThread || created.Change == nil || created.Seq != 1 {
		return fmt.Errorf("create thread %s: event %d of kind %q begins no log", created.Thread, created.Seq, created.Kind)
	}
	pair, err := pairOf(created)
	if err != nil {
		return fmt.Errorf("create thread %s: %w", created.Thread, err)
	}
	names := []string{string(threadKey(created.Thread))}
	if pair != nil {
		names = append(names, string(pair))
	}
	if name := idempotencyName(created); name != "" {
		names = append(names, name)
	}
	v, done, err := s.locked(ctx, names...)
	if err != nil {
		return err
	}
	defer done()

	if exists, err := v.sameCreation(created); err != nil || exists {
		return err
	}
	w := s.newLogWriter(v, headRecord{})
	defer w.discard()
	before, found, err := w.sentWithKey(created, s.recalledSince())
	if err != nil {
		return err
	}
	if found {
		return &chat.DuplicateError{By: chat.ByIdempotencyKey, Existing: before}
	}
	if pair != nil {
		other, found, err := lookup(v, pair, decodeThreadID)
		if err != nil {
			return err
		}
		if found {
			return &chat.PairExistsError{Thread: other}
		}
		w.set(pair, encodeThreadID(created.Thread))
	}
	w.thread = &chat.Thread{}
	if err := w.add(created); err != nil {
		return err
	}
	return s.commitLog(ctx, created.Thread, w)
}

// pairOf is the key of a 1:1's pair of people, nil for a group.
func pairOf(created chat.Event) ([]byte, error) {
	c := created.Change
	if c.Type != chat.OneToOne {
		return nil, nil
	}
	if len(c.Members) != 2 {
		return nil, fmt.Errorf("a 1:1 of %d people", len(c.Members))
	}
	return pairKey(c.Members[0].User, c.Members[1].User), nil
}

// sameCreation reports whether the thread exists and was created by this event. It
// fails if another event created it.
func (v *view) sameCreation(created chat.Event) (bool, error) {
	first, found, err := v.event(place{created.Thread, 1})
	if err != nil || !found {
		return false, err
	}
	if first.ID != created.ID {
		return false, fmt.Errorf("thread %s exists, created by event %s", created.Thread, first.ID)
	}
	return true, nil
}

// Thread implements [chat.ThreadStore].
func (s *Store) Thread(_ context.Context, id chat.ThreadID) (chat.Thread, error) {
	v, err := s.state.view()
	if err != nil {
		return chat.Thread{}, err
	}
	defer v.release()
	return v.thread(id)
}

func (v *view) thread(id chat.ThreadID) (chat.Thread, error) {
	t, err := v.threadRecord(id)
	if err != nil {
		return chat.Thread{}, err
	}
	head, err := v.head(id)
	t.Head = head.Head
	return t, err
}

// threadRecord is a thread without its head.
func (v *view) threadRecord(id chat.ThreadID) (chat.Thread, error) {
	t, found, err := lookup(v, threadKey(id), func(raw []byte) (chat.Thread, error) { return decodeThread(id, raw) })
	if err != nil {
		return chat.Thread{}, err
	}
	if !found {
		return chat.Thread{}, fmt.Errorf("thread %s: %w", id, chat.ErrNotFound)
	}
	return t, nil
}

// head is the end of a thread's log; the zero Head if there is none.
func (v *view) head(id chat.ThreadID) (headRecord, error) {
	h, _, err := lookup(v, headKey(id), decodeHead)
	return h, err
}

// UserThreads implements [chat.ThreadStore].
func (s *Store) UserThreads(ctx context.Context, user chat.UserID) ([]chat.UserThread, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	var lines []chat.UserThread
	err = v.scan(ctx, within(userThreadsPrefix(user)), false, func(key, value []byte) (bool, error) {
		line, err := v.userThread(threadAtEnd(key), value)
		if len(lines) == cap(lines) { // append would copy those of a user with thousands many times
			lines = slices.Grow(lines, max(32, len(lines)))
		}
		lines = append(lines, line)
		return true, err
	})
	return lines, err
}

// Peers implements [chat.ThreadStore]. It reads who is in each of the user's threads, and no
// heads.
func (s *Store) Peers(ctx context.Context, user chat.UserID, in chat.SharedThreads) ([]chat.UserID, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	var peers []chat.UserID
	done := map[chat.UserID]bool{user: true} // who is listed, or not asked for
	err = v.scan(ctx, within(userThreadsPrefix(user)), false, func(key, value []byte) (bool, error) {
		m, err := decodeMembership(value)
		if err != nil || m.left != 0 || in.Accepted && !m.own.Accepted {
			return true, err
		}
		t, err := v.threadRecord(threadAtEnd(key))
		if err != nil || !in.Counts(len(t.Participants)) {
			return true, err
		}
		if me, _ := t.Participant(user); !in.CountsFor(me.JoinedID) {
			return true, nil
		}
		for _, p := range t.Participants {
			if done[p.User] || !in.CountsFor(p.JoinedID) {
				continue
			}
			asked := in.Asks(p.User)
			if asked && in.AcceptedByPeer {
				if own, err := v.own(p.User, t.ID); err != nil {
					return false, err
				} else if !own.Accepted {
					continue
				}
			}
			done[p.User] = true
			if asked {
				peers = append(peers, p.User)
			}
		}
		return true, nil
	})
	return peers, err
}

// ShareThread implements [chat.ThreadStore]. It looks for the 1:1 of the two, then through
// the threads of both.
func (s *Store) ShareThread(ctx context.Context, a, b chat.UserID) (bool, error) {
	v, err := s.state.view()
	if err != nil {
		return false, err
	}
	defer v.release()
	if pair, err := v.has(pairKey(a, b)); err != nil || pair {
		return pair, err
	}
	met := false
	err = v.threadsOfBoth(ctx, a, b, func(chat.ThreadID, membership, membership) (bool, error) {
		met = true
		return false, nil
	})
	return met, err
}

// threadsOfBoth calls see with each thread that two users are in now, and with their
// memberships, until it reports false. It goes through the threads of both, which are in the
// same order: it seeks in those of the one the thread at which it stands in those of the
// other, and so passes over all between. That takes at most two seeks for each thread of the
// one that has fewer.
func (v *view) threadsOfBoth(ctx context.Context, a, b chat.UserID, see func(t chat.ThreadID, ofA, ofB membership) (more bool, err error)) error {
	doing := fmt.Sprintf("look for a thread of %s and %s", a, b)
	prefix, otherPrefix := userThreadsPrefix(a), userThreadsPrefix(b)
	itA, err := v.iterator(ctx, within(prefix))
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	itB, err := v.iterator(ctx, within(otherPrefix))
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", doing, err), itA.Close())
	}
	at, other := itA, itB
	for ok, more := at.First(), true; ok && more; {
		v.of.costs.step()
		thread := threadAtEnd(at.Key())
		if !other.SeekGE(append(otherPrefix[:len(otherPrefix):len(otherPrefix)], thread[:]...)) {
			break
		}
		if threadAtEnd(other.Key()) == thread {
			if more, err = seeBoth(itA, itB, thread, see); err != nil {
				break
			}
			ok = other.Next()
		}
		at, other, prefix, otherPrefix = other, at, otherPrefix, prefix
	}
	return errors.Join(err, itA.Error(), itB.Error(), itA.Close(), itB.Close())
}

// seeBoth calls see if both users are in the thread at which the iterators stand.
func seeBoth(a, b *pebble.Iterator, thread chat.ThreadID, see func(t chat.ThreadID, ofA, ofB membership) (bool, error)) (more bool, err error) {
	var of [2]membership
	for i, it := range []*pebble.Iterator{a, b} {
		value, err := it.ValueAndErr()
		if err != nil {
			return false, err
		}
		if of[i], err = decodeMembership(value); err != nil {
			return false, err
		}
	}
	if of[0].left != 0 || of[1].left != 0 {
		return true, nil
	}
	return see(thread, of[0], of[1])
}

// UserThread implements [chat.ThreadStore].
func (s *Store) UserThread(_ context.Context, user chat.UserID, thread chat.ThreadID) (chat.UserThread, error) {
	v, err := s.state.view()
	if err != nil {
		return chat.UserThread{}, err
	}
	defer v.release()
	line, found, err := lookup(v, userThreadKey(user, thread), func(raw []byte) (chat.UserThread, error) {
		return v.userThread(thread, raw)
	})
	if err == nil && !found {
		err = fmt.Errorf("user %s in thread %s: %w", user, thread, chat.ErrNotFound)
	}
	return line, err
}

func (v *view) userThread(thread chat.ThreadID, value []byte) (chat.UserThread, error) {
	m, err := decodeMembership(value)
	if err != nil {
		return chat.UserThread{}, err
	}
	head, err := v.head(thread)
	return chat.UserThread{Thread: thread, JoinedSeq: m.joined, LeftSeq: m.left, Head: head.Head, State: m.own}, err
}

// own is what a user keeps of a thread; the zero OwnState if it never was in it.
func (v *view) own(user chat.UserID, thread chat.ThreadID) (chat.OwnState, error) {
	m, _, err := lookup(v, userThreadKey(user, thread), decodeMembership)
	return m.own, err
}

// OwnState implements [chat.ThreadStore].
func (s *Store) OwnState(_ context.Context, user chat.UserID, thread chat.ThreadID) (chat.OwnState, error) {
	v, err := s.state.view()
	if err != nil {
		return chat.OwnState{}, err
	}
	defer v.release()
	m, found, err := lookup(v, userThreadKey(user, thread), decodeMembership)
	if err == nil && (!found || m.left != 0) {
		err = fmt.Errorf("user %s in thread %s: %w", user, thread, chat.ErrNotFound)
	}
	return m.own, err
}

// PutOwnState implements [chat.ThreadStore]. Under the lock of the thread nobody joins or
// leaves meanwhile.
func (s *Store) PutOwnState(ctx context.Context, user chat.UserID, thread chat.ThreadID, st chat.OwnState) (bool, error) {
	if err := checkName(user); err != nil {
		return false, err
	}
	v, done, err := s.locked(ctx, string(threadKey(thread)))
	if err != nil {
		return false, err
	}
	defer done()
	key := userThreadKey(user, thread)
	m, found, err := lookup(v, key, decodeMembership)
	if err != nil || !found || m.left != 0 || m.joined != st.Joined || m.own.Revision+1 != st.Revision {
		return false, err
	}
	m.own = st
	b := s.db.NewBatch()
	if err := b.Set(key, encodeMembership(m), nil); err != nil {
		return false, errors.Join(err, b.Close())
	}
	if err := s.state.commit(ctx, b); err != nil {
		return false, fmt.Errorf("put what %s keeps of thread %s: %w", user, thread, err)
	}
	return true, nil
}

// Pairs implements [chat.ThreadStore].
func (s *Store) Pairs(_ context.Context, user chat.UserID, others []chat.UserID) (pairs []chat.Pair, err error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	for _, other := range others {
		thread, found, err := lookup(v, pairKey(user, other), decodeThreadID)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		own, err := v.own(other, thread)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, chat.Pair{Other: other, Thread: thread, Accepted: own.Accepted})
	}
	return pairs, nil
}

// ParticipantsAt implements [chat.ThreadStore]. It reads every stint of the thread, one
// for each time that somebody joined.
func (s *Store) ParticipantsAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq) ([]chat.Stint, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	var stints []chat.Stint
	err = v.scan(ctx, within(stintsPrefix(thread)), false, func(key, value []byte) (bool, error) {
		user, joined, err := parseStintKey(key)
		if err != nil {
			return false, err
		}
		left, err := decodeSeq(value)
		if st := (chat.Stint{User: user, JoinedSeq: joined, LeftSeq: left}); err == nil && st.Covers(seq) {
			stints = append(stints, st)
		}
		return true, err
	})
	return stints, err
}
