package storetest

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// twins is two stores that are called alike. It answers what the first does and
// ends the test when the second answers anything else.
type twins struct {
	tb   TB
	a, b chat.Store
}

var _ chat.Store = (*twins)(nil)

// errorKind is what of an error the port promises.
func errorKind(err error) string {
	var pair *chat.PairExistsError
	var dup *chat.DuplicateError
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &pair):
		return "the pair has " + pair.Thread.String()
	case errors.As(err, &dup):
		return "duplicate by " + string(dup.By) + " of " + describe(dup.Existing)
	}
	for _, kind := range []error{chat.ErrNotFound, chat.ErrStaleHead, chat.ErrTooManyDevices, chat.ErrTooManyPrekeys} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "unavailable"
}

// ask asks both and compares what they say in its canonical form.
func ask[T any](w *twins, what string, of func(chat.Store) (T, error), canonical func(T) T) (T, error) {
	w.tb.Helper()
	x, errX := of(w.a)
	y, errY := of(w.b)
	if errorKind(errX) != errorKind(errY) {
		w.tb.Fatalf("%s: the stores differ: %v, and %v", what, errX, errY)
	}
	x, y = canonical(x), canonical(y)
	if errX == nil && !reflect.DeepEqual(x, y) {
		w.tb.Fatalf("%s: the stores differ:\n%+v\n%+v", what, x, y)
	}
	return x, errX
}

func asIs[T any](x T) T { return x }

// do is ask for what gives only an error.
func do(w *twins, what string, of func(chat.Store) error) error {
	w.tb.Helper()
	_, err := ask(w, what, func(s chat.Store) (struct{}, error) { return struct{}{}, of(s) }, asIs)
	return err
}

// answer is the two values of a method that has so many.
type answer[T, U any] struct {
	first  T
	second U
}

func canonicalEvents(events []chat.Event) []chat.Event {
	out := make([]chat.Event, len(events))
	for i, e := range events {
		out[i] = canonical(e)
	}
	return out
}

// inOrder sorts what comes in no particular order.
func inOrder[T any](order func(a, b T) int) func([]T) []T {
	return func(list []T) []T { return slices.SortedFunc(slices.Values(list), order) }
}

func (w *twins) CreateThread(ctx context.Context, created chat.Event) error {
	return do(w, "CreateThread", func(s chat.Store) error { return s.CreateThread(ctx, created) })
}

func (w *twins) Thread(ctx context.Context, id chat.ThreadID) (chat.Thread, error) {
	return ask(w, "Thread", func(s chat.Store) (chat.Thread, error) { return s.Thread(ctx, id) }, canonicalThread)
}

func (w *twins) UserThreads(ctx context.Context, user chat.UserID) ([]chat.UserThread, error) {
	byThread := inOrder(func(a, b chat.UserThread) int { return slices.Compare(a.Thread[:], b.Thread[:]) })
	return ask(w, "UserThreads", func(s chat.Store) ([]chat.UserThread, error) { return s.UserThreads(ctx, user) }, byThread)
}

func (w *twins) Peers(ctx context.Context, user chat.UserID, most int) ([]chat.UserID, error) {
	return ask(w, "Peers", func(s chat.Store) ([]chat.UserID, error) { return s.Peers(ctx, user, most) }, inOrder(cmp.Compare[chat.UserID]))
}

func (w *twins) UserThread(ctx context.Context, user chat.UserID, thread chat.ThreadID) (chat.UserThread, error) {
	return ask(w, "UserThread", func(s chat.Store) (chat.UserThread, error) { return s.UserThread(ctx, user, thread) }, asIs)
}

func (w *twins) ParticipantsAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq) ([]chat.Stint, error) {
	byUser := inOrder(func(a, b chat.Stint) int { return cmp.Compare(a.User, b.User) })
	return ask(w, "ParticipantsAt", func(s chat.Store) ([]chat.Stint, error) { return s.ParticipantsAt(ctx, thread, seq) }, byUser)
}

// Append compares how much was stored, too, when something was refused.
func (w *twins) Append(ctx context.Context, head chat.Head, events []chat.Event) (int, error) {
	var refused []error
	n, _ := ask(w, "Append", func(s chat.Store) (answer[int, string], error) {
		n, err := s.Append(ctx, head, slices.Clone(events))
		refused = append(refused, err)
		return answer[int, string]{n, errorKind(err)}, nil
	}, asIs)
	return n.first, refused[0]
}

func (w *twins) SentBefore(ctx context.Context, e chat.Event) error {
	return do(w, "SentBefore", func(s chat.Store) error { return s.SentBefore(ctx, e) })
}

func (w *twins) Events(ctx context.Context, thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) ([]chat.Event, error) {
	return ask(w, "Events", func(s chat.Store) ([]chat.Event, error) {
		return s.Events(ctx, thread, after, through, limit)
	}, canonicalEvents)
}

func (w *twins) Messages(ctx context.Context, thread chat.ThreadID, r chat.MessageRange) ([]chat.Event, error) {
	return ask(w, "Messages", func(s chat.Store) ([]chat.Event, error) { return s.Messages(ctx, thread, r) }, canonicalEvents)
}

func (w *twins) Message(ctx context.Context, id chat.MessageID) (chat.Event, error) {
	return ask(w, "Message", func(s chat.Store) (chat.Event, error) { return s.Message(ctx, id) }, canonical)
}

func (w *twins) SeqAt(ctx context.Context, thread chat.ThreadID, id chat.EventID) (chat.Seq, error) {
	return ask(w, "SeqAt", func(s chat.Store) (chat.Seq, error) { return s.SeqAt(ctx, thread, id) }, asIs)
}

func (w *twins) CountUnread(ctx context.Context, thread chat.ThreadID, user chat.UserID, after chat.Seq, now time.Time, max int) (int, error) {
	return ask(w, "CountUnread", func(s chat.Store) (int, error) {
		return s.CountUnread(ctx, thread, user, after, now, max)
	}, asIs)
}

// Expired compares all that has expired: which of those that expire at the same
// time come first, and so within the count, is the store's choice.
func (w *twins) Expired(ctx context.Context, now time.Time, count int) ([]chat.Event, error) {
	byExpiry := func(a, b chat.Event) int {
		return cmp.Or(a.Message.ExpiresAt.Compare(b.Message.ExpiresAt), a.ID.Compare(b.ID), slices.Compare(a.Thread[:], b.Thread[:]))
	}
	_, err := ask(w, "Expired", func(s chat.Store) ([]chat.Event, error) {
		events, err := s.Expired(ctx, now, 1000)
		return canonicalEvents(events), err
	}, inOrder(byExpiry))
	if err != nil {
		return nil, err
	}
	return w.a.Expired(ctx, now, count)
}

func (w *twins) PutMark(ctx context.Context, m chat.Mark) (chat.Mark, bool, error) {
	got, err := ask(w, "PutMark", func(s chat.Store) (answer[chat.Mark, bool], error) {
		prev, moved, err := s.PutMark(ctx, m)
		return answer[chat.Mark, bool]{prev, moved}, err
	}, asIs)
	return got.first, got.second, err
}

func (w *twins) Marks(ctx context.Context, thread chat.ThreadID, users []chat.UserID) ([]chat.Marks, error) {
	return ask(w, "Marks", func(s chat.Store) ([]chat.Marks, error) { return s.Marks(ctx, thread, users) }, asIs)
}

func (w *twins) MarksAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq, users []chat.UserID) ([]chat.Marks, error) {
	return ask(w, "MarksAt", func(s chat.Store) ([]chat.Marks, error) { return s.MarksAt(ctx, thread, seq, users) }, asIs)
}

func (w *twins) Ping(ctx context.Context) error {
	return do(w, "Ping", func(s chat.Store) error { return s.Ping(ctx) })
}

func (w *twins) Close() error { return errors.Join(w.a.Close(), w.b.Close()) }
