package mongo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

// halfDone gives the database of a thread whose last append went into the log, and
// nothing of what follows from it was done.
func halfDone(t *testing.T) (uri string, thread chat.ThreadID, head chat.Head) {
	t.Helper()
	server := mongod.Shared(t)
	uri = server.URI()
	healthy := open(t, server, uri, Options{Now: testNow})
	thread = mustCreate(t, healthy, creationOf(chat.Group, "ann", "bob", "cid"))
	sent := mustAppend(t, healthy, thread, messageFrom("ann", "1"), messageFrom("ann", "2"), messageFrom("ann", "3"), messageFrom("ann", "4"))
	old := headOf(t, healthy, thread)

	net := &network{}
	s, err := Open(t.Context(), mongod.With(uri, cutOptions...), Options{Now: testNow, dialer: net})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	events := stamped(thread, old, everyChange(sent)...)
	net.cutAfter(2, true) // the head is read and the events are inserted
	ctx, cancel := context.WithCancel(t.Context())
	if n, err := s.Append(ctx, old, events); n != 0 || err == nil {
		t.Fatalf("Append = %d, %v; want an unknown outcome", n, err)
	}
	cancel()
	if err := s.client.Disconnect(ctx); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	after := chat.Thread{Head: old}
	for _, e := range events {
		after = after.Apply(e)
	}
	return uri, thread, after.Head
}

// Whatever is asked first after a crash sees to it that what is seen is done.
func TestEveryReadSettlesFirst(t *testing.T) {
	for what, read := range map[string]func(context.Context, *Store, chat.ThreadID) (cidIsIn, eveIsIn bool, head chat.Seq, err error){
		"Thread": func(ctx context.Context, s *Store, id chat.ThreadID) (bool, bool, chat.Seq, error) {
			got, err := s.Thread(ctx, id)
			_, cid := got.Participant("cid")
			_, eve := got.Participant("eve")
			if got.Title != "the club" || len(got.Pins) != 1 {
				t.Errorf("the thread has title %q and pins %v", got.Title, got.Pins)
			}
			return cid, eve, got.Head.Seq, err
		},
		"UserThread": func(ctx context.Context, s *Store, id chat.ThreadID) (bool, bool, chat.Seq, error) {
			cid, err := s.UserThread(ctx, "cid", id)
			eve, eveErr := s.UserThread(ctx, "eve", id)
			return cid.LeftSeq == 0, eve.JoinedSeq > 0, cid.Head.Seq, errors.Join(err, eveErr)
		},
		"UserThreads": func(ctx context.Context, s *Store, _ chat.ThreadID) (bool, bool, chat.Seq, error) {
			cid, err := s.UserThreads(ctx, "cid")
			eve, eveErr := s.UserThreads(ctx, "eve")
			if len(cid) != 1 {
				return true, len(eve) == 1, 0, errors.Join(err, eveErr)
			}
			return cid[0].LeftSeq == 0, len(eve) == 1, cid[0].Head.Seq, errors.Join(err, eveErr)
		},
		"ParticipantsAt": func(ctx context.Context, s *Store, id chat.ThreadID) (bool, bool, chat.Seq, error) {
			stints, err := s.ParticipantsAt(ctx, id, 1000)
			in := func(u chat.UserID) bool {
				return slices.ContainsFunc(stints, func(p chat.Stint) bool { return p.User == u })
			}
			head, _, headErr := s.head(ctx, id)
			return in("cid"), in("eve"), head.Seq, errors.Join(err, headErr)
		},
	} {
		t.Run(what, func(t *testing.T) {
			uri, thread, head := halfDone(t)
			s := open(t, mongod.Shared(t), uri, Options{Now: testNow})
			cid, eve, seq, err := read(t.Context(), s.Store, thread)
			if cid || !eve || seq != head.Seq || err != nil {
				t.Errorf("cid is in: %v, eve is in: %v, the log ends at %d, %v; want false, true, %d", cid, eve, seq, err, head.Seq)
			}
			storetest.Verify(t, s, thread)
		})
	}
}

// Those who find something undone do not get into each other's way.
func TestManySettleAtOnce(t *testing.T) {
	uri, thread, _ := halfDone(t)
	server := mongod.Shared(t)
	var reading sync.WaitGroup
	for range 6 {
		s := open(t, server, uri, Options{Now: testNow})
		reading.Go(func() {
			if got, err := s.Thread(t.Context(), thread); err != nil || got.Title != "the club" {
				t.Errorf("Thread: %q, %v", got.Title, err)
			}
		})
	}
	reading.Wait()
	storetest.Verify(t, open(t, server, uri, Options{Now: testNow}), thread)
}

// TestSlowAppender holds an append up before any of its commands, lets another node
// append more about the same, and the first go on. It may have been too late then,
// and if not, what came after it stays.
func TestSlowAppender(t *testing.T) {
	for commands := 0; ; commands++ {
		server := mongod.Shared(t)
		uri := server.URI()
		fast := open(t, server, uri, Options{Now: testNow})
		thread := mustCreate(t, fast, creationOf(chat.Group, "ann", "bob", "cid"))
		sent := mustAppend(t, fast, thread, messageFrom("ann", "1"), messageFrom("ann", "2"), messageFrom("ann", "3"), messageFrom("ann", "4"))
		head := headOf(t, fast, thread)

		net := &network{}
		slow := open(t, server, uri, Options{Now: testNow, dialer: net})
		stalled, release := net.stallAt(commands)
		done := make(chan error, 1)
		go func() {
			_, err := slow.Append(t.Context(), head, stamped(thread, head, everyChange(sent)...))
			done <- err
		}()
		select {
		case <-stalled:
		case err := <-done:
			if err != nil {
				t.Fatalf("Append: %v", err)
			}
			return
		}
		appendMore(t, fast, thread, sent)
		close(release)
		if err := <-done; err != nil && !errors.Is(err, chat.ErrStaleHead) {
			t.Fatalf("after %v: Append: %v", net.sent(), err)
		}
		storetest.Verify(t, slow, thread)
		if t.Failed() {
			t.Fatalf("held up before the last of %v", net.sent())
		}
	}
}

// appendMore changes again what everyChange changes.
func appendMore(t *testing.T, s chat.Store, thread chat.ThreadID, sent []chat.Event) {
	t.Helper()
	edit := about(sent[0], chat.KindEdit, "ann")
	edit.Message = &chat.Message{Ciphertext: []byte("edited again"), ContentType: chat.Text}
	react := about(sent[1], chat.KindReaction, "ann")
	react.Reaction = &chat.ReactionChange{Emoji: "+1"}
	moves := []chat.Event{edit, react}
	now, err := s.Thread(t.Context(), thread)
	if err != nil {
		t.Fatalf("Thread: %v", err)
	}
	for _, user := range []chat.UserID{"cid", "eve"} {
		move := chat.ThreadChange{Event: chat.ParticipantAdded, User: user, Role: chat.Member}
		if _, in := now.Participant(user); in {
			move.Event = chat.ParticipantRemoved
		}
		moves = append(moves, changed(move))
	}
	unpin := changed(chat.ThreadChange{Event: chat.Unpinned})
	unpin.Target = chat.Target{ID: sent[1].ID, Seq: sent[1].Seq}
	mustAppend(t, s, thread, append(moves, unpin, changed(chat.ThreadChange{Event: chat.TitleChanged, Title: "again"}))...)
}

// Who settles late, when much has happened since, changes nothing.
func TestSettlingLateChangesNothing(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{Now: testNow})
	thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob", "cid"))
	old, err := s.Thread(t.Context(), thread)
	if err != nil {
		t.Fatal(err)
	}
	editOf := func(m chat.Event, text string) chat.Event {
		e := about(m, chat.KindEdit, "ann")
		e.Message = &chat.Message{Ciphertext: []byte(text), ContentType: chat.Text}
		return e
	}
	move := func(what chat.ChangeEvent, user chat.UserID) chat.Event {
		return changed(chat.ThreadChange{Event: what, User: user, Role: chat.Member})
	}
	title := func(text string) chat.Event {
		return changed(chat.ThreadChange{Event: chat.TitleChanged, Title: text})
	}
	sent := mustAppend(t, s, thread, messageFrom("ann", "hello"))[0]
	mustAppend(t, s, thread, editOf(sent, "first"), move(chat.ParticipantRemoved, "bob"), move(chat.ParticipantAdded, "eve"), title("one"))
	middle := headOf(t, s, thread).Seq
	mustAppend(t, s, thread, editOf(sent, "second"), move(chat.ParticipantAdded, "bob"), move(chat.ParticipantRemoved, "eve"), title("two"))
	mustAppend(t, s, thread, move(chat.ParticipantAdded, "eve"))
	want := storetest.Verify(t, s, thread)

	if _, err := s.rollForward(t.Context(), thread, old, old.Head.Seq, middle); err != nil {
		t.Fatalf("settle again: %v", err)
	}
	if got := storetest.Verify(t, s, thread); len(got) != len(want) {
		t.Errorf("the log has %d events, had %d", len(got), len(want))
	}
	if m, err := s.Message(t.Context(), sent.ID); err != nil || string(m.Message.Ciphertext) != "second" {
		t.Errorf("the message is %q, %v", m.Message.Ciphertext, err)
	}
	if got, err := s.Thread(t.Context(), thread); err != nil || got.Title != "two" {
		t.Errorf("the title is %q, %v", got.Title, err)
	}
}

// A content that was edited, or deleted, is nowhere in the log any more.
func TestContentIsErased(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{Now: testNow})
	thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
	sent := mustAppend(t, s, thread, messageFrom("ann", "a secret"))[0]
	edit := about(sent, chat.KindEdit, "ann")
	edit.Message = &chat.Message{Ciphertext: []byte("another secret"), ContentType: chat.Text}
	mustAppend(t, s, thread, edit)
	erase := about(sent, chat.KindDelete, "ann")
	erase.Reason = chat.DeletedBySender
	mustAppend(t, s, thread, erase)
	docs, err := findAll[eventDoc](t.Context(), s.log, d("thread", thread))
	if err != nil || len(docs) != 4 {
		t.Fatalf("the log: %d events, %v", len(docs), err)
	}
	for _, doc := range docs {
		if len(doc.Message.Body) > 0 {
			t.Errorf("event %d has still %q", doc.Seq, doc.Message.Body)
		}
	}
}
