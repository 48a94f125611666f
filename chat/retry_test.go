package chat_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func TestRetryGivesTheSameMessage(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	req := w.request(id, "once")
	req.TTL = time.Hour
	first, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	w.heard.drain()

	w.clock.advance(time.Hour - time.Millisecond)
	tablet := as("alice")
	tablet.Device = "tablet" // keys are per user
	for _, by := range []chat.Caller{as("alice"), tablet} {
		again, err := w.Send(t.Context(), by, req)
		must(t, err)
		same(t, "outcome", again.Outcome, chat.Replayed)
		same(t, "id", again.Event.ID, first.Event.ID)
		same(t, "seq", again.Event.Seq, first.Event.Seq)
		same(t, "expiry", again.Event.Message.ExpiresAt, first.Event.Message.ExpiresAt)
		n := w.heard.one(t) // fanned out again: the first may have been lost in a crash
		same(t, "told again", n.Event.ID, first.Event.ID)
		sameList(t, "audience", n.Audience, "alice", "bob")
	}
	sameList(t, "history", w.history("bob", id), "once")
	same(t, "a replay takes no seq", w.view("bob", id).Head.Seq, 2)
	w.send("bob", id, "next")
	w.soundLog(id)
}

func TestEmptyContentTypeAndTextAreTheSameValue(t *testing.T) {
	w := newWorld(t)
	req := w.request(w.newGroup("alice"), "hi")
	_, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	req.ContentType = chat.Text
	again, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "outcome", again.Outcome, chat.Replayed)
}

func TestKeysBelongToTheirUser(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	req := w.request(id, "hi")
	a, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	b, err := w.Send(t.Context(), as("bob"), req)
	must(t, err)
	same(t, "bob's outcome", b.Outcome, chat.Sent)
	same(t, "two messages", a.Event.ID != b.Event.ID, true)
}

func TestRetriesAtOnceMakeOneMessage(t *testing.T) {
	w := newWorldOf(t, setup{dir: t.TempDir()})
	id := w.newPair("alice", "bob")
	w.heard.drain()
	req := w.request(id, "once")
	const racers = 64
	results := make([]chat.SendResult, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			var err error
			if results[i], err = w.Send(t.Context(), as("alice"), req); err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	made := 0
	for _, r := range results {
		same(t, "id", r.Event.ID, results[0].Event.ID)
		if r.Outcome == chat.Sent {
			made++
		} else {
			same(t, "outcome", r.Outcome, chat.Replayed)
		}
	}
	same(t, "messages made", made, 1)
	sameList(t, "history", w.history("bob", id), "once")
}

func TestOtherKeysWithOneClientSeqAtOnceMakeOneMessage(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	results := make([]chat.SendResult, 32)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			req := w.request(id, "mine")
			req.ClientSeq = 1
			var err error
			if results[i], err = w.Send(t.Context(), as("alice"), req); err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	made := 0
	for _, r := range results {
		same(t, "id", r.Event.ID, results[0].Event.ID)
		if r.Outcome == chat.Sent {
			made++
		} else {
			same(t, "outcome", r.Outcome, chat.ClientSeqTaken)
		}
	}
	same(t, "messages made", made, 1)
}

func TestKeyReusedForAnythingElse(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m1, m2 := w.send("bob", id, "one"), w.send("bob", id, "two")
	original := w.request(id, "the original")
	original.ContentType, original.AttachmentID, original.AttachmentSHA256 = chat.FileRef, "a", sha
	original.ReplyTo, original.TTL = m1.ID, time.Hour
	_, err := w.Send(t.Context(), as("alice"), original)
	must(t, err)
	w.heard.drain()
	for name, change := range map[string]func(*chat.SendRequest){
		"ciphertext":   func(r *chat.SendRequest) { r.Ciphertext = []byte("the Original") },
		"client_seq":   func(r *chat.SendRequest) { r.ClientSeq += 1000 },
		"content_type": func(r *chat.SendRequest) { r.ContentType = chat.ImageRef },
		"attachment":   func(r *chat.SendRequest) { r.AttachmentID = "b" },
		"sha256":       func(r *chat.SendRequest) { r.AttachmentSHA256 = sha[1:] + "0" },
		"no sha256":    func(r *chat.SendRequest) { r.AttachmentSHA256 = "" },
		"reply":        func(r *chat.SendRequest) { r.ReplyTo = m2.ID },
		"no reply":     func(r *chat.SendRequest) { r.ReplyTo = chat.MessageID{} },
		"ttl":          func(r *chat.SendRequest) { r.TTL += time.Second },
		"no ttl":       func(r *chat.SendRequest) { r.TTL = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			req := original
			change(&req)
			_, err := w.Send(t.Context(), as("alice"), req)
			refused(t, err, chat.CodeIdempotencyKeyReused)
			w.heard.nothing(t)
		})
	}
	same(t, "messages", len(w.history("bob", id)), 3)
}

// A key is its sender's within one thread (docs/contract.md#sending).
func TestSameKeyInAnotherThreadIsAnotherMessage(t *testing.T) {
	w := newWorld(t)
	here, there := w.newGroup("alice"), w.newGroup("alice")
	req := w.request(here, "hi")
	first, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	req.Thread = there
	for _, want := range []chat.SendOutcome{chat.Sent, chat.Replayed} {
		other, err := w.Send(t.Context(), as("alice"), req)
		must(t, err)
		same(t, "outcome", other.Outcome, want)
		same(t, "a message of its own", other.Event.ID != first.Event.ID, true)
	}
	same(t, "messages", len(w.history("alice", there)), 1)
}

func TestKeyIsForgottenAfterTheWindow(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	req := w.request(id, "one")
	first, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)

	w.clock.advance(24 * time.Hour)
	again, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "at the window's end", again.Outcome, chat.Replayed)

	w.clock.advance(time.Millisecond)
	again, err = w.Send(t.Context(), as("alice"), req)
	must(t, err) // client_seq still protects from a double
	same(t, "the same after it", again.Outcome, chat.ClientSeqTaken)
	same(t, "with the same values", again.Differs, false)
	same(t, "id", again.Event.ID, first.Event.ID)

	req.ClientSeq, req.Ciphertext = 1000, []byte("two")
	fresh, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "the key for another message", fresh.Outcome, chat.Sent)
	replay, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "which has a window of its own", replay.Outcome, chat.Replayed)
	same(t, "id", replay.Event.ID, fresh.Event.ID)
}

func TestClientSeqTakenGivesTheExistingMessage(t *testing.T) {
	w := newWorld(t)
	id, other := w.newGroup("alice", "bob"), w.newGroup("alice")
	first, err := w.Send(t.Context(), as("alice"), w.request(id, "first"))
	must(t, err)
	taken := first.Event.Message.ClientSeq
	w.heard.drain()

	send := func(by chat.Caller, thread chat.ThreadID, text string) chat.SendResult {
		t.Helper()
		req := w.request(thread, text)
		req.ClientSeq = taken
		res, err := w.Send(t.Context(), by, req)
		must(t, err)
		return res
	}
	res := send(as("alice"), id, "another text")
	same(t, "outcome", res.Outcome, chat.ClientSeqTaken)
	same(t, "differs", res.Differs, true)
	same(t, "what was first sent does not", send(as("alice"), id, "first").Differs, false)
	w.heard.drain()
	same(t, "id", send(as("alice"), id, "another text").Event.ID, first.Event.ID)
	same(t, "text", string(res.Event.Message.Ciphertext), "first")
	same(t, "told again", w.heard.one(t).Event.ID, first.Event.ID)

	tablet := as("alice")
	tablet.Device = "tablet"
	same(t, "another device", send(tablet, id, "from the tablet").Outcome, chat.Sent)
	same(t, "another user", send(as("bob"), id, "from bob").Outcome, chat.Sent)
	same(t, "another thread", send(as("alice"), other, "elsewhere").Outcome, chat.Sent)
	sameList(t, "history", w.history("bob", id), "from bob", "from the tablet", "first")
}

// What it sent is its own, so a retry is answered as one also to who has left.
func TestRetryOfOneWhoHasLeftIsAnswered(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	req := w.request(id, "before leaving")
	first, err := w.Send(t.Context(), as("bob"), req)
	must(t, err)
	w.remove("bob", id, "bob")
	w.heard.drain()
	same(t, "id", w.resend("bob", req, chat.Replayed).ID, first.Event.ID)
	sameList(t, "told", w.heard.one(t).Audience, "alice")
	_, err = w.Send(t.Context(), as("bob"), w.request(id, "after leaving"))
	refused(t, err, chat.CodeNotAParticipant)
	w.heard.nothing(t)
}

func TestDuplicateInTheMiddleOfABatch(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	reqs := []chat.SendRequest{w.request(id, "a"), w.request(id, "b"), w.request(id, "c")}
	for range 20 { // whatever way they fall into batches
		var wg sync.WaitGroup
		for _, req := range slices.Concat(reqs, reqs) {
			wg.Go(func() {
				if _, err := w.Send(t.Context(), as("alice"), req); err != nil {
					t.Errorf("%s: %v", req.Ciphertext, err)
				}
			})
		}
		wg.Wait()
		got := w.history("bob", id)
		slices.Sort(got)
		want := make([]string, 0, len(reqs))
		for _, r := range reqs {
			want = append(want, string(r.Ciphertext))
		}
		slices.Sort(want)
		sameList(t, "history", got, want...)
		reqs = append(reqs, w.request(id, string(rune('a'+len(reqs)))))
	}
	w.soundLog(id)
}
