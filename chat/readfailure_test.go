package chat_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// flakyReads is a store whose read fails once a number of reads went well.
type flakyReads struct {
	chat.Store
	good atomic.Int64
}

// next is errDisk if this is the read that fails.
func (s *flakyReads) next() error {
	if s.good.Add(-1) == -1 {
		return errDisk
	}
	return nil
}

func orFail[T any](s *flakyReads, read func() (T, error)) (T, error) {
	if err := s.next(); err != nil {
		var none T
		return none, err
	}
	return read()
}

func (s *flakyReads) Thread(ctx context.Context, id chat.ThreadID) (chat.Thread, error) {
	return orFail(s, func() (chat.Thread, error) { return s.Store.Thread(ctx, id) })
}

func (s *flakyReads) UserThreads(ctx context.Context, u chat.UserID) ([]chat.UserThread, error) {
	return orFail(s, func() ([]chat.UserThread, error) { return s.Store.UserThreads(ctx, u) })
}

func (s *flakyReads) UserThread(ctx context.Context, u chat.UserID, id chat.ThreadID) (chat.UserThread, error) {
	return orFail(s, func() (chat.UserThread, error) { return s.Store.UserThread(ctx, u, id) })
}

func (s *flakyReads) ParticipantsAt(ctx context.Context, id chat.ThreadID, seq chat.Seq) ([]chat.UserID, error) {
	return orFail(s, func() ([]chat.UserID, error) { return s.Store.ParticipantsAt(ctx, id, seq) })
}

func (s *flakyReads) Messages(ctx context.Context, id chat.ThreadID, after, before chat.Seq, newest bool, n int) ([]chat.Event, error) {
	return orFail(s, func() ([]chat.Event, error) { return s.Store.Messages(ctx, id, after, before, newest, n) })
}

func (s *flakyReads) Message(ctx context.Context, id chat.MessageID) (chat.Event, error) {
	return orFail(s, func() (chat.Event, error) { return s.Store.Message(ctx, id) })
}

func (s *flakyReads) SeqAt(ctx context.Context, thread chat.ThreadID, id chat.EventID) (chat.Seq, error) {
	return orFail(s, func() (chat.Seq, error) { return s.Store.SeqAt(ctx, thread, id) })
}

func (s *flakyReads) CountUnread(ctx context.Context, id chat.ThreadID, u chat.UserID, after chat.Seq, most int) (int, error) {
	return orFail(s, func() (int, error) { return s.Store.CountUnread(ctx, id, u, after, most) })
}

func (s *flakyReads) Marks(ctx context.Context, id chat.ThreadID, users []chat.UserID) ([]chat.Marks, error) {
	return orFail(s, func() ([]chat.Marks, error) { return s.Store.Marks(ctx, id, users) })
}

func (s *flakyReads) MarksAt(ctx context.Context, id chat.ThreadID, seq chat.Seq, users []chat.UserID) ([]chat.Marks, error) {
	return orFail(s, func() ([]chat.Marks, error) { return s.Store.MarksAt(ctx, id, seq, users) })
}

// Whichever read of a use case fails, the answer is `unavailable`: never another
// refusal, which a client would take for the truth, and never half an answer.
func TestAnyReadFails(t *testing.T) {
	for name, use := range map[string]func(w *world, s *chat.Service, id chat.ThreadID, m chat.Event) error{
		"Thread": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
			_, err := s.Thread(w.tb.Context(), as("bob"), id)
			return err
		},
		"a stranger's Thread": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
			_, err := s.History(w.tb.Context(), as("mallory"), id, chat.PageRequest{})
			if chat.CodeOf(err) == chat.CodeNotAParticipant {
				return nil // as it should be
			}
			return err
		},
		"Threads": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
			_, err := s.Threads(w.tb.Context(), as("bob"), chat.PageRequest{})
			return err
		},
		"History": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
			_, err := s.History(w.tb.Context(), as("bob"), id, chat.PageRequest{})
			return err
		},
		"HistorySince": func(w *world, s *chat.Service, id chat.ThreadID, m chat.Event) error {
			_, err := s.HistorySince(w.tb.Context(), as("bob"), id, m.ID, chat.PageRequest{})
			return err
		},
		"Receipts": func(w *world, s *chat.Service, _ chat.ThreadID, m chat.Event) error {
			_, err := s.Receipts(w.tb.Context(), as("bob"), m.ID)
			return err
		},
		"Send": func(w *world, s *chat.Service, id chat.ThreadID, m chat.Event) error {
			req := w.request(id, "a reply")
			req.ReplyTo = m.ID
			_, err := s.Send(w.tb.Context(), as("bob"), req)
			return err
		},
		"AddParticipant": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
			_, _, err := s.AddParticipant(w.tb.Context(), as("bob"), id, "bob")
			return err
		},
		"MayFollow": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
			return s.MayFollow(w.tb.Context(), "bob", id)
		},
		"ShareThread": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
			_, err := s.ShareThread(w.tb.Context(), "bob", "carol")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.newGroup("alice", "bob", "carol")
			m := w.send("alice", id, "hello")
			w.heard.take()
			for good := int64(0); ; good++ {
				flaky := &flakyReads{Store: w.store}
				flaky.good.Store(good)
				s := chat.New(chat.Config{Store: flaky, Bus: w.bus, Now: w.clock.Now})
				err := use(w, s, id, m)
				s.Close(context.Background())
				if err == nil {
					same(t, "it reads at all", good > 0, true)
					return
				}
				if chat.CodeOf(err) != chat.CodeUnavailable {
					t.Fatal(fmt.Errorf("with read %d failing: %w", good+1, err))
				}
				unavailable(t, err, errDisk)
				w.heard.nothing(t)
			}
		})
	}
}
