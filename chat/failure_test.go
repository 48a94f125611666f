package chat_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// appendCall is the real append, as a fault is given it.
type appendCall = func(context.Context, []chat.Event) (int, error)

// retryMakesOne sends req again and checks that the thread has it just once.
func (w *world) retryMakesOne(req chat.SendRequest, want chat.SendOutcome) {
	w.tb.Helper()
	res, err := w.Send(w.tb.Context(), as("alice"), req)
	must(w.tb, err)
	same(w.tb, "outcome of the retry", res.Outcome, want)
	sameList(w.tb, "history", w.history("alice", req.Thread), string(req.Ciphertext))
	told := w.heard.drain() // twice, if the first try was stored after all: hints may be
	same(w.tb, "told", len(told) > 0, true)
	for _, n := range told {
		same(w.tb, "told", n.Event.ID, res.Event.ID)
	}
	w.soundLog(req.Thread)
}

// unavailable checks for an answer that says to come back.
func unavailable(tb TB, err, cause error) {
	tb.Helper()
	refused(tb, err, chat.CodeUnavailable)
	if e, _ := errors.AsType[*chat.Error](err); e.RetryAfter <= 0 {
		tb.Fatal("the answer does not say when to retry")
	}
	if !errors.Is(err, cause) {
		tb.Fatalf("%v does not wrap its cause %v", err, cause)
	}
}

func TestAppendFails(t *testing.T) {
	for name, c := range map[string]struct {
		fault chat.SendOutcome // of the retry, once the store is well again
		fail  func(ctx context.Context, events []chat.Event, commit appendCall) (int, error)
	}{
		"before it is stored": {chat.Sent, func(context.Context, []chat.Event, appendCall) (int, error) { return 0, errDisk }},
		"after it is stored": {chat.Replayed, func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
			if _, err := commit(ctx, events); err != nil {
				return 0, err
			}
			return 0, errDisk
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.newGroup("alice", "bob")
			w.heard.drain()
			req := w.request(id, "once")
			heal := w.store.failAppends(c.fail)
			_, err := w.Send(t.Context(), as("alice"), req)
			unavailable(t, err, errDisk)
			w.heard.nothing(t)
			heal()
			w.retryMakesOne(req, c.fault)
		})
	}
}

func TestMembershipChangeFails(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.heard.drain()
	heal := w.store.failAppends(func(context.Context, []chat.Event, appendCall) (int, error) { return 0, errDisk })
	_, _, err := w.AddParticipant(t.Context(), as("alice"), id, "carol")
	unavailable(t, err, errDisk)
	unavailable(t, w.RemoveParticipant(t.Context(), as("alice"), id, "bob"), errDisk)
	w.heard.nothing(t)
	heal()
	sameList(t, "participants", w.view("alice", id).Users(), "alice", "bob")
	w.add("alice", id, "carol")
}

// A message of unknown outcome is published by its retry. A change has no retry: without
// the queue's doubt it would never be published.
func TestChangeStoredAfterAllIsToldWithTheNext(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.heard.drain()
	heal := w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		_, err := commit(ctx, events)
		return 0, errors.Join(err, errDisk)
	})
	_, _, err := w.AddParticipant(t.Context(), as("alice"), id, "carol")
	unavailable(t, err, errDisk)
	w.heard.nothing(t)
	heal()
	_, added, err := w.AddParticipant(t.Context(), as("alice"), id, "carol") // the retry finds her in
	must(t, err)
	same(t, "added by the retry", added, false)
	n := w.heard.one(t)
	same(t, "told", n.Event.Change.Event, chat.ParticipantAdded)
	sameList(t, "audience", n.Audience, "alice", "bob", "carol")
}

func TestSuccessionCutInHalfKeepsAnAdmin(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.heard.drain()
	heal := w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		n, err := commit(ctx, events[:1])
		return n, errors.Join(err, errDisk)
	})
	unavailable(t, w.RemoveParticipant(t.Context(), as("alice"), id, "alice"), errDisk)
	heal()
	same(t, "what is stored is told", w.heard.one(t).Event.Change.Event, chat.RoleChanged)
	sameList(t, "participants", w.view("alice", id).Users(), "alice", "bob")

	w.remove("alice", id, "alice") // the retry
	same(t, "the rest", w.heard.one(t).Event.Change.Event, chat.ParticipantRemoved)
	bob := w.view("bob", id).Participants
	log := w.soundLog(id)
	sameList(t, "left", bob, chat.Participant{User: "bob", Role: chat.Admin, JoinedSeq: 1, JoinedID: log[0].ID, JoinedAt: w.clock.Now(), Pending: true})
	same(t, "events", len(log), 3)
}

func TestCreationFails(t *testing.T) {
	w := newWorld(t)
	fault := createFault(func(commit func() error) error { return errors.Join(commit(), errDisk) })
	w.store.onCreate.Store(&fault)
	req := chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{"bob"}}
	_, _, err := w.CreateThread(t.Context(), as("alice"), req)
	unavailable(t, err, errDisk)
	w.heard.nothing(t)
	w.store.onCreate.Store(nil)
	_, created, err := w.CreateThread(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "it was stored after all", created, chat.AlreadyExists)
}

func TestSenderGivesUpWaiting(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.heard.drain()
	entered, release := make(chan struct{}), make(chan struct{})
	heal := w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		close(entered)
		<-release
		return commit(ctx, events)
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, answer := w.request(id, "once"), make(chan error)
	go func() {
		_, err := w.Send(ctx, as("alice"), req)
		answer <- err
	}()
	<-entered
	cancel()
	unavailable(t, <-answer, context.Canceled)
	w.heard.nothing(t)
	heal()
	close(release) // the commit goes on without the sender, and the retry meets it
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "outcome", res.Outcome, chat.Replayed)
	sameList(t, "history", w.history("bob", id), "once")
	w.soundLog(id)
}

func TestOneStuckThreadHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	stuck, free := w.newGroup("alice"), w.newGroup("alice")
	entered, release := make(chan struct{}), make(chan struct{})
	heal := w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
		if events[0].Thread == stuck {
			close(entered)
			<-release
		}
		return commit(ctx, events)
	})
	defer heal()
	done := make(chan error)
	go func() {
		_, err := w.Send(t.Context(), as("alice"), w.request(stuck, "waits"))
		done <- err
	}()
	<-entered
	w.send("alice", free, "does not")
	close(release)
	must(t, <-done)
}

func TestCloseWaitsForTheCommitAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice")
		release := make(chan struct{})
		defer w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
			<-release
			return commit(ctx, events)
		})()
		answer := w.queue(id, 1)[0]

		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Close(soon)
		same(t, "what ended the first try", soon.Err(), context.DeadlineExceeded)
		closed := make(chan struct{})
		go func() {
			w.Close(t.Context())
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("closed with a commit under way")
		default:
		}
		close(release)
		<-closed
		must(t, <-answer)
	})
}

// On the fake clock of the synctest bubble the commit timeout passes at once.
func TestStoreThatHangsAnswersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice", "bob")
		w.heard.drain()
		heal := w.store.failAppends(func(ctx context.Context, _ []chat.Event, _ appendCall) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		req, asked := w.request(id, "once"), time.Now()
		_, err := w.Send(t.Context(), as("alice"), req)
		unavailable(t, err, context.DeadlineExceeded)
		same(t, "answered after", time.Since(asked), w.Limits().CommitTimeout)
		w.heard.nothing(t)
		heal()
		w.retryMakesOne(req, chat.Sent)
	})
}

func TestRaceThatIsAlwaysLostEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice")
		w.heard.drain()
		heal := w.store.failAppends(func(context.Context, []chat.Event, appendCall) (int, error) {
			time.Sleep(time.Second) // of the fake clock: what a slow race costs
			return 0, chat.ErrStaleHead
		})
		req := w.request(id, "once")
		_, err := w.Send(t.Context(), as("alice"), req)
		unavailable(t, err, chat.ErrStaleHead)
		w.heard.nothing(t)
		heal()
		w.retryMakesOne(req, chat.Sent)
	})
}

// queue starts n sends, one after the other, and gives their answers.
func (w *world) queue(thread chat.ThreadID, n int) []chan error {
	answers := make([]chan error, n)
	for i := range answers {
		answers[i] = make(chan error, 1)
		go func() {
			_, err := w.Send(context.Background(), as("alice"), w.request(thread, strconv.Itoa(i)))
			answers[i] <- err
		}()
		synctest.Wait()
	}
	return answers
}

// The first append of a thread waits until ten more messages have queued behind
// it, so that these come as one batch.
func TestBatchThatIsCommittedInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice", "bob")
		w.heard.drain()
		release := make(chan struct{})
		calls := 0
		heal := w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
			switch calls++; calls {
			case 1:
				<-release
				return commit(ctx, events)
			case 2:
				if len(events) != 10 {
					t.Errorf("the batch has %d events, want 10", len(events))
				}
				n, err := commit(ctx, events[:4])
				return n, errors.Join(err, errDisk)
			}
			return commit(ctx, events)
		})
		defer heal()
		answers := w.queue(id, 11)
		close(release)
		for i, answer := range answers {
			err := <-answer
			if i < 5 { // the first, and four of the batch
				must(t, err)
			} else {
				unavailable(t, err, errDisk)
			}
		}
		same(t, "told", len(w.heard.drain()), 5)
		sameList(t, "history", w.history("bob", id), "4", "3", "2", "1", "0")
		w.send("alice", id, "5")
		same(t, "events", len(w.soundLog(id)), 7)
	})
}

func TestBatchThatMeetsAnotherNodeHalfway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice", "bob")
		other := w.anotherNode(t, w.clock.Now)
		release := make(chan struct{})
		calls := 0
		var heal func()
		heal = w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
			switch calls++; calls {
			case 1:
				<-release
			case 2:
				n, err := commit(ctx, events[:3])
				must(t, err)
				heal() // the other node's append goes straight through
				_, err = other.Send(ctx, as("bob"), w.request(id, "from the other node"))
				must(t, err)
				return n, chat.ErrStaleHead
			}
			return commit(ctx, events)
		})
		answers := w.queue(id, 9)
		close(release)
		for _, answer := range answers {
			must(t, <-answer)
		}
		sameList(t, "history", w.history("bob", id), "8", "7", "6", "5", "4", "from the other node", "3", "2", "1", "0")
		w.soundLog(id)
	})
}
