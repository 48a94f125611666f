package e2e

import (
	"net/http"
	"testing"
	"time"
)

// A message that is read is delivered too. Each message keeps the times of its own receipts.
// A read mark that does not rise is not told.
func TestReceiptsKeepTheirTimes(t *testing.T) {
	s := startServer(t)
	ann, bob, cid := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "cid", "c")
	group := ann.createGroup(t, "bob", "cid")
	sent := sendMany(t, ann, group.ID, 4)
	line := jsonProtocol.live(t, ann, options{})

	bob.markRead(t, group.ID, sent[1].ID) // with no device that ever acknowledged
	if f := line.expect(t, "read"); !f.by("bob") || f.UpTo != sent[1].ID {
		t.Errorf("Ann is told %s", f.raw)
	}
	first := ann.receiptOf(t, sent[0].ID, "bob")
	if first.State != "READ" || first.ReadAt == nil || text(first.DeliveredAt) != text(first.ReadAt) {
		t.Errorf("read without delivery is %+v", first)
	}
	awaitTime(t, instant(t, *first.ReadAt).Add(2*time.Millisecond))
	bob.markRead(t, group.ID, sent[1].ID)
	bob.markRead(t, group.ID, sent[0].ID)
	phone := mqtt5TCP.live(t, bob, options{})
	eventually(t, "delivery of the rest", func() bool { return ann.stateOf(t, sent[3].ID, "bob") == "DELIVERED" })
	for last := ""; last != sent[3].ID; { // the receipts may come in two frames
		f := line.expect(t, "delivered")
		if last = f.ID; !f.by("bob") || (last != sent[2].ID && last != sent[3].ID) {
			t.Fatalf("after two reads that moved nothing Ann is told %s", f.raw)
		}
	}
	bob.markRead(t, group.ID, sent[2].ID)
	phone.close()

	for i, want := range []string{"READ", "READ", "READ", "DELIVERED"} {
		r := ann.receiptOf(t, sent[i].ID, "bob")
		if r.State != want || r.Reason != nil || (r.ReadAt != nil) != (want == "READ") || r.DeliveredAt == nil {
			t.Errorf("message %d is %+v, want %s", i, r, want)
		}
		if i < 2 && asJSON(t, r) != asJSON(t, first) {
			t.Errorf("message %d is %+v, it was %+v", i, r, first)
		}
		if i == 2 && (text(r.DeliveredAt) > text(r.ReadAt) || text(r.DeliveredAt) <= text(first.ReadAt)) {
			t.Errorf("message 2 was delivered, then read: %+v", r)
		}
	}
	r := cid.receiptsOf(t, sent[2].ID) // any participant may ask
	if len(r.States) != 2 || r.Summary.Read != 1 || r.Summary.Sent != 1 || r.Summary.Delivered+r.Summary.Failed != 0 {
		t.Errorf("the receipts are %+v", r)
	}
}

// The recipients of a message are those who were participants when it was sent.
func TestRecipientsAreThoseOfTheMoment(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob", "cid")
	before := ann.send(t, group.ID, "to Bob and Cid")
	ann.remove(t, group.ID, "cid")
	ann.add(t, group.ID, "dora")
	after := bob.send(t, group.ID, "to Ann and Dora")
	for id, want := range map[string][]string{before.ID: {"bob", "cid"}, after.ID: {"ann", "dora"}} {
		r := ann.receiptsOf(t, id)
		if len(r.States) != 2 || r.Summary.Sent != 2 {
			t.Errorf("the receipts are %+v, want those of %v", r, want)
		}
		for _, user := range want {
			ann.receiptOf(t, id, user)
		}
	}
	// Dora came later and does not see the older message; Cid has left and sees nothing.
	s.device(t, "dora", "d").refused(t, 404, "message_not_found", http.MethodGet, "/v1/messages/"+before.ID+"/receipts", nil)
	s.device(t, "cid", "c").refused(t, 403, "not_a_participant", http.MethodGet, "/v1/messages/"+before.ID+"/receipts", nil)
}

// A user who joins again sees the thread from the last joining on.
func TestHistoryFromTheLastJoining(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	seen := ann.send(t, group.ID, "seen")
	if got := bob.message(t, seen.ID); got.ID != seen.ID {
		t.Errorf("Bob sees %+v", got)
	}
	ann.pin(t, http.StatusCreated, group.ID, seen.ID)
	ann.remove(t, group.ID, "bob")
	hidden := ann.send(t, group.ID, "not for Bob")
	for _, path := range []string{"", "/messages", "/events?since_seq=0", "/pins"} {
		bob.refused(t, 403, "not_a_participant", http.MethodGet, "/v1/threads/"+group.ID+path, nil)
	}
	bob.refused(t, 403, "not_a_participant", http.MethodGet, "/v1/messages/"+seen.ID, nil)
	ann.add(t, group.ID, "bob")
	for _, m := range []message{seen, hidden} {
		invisible(t, bob, group.ID, m.ID)
	}
	if th := bob.thread(t, group.ID); th.LastMsgID != nil || th.UnreadCount != 0 || len(bob.pins(t, group.ID)) != 0 {
		t.Errorf("back again Bob sees %+v and pins %v", th, bob.pins(t, group.ID))
	}
	again := ann.send(t, group.ID, "again for Bob")
	if got := bob.history(t, group.ID); len(got) != 1 || got[0].ID != again.ID {
		t.Errorf("Bob's history is %v, want %s", ids(got), again.ID)
	}
}

// Messages that a device sent by REST while it was not connected are in its replay.
func TestOwnSendsAreReplayed(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann := s.device(t, "ann-"+p.name, "a")
			th := ann.createOneToOne(t, "bob")
			p.live(t, ann, options{}).close()
			sent := sendMany(t, ann, th.ID, 3)
			checkCatchUp(t, p.open(t, ann, options{}), sent)
		})
	}
}

// A key is known for the idempotency window, and for as long a blocked message may be
// redelivered.
func TestIdempotencyWindow(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--idempotency-window", "2s")
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	th := ann.createOneToOne(t, "bob")
	bob.block(t, "ann")
	out := outgoing{Key: "k", ClientSeq: 1000, Ciphertext: []byte("blocked")}
	hidden := ann.sendOut(t, th.ID, out)
	bob.unblock(t, "ann")
	awaitTime(t, instant(t, hidden.CreatedAt).Add(2100*time.Millisecond))
	if m, _ := ann.resend(t, http.StatusConflict, th.ID, out); m.ID != hidden.ID {
		t.Errorf("the retry that comes too late gives %+v", m)
	}
	invisible(t, bob, th.ID, hidden.ID)
	if got := ann.receiptOf(t, hidden.ID, "bob"); got.State != "FAILED" {
		t.Errorf("after it the message is %+v", got)
	}
	out.ClientSeq = 1001
	m, header := ann.resend(t, http.StatusAccepted, th.ID, out)
	if m.ID == hidden.ID || header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the forgotten key gives %+v", m)
	}
}
