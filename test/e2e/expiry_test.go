package e2e

import (
	"net/http"
	"testing"
	"time"
)

func TestDisappearingMessages(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCast(t, s, p)
			const away = "somebody-who-never-connects"
			c.phone.add(t, c.thread, away)
			c.told(t, "thread")
			out := outgoing{Key: "k", ClientSeq: 1, Ciphertext: []byte("soon gone"), TTLSeconds: 2}
			sent := c.phone.sendOut(t, c.thread, out)
			f := c.told(t, "msg")
			if sent.ExpiresAt == nil || f.ExpiresAt != *sent.ExpiresAt || string(f.Ciphertext) != "soon gone" {
				t.Fatalf("the message %+v is told as %s", sent, f.raw)
			}
			end := instant(t, *sent.ExpiresAt)
			if ttl := end.Sub(instant(t, sent.CreatedAt)); (ttl - 2*time.Second).Abs() > 100*time.Millisecond {
				t.Errorf("the message of %s expires at %s, after %v", sent.CreatedAt, *sent.ExpiresAt, ttl)
			}
			c.phone.pin(t, http.StatusCreated, c.thread, sent.ID)
			c.told(t, "thread")
			eventually(t, "delivery", func() bool { return c.phone.stateOf(t, sent.ID, c.watch.user) == "DELIVERED" })

			// No device caused the expiry, so every device is told.
			gone := c.everybody(t, "del")
			if early := time.Until(end); early > 0 {
				t.Errorf("the del came %v early", early)
			}
			if gone.ID != sent.ID || gone.Seq != sent.Seq+2 || gone.By != nil || gone.Reason != "expired" {
				t.Errorf("the expiry is told as %s", gone.raw)
			}
			for name, line := range map[string]*client{"phone": c.onPhone, "laptop": c.onLaptop} {
				f := line.untilType(t, "failed")
				if f.ID != sent.ID || f.ThreadID != c.thread || !f.by(away) || f.Reason != "expired" {
					t.Errorf("the %s is told %s", name, f.raw)
				}
			}
			if got := c.everywhere(t, sent.ID); !got.tombstone() || text(got.ExpiresAt) != *sent.ExpiresAt {
				t.Errorf("the expired message is %+v", got)
			}
			checkExpired(t, c, sent, out, away)
			c.nothingElse(t)
			if c.onWatch.has(func(f frame) bool { return f.T == "failed" }) {
				t.Error("the recipient was told of the failure")
			}
			again := p.live(t, c.watch, options{lastSeen: longAgo})
			checkPresent(t, again, c.watch)
		})
	}
}

// checkExpired checks what an expired message leaves behind: its states, no pin and nothing
// unread. A retry of its send does not bring it back.
func checkExpired(t *testing.T, c *cast, sent message, out outgoing, away string) {
	t.Helper()
	r := c.phone.receiptsOf(t, sent.ID)
	if r.Summary.Delivered != 1 || r.Summary.Failed != 1 || r.Summary.Sent != 0 || r.Summary.Read != 0 {
		t.Errorf("the summary is %+v", r.Summary)
	}
	if got := c.phone.receiptOf(t, sent.ID, c.watch.user); got.State != "DELIVERED" || got.Reason != nil {
		t.Errorf("for whom it reached the message is %+v", got)
	}
	if got := c.phone.receiptOf(t, sent.ID, away); got.State != "FAILED" || text(got.Reason) != "expired" || got.DeliveredAt != nil {
		t.Errorf("for whom it did not reach the message is %+v", got)
	}
	if pins := c.watch.pins(t, c.thread); len(pins) != 0 {
		t.Errorf("still pinned: %v", pins)
	}
	if n := c.watch.thread(t, c.thread).UnreadCount; n != 0 {
		t.Errorf("%d messages are unread", n)
	}
	path := "/v1/messages/" + sent.ID
	c.phone.refused(t, 409, "message_deleted", http.MethodPatch, path, map[string]any{"ciphertext": []byte("back")})
	c.phone.refused(t, 409, "message_deleted", http.MethodPost, path+"/reactions", map[string]any{"emoji": "x"})
	c.phone.refused(t, 409, "message_deleted", http.MethodPost, "/v1/threads/"+c.thread+"/pins", map[string]any{"message_id": sent.ID})
	for _, key := range []string{out.Key, "another"} {
		out.Key = key
		if m, _ := c.phone.resend(t, http.StatusConflict, c.thread, out); m.ID != sent.ID || !m.tombstone() {
			t.Errorf("the retry with the key %q gives %+v", key, m)
		}
	}
	if got := c.phone.receiptOf(t, sent.ID, away); got.State != "FAILED" {
		t.Errorf("after the retries the message is %+v", got)
	}
}

// A message that all recipients got before it expired has not failed. The retry of its
// send is answered with its tombstone.
func TestRetryOfWhatExpiredAfterDelivery(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	th := ann.createOneToOne(t, bob.user)
	line, own := jsonProtocol.live(t, bob, options{}), mqtt5TCP.live(t, ann, options{})
	out := outgoing{Key: "k", ClientSeq: 1, Ciphertext: []byte("in time"), TTLSeconds: 1}
	sent := ann.sendOut(t, th.ID, out)
	line.untilMessage(t, sent.ID)
	line.untilType(t, "del")
	own.untilType(t, "del")
	m, header := ann.resend(t, http.StatusAccepted, th.ID, out)
	if m.ID != sent.ID || !m.tombstone() || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the retry gives %+v (replayed %q)", m, header.Get("Idempotency-Replayed"))
	}
	own.untilMessage(t, bob.send(t, th.ID, "marker").ID)
	if own.has(func(f frame) bool { return f.T == "failed" }) {
		t.Errorf("the sender was told of a failure: %v", own.all())
	}
	if got := ann.receiptOf(t, sent.ID, bob.user); got.State != "DELIVERED" {
		t.Errorf("the expired message is %+v", got)
	}
}

// A message that expired before its recipient connected stays FAILED, even when the
// recipient acknowledges its tombstone.
func TestExpiredWhileTheRecipientWasAway(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			th := ann.createOneToOne(t, bob.user)
			sent := ann.sendOut(t, th.ID, outgoing{Ciphertext: []byte("too late"), TTLSeconds: 1})
			eventually(t, "the message has failed", func() bool { return ann.stateOf(t, sent.ID, bob.user) == "FAILED" })
			after := ann.send(t, th.ID, "after")

			line := p.open(t, bob, options{})
			if f := line.untilMessage(t, sent.ID); len(f.Ciphertext) != 0 {
				t.Errorf("the expired message is replayed as %s", f.raw)
			}
			if f := line.untilType(t, "del"); f.ID != sent.ID || f.Reason != "expired" || f.By != nil {
				t.Errorf("its del is %s", f.raw)
			}
			eventually(t, "the one after it is delivered", func() bool { return ann.stateOf(t, after.ID, bob.user) == "DELIVERED" })
			bob.markRead(t, th.ID, after.ID)
			if got := ann.receiptOf(t, sent.ID, bob.user); got.State != "FAILED" || text(got.Reason) != "expired" {
				t.Errorf("after its tombstone was read the message is %+v", got)
			}
		})
	}
}

// From expires_at on no reader gets the content, even if the server has not erased it yet.
func TestExpiredIsATombstoneAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	th := ann.createOneToOne(t, bob.user)
	sent := ann.sendOut(t, th.ID, outgoing{Ciphertext: []byte("for a moment"), TTLSeconds: 2})
	before, after := watchExpiry(t, bob, th.ID, sent)
	if before == 0 || after == 0 {
		t.Errorf("read %d times before and %d times after the end", before, after)
	}
}

// watchExpiry reads a message by every way until its del is in the log. It checks that no
// request after its expiry shows the content, and that every answer before it does. It
// counts the reads before and after.
func watchExpiry(t testing.TB, d *device, thread string, sent message) (before, after int) {
	t.Helper()
	end := instant(t, *sent.ExpiresAt)
	judge := func(how string, asked time.Time, content []byte) {
		answered := time.Now()
		switch {
		case !asked.Before(end) && len(content) != 0:
			t.Fatalf("%s shows the content %v after its end", how, asked.Sub(end))
		case answered.Before(end) && len(content) == 0:
			t.Fatalf("%s hides the content %v before its end", how, end.Sub(answered))
		case answered.Before(end):
			before++
		case !asked.Before(end):
			after++
		}
	}
	for gone := false; !gone; {
		asked := time.Now()
		judge("GET message", asked, d.message(t, sent.ID).Ciphertext)
		asked = time.Now()
		judge("history", asked, find(t, d.history(t, thread), sent.ID).Ciphertext)
		asked = time.Now()
		judge("since", asked, find(t, d.since(t, thread, longAgo), sent.ID).Ciphertext)
		asked = time.Now()
		for _, f := range d.events(t, thread, 0, 100) {
			switch {
			case f.T == "msg" && f.ID == sent.ID:
				judge("events", asked, f.Ciphertext)
			case f.T == "del" && f.ID == sent.ID:
				gone = true
			}
		}
		if late := time.Since(end); !gone && late > patience {
			t.Fatalf("no del %v after the end", late)
		}
	}
	return before, after
}

func find(t testing.TB, all []message, id string) message {
	t.Helper()
	for _, m := range all {
		if m.ID == id {
			return m
		}
	}
	t.Fatalf("%s is not among %v", id, ids(all))
	return message{}
}

// A message that expires while the server is down is never served again, and its del
// follows within seconds of the start.
func TestExpiredWhileTheServerWasDown(t *testing.T) {
	t.Parallel()
	for what, halt := range map[string]func(*server, testing.TB){"stopped": (*server).stop, "killed": (*server).kill} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			ann, bob, cid := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "cid", "c")
			group := ann.createGroup(t, "bob", "cid")
			line := mqtt5TCP.live(t, bob, options{})
			sent := ann.sendOut(t, group.ID, outgoing{Ciphertext: []byte("not to be seen"), TTLSeconds: 5})
			line.untilMessage(t, sent.ID)
			eventually(t, "delivery", func() bool { return ann.stateOf(t, sent.ID, bob.user) == "DELIVERED" })
			halt(s, t)
			line.drop()
			awaitTime(t, instant(t, *sent.ExpiresAt))
			s.start(t)

			started := time.Now()
			lines := map[*device]*client{bob: mqtt311WS.open(t, bob, options{}), cid: jsonProtocol.open(t, cid, options{})}
			if before, _ := watchExpiry(t, bob, group.ID, sent); before != 0 {
				t.Errorf("it was served %d times", before)
			}
			for d, line := range lines {
				f := line.until(t, "del", func(f frame) bool { return f.T == "del" && f.ID == sent.ID })
				if f.Reason != "expired" || f.By != nil {
					t.Errorf("%s is told %s", d.user, f.raw)
				}
				if line.has(func(f frame) bool { return f.ID == sent.ID && len(f.Ciphertext) > 0 }) {
					t.Errorf("%s got the expired content", d.user)
				}
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("the del came %v after the start, want seconds", took)
			}
			if got := ann.receiptOf(t, sent.ID, "bob"); got.State != "DELIVERED" {
				t.Errorf("for whom it reached the message is %+v", got)
			}
			if got := ann.receiptOf(t, sent.ID, "cid"); got.State != "FAILED" || text(got.Reason) != "expired" {
				t.Errorf("for whom it did not reach the message is %+v", got)
			}
		})
	}
}

// A message that its sender deletes before its expiry does not expire.
func TestDeletedBeforeItExpires(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	th := ann.createOneToOne(t, bob.user)
	line := jsonProtocol.live(t, bob, options{})
	sent := ann.sendOut(t, th.ID, outgoing{Ciphertext: []byte("x"), TTLSeconds: 3})
	line.untilMessage(t, sent.ID)
	ann.del(t, sent.ID)
	later := ann.sendOut(t, th.ID, outgoing{Ciphertext: []byte("y"), TTLSeconds: 3})
	for i, want := range []string{"sender", "expired"} {
		f := line.untilType(t, "del")
		if f.Reason != want || f.ID != []string{sent.ID, later.ID}[i] {
			t.Errorf("del %d is %s", i, f.raw)
		}
	}
	eventually(t, "the end of the second", func() bool { return ann.message(t, later.ID).Deleted })
	if events := ann.events(t, th.ID, 0, 100); len(events) != 5 {
		t.Errorf("the log has %d events, want creation, 2 msg and 2 del: %v", len(events), events)
	}
}
