package chat_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// tombstoneForAll checks that every way to a message shows each user a tombstone.
func (w *world) tombstoneForAll(m chat.Event, users ...chat.UserID) {
	w.tb.Helper()
	ctx := w.tb.Context()
	for _, u := range users {
		tombstone(w.tb, "Message", w.message(u, m), chat.DeletedByExpiry)
		all := chat.PageRequest{Size: 100}
		history, err := w.History(ctx, as(u), m.Thread, all)
		must(w.tb, err)
		since, err := w.HistorySince(ctx, as(u), m.Thread, chat.MessageID{}, all)
		must(w.tb, err)
		for what, list := range map[string][]chat.Event{"History": history.Messages, "HistorySince": since.Messages, "Events": w.events(u, m.Thread)} {
			shown := 0
			for _, e := range list {
				if e.Message != nil && (e.ID == m.ID || e.Target.ID == m.ID) {
					tombstone(w.tb, what, e, chat.DeletedByExpiry)
					shown++
				}
			}
			same(w.tb, what+" still has it", shown > 0, true)
		}
	}
}

func TestExpiredIsMaskedAtItsMillisecondForEveryReader(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	req := w.request(id, "short")
	req.ContentType, req.AttachmentID, req.AttachmentSHA256, req.TTL = chat.ImageRef, "a", sha, time.Minute
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	m := res.Event
	w.edit("alice", m, "shorter") // the edit's event shows the content, too
	w.react("bob", m, "👍")
	w.heard.drain()

	w.clock.advance(time.Minute - time.Millisecond)
	for _, u := range []chat.UserID{"alice", "bob"} {
		now := w.message(u, m).Message
		same(t, "a millisecond before", string(now.Ciphertext)+now.AttachmentID, "shortera")
		sameList(t, "history", w.history(u, id), "shorter")
		sameList(t, "events", texts(onlyContent(w.events(u, id))), "shorter", "shorter")
	}
	same(t, "unread", w.view("bob", id).Unread, 1)
	same(t, "retry", string(w.resend("alice", req, chat.Replayed).Message.Ciphertext), "shorter")
	w.expireDue() // nothing is due yet
	same(t, "events", len(w.soundLog(id)), 4)

	w.clock.advance(time.Millisecond)
	w.heard.drain()
	w.tombstoneForAll(m, "alice", "bob")
	tombstone(t, "retry", w.resend("alice", req, chat.Gone), chat.DeletedByExpiry)
	w.heard.nothing(t) // what is gone is fanned out no more
	same(t, "unread", w.view("bob", id).Unread, 0)
	same(t, "it stays the last message", w.view("bob", id).LastMessage, m.ID)
	_, err = w.Edit(t.Context(), as("alice"), m.ID, chat.EditRequest{Ciphertext: []byte("x")})
	refused(t, err, chat.CodeMessageDeleted)
	_, err = w.React(t.Context(), as("bob"), m.ID, "👎")
	refused(t, err, chat.CodeMessageDeleted)
	w.unreact("bob", m, "👍") // gone with the message
	w.erase("alice", m)      // it is deleted as it is
	w.heard.nothing(t)
	same(t, "all this took no seq", len(w.soundLog(id)), 4)

	w.expireDue()
	w.tombstoneForAll(m, "alice", "bob")
	for _, e := range w.soundLog(id) {
		if e.Message != nil {
			tombstone(t, "stored "+brief(e), e, chat.DeletedByExpiry)
		}
	}
}

func onlyContent(events []chat.Event) []chat.Event {
	return slices.DeleteFunc(events, func(e chat.Event) bool { return !e.HasContent() })
}

func TestExpiryIsOneDeletionByTheServer(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.sendFor("alice", id, "short", time.Minute)
	kept := w.sendFor("alice", id, "longer", time.Minute+time.Millisecond)
	w.acknowledge("bob", m, kept)
	w.heard.drain()
	w.clock.advance(time.Minute)
	w.expireDue()
	e, audience := w.heard.event(t) // bob had it: nobody failed
	same(t, "told", brief(e), "4 del of 2")
	same(t, "reason", e.Reason, chat.DeletedByExpiry)
	same(t, "by nobody", e.By, chat.UserID(""))
	same(t, "on no device", e.Device, chat.DeviceID(""))
	sameList(t, "audience", audience, "alice", "bob")
	w.expireDue()
	w.heard.nothing(t)
	same(t, "the other is there", string(w.message("bob", kept).Message.Ciphertext), "longer")
	w.clock.advance(time.Millisecond)
	w.expireDue()
	same(t, "until its time", len(w.soundLog(id)), 5)
}

func TestTwoNodesExpireOnce(t *testing.T) {
	w := newWorld(t)
	nodes := []*chat.Service{w.Service, w.anotherNode(t, w.clock.Now)}
	var threads []chat.ThreadID
	for range 3 {
		threads = append(threads, w.newGroup("alice", "bob"))
	}
	for i := range 60 {
		w.sendFor("alice", threads[i%3], "short", time.Minute)
	}
	w.clock.advance(time.Minute)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := nodes[i%2].ExpireDue(t.Context()); err != nil {
				t.Errorf("node %d: %v", i%2, err)
			}
		})
	}
	wg.Wait()
	for _, id := range threads {
		deleted := make(map[chat.Seq]int)
		for _, e := range w.soundLog(id) {
			if e.Kind == chat.KindDelete {
				deleted[e.Target.Seq]++
			}
		}
		same(t, "deleted", len(deleted), 20)
		for seq, n := range deleted {
			same(t, fmt.Sprintf("deletions of %d", seq), n, 1)
		}
	}
}

func TestExpiredFailsForWhomItDidNotReach(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol", "dave", "erin", "frank")
	m := w.sendFor("alice", id, "short", time.Minute)
	first := w.clock.advance(time.Second)
	w.acknowledge("bob", m)
	w.read("carol", m)
	last := w.clock.advance(59*time.Second - time.Millisecond)
	w.acknowledge("dave", m) // in its last millisecond
	w.remove("alice", id, "frank")
	w.clock.advance(time.Millisecond)
	w.acknowledge("erin", m) // at its time: too late

	failed := chat.RecipientReceipt{State: chat.StateFailed, Reason: chat.FailedExpired}
	want := map[chat.UserID]chat.RecipientReceipt{
		"bob":   {State: chat.StateDelivered, DeliveredAt: first},
		"carol": {State: chat.StateRead, DeliveredAt: first, ReadAt: first},
		"dave":  {State: chat.StateDelivered, DeliveredAt: last},
		"erin":  failed,
		"frank": failed,
	}
	check := func(when string) {
		t.Helper()
		got := w.receipts(m)
		same(t, when+": recipients", len(got), len(want))
		for u, r := range want {
			r.User = u
			same(t, when, got[u], r)
		}
	}
	check("before the sweep")
	w.heard.drain()
	w.expireDue()
	notices := w.heard.drain()
	sameList(t, "told", told(notices), "4 del of 2")
	same(t, "notices", len(notices), 2)
	f := notices[1].Failure
	same(t, "failed: message", f.Message, m.ID)
	same(t, "failed: thread", f.Thread, id)
	same(t, "failed: reason", f.Reason, chat.FailedExpired)
	slices.Sort(f.Users)
	sameList(t, "failed for", f.Users, "erin", "frank")
	sameList(t, "told to the sender alone", notices[1].Audience, "alice")
	check("after it")

	w.clock.advance(time.Minute)
	later := w.send("alice", id, "later")
	for _, u := range []chat.UserID{"bob", "erin"} {
		w.acknowledge(u, m, later)
		w.read(u, later)
	}
	want["bob"] = chat.RecipientReceipt{State: chat.StateRead, DeliveredAt: first, ReadAt: w.clock.Now()}
	check("late acks revive nothing")
	same(t, "the later one", w.receipts(later)["erin"].State, chat.StateRead)
	w.heard.drain()
	w.expireDue()
	w.heard.nothing(t)
}

func TestDeletionBeforeExpiryIsNoFailure(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	m := w.sendFor("alice", id, "short", time.Minute)
	w.erase("alice", m)
	w.heard.drain()
	w.clock.advance(time.Hour)
	w.expireDue()
	w.heard.nothing(t)
	same(t, "state", w.state(m, "bob"), chat.RecipientReceipt{User: "bob", State: chat.StateSent})
	same(t, "reason", w.message("bob", m).Message.Deleted, chat.DeletedBySender)
	w.acknowledge("bob", m)
	same(t, "the ack of its tombstone counts", w.state(m, "bob").State, chat.StateDelivered)
}

func TestExpiryOfMany(t *testing.T) {
	w := newWorld(t)
	var threads []chat.ThreadID
	for range 5 {
		threads = append(threads, w.newGroup("alice", "bob"))
	}
	for i := range 300 {
		m := w.sendFor("alice", threads[i%5], "short", time.Minute)
		if i%5 == 0 {
			w.acknowledge("bob", m)
		}
		if i%3 == 0 {
			w.send("alice", threads[i%5], "for ever")
		}
	}
	w.clock.advance(time.Minute)
	w.heard.drain()
	w.expireDue()
	deletions, failures := 0, 0
	for _, n := range w.heard.drain() {
		switch {
		case n.Event != nil:
			same(t, "kind", n.Event.Kind, chat.KindDelete)
			deletions++
		default:
			sameList(t, "failed for", n.Failure.Users, "bob")
			failures++
		}
	}
	same(t, "deletions", deletions, 300)
	same(t, "failures", failures, 240)
	for _, id := range threads {
		w.soundLog(id)
		same(t, "unread", w.view("bob", id).Unread, 20)
		gone := 0
		for _, text := range w.history("bob", id) {
			if text == "" {
				gone++
			}
		}
		same(t, "gone", gone, 60)
	}
}

func TestRetryOfWhatFailedByExpiry(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	req := w.request(id, "short")
	req.TTL = time.Minute
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	taken := w.request(id, "another")
	taken.ClientSeq = req.ClientSeq
	reached := w.request(id, "reached")
	reached.TTL = time.Minute
	other, err := w.Send(t.Context(), as("alice"), reached)
	must(t, err)
	must(t, w.Acknowledge(t.Context(), "bob", "phone", ackOf(other.Event)))
	w.clock.advance(time.Hour)
	same(t, "bob's ack covers both", w.state(res.Event, "bob").State, chat.StateDelivered)

	missed := w.request(id, "missed")
	missed.TTL = time.Minute
	failed, err := w.Send(t.Context(), as("alice"), missed)
	must(t, err)
	w.clock.advance(time.Minute)
	for _, swept := range []bool{false, true} {
		if swept {
			w.expireDue()
		}
		w.heard.drain()
		e := w.resend("alice", missed, chat.Gone)
		same(t, "id", e.ID, failed.Event.ID)
		tombstone(t, "by its key", e, chat.DeletedByExpiry)
		again := w.request(id, "whatever")
		again.ClientSeq = missed.ClientSeq
		tombstone(t, "by its client_seq", w.resend("alice", again, chat.Gone), chat.DeletedByExpiry)
		w.heard.nothing(t)
		// A message that was delivered before it expired has not FAILED: its retry is an ordinary one.
		tombstone(t, "the delivered one", w.resend("alice", reached, chat.Replayed), chat.DeletedByExpiry)
		tombstone(t, "by its client_seq", w.resend("alice", taken, chat.ClientSeqTaken), chat.DeletedByExpiry)
	}
	w.clock.advance(25 * time.Hour)
	tombstone(t, "when the key is forgotten", w.resend("alice", missed, chat.Gone), chat.DeletedByExpiry)
	w.acknowledge("bob", failed.Event)
	tombstone(t, "after a late ack", w.resend("alice", missed, chat.Gone), chat.DeletedByExpiry)
	w.soundLog(id)
}

func TestExpiryToNobodyFailsForNobody(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	req := w.request(id, "a note")
	req.TTL = time.Second
	_, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	w.clock.advance(time.Second)
	w.heard.drain()
	w.expireDue()
	e, _ := w.heard.event(t)
	same(t, "told", brief(e), "3 del of 2")
	w.resend("alice", req, chat.Replayed)
}

func TestExpirySurvivesAStoreThatFails(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	m := w.sendFor("alice", id, "short", time.Second)
	w.clock.advance(time.Second)
	w.heard.drain()
	heal := w.store.failAppends(func(context.Context, []chat.Event, appendCall) (int, error) { return 0, errDisk })
	unavailable(t, w.ExpireDue(t.Context()), errDisk)
	w.heard.nothing(t)
	w.tombstoneForAll(m, "alice", "bob") // in spite of it
	heal()
	w.expireDue()
	same(t, "notices", len(w.heard.drain()), 2)
	same(t, "events", len(w.soundLog(id)), 3)
}

// The test runs on the fake clock of its synctest bubble.
func TestRunExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, setup{realClock: true})
		id := w.newPair("alice", "bob")
		w.sendFor("alice", id, "due at the start", time.Second)
		time.Sleep(time.Hour) // nobody sweeps: the server is down
		w.sendFor("alice", id, "due later", 30*time.Second)
		w.heard.drain()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			w.RunExpiry(ctx)
			close(ended)
		}()
		synctest.Wait()
		sameList(t, "at once", told(w.heard.drain()), "4 del of 2")
		heal := w.store.failAppends(func(context.Context, []chat.Event, appendCall) (int, error) { return 0, errDisk })
		time.Sleep(31 * time.Second)
		w.heard.nothing(t)
		heal()
		time.Sleep(time.Second)
		synctest.Wait()
		sameList(t, "within a second of the store's return", told(w.heard.drain()), "5 del of 3")
		stop()
		<-ended
		w.sendFor("alice", id, "nobody sweeps any more", time.Second)
		w.heard.drain()
		time.Sleep(time.Minute)
		w.heard.nothing(t)
	})
}

// The ttl counts from created_at, which is by the wall clock: the time in an id is not, as
// it goes on from the newest one of the thread.
func TestExpiryIsCountedByTheWallClock(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.send("alice", id, "before the clock was set back")
	back := w.clock.advance(-3 * time.Second)
	m := w.sendFor("alice", id, "short", time.Minute)
	same(t, "created at", m.At, back)
	same(t, "expires at", m.Message.ExpiresAt, m.At.Add(time.Minute))
	same(t, "as it is stored", w.message("bob", m).Message.ExpiresAt, m.At.Add(time.Minute))
}
