package pebble

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
)

// PutMark implements [chat.ReceiptStore].
func (s *Store) PutMark(ctx context.Context, m chat.Mark) (prev chat.Mark, moved bool, err error) {
	if _, known := markKinds[m.Kind]; !known {
		return chat.Mark{}, false, fmt.Errorf("mark of unknown kind %q", m.Kind)
	}
	if err := checkName(m.User); err != nil {
		return chat.Mark{}, false, err
	}
	v, done, err := s.locked(ctx, string(marksPrefix(m.Thread, m.Kind, m.User)))
	if err != nil {
		return chat.Mark{}, false, err
	}
	defer done()

	marks, err := v.marks(ctx, m.Thread, m.Kind)
	if err != nil {
		return chat.Mark{}, false, err
	}
	prev, err = marks.last(m.User)
	if err = errors.Join(err, marks.it.Close()); err != nil || m.Seq <= prev.Seq {
		return prev, false, err
	}
	if m.Message.Compare(prev.Message) < 0 {
		m.Message = prev.Message
	}
	b := s.db.NewBatch()
	if err := b.Set(markKey(m), encodeMark(m), nil); err != nil {
		return prev, false, err
	}
	if err := s.state.commit(ctx, b); err != nil {
		return prev, false, fmt.Errorf("put a mark in thread %s: %w", m.Thread, err)
	}
	return prev, true, nil
}

// Marks implements [chat.ReceiptStore].
func (s *Store) Marks(ctx context.Context, thread chat.ThreadID, users []chat.UserID) ([]chat.Marks, error) {
	return s.marks(ctx, thread, users, (*marksReader).last)
}

// MarksAt implements [chat.ReceiptStore].
func (s *Store) MarksAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq, users []chat.UserID) ([]chat.Marks, error) {
	return s.marks(ctx, thread, users, func(r *marksReader, u chat.UserID) (chat.Mark, error) {
		return r.firstAt(u, seq)
	})
}

// marks finds one mark of each kind for each user and gives them in the order of users.
// It seeks in the order of the keys, which makes each seek short.
func (s *Store) marks(ctx context.Context, thread chat.ThreadID, users []chat.UserID, find func(*marksReader, chat.UserID) (chat.Mark, error)) (found []chat.Marks, err error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	found = make([]chat.Marks, len(users))
	order := make([]int, len(users))
	for i, u := range users {
		found[i].User, order[i] = u, i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(users[a], users[b]) })

	read := func(kind chat.MarkKind, set func(i int, m chat.Mark)) error {
		r, err := v.marks(ctx, thread, kind)
		if err != nil {
			return err
		}
		for _, i := range order {
			m, err := find(r, users[i])
			if err != nil {
				return errors.Join(err, r.it.Close())
			}
			set(i, m)
		}
		return r.it.Close()
	}
	err = errors.Join(
		read(chat.Delivered, func(i int, m chat.Mark) { found[i].Delivered = m }),
		read(chat.Read, func(i int, m chat.Mark) { found[i].Read = m }),
	)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// marksReader seeks in the marks of one thread and kind.
type marksReader struct {
	it     *pebble.Iterator
	costs  *costs
	thread chat.ThreadID
	kind   chat.MarkKind
}

// marks opens a reader. The caller closes its iterator.
func (v *view) marks(ctx context.Context, thread chat.ThreadID, kind chat.MarkKind) (*marksReader, error) {
	it, err := v.iterator(ctx, within(append(threadPrefix(prefixMark, thread), markKinds[kind])))
	if err != nil {
		return nil, fmt.Errorf("read the marks of thread %s: %w", thread, err)
	}
	return &marksReader{it: it, costs: v.of.costs, thread: thread, kind: kind}, nil
}

// last is the user's present mark, zero if there is none.
func (r *marksReader) last(u chat.UserID) (chat.Mark, error) {
	of := marksPrefix(r.thread, r.kind, u)
	return r.at(u, of, r.it.SeekLT(appendSeq(of, lastSeq)))
}

// firstAt is the user's first mark at or above seq, zero if there is none.
func (r *marksReader) firstAt(u chat.UserID, seq chat.Seq) (chat.Mark, error) {
	of := marksPrefix(r.thread, r.kind, u)
	return r.at(u, of, r.it.SeekGE(appendSeq(of, seq)))
}

// at is the mark at the iterator's position, if that is one of the user's.
func (r *marksReader) at(u chat.UserID, of []byte, valid bool) (chat.Mark, error) {
	r.costs.step()
	key := r.it.Key
	if !valid || len(key()) != len(of)+seqLen || string(key()[:len(of)]) != string(of) {
		return chat.Mark{}, r.it.Error()
	}
	value, err := r.it.ValueAndErr()
	if err != nil {
		return chat.Mark{}, fmt.Errorf("read a mark of thread %s: %w", r.thread, err)
	}
	return decodeMark(chat.Mark{Thread: r.thread, User: u, Kind: r.kind, Seq: seqOf(key())}, value)
}
