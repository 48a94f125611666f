package mongo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

// testTime is a time of day in which days are not near their ends.
var testTime = time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)

func testNow() time.Time { return testTime }

func newEventID() chat.EventID {
	id := chat.EventIDAt(testTime)
	_, _ = rand.Read(id[6:]) // never fails
	return id
}

func newThreadID() (id chat.ThreadID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// creationOf is the first event of a new thread.
func creationOf(kind chat.ThreadType, users ...chat.UserID) chat.Event {
	change := &chat.ThreadChange{Event: chat.ThreadCreated, Type: kind, IdempotencyKey: rand.Text()}
	for _, u := range users {
		change.Members = append(change.Members, chat.InitialMember{User: u, Role: chat.Member})
	}
	return chat.Event{Thread: newThreadID(), Seq: 1, ID: newEventID(), Kind: chat.KindThread, By: users[0], Device: "phone", Change: change}
}

func messageFrom(by chat.UserID, text string) chat.Event {
	var n [8]byte
	_, _ = rand.Read(n[:6]) // never fails
	seq := int64(0)
	for _, b := range n {
		seq = seq<<7 | int64(b)
	}
	return chat.Event{Kind: chat.KindMessage, By: by, Device: "phone", Message: &chat.Message{
		Ciphertext: []byte(text), ContentType: chat.Text, ClientSeq: seq, IdempotencyKey: rand.Text(), BodyHash: [32]byte{7},
	}}
}

func about(target chat.Event, kind chat.EventKind, by chat.UserID) chat.Event {
	e := chat.Event{Kind: kind, By: by, Device: "phone", Target: chat.Target{ID: target.ID, Seq: target.Seq}}
	if kind == chat.KindRedelivery {
		e.Message = target.Message
	}
	return e
}

func changed(c chat.ThreadChange) chat.Event {
	return chat.Event{Kind: chat.KindThread, By: "ann", Device: "phone", Change: &c}
}

// stamped gives events their places after a head.
func stamped(thread chat.ThreadID, head chat.Head, events ...chat.Event) []chat.Event {
	id := head.ID
	for i := range events {
		for n := len(id) - 1; ; n-- { // one more
			if id[n]++; id[n] != 0 {
				break
			}
		}
		events[i].Thread, events[i].Seq, events[i].ID, events[i].At = thread, head.Seq+1+chat.Seq(i), id, chat.IDTime(id)
	}
	return events
}

func mustCreate(t *testing.T, s chat.Store, e chat.Event) chat.ThreadID {
	t.Helper()
	if err := s.CreateThread(t.Context(), e); err != nil {
		t.Fatalf("CreateThread: %v", err)
	}
	return e.Thread
}

func headOf(t *testing.T, s chat.Store, thread chat.ThreadID) chat.Head {
	t.Helper()
	got, err := s.Thread(t.Context(), thread)
	if err != nil {
		t.Fatalf("Thread: %v", err)
	}
	return got.Head
}

func mustAppend(t *testing.T, s chat.Store, thread chat.ThreadID, events ...chat.Event) []chat.Event {
	t.Helper()
	head := headOf(t, s, thread)
	events = stamped(thread, head, events...)
	if n, err := s.Append(t.Context(), head, events); n != len(events) || err != nil {
		t.Fatalf("Append = %d, %v", n, err)
	}
	return events
}

// everyChange are events that change all there is to change, about messages.
func everyChange(m []chat.Event) []chat.Event {
	edit := about(m[0], chat.KindEdit, "ann")
	edit.Message = &chat.Message{Ciphertext: []byte("edited"), ContentType: chat.Text}
	react := about(m[1], chat.KindReaction, "bob")
	react.Reaction = &chat.ReactionChange{Emoji: "+1"}
	erase := about(m[2], chat.KindDelete, "ann")
	erase.Reason = chat.DeletedBySender
	pin := changed(chat.ThreadChange{Event: chat.Pinned})
	pin.Target = chat.Target{ID: m[1].ID, Seq: m[1].Seq}
	return []chat.Event{
		edit, react, erase, about(m[3], chat.KindRedelivery, "ann"), pin,
		changed(chat.ThreadChange{Event: chat.ParticipantAdded, User: "eve", Role: chat.Member}),
		changed(chat.ThreadChange{Event: chat.ParticipantRemoved, User: "cid"}),
		changed(chat.ThreadChange{Event: chat.TitleChanged, Title: "the club"}),
		messageFrom("bob", "after all that"),
	}
}

// cutAt runs do again and again, with the network cut after ever more commands
// and, if not answered, the answer to the last one lost, until do needs no more.
// After each cut check sees the database through another store.
func cutAt(t *testing.T, answered bool, prepare func(*testing.T, chat.Store) (do func(context.Context, chat.Store) error, check func(*testing.T, chat.Store))) {
	server := mongod.Shared(t)
	for commands := 1; commands < 100; commands++ {
		uri := server.URI() // a new database each: every query of the test server looks at all there is
		do, check := prepare(t, open(t, server, uri, Options{Now: testNow}))
		net := &network{}
		s, err := Open(t.Context(), mongod.With(uri, cutOptions...), Options{Now: testNow, dialer: net})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		opening := len(net.sent())
		net.cutAfter(commands, answered)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err = do(ctx, s)
		cancel()
		if closeErr := s.client.Disconnect(ctx); closeErr != nil { // Close would look for the server first
			t.Errorf("Disconnect: %v", closeErr)
		}
		name := fmt.Sprintf("after %d commands: %s", commands, strings.Join(net.sent()[opening:], ", "))
		passed := t.Run(name, func(t *testing.T) { check(t, open(t, server, uri, Options{Now: testNow}).Store) })
		if !passed || err == nil {
			return
		}
	}
	t.Fatal("it never comes to an end")
}

// TestAppendCutAnywhere stops an append that changes all there is between any two
// of its commands. Afterwards either all of it has happened or nothing.
func TestAppendCutAnywhere(t *testing.T) {
	for _, answered := range []bool{true, false} {
		t.Run(fmt.Sprintf("last command answered %v", answered), func(t *testing.T) {
			cutAt(t, answered, func(t *testing.T, s chat.Store) (func(context.Context, chat.Store) error, func(*testing.T, chat.Store)) {
				thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob", "cid"))
				hidden := messageFrom("ann", "4")
				hidden.Message.HiddenFrom = "bob"
				sent := mustAppend(t, s, thread, messageFrom("ann", "1"), messageFrom("ann", "2"), messageFrom("ann", "3"), hidden)
				head := headOf(t, s, thread)
				events := stamped(thread, head, everyChange(sent)...)
				do := func(ctx context.Context, s chat.Store) error {
					_, err := s.Append(ctx, head, events)
					return err
				}
				check := func(t *testing.T, s chat.Store) {
					log := storetest.Verify(t, s, thread)
					if n := len(log); n != int(head.Seq) && n != int(head.Seq)+len(events) {
						t.Errorf("the log has %d events, had %d, and %d were appended", n, head.Seq, len(events))
					}
				}
				return do, check
			})
		})
	}
}

// TestEventsAreSettledBeforeTheyAreSeen is the same for who does not ask for
// the thread first, but for a page of its log.
func TestEventsAreSettledBeforeTheyAreSeen(t *testing.T) {
	cutAt(t, true, func(t *testing.T, s chat.Store) (func(context.Context, chat.Store) error, func(*testing.T, chat.Store)) {
		thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
		sent := mustAppend(t, s, thread, messageFrom("ann", "1"), messageFrom("ann", "2"))
		edit := about(sent[0], chat.KindEdit, "ann")
		edit.Message = &chat.Message{Ciphertext: []byte("edited"), ContentType: chat.Text}
		erase := about(sent[1], chat.KindDelete, "ann")
		erase.Reason = chat.DeletedBySender
		head := headOf(t, s, thread)
		do := func(ctx context.Context, s chat.Store) error {
			_, err := s.Append(ctx, head, stamped(thread, head, edit, erase))
			return err
		}
		check := func(t *testing.T, s chat.Store) {
			log, err := s.Events(t.Context(), thread, 0, 100, chat.Limit{Count: 10, Bytes: 1000})
			if err != nil {
				t.Fatalf("Events: %v", err)
			}
			first, gone := string(log[1].Message.Ciphertext), log[2].Message.Deleted
			switch {
			case len(log) == 3 && first == "1" && gone == "":
			case len(log) == 5 && first == "edited" && gone == chat.DeletedBySender && string(log[3].Message.Ciphertext) == "edited":
			default:
				t.Errorf("of %d events, the first message is %q and the second deleted by %q", len(log), first, gone)
			}
		}
		return do, check
	})
}

// TestCreationCutAnywhere stops the creation of a thread between any two of its
// commands. The creator may repeat it then, and so may, for a 1:1, the other one.
func TestCreationCutAnywhere(t *testing.T) {
	for _, answered := range []bool{true, false} {
		for _, kind := range []chat.ThreadType{chat.Group, chat.OneToOne} {
			t.Run(fmt.Sprintf("%s, last command answered %v", kind, answered), func(t *testing.T) {
				cutAt(t, answered, func(_ *testing.T, _ chat.Store) (func(context.Context, chat.Store) error, func(*testing.T, chat.Store)) {
					e := creationOf(kind, "ann", "bob")
					do := func(ctx context.Context, s chat.Store) error { return s.CreateThread(ctx, e) }
					check := func(t *testing.T, s chat.Store) { checkCreation(t, s, e) }
					return do, check
				})
			})
		}
	}
}

// checkCreation creates a thread that may or may not be there.
func checkCreation(t *testing.T, s chat.Store, e chat.Event) {
	again := creationOf(e.Change.Type, "bob", "ann")
	err := s.CreateThread(t.Context(), again)
	var exists *chat.PairExistsError
	switch {
	case err == nil:
		storetest.Verify(t, s, again.Thread)
	case !errors.As(err, &exists) || exists.Thread != e.Thread:
		t.Fatalf("another creation: %v", err)
	}
	err = s.CreateThread(t.Context(), e)
	thread := e.Thread
	if errors.As(err, &exists) {
		thread = exists.Thread
	} else if err != nil {
		t.Fatalf("the creation repeated: %v", err)
	}
	storetest.Verify(t, s, thread)
	lines, err := s.UserThreads(t.Context(), "bob")
	want := 1
	if e.Change.Type == chat.Group {
		want = 2
	}
	if err != nil || len(lines) != want {
		t.Errorf("bob is in %d threads, %v; want %d", len(lines), err, want)
	}
}

// TestServerCrash lets several writers write while their server is killed and
// started again: what was acknowledged is there, and everything else the store
// says agrees with its logs.
func TestServerCrash(t *testing.T) {
	const threads, crashes, writes = 2, 2, 6
	server := mongod.Start(t)
	uri := mongod.With(server.URI(), "serverSelectionTimeoutMS=500")
	s := open(t, server, uri, Options{Now: testNow})
	ids := make([]chat.ThreadID, threads)
	for i := range ids {
		ids[i] = mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
	}
	var mu sync.Mutex
	var acknowledged []chat.Event
	enough := make(chan struct{}, 1000)
	for range crashes {
		stop := make(chan struct{})
		var writing sync.WaitGroup
		for _, id := range ids {
			writing.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					events, err := crashWrite(t.Context(), s, id)
					if err != nil {
						continue // the server is away
					}
					mu.Lock()
					acknowledged = append(acknowledged, events...)
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		for range writes {
			<-enough
		}
		server.Kill(t)
		close(stop)
		writing.Wait()
		server.Restart(t)
		again := open(t, server, uri, Options{Now: testNow})
		for _, id := range ids {
			log := storetest.Verify(t, again, id)
			for _, e := range acknowledged {
				if e.Thread == id && !slices.ContainsFunc(log, func(l chat.Event) bool { return l.ID == e.ID && l.Seq == e.Seq }) {
					t.Errorf("event %d of %s was acknowledged and is lost", e.Seq, id)
				}
			}
		}
	}
}

// crashWrite appends a message, edits it and has somebody come or go.
func crashWrite(ctx context.Context, s chat.Store, id chat.ThreadID) ([]chat.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	thread, err := s.Thread(ctx, id)
	if err != nil {
		return nil, err
	}
	move := changed(chat.ThreadChange{Event: chat.ParticipantAdded, User: "cid", Role: chat.Member})
	if _, in := thread.Participant("cid"); in {
		move = changed(chat.ThreadChange{Event: chat.ParticipantRemoved, User: "cid"})
	}
	events := stamped(id, thread.Head, messageFrom("ann", "hello"), move)
	if _, err := s.Append(ctx, thread.Head, events); err != nil {
		return nil, err
	}
	head := chat.Thread{Head: thread.Head}.Apply(events[0]).Apply(events[1]).Head
	edit := about(events[0], chat.KindEdit, "ann")
	edit.Message = &chat.Message{Ciphertext: []byte("edited"), ContentType: chat.Text}
	edits := stamped(id, head, edit)
	if n, _ := s.Append(ctx, head, edits); n == len(edits) {
		events = append(events, edits...)
	}
	return events, nil
}
