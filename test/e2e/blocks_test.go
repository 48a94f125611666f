package e2e

import (
	"net/http"
	"testing"
)

// pair is a 1:1 of Ann and Bob. Ann writes on her phone; her laptop and Bob's
// watch are connected by one protocol.
type pair struct {
	phone, laptop, watch       *device
	onPhone, onLaptop, onWatch *client
	thread                     string
	protocol                   protocol
}

func newPair(t testing.TB, s *server, p protocol) *pair {
	t.Helper()
	ann, bob := "ann-"+p.name, "bob-"+p.name
	c := &pair{phone: s.device(t, ann, "phone"), laptop: s.device(t, ann, "laptop"), watch: s.device(t, bob, "watch"), protocol: p}
	c.thread = c.phone.createOneToOne(t, bob).ID
	c.onPhone, c.onLaptop = p.live(t, c.phone, options{}), p.live(t, c.laptop, options{})
	c.onWatch = p.live(t, c.watch, options{manual: true})
	c.onWatch.ackAll()
	return c
}

// failedFor checks that both of Ann's devices are told of the failure.
func (c *pair) failedFor(t testing.TB, m message) {
	t.Helper()
	for name, line := range map[string]*client{"phone": c.onPhone, "laptop": c.onLaptop} {
		f := line.untilType(t, "failed")
		if f.ID != m.ID || f.ThreadID != c.thread || !f.by(c.watch.user) || f.Reason != "blocked" {
			t.Errorf("the %s is told %s", name, f.raw)
		}
	}
	r := c.phone.receiptsOf(t, m.ID)
	if r.Summary.Failed != 1 || r.Summary.Sent+r.Summary.Delivered+r.Summary.Read != 0 {
		t.Errorf("the summary is %+v", r.Summary)
	}
	if got := c.phone.receiptOf(t, m.ID, c.watch.user); got.State != "FAILED" || text(got.Reason) != "blocked" || got.DeliveredAt != nil || got.ReadAt != nil {
		t.Errorf("the blocked message is %+v", got)
	}
}

func TestBlockedMessagesNeverShow(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newPair(t, s, p)
			before := c.phone.send(t, c.thread, "before the block")
			c.onWatch.untilMessage(t, before.ID).ack()
			c.watch.block(t, c.phone.user)

			hidden := c.phone.send(t, c.thread, "never to be seen")
			c.onLaptop.untilMessage(t, hidden.ID) // Ann's own devices have it
			c.failedFor(t, hidden)

			// Changes of the hidden message are hidden too.
			c.phone.edit(t, hidden.ID, "changed, and still not to be seen")
			c.phone.react(t, hidden.ID, "👍")
			c.phone.pin(t, http.StatusCreated, c.thread, hidden.ID)
			deleted := c.phone.send(t, c.thread, "sent and deleted")
			c.failedFor(t, deleted)
			c.phone.del(t, deleted.ID)

			invisible(t, c.watch, c.thread, hidden.ID)
			invisible(t, c.watch, c.thread, deleted.ID)
			if th := c.watch.thread(t, c.thread); text(th.LastMsgID) != before.ID || th.UnreadCount != 1 || th.LastActivityAt != before.CreatedAt {
				t.Errorf("the blocker's thread is %+v", th)
			}
			if pins := c.watch.pins(t, c.thread); len(pins) != 0 {
				t.Errorf("the blocker sees the pins %v", pins)
			}
			checkNotThere(t, c.watch, c.thread, hidden.ID)

			// The blocker may write, and its other device gets that message as the next frame.
			tablet := s.device(t, c.watch.user, "tablet")
			marker := tablet.send(t, c.thread, "from Bob")
			if f := c.onWatch.nextDurable(t); f.ID != marker.ID {
				t.Errorf("the blocker got %s", f.raw)
			}
			c.onPhone.untilMessage(t, marker.ID)
			c.onWatch.drop()
			for _, o := range []options{{}, {lastSeen: longAgo}} {
				again := p.live(t, c.watch, o)
				for _, f := range again.all() {
					if f.ID == hidden.ID || f.ID == deleted.ID || f.MessageID == hidden.ID {
						t.Errorf("the blocker's replay has %s", f.raw)
					}
				}
				again.checkOrder(t)
				again.close()
			}
			// Reading later messages changes no hidden one; the message before the block was
			// delivered.
			c.watch.markRead(t, c.thread, marker.ID)
			for id, want := range map[string]string{before.ID: "READ", hidden.ID: "FAILED", deleted.ID: "FAILED"} {
				if got := c.phone.stateOf(t, id, c.watch.user); got != want {
					t.Errorf("in the end %s is %s, want %s", id, got, want)
				}
			}
		})
	}
}

// checkNotThere checks that nothing can be done to a message that is hidden from the user.
func checkNotThere(t *testing.T, d *device, thread, id string) {
	t.Helper()
	d.refused(t, 404, "message_not_found", http.MethodPatch, "/v1/messages/"+id, map[string]any{"ciphertext": []byte("x")})
	d.refused(t, 404, "message_not_found", http.MethodDelete, "/v1/messages/"+id, nil)
	d.refused(t, 404, "message_not_found", http.MethodPost, "/v1/messages/"+id+"/reactions", map[string]any{"emoji": "x"})
	d.refused(t, 404, "message_not_found", http.MethodPost, "/v1/messages/"+id+"/reports", map[string]any{"reason": "spam"})
	d.refused(t, 404, "message_not_found", http.MethodPost, "/v1/threads/"+thread+"/pins", map[string]any{"message_id": id})
	d.refused(t, 404, "message_not_found", http.MethodPost, "/v1/threads/"+thread+"/read", map[string]any{"up_to_msg_id": id})
}

// A message FAILED by a block is tried again within 24 h: redelivered under its
// old id with a seq of its own.
func TestRedelivery(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newPair(t, s, p)
			c.watch.block(t, c.phone.user)
			out := outgoing{Key: "k", ClientSeq: 1000, Ciphertext: []byte("blocked at first")}
			hidden := c.phone.sendOut(t, c.thread, out)
			c.failedFor(t, hidden)

			// While the block lasts a retry changes nothing, and fails again.
			if m, _ := c.phone.resend(t, http.StatusAccepted, c.thread, out); m.ID != hidden.ID || m.Seq != hidden.Seq {
				t.Errorf("the retry under the block gives %+v", m)
			}
			c.failedFor(t, hidden)
			c.watch.unblock(t, c.phone.user)
			invisible(t, c.watch, c.thread, hidden.ID) // the end of the block alone shows nothing
			after := c.phone.send(t, c.thread, "after the block")
			c.onWatch.untilMessage(t, after.ID).ack()
			eventually(t, "delivery", func() bool { return c.phone.stateOf(t, after.ID, c.watch.user) == "DELIVERED" })
			if got := c.phone.stateOf(t, hidden.ID, c.watch.user); got != "FAILED" {
				t.Errorf("a later acknowledgement made the hidden message %s", got)
			}

			m, _ := c.phone.resend(t, http.StatusAccepted, c.thread, out)
			if m.ID != hidden.ID || m.Seq != hidden.Seq || string(m.Ciphertext) != "blocked at first" {
				t.Errorf("the retry gives %+v, it was %+v", m, hidden)
			}
			c.redelivered(t, hidden, after.Seq+1)
		})
	}
}

// redelivered checks a redelivery with that seq on its way to READ.
func (c *pair) redelivered(t *testing.T, hidden message, seq uint64) {
	t.Helper()
	f := c.onWatch.nextDurable(t)
	if f.T != "msg" || f.ID != hidden.ID || f.Seq != seq || !f.Redelivery || string(f.Ciphertext) != string(hidden.Ciphertext) ||
		f.SenderID != c.phone.user || f.CreatedAt != hidden.CreatedAt {
		t.Fatalf("the redelivery came as %s, want %+v with seq %d", f.raw, hidden, seq)
	}
	onLaptop := c.onLaptop.until(t, "redelivery", func(f frame) bool { return f.Redelivery })
	if onLaptop.body() != f.body() {
		t.Errorf("the laptop got %s, the watch %s", onLaptop.raw, f.raw)
	}
	if got := c.phone.receiptOf(t, hidden.ID, c.watch.user); got.State != "SENT" || got.Reason != nil {
		t.Errorf("before the redelivery is acknowledged the message is %+v", got)
	}
	if got := everywhere(t, c.thread, hidden.ID, c.watch, c.phone); got.Seq != hidden.Seq {
		t.Errorf("the redelivered message is %+v, it keeps its seq %d", got, hidden.Seq)
	}
	// The device disconnects before it acknowledges, and gets the redelivery again.
	c.onWatch.drop()
	c.onWatch = c.protocol.open(t, c.watch, options{manual: true})
	f = c.onWatch.until(t, "redelivery", func(f frame) bool { return f.Redelivery })
	if f.ID != hidden.ID || f.Seq != seq {
		t.Errorf("replayed is %s", f.raw)
	}
	c.onWatch.ackAll()
	d := c.onPhone.until(t, "delivered", func(f frame) bool { return f.T == "delivered" && f.by(c.watch.user) })
	eventually(t, "delivery", func() bool { return c.phone.stateOf(t, hidden.ID, c.watch.user) == "DELIVERED" })
	c.watch.markRead(t, c.thread, hidden.ID)
	if got := c.phone.receiptOf(t, hidden.ID, c.watch.user); got.State != "READ" || got.DeliveredAt == nil || got.ReadAt == nil {
		t.Errorf("after reading (%s) the message is %+v", d.raw, got)
	}
	// Once it is delivered, another retry is answered like the retry of any message.
	events := len(c.phone.events(t, c.thread, 0, 100))
	m, header := c.phone.resend(t, http.StatusAccepted, c.thread, outgoing{Key: "k", ClientSeq: 1000, Ciphertext: hidden.Ciphertext})
	if m.ID != hidden.ID || header.Get("Idempotency-Replayed") != "true" || len(c.phone.events(t, c.thread, 0, 100)) != events {
		t.Errorf("one more retry gives %+v (replayed %q)", m, header.Get("Idempotency-Replayed"))
	}
}

// A retry with the same client_seq but another key redelivers a failed message too. If
// the message was edited meanwhile, its present content is delivered.
func TestRedeliveryByClientSeq(t *testing.T) {
	s := startServer(t)
	c := newPair(t, s, mqtt5TCP)
	c.watch.block(t, c.phone.user)
	hidden := c.phone.sendOut(t, c.thread, outgoing{Key: "one", ClientSeq: 1, Ciphertext: []byte("first version")})
	c.phone.edit(t, hidden.ID, "second version")
	again := outgoing{Key: "two", ClientSeq: 1, Ciphertext: []byte("first version")}
	if m, _ := c.phone.resend(t, http.StatusAccepted, c.thread, again); m.ID != hidden.ID {
		t.Errorf("the retry under the block gives %+v", m)
	}
	c.watch.unblock(t, c.phone.user)
	if m, _ := c.phone.resend(t, http.StatusAccepted, c.thread, again); m.ID != hidden.ID || string(m.Ciphertext) != "second version" {
		t.Errorf("the retry gives %+v", m)
	}
	f := c.onWatch.nextDurable(t)
	if f.ID != hidden.ID || !f.Redelivery || string(f.Ciphertext) != "second version" {
		t.Errorf("the redelivery came as %s", f.raw)
	}
	f.ack()
	eventually(t, "delivery", func() bool { return c.phone.stateOf(t, hidden.ID, c.watch.user) == "DELIVERED" })
	// The message is now delivered like any other: its client_seq is in use.
	if m, _ := c.phone.resend(t, http.StatusConflict, c.thread, again); m.ID != hidden.ID {
		t.Errorf("one more retry gives %+v", m)
	}
}

// Blocks hold in 1:1 threads only: in a group everybody gets everybody's messages.
func TestBlocksDoNotConcernGroups(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	bob.block(t, "ann")
	line := jsonProtocol.live(t, bob, options{})
	sent := ann.send(t, group.ID, "to the group")
	line.untilMessage(t, sent.ID)
	eventually(t, "delivery", func() bool { return ann.stateOf(t, sent.ID, "bob") == "DELIVERED" })
}

func TestBlockList(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	list := func() (users []string) {
		var page struct {
			Blocks []struct {
				UserID    string `json:"user_id"`
				BlockedAt string `json:"blocked_at"`
			} `json:"blocks"`
		}
		ann.must(t, http.StatusOK, http.MethodGet, "/v1/users/me/blocks", nil).into(t, &page)
		for _, b := range page.Blocks {
			instant(t, b.BlockedAt)
			users = append(users, b.UserID)
		}
		return users
	}
	if got := list(); len(got) != 0 {
		t.Errorf("at first there is %v", got)
	}
	for _, user := range []string{"bob", "a-stranger", "bob"} {
		ann.block(t, user)
	}
	if got := list(); asJSON(t, got) != `["bob","a-stranger"]` && asJSON(t, got) != `["a-stranger","bob"]` {
		t.Errorf("the list is %v", got)
	}
	ann.unblock(t, "bob")
	ann.unblock(t, "bob")
	if got := list(); asJSON(t, got) != `["a-stranger"]` {
		t.Errorf("the list is %v", got)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		ann.refused(t, 400, "invalid_request", method, "/v1/users/me/blocks/ann", nil)
	}
}
