package mongo

import (
	"errors"
	"slices"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// A copy that is not of one moment may have less of the logs than of what follows from them.
// After Restored the store is as its logs say, has another id, and goes on.
func TestRestoredTakesBackWhatIsAheadOfTheLogs(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{Now: testNow})
	thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob", "cid"))
	gone := mustCreate(t, s, creationOf(chat.OneToOne, "ann", "bob"))
	sent := mustAppend(t, s, thread, messageFrom("ann", "1"), messageFrom("ann", "2"), messageFrom("ann", "3"), messageFrom("ann", "4"))
	head := headOf(t, s, thread)
	kept := head.Seq + 1 // the edit
	changes := mustAppend(t, s, thread, everyChange(sent)...)
	last := changes[len(changes)-1].Seq
	for _, mark := range []chat.Mark{
		{Thread: thread, User: "bob", Kind: chat.Delivered, Seq: 3, Message: sent[1].ID, At: testTime},
		{Thread: thread, User: "bob", Kind: chat.Delivered, Seq: last, Message: sent[3].ID, At: testTime},
	} {
		if _, _, err := s.PutMark(t.Context(), mark); err != nil {
			t.Fatal(err)
		}
	}
	through := chat.Position{Through: map[chat.ThreadID]chat.Seq{thread: last}, Acknowledged: true}
	if _, err := s.BeginPosition(t.Context(), "bob", "phone", through); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []any{d("thread", thread, "seq", d("$gt", bound(kept))), d("thread", gone)} {
		if _, err := s.log.DeleteMany(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
	}

	for range 2 { // it may be repeated
		if err := Restored(t.Context(), uri, Options{Now: testNow}, func(line string) { t.Log(line) }); err != nil {
			t.Fatal(err)
		}
	}
	back := open(t, server, uri, Options{Now: testNow})
	if back.ID() == s.ID() {
		t.Error("the restored store has the id of the one before")
	}
	got, err := back.Thread(t.Context(), thread)
	if err != nil || got.Head.Seq != kept || got.Title != "" || len(got.Pins) > 0 || !slices.Equal(got.Users(), []chat.UserID{"ann", "bob", "cid"}) {
		t.Errorf("the thread is %+v, %v", got, err)
	}
	if line, err := back.UserThread(t.Context(), "cid", thread); err != nil || line.LeftSeq != 0 {
		t.Errorf("who left by a lost event: %+v, %v", line, err)
	}
	if _, err := back.UserThread(t.Context(), "eve", thread); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("who joined by a lost event: %v", err)
	}
	if _, err := back.Thread(t.Context(), gone); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("the thread without a log: %v", err)
	}
	if marks, err := back.Marks(t.Context(), thread, []chat.UserID{"bob"}); err != nil || marks[0].Delivered.Seq != kept {
		t.Errorf("the mark is %+v, %v; want one of %d", marks, err, kept)
	}
	if p, found, err := back.Position(t.Context(), "bob", "phone"); err != nil || !found || p.Through[thread] != kept {
		t.Errorf("the position is %+v, %v, %v; want %d", p, found, err, kept)
	}
	if m, err := back.Message(t.Context(), sent[1].ID); err != nil || len(m.Message.Reactions) > 0 {
		t.Errorf("the message whose reaction was lost: %+v, %v", m.Message, err)
	}
	if m, err := back.Message(t.Context(), sent[0].ID); err != nil || string(m.Message.Ciphertext) != "edited" {
		t.Errorf("the message whose edit is kept: %+v, %v", m.Message, err)
	}
	again := everyChange(sent)[1:] // without the edit
	mustAppend(t, back, thread, again...)
	after, err := back.Thread(t.Context(), thread)
	if err != nil || after.Title != "the club" || len(after.Pins) != 1 {
		t.Errorf("after new changes the thread is %+v, %v", after, err)
	}
	if m, err := back.Message(t.Context(), sent[1].ID); err != nil || len(m.Message.Reactions) != 1 {
		t.Errorf("after a new reaction the message is %+v, %v", m.Message, err)
	}
	if line, err := back.UserThread(t.Context(), "cid", thread); err != nil || line.LeftSeq == 0 {
		t.Errorf("who left anew: %+v, %v", line, err)
	}
}

// A hint that is ahead of its log hides no thread, and Restored forgets it.
func TestHintsAheadOfTheLogs(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{})
	thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
	mustAppend(t, s, thread, messageFrom("ann", "1"))
	head := headOf(t, s, thread)
	if _, err := s.threads.UpdateByID(t.Context(), thread, d("$set", d("reached", bound(head.Seq+headWindow)))); err != nil {
		t.Fatal(err)
	}
	listed := func(s *Store) {
		t.Helper()
		s.joins = false
		lines, err := s.UserThreads(t.Context(), "bob")
		if err != nil || len(lines) != 1 || lines[0].Head.Seq != head.Seq {
			t.Errorf("the threads are %+v, %v; want one that ends with %d", lines, err, head.Seq)
		}
	}
	listed(open(t, server, uri, Options{}).Store)
	if err := Restored(t.Context(), uri, Options{}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	listed(open(t, server, uri, Options{}).Store)
	if doc, _, err := findOne[threadDoc](t.Context(), s.threads, d("_id", thread)); err != nil || doc.Reached != 0 {
		t.Errorf("the hint is %d, %v after the log was restored", doc.Reached, err)
	}
}

// A store that a node serves is not taken back under it.
func TestRestoredRefusesAServedStore(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{})
	if _, err := s.Live(t.Context(), chat.Standing{Node: chat.NewNodeID()}); err != nil {
		t.Fatal(err)
	}
	if err := Restored(t.Context(), uri, Options{}, func(string) {}); err == nil {
		t.Error("a store that a node serves was taken back")
	}
}
