package chat_test

import (
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// hide sends a message of alice that bob, who blocks her, does not see.
func (w *world) hide(id chat.ThreadID, text string) (chat.SendRequest, chat.Event) {
	w.tb.Helper()
	req := w.request(id, text)
	res, err := w.Send(w.tb.Context(), as("alice"), req)
	must(w.tb, err)
	same(w.tb, "hidden from", res.Event.Message.HiddenFrom, chat.UserID("bob"))
	return req, res.Event
}

func TestRetryWhileStillBlockedChangesNothing(t *testing.T) {
	w, id, _ := blocked(t)
	req, m := w.hide(id, "hidden")
	w.heard.drain()
	other := w.request(id, "another body")
	other.ClientSeq = req.ClientSeq
	for _, retry := range []struct {
		req  chat.SendRequest
		want chat.SendOutcome
	}{{req, chat.Replayed}, {other, chat.Retried}} {
		e := w.resend("alice", retry.req, retry.want)
		same(t, "id", e.ID, m.ID)
		same(t, "text", string(e.Message.Ciphertext), "hidden")
		f, audience := w.heard.failure(t) // and no event
		sameList(t, "to", audience, "alice")
		same(t, "message", f.Message, m.ID)
		same(t, "reason", f.Reason, chat.FailedBlocked)
		sameList(t, "for", f.Users, "bob")
	}
	same(t, "events", len(w.soundLog(id)), 3)
	same(t, "state", w.state(m, "bob").State, chat.StateFailed)
}

func TestRetryAfterUnblockingDelivers(t *testing.T) {
	w, id, seen := blocked(t)
	req, m := w.hide(id, "hidden")
	w.edit("alice", m, "hidden, edited")
	w.react("alice", m, "👍")
	w.clock.advance(time.Minute)
	w.unblock("bob", "alice")
	news := w.send("alice", id, "news")
	w.acknowledge("bob", seen, news)
	w.read("bob", news)
	sameList(t, "unblocking alone shows nothing", w.history("bob", id), "news", "before the block")
	w.clock.advance(time.Minute)
	w.heard.drain()

	again := w.resend("alice", req, chat.Replayed)
	same(t, "it keeps its id", again.ID, m.ID)
	same(t, "and its seq", again.Seq, m.Seq)
	e, audience := w.heard.event(t)
	same(t, "told", brief(e), "7 redelivery of 3")
	same(t, "target", e.Target, chat.Target{ID: m.ID, Seq: m.Seq})
	same(t, "by", e.By, chat.UserID("alice"))
	same(t, "its content as it is now", string(e.Message.Ciphertext), "hidden, edited")
	sameList(t, "audience", audience, "alice", "bob")
	same(t, "bob is told", e.VisibleTo("bob", 0), true)

	sent := chat.RecipientReceipt{User: "bob", State: chat.StateSent}
	same(t, "what bob received before says nothing of it", w.state(m, "bob"), sent)
	sameList(t, "bob's history: it is at its own place", w.history("bob", id), "news", "hidden, edited", "before the block")
	sameList(t, "bob's events", briefs(w.events("bob", id)), "1 created", "2 msg", "3 msg", "6 msg", "7 redelivery of 3")
	same(t, "bob's message", reactions(w.message("bob", m)), "👍 alice")
	same(t, "last message", w.view("bob", id).LastMessage, news.ID)

	newer := w.send("alice", id, "newer") // 8
	w.clock.advance(time.Second)
	w.acknowledge("bob", news)
	same(t, "an ack below it", w.state(m, "bob"), sent)
	at := w.clock.advance(time.Second)
	w.heard.drain()
	must(t, w.Acknowledge(t.Context(), "bob", "phone", chat.Ack{
		Thread: id, From: 7, Seq: 7, Message: m.ID, Senders: []chat.AckedSender{{User: "alice", Message: m.ID, Seq: 7}},
	}))
	r, _ := w.heard.receipt(t)
	sameList(t, "alice is told", r.Senders, chat.SenderMark{User: "alice", Message: m.ID})
	same(t, "delivered", w.state(m, "bob"), chat.RecipientReceipt{User: "bob", State: chat.StateDelivered, DeliveredAt: at})
	same(t, "the mark's message did not go back", w.view("alice", id).Views[1].DeliveredUpTo, news.ID)
	same(t, "the newer one waits", w.state(newer, "bob"), sent)

	later := w.clock.advance(time.Second)
	w.read("bob", m)
	same(t, "read", w.state(m, "bob"), chat.RecipientReceipt{User: "bob", State: chat.StateRead, DeliveredAt: at, ReadAt: later})
	same(t, "read up to does not go back", w.view("alice", id).Views[1].ReadUpTo, news.ID)
	same(t, "the newer one is unread", w.view("bob", id).Unread, 1)

	w.heard.drain()
	w.resend("alice", req, chat.Replayed) // which is a retry like any other now
	e, _ = w.heard.event(t)
	same(t, "told", brief(e), "3 msg")
	same(t, "events", len(w.soundLog(id)), 8)
}

func TestRetryByClientSeqDeliversToo(t *testing.T) {
	w, id, _ := blocked(t)
	req, m := w.hide(id, "hidden")
	w.unblock("bob", "alice")
	other := w.request(id, "another body")
	other.ClientSeq = req.ClientSeq
	w.heard.drain()
	e := w.resend("alice", other, chat.Retried)
	same(t, "id", e.ID, m.ID)
	told, _ := w.heard.event(t)
	same(t, "told", brief(told), "4 redelivery of 3")
	sameList(t, "bob's history", w.history("bob", id), "hidden", "before the block")
	same(t, "it is the last message now", w.view("bob", id).LastMessage, m.ID)
	same(t, "and unread", w.view("bob", id).Unread, 1)
	same(t, "once it is delivered the number is taken", w.resend("alice", other, chat.ClientSeqTaken).ID, m.ID)
	reused := other
	reused.IdempotencyKey = req.IdempotencyKey
	_, err := w.Send(t.Context(), as("alice"), reused)
	refused(t, err, chat.CodeIdempotencyKeyReused)
}

func TestKeyReusedForABlockedMessageDeliversNothing(t *testing.T) {
	w, id, _ := blocked(t)
	req, _ := w.hide(id, "hidden")
	w.unblock("bob", "alice")
	w.heard.drain()
	req.Ciphertext = []byte("another body")
	_, err := w.Send(t.Context(), as("alice"), req)
	refused(t, err, chat.CodeIdempotencyKeyReused)
	w.heard.nothing(t)
}

func TestRetryAfterADayDeliversNothing(t *testing.T) {
	w, id, _ := blocked(t)
	late := w.request(id, "late")
	early, m := w.hide(id, "early")
	lateReq, hidden := w.hide(id, "late")
	late.ClientSeq = lateReq.ClientSeq
	w.unblock("bob", "alice")
	w.clock.advance(24 * time.Hour)
	w.heard.drain()
	w.resend("alice", early, chat.Replayed)
	e, _ := w.heard.event(t)
	same(t, "at the end of the day", brief(e), "5 redelivery of 3")

	w.clock.advance(time.Millisecond)
	for _, req := range []chat.SendRequest{lateReq, late} {
		same(t, "id", w.resend("alice", req, chat.ClientSeqTaken).ID, hidden.ID)
	}
	sameList(t, "bob's history", w.history("bob", id), "early", "before the block")
	same(t, "state", w.state(hidden, "bob"), chat.RecipientReceipt{User: "bob", State: chat.StateFailed, Reason: chat.FailedBlocked})
	same(t, "of the early one", w.state(m, "bob").State, chat.StateSent)
	same(t, "events", len(w.soundLog(id)), 5)
}

func TestRedeliveryOfWhatIsDeletedOrBlockedAgain(t *testing.T) {
	w, id, _ := blocked(t)
	erasedReq, erased := w.hide(id, "erased")
	req, m := w.hide(id, "hidden")
	w.erase("alice", erased)
	w.unblock("bob", "alice")
	w.heard.drain()
	tombstone(t, "the retry", w.resend("alice", erasedReq, chat.Replayed), chat.DeletedBySender)
	w.heard.failure(t) // it did not reach bob, and never will
	sameList(t, "bob's history", w.history("bob", id), "before the block")

	w.resend("alice", req, chat.Replayed)
	w.heard.event(t)
	w.block("bob", "alice") // which changes nothing for what was delivered
	sameList(t, "bob's history", w.history("bob", id), "hidden", "before the block")
	w.edit("alice", m, "not seen")
	events := w.events("bob", id)
	same(t, "bob's newest event", brief(events[len(events)-1]), "6 redelivery of 4")
	sameList(t, "bob's history", w.history("bob", id), "hidden", "before the block")
	w.heard.drain()
	w.resend("alice", req, chat.Replayed)
	e, _ := w.heard.event(t)
	same(t, "told: the message, and no failure", brief(e), "4 msg")
	w.react("bob", m, "👍")
	w.pin("bob", m)
	sameList(t, "pins", w.pins("alice", id), m.ID)
	w.soundLog(id)
}

func TestRedeliveredMessageExpires(t *testing.T) {
	w, id, _ := blocked(t)
	req := w.request(id, "hidden and short")
	req.TTL = time.Hour
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	w.unblock("bob", "alice")
	w.resend("alice", req, chat.Replayed)
	news := w.send("alice", id, "news") // 5
	w.clock.advance(time.Hour)
	w.heard.drain()
	w.expireDue()
	notices := w.heard.drain()
	sameList(t, "told", told(notices), "6 del of 3")
	same(t, "notices", len(notices), 2)
	same(t, "now it failed for another reason", notices[1].Failure.Reason, chat.FailedExpired)
	w.acknowledge("bob", news)
	same(t, "state", w.state(res.Event, "bob"), chat.RecipientReceipt{User: "bob", State: chat.StateFailed, Reason: chat.FailedExpired})
	w.resend("alice", req, chat.Gone)
	sameList(t, "bob's events", briefs(w.events("bob", id)), "1 created", "2 msg", "3 msg", "4 redelivery of 3", "5 msg", "6 del of 3")
}

func TestRetriesAtOnceRedeliverOnce(t *testing.T) {
	w, id, _ := blocked(t)
	req, m := w.hide(id, "hidden")
	other := w.request(id, "another body")
	other.ClientSeq = req.ClientSeq
	w.unblock("bob", "alice")
	nodes := []*chat.Service{w.Service, w.anotherNode(t, w.clock.Now)}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			r := req
			if i%4 > 1 {
				r = other
			}
			res, err := nodes[i%2].Send(t.Context(), as("alice"), r)
			if err != nil {
				t.Errorf("retry %d: %v", i, err)
			}
			if res.Event.ID != m.ID {
				t.Errorf("retry %d gave %s, want %s", i, res.Event.ID, m.ID)
			}
		})
	}
	wg.Wait()
	sameList(t, "the log", briefs(w.soundLog(id)), "1 created", "2 msg", "3 msg", "4 redelivery of 3")
	sameList(t, "bob's history", w.history("bob", id), "hidden", "before the block")
}
