package mongo

import (
	"context"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// markAt is a mark whose message and time follow from its seq.
func markAt(thread chat.ThreadID, user chat.UserID, seq chat.Seq) chat.Mark {
	at := testTime.Add(time.Duration(seq) * time.Second)
	return chat.Mark{Thread: thread, User: user, Kind: chat.Read, Seq: seq, Message: chat.EventIDAt(at), At: at}
}

func mustMark(t *testing.T, s chat.Store, m, prev chat.Mark) {
	t.Helper()
	if got, moved, err := s.PutMark(t.Context(), m); got != prev || !moved || err != nil {
		t.Fatalf("PutMark(%d) = %+v, %v, %v; want it after %+v", m.Seq, got, moved, err, prev)
	}
}

// Runs of marks end, and what was in them is still found: by who marked all along,
// by who jumped far, and by who is in its first run.
func TestOldMarks(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{Now: testNow})
	thread := newThreadID()
	const far = 100_000
	marks := make(map[chat.UserID][]chat.Mark)
	put := func(user chat.UserID, seq chat.Seq, fold func(*chat.Mark)) {
		m, prev := markAt(thread, user, seq), chat.Mark{}
		if n := len(marks[user]); n > 0 {
			prev = marks[user][n-1]
		}
		fold(&m)
		mustMark(t, s, m, prev)
		if m.Message.Compare(prev.Message) < 0 {
			m.Message = prev.Message
		}
		marks[user] = append(marks[user], m)
	}
	asIs := func(*chat.Mark) {}
	for seq := chat.Seq(1); seq <= 2*runLength+3; seq++ {
		put("all-along", seq, func(m *chat.Mark) {
			if seq%7 != 0 { // most know of no message
				m.Message = chat.MessageID{}
			}
		})
	}
	for seq := chat.Seq(1); seq <= runLength+5; seq++ {
		put("jumps", seq*2, asIs)
	}
	for seq := range chat.Seq(runLength + 2) {
		put("jumps", far+seq, asIs)
	}
	put("new", 50, asIs)

	users := []chat.UserID{"nobody", "all-along", "jumps", "new"}
	for _, seq := range []chat.Seq{0, 1, 7, 8, runLength - 1, runLength, runLength + 1, runLength + 5, runLength + 6, 2 * runLength, 2*runLength + 11, 1000, far, far + 1, far + 58, far + runLength + 1, far + runLength + 2} {
		got, err := s.MarksAt(t.Context(), thread, seq, users)
		if err != nil {
			t.Fatalf("MarksAt(%d): %v", seq, err)
		}
		for i, user := range users {
			want := chat.Marks{User: user}
			for _, m := range marks[user] {
				if m.Seq >= seq {
					want.Read = m
					break
				}
			}
			if got[i] != want {
				t.Errorf("at %d %s has\n%+v, want\n%+v", seq, user, got[i], want)
			}
		}
	}
}

// A run that ends, and is cut off at that, is ended by the next mark.
func TestEndOfRunCutAnywhere(t *testing.T) {
	for _, answered := range []bool{true, false} {
		cutAt(t, answered, func(t *testing.T, s chat.Store) (func(context.Context, chat.Store) error, func(*testing.T, chat.Store)) {
			thread := newThreadID()
			last := markAt(thread, "bob", runLength)
			doc := marksDoc{ID: marksID(thread, chat.Read, "bob"), Seq: last.Seq, Message: last.Message, At: last.At, N: runLength}
			for seq := chat.Seq(1); seq <= runLength; seq++ {
				m := markAt(thread, "bob", seq)
				doc.Run = append(doc.Run, newMarkDoc(m))
			}
			if _, err := s.(reopenable).marks.InsertOne(t.Context(), doc); err != nil {
				t.Fatal(err)
			}
			do := func(ctx context.Context, s chat.Store) error {
				_, _, err := s.PutMark(ctx, markAt(thread, "bob", runLength+1))
				return err
			}
			check := func(t *testing.T, s chat.Store) {
				if _, _, err := s.PutMark(t.Context(), markAt(thread, "bob", runLength+1)); err != nil {
					t.Fatalf("PutMark: %v", err)
				}
				for _, seq := range []chat.Seq{1, runLength, runLength + 1} {
					got, err := s.MarksAt(t.Context(), thread, seq, []chat.UserID{"bob"})
					if err != nil || got[0].Read != markAt(thread, "bob", seq) {
						t.Errorf("the mark at %d is %+v, %v", seq, got, err)
					}
				}
			}
			return do, check
		})
	}
}
