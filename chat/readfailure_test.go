package chat_test

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// flakyReads is a store of which one read fails, after a number of reads that succeed. A
// call that writes neither a log nor a mark counts as a read.
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

func (s *flakyReads) Peers(ctx context.Context, u chat.UserID, in chat.SharedThreads) ([]chat.UserID, error) {
	return orFail(s, func() ([]chat.UserID, error) { return s.Store.Peers(ctx, u, in) })
}

func (s *flakyReads) ShareThread(ctx context.Context, a, b chat.UserID) (bool, error) {
	return orFail(s, func() (bool, error) { return s.Store.ShareThread(ctx, a, b) })
}

func (s *flakyReads) UserThread(ctx context.Context, u chat.UserID, id chat.ThreadID) (chat.UserThread, error) {
	return orFail(s, func() (chat.UserThread, error) { return s.Store.UserThread(ctx, u, id) })
}

func (s *flakyReads) ParticipantsAt(ctx context.Context, id chat.ThreadID, seq chat.Seq) ([]chat.Stint, error) {
	return orFail(s, func() ([]chat.Stint, error) { return s.Store.ParticipantsAt(ctx, id, seq) })
}

func (s *flakyReads) Messages(ctx context.Context, id chat.ThreadID, r chat.MessageRange) ([]chat.Event, error) {
	return orFail(s, func() ([]chat.Event, error) { return s.Store.Messages(ctx, id, r) })
}

func (s *flakyReads) Message(ctx context.Context, id chat.MessageID) (chat.Event, error) {
	return orFail(s, func() (chat.Event, error) { return s.Store.Message(ctx, id) })
}

func (s *flakyReads) MessageIn(ctx context.Context, thread chat.ThreadID, id chat.MessageID) (chat.Event, error) {
	return orFail(s, func() (chat.Event, error) { return s.Store.MessageIn(ctx, thread, id) })
}

func (s *flakyReads) PutOwnState(ctx context.Context, u chat.UserID, id chat.ThreadID, st chat.OwnState) (bool, error) {
	return orFail(s, func() (bool, error) { return s.Store.PutOwnState(ctx, u, id, st) })
}

func (s *flakyReads) SeqAt(ctx context.Context, thread chat.ThreadID, id chat.EventID) (chat.Seq, error) {
	return orFail(s, func() (chat.Seq, error) { return s.Store.SeqAt(ctx, thread, id) })
}

func (s *flakyReads) Marks(ctx context.Context, id chat.ThreadID, users []chat.UserID) ([]chat.Marks, error) {
	return orFail(s, func() ([]chat.Marks, error) { return s.Store.Marks(ctx, id, users) })
}

func (s *flakyReads) Threads(ctx context.Context, lines []chat.UserThread) ([]chat.Thread, error) {
	return orFail(s, func() ([]chat.Thread, error) { return s.Store.Threads(ctx, lines) })
}

func (s *flakyReads) MarksOf(ctx context.Context, u chat.UserID, ids []chat.ThreadID) ([]chat.Marks, error) {
	return orFail(s, func() ([]chat.Marks, error) { return s.Store.MarksOf(ctx, u, ids) })
}

func (s *flakyReads) CountUnreadIn(ctx context.Context, u chat.UserID, in []chat.UnreadRange, now time.Time, most int) ([]int, error) {
	return orFail(s, func() ([]int, error) { return s.Store.CountUnreadIn(ctx, u, in, now, most) })
}

func (s *flakyReads) SeqsAt(ctx context.Context, ids []chat.ThreadID, id chat.EventID) ([]chat.Seq, error) {
	return orFail(s, func() ([]chat.Seq, error) { return s.Store.SeqsAt(ctx, ids, id) })
}

func (s *flakyReads) WhoBlocks(ctx context.Context, u chat.UserID, others []chat.UserID) ([]chat.UserID, error) {
	return orFail(s, func() ([]chat.UserID, error) { return s.Store.WhoBlocks(ctx, u, others) })
}

func (s *flakyReads) MarksAt(ctx context.Context, id chat.ThreadID, seq chat.Seq, users []chat.UserID) ([]chat.Marks, error) {
	return orFail(s, func() ([]chat.Marks, error) { return s.Store.MarksAt(ctx, id, seq, users) })
}

func (s *flakyReads) Expired(ctx context.Context, now time.Time, n int) ([]chat.Event, error) {
	return orFail(s, func() ([]chat.Event, error) { return s.Store.Expired(ctx, now, n) })
}

func (s *flakyReads) PrekeyDevices(ctx context.Context, u []chat.UserID) ([]chat.PrekeyDevice, error) {
	return orFail(s, func() ([]chat.PrekeyDevice, error) { return s.Store.PrekeyDevices(ctx, u) })
}

func (s *flakyReads) PutPrekeys(ctx context.Context, u chat.UserID, d chat.DeviceID, up chat.PrekeyUpload) (chat.StoredPrekeys, error) {
	return orFail(s, func() (chat.StoredPrekeys, error) { return s.Store.PutPrekeys(ctx, u, d, up) })
}

func (s *flakyReads) CountPrekeys(ctx context.Context, d []chat.PrekeyDevice) ([]chat.PrekeyCounts, error) {
	return orFail(s, func() ([]chat.PrekeyCounts, error) { return s.Store.CountPrekeys(ctx, d) })
}

func (s *flakyReads) TakePrekey(ctx context.Context, d chat.PrekeyDevice) (chat.DeviceBundle, error) {
	if err := s.next(); err != nil {
		return chat.DeviceBundle{}, err
	}
	return s.Store.TakePrekey(ctx, d)
}

func (s *flakyReads) Blocks(ctx context.Context, u, after chat.UserID, n int) ([]chat.Block, error) {
	return orFail(s, func() ([]chat.Block, error) { return s.Store.Blocks(ctx, u, after, n) })
}

func (s *flakyReads) BlockedAmong(ctx context.Context, u chat.UserID, others []chat.UserID) ([]chat.UserID, error) {
	return orFail(s, func() ([]chat.UserID, error) { return s.Store.BlockedAmong(ctx, u, others) })
}

func (s *flakyReads) HasBlocked(ctx context.Context, u, other chat.UserID) (bool, error) {
	return orFail(s, func() (bool, error) { return s.Store.HasBlocked(ctx, u, other) })
}

func (s *flakyReads) Reports(ctx context.Context, before chat.ReportID, n int) ([]chat.Report, error) {
	return orFail(s, func() ([]chat.Report, error) { return s.Store.Reports(ctx, before, n) })
}

func (s *flakyReads) AttachmentDenied(ctx context.Context, hash string) (bool, error) {
	return orFail(s, func() (bool, error) { return s.Store.AttachmentDenied(ctx, hash) })
}

func (s *flakyReads) LastSeen(ctx context.Context, u chat.UserID) (time.Time, error) {
	return orFail(s, func() (time.Time, error) { return s.Store.LastSeen(ctx, u) })
}

func (s *flakyReads) PutBlock(ctx context.Context, b chat.Block) error {
	return s.orWrite(func() error { return s.Store.PutBlock(ctx, b) })
}

func (s *flakyReads) DeleteBlock(ctx context.Context, u, other chat.UserID) error {
	return s.orWrite(func() error { return s.Store.DeleteBlock(ctx, u, other) })
}

func (s *flakyReads) PutReport(ctx context.Context, r chat.Report) (stored chat.Report, added bool, err error) {
	err = s.orWrite(func() error {
		stored, added, err = s.Store.PutReport(ctx, r)
		return err
	})
	return stored, added, err
}

func (s *flakyReads) DenyAttachment(ctx context.Context, hash string) error {
	return s.orWrite(func() error { return s.Store.DenyAttachment(ctx, hash) })
}

func (s *flakyReads) AllowAttachment(ctx context.Context, hash string) error {
	return s.orWrite(func() error { return s.Store.AllowAttachment(ctx, hash) })
}

func (s *flakyReads) orWrite(write func() error) error {
	if err := s.next(); err != nil {
		return err
	}
	return write()
}

// Whichever read of a use case fails, the answer is `unavailable`: never another
// refusal, which a client would take for the truth, and never half an answer.
func TestAnyReadFails(t *testing.T) {
	uses := map[string]func(w *world, s *chat.Service, id chat.ThreadID, m chat.Event) error{
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
	}
	maps.Copy(uses, usesOfMessages)
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.newGroup("alice", "bob", "carol")
			m := w.send("alice", id, "hello")
			must(t, w.accept("bob", id))
			w.upload(on("alice", "phone"), upload(1, 20))
			w.upload(on("alice", "tablet"), upload(1, 20))
			w.heard.drain()
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

// usesOfMessages are further use cases for TestAnyReadFails, by bob on a message of alice.
var usesOfMessages = map[string]func(w *world, s *chat.Service, id chat.ThreadID, m chat.Event) error{
	"Events": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
		_, err := s.Events(w.tb.Context(), as("bob"), id, 0, chat.PageRequest{})
		return err
	},
	"Message": func(w *world, s *chat.Service, _ chat.ThreadID, m chat.Event) error {
		_, err := s.Message(w.tb.Context(), as("bob"), m.ID)
		return err
	},
	"Edit": func(w *world, s *chat.Service, _ chat.ThreadID, m chat.Event) error {
		_, err := s.Edit(w.tb.Context(), as("alice"), m.ID, chat.EditRequest{Ciphertext: []byte("x")})
		return err
	},
	"Delete": func(w *world, s *chat.Service, _ chat.ThreadID, m chat.Event) error {
		return s.Delete(w.tb.Context(), as("alice"), m.ID)
	},
	"React": func(w *world, s *chat.Service, _ chat.ThreadID, m chat.Event) error {
		_, err := s.React(w.tb.Context(), as("bob"), m.ID, "👍")
		return err
	},
	"Unreact": func(w *world, s *chat.Service, _ chat.ThreadID, m chat.Event) error {
		return s.Unreact(w.tb.Context(), as("bob"), m.ID, "👍")
	},
	"Pin": func(w *world, s *chat.Service, id chat.ThreadID, m chat.Event) error {
		_, _, err := s.Pin(w.tb.Context(), as("bob"), id, m.ID)
		return err
	},
	"Unpin": func(w *world, s *chat.Service, id chat.ThreadID, m chat.Event) error {
		err := s.Unpin(w.tb.Context(), as("bob"), id, m.ID)
		if chat.CodeOf(err) == chat.CodePinNotFound {
			return nil // as it should be
		}
		return err
	},
	"Pins of a 1:1": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		id := w.pairWithAll()
		w.heard.drain()
		_, err := s.Pins(w.tb.Context(), as("bob"), id)
		return err
	},
	"Thread whose last message is hidden": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		id := w.pairWithAll()
		w.heard.drain()
		_, err := s.Thread(w.tb.Context(), as("bob"), id)
		return err
	},
	"Threads of which one's last message is hidden": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		w.pairWithAll()
		w.heard.drain()
		_, err := s.Threads(w.tb.Context(), as("bob"), chat.PageRequest{})
		return err
	},
	"Report": func(w *world, s *chat.Service, _ chat.ThreadID, m chat.Event) error {
		_, _, err := s.Report(w.tb.Context(), as("bob"), m.ID, chat.ReportSpam, "")
		return err
	},
	"Reports": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		_, err := s.Reports(w.tb.Context(), operator, chat.PageRequest{})
		return err
	},
	"DenyAttachment": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		return s.DenyAttachment(w.tb.Context(), operator, sha)
	},
	"AllowAttachment": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		return s.AllowAttachment(w.tb.Context(), operator, sha)
	},
	"Send of an attachment": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
		req := w.request(id, "look")
		req.AttachmentSHA256 = sha
		_, err := s.Send(w.tb.Context(), as("bob"), req)
		return err
	},
	"Block": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		return s.Block(w.tb.Context(), as("bob"), "alice")
	},
	"Unblock": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		return s.Unblock(w.tb.Context(), as("bob"), "alice")
	},
	"Blocks": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		_, err := s.Blocks(w.tb.Context(), as("bob"), chat.PageRequest{})
		return err
	},
	"Presence": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		_, err := s.Presence(w.tb.Context(), as("bob"), "alice")
		return err
	},
	"UploadPrekeys": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		_, err := s.UploadPrekeys(w.tb.Context(), as("bob"), upload(1, 1))
		return err
	},
	"OwnPrekeys": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		_, err := s.OwnPrekeys(w.tb.Context(), as("bob"))
		return err
	},
	"FetchPrekeys": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		_, err := s.FetchPrekeys(w.tb.Context(), as("bob"), "alice")
		return err
	},
	"a retry that redelivers": func(w *world, s *chat.Service, _ chat.ThreadID, _ chat.Event) error {
		w.pairWithAll()
		w.unblock("bob", "alice")
		w.heard.drain()
		_, err := s.Send(w.tb.Context(), as("alice"), w.again)
		return err
	},
	"a retry of what has expired": func(w *world, s *chat.Service, id chat.ThreadID, _ chat.Event) error {
		req := chat.SendRequest{Thread: id, IdempotencyKey: "short", ClientSeq: 1 << 40, Ciphertext: []byte("x"), TTL: 24 * time.Hour}
		_, err := w.Send(w.tb.Context(), as("alice"), req)
		must(w.tb, err)
		w.clock.advance(24 * time.Hour) // in which the key is still known
		w.heard.drain()
		_, err = s.Send(w.tb.Context(), as("alice"), req)
		w.clock.advance(-24 * time.Hour)
		return err
	},
}

// pairWithAll is the 1:1 of alice and bob, with a pinned message and, as its last,
// one of alice that is hidden from bob; w.again is the request for that one.
func (w *world) pairWithAll() chat.ThreadID {
	w.tb.Helper()
	v, outcome, err := w.CreateThread(w.tb.Context(), as("alice"), chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{"bob"}})
	must(w.tb, err)
	if outcome == chat.Created {
		w.pin("bob", w.send("bob", v.ID, "seen"))
		w.block("bob", "alice")
		w.again = w.request(v.ID, "hidden")
		_, err := w.Send(w.tb.Context(), as("alice"), w.again)
		must(w.tb, err)
	}
	return v.ID
}

// A message that was deleted when a read failed stays deleted, and nobody is told again.
func TestExpiryWhoseReceiptsCannotBeRead(t *testing.T) {
	w := newWorld(t)
	m := w.sendFor("alice", w.newPair("alice", "bob"), "short", time.Second)
	w.clock.advance(time.Second)
	w.heard.drain()
	flaky := &flakyReads{Store: w.store}
	flaky.good.Store(3) // what is due, the thread, the message; then the recipients
	s := chat.New(chat.Config{Store: flaky, Bus: w.bus, Now: w.clock.Now})
	defer s.Close(t.Context())
	unavailable(t, s.ExpireDue(t.Context()), errDisk)
	sameList(t, "told", told(w.heard.drain()), "3 del of 2")
	must(t, s.ExpireDue(t.Context()))
	w.heard.nothing(t)
	same(t, "state", w.state(m, "bob").Reason, chat.FailedExpired)
}
