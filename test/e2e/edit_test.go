package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEditsAreTold(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCast(t, s, p)
			sent := c.sent(t, "helo")
			c.watch.markRead(t, c.thread, sent.ID)

			edited := c.phone.edit(t, sent.ID, "hello")
			if edited.EditedAt == nil || *edited.EditedAt < sent.CreatedAt || string(edited.Ciphertext) != "hello" ||
				edited.ID != sent.ID || edited.Seq != sent.Seq || edited.CreatedAt != sent.CreatedAt || edited.Deleted {
				t.Fatalf("the edited message is %+v, it was %+v", edited, sent)
			}
			f := c.told(t, "edit")
			if f.ID != sent.ID || f.Seq != sent.Seq+1 || f.SenderID != c.phone.user || string(f.Ciphertext) != "hello" ||
				f.ContentType != "text" || f.EditedAt != *edited.EditedAt {
				t.Errorf("the edit %+v is told as %s", edited, f.raw)
			}
			if got := c.everywhere(t, sent.ID); asJSON(t, got) != asJSON(t, edited) {
				t.Errorf("everybody sees %+v, the editor was told %+v", got, edited)
			}
			// An edit is an overlay: it changes no state.
			if state := c.phone.stateOf(t, sent.ID, c.watch.user); state != "READ" {
				t.Errorf("after the edit the message is %s", state)
			}
			if n := c.watch.thread(t, c.thread).UnreadCount; n != 0 {
				t.Errorf("after the edit %d messages are unread", n)
			}
			c.nothingElse(t)
		})
	}
}

// Every device of the sender may edit, more than once, and may change the content type too.
func TestEditByAnotherDeviceOfTheSender(t *testing.T) {
	s := startServer(t)
	c := newCast(t, s, jsonProtocol)
	sent := c.sent(t, "one")
	c.laptop.edit(t, sent.ID, "two")
	for name, line := range map[string]*client{"phone": c.onPhone, "watch": c.onWatch} {
		if f := line.nextDurable(t); f.T != "edit" || string(f.Ciphertext) != "two" {
			t.Errorf("the %s is told %s", name, f.raw)
		}
	}
	var third message
	c.phone.must(t, http.StatusOK, http.MethodPatch, "/v1/messages/"+sent.ID,
		map[string]any{"ciphertext": []byte("three"), "content_type": "text"}).into(t, &third)
	if f := c.told(t, "edit"); f.Seq != sent.Seq+2 || string(f.Ciphertext) != "three" || f.ContentType != "text" {
		t.Errorf("the third version is told as %s", f.raw)
	}
	if got := c.everywhere(t, sent.ID); string(got.Ciphertext) != "three" {
		t.Errorf("everybody sees %+v", got)
	}
	c.nothingElse(t)
}

func TestDeletionsAreTold(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCast(t, s, p)
			kept := c.sent(t, "kept")
			sent := c.phone.sendOut(t, c.thread, outgoing{
				Ciphertext: []byte("gone"), ContentType: "image_ref", AttachmentID: "att-1",
				AttachmentSHA256: strings.Repeat("ab", 32), ReplyToMsgID: kept.ID,
			})
			if f := c.told(t, "msg"); f.ID != sent.ID {
				t.Fatalf("the others got %s", f.raw)
			}
			c.phone.react(t, sent.ID, "👍")
			c.told(t, "reaction")
			c.phone.pin(t, http.StatusCreated, c.thread, sent.ID)
			c.told(t, "thread")
			if n := c.watch.thread(t, c.thread).UnreadCount; n != 2 {
				t.Errorf("before the deletion %d messages are unread, want 2", n)
			}

			c.phone.del(t, sent.ID)
			f := c.told(t, "del")
			if f.ID != sent.ID || f.Seq != sent.Seq+3 || !f.by(c.phone.user) || f.Reason != "sender" {
				t.Errorf("the deletion is told as %s", f.raw)
			}
			got := c.everywhere(t, sent.ID)
			if !got.tombstone() || got.Seq != sent.Seq || got.CreatedAt != sent.CreatedAt || got.SenderID != c.phone.user {
				t.Errorf("the deleted message is %+v", got)
			}
			if pins := c.phone.pins(t, c.thread); len(pins) != 0 {
				t.Errorf("still pinned: %v", pins)
			}
			th := c.watch.thread(t, c.thread)
			if th.UnreadCount != 1 || th.LastMsgID == nil || *th.LastMsgID != sent.ID {
				t.Errorf("after the deletion the thread is %+v", th)
			}
			// A deletion changes no state, and repeating it changes nothing.
			if state := c.phone.stateOf(t, sent.ID, c.watch.user); state != "DELIVERED" && state != "SENT" {
				t.Errorf("after the deletion the message is %s", state)
			}
			c.phone.del(t, sent.ID)
			c.laptop.del(t, sent.ID)
			c.nothingElse(t)
			if again := c.tablet.send(t, c.thread, "next"); again.Seq != sent.Seq+5 {
				t.Errorf("the repeated deletions took a seq: the next but one message has %d", again.Seq)
			}
		})
	}
}

// The retry of a send gives the message as it is now, if it was edited or deleted since.
func TestRetryOfWhatWasEditedOrDeleted(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	out := outgoing{Key: "k", ClientSeq: 7, Ciphertext: []byte("one")}
	sent := ann.sendOut(t, group.ID, out)
	ann.edit(t, sent.ID, "two")
	m, header := ann.resend(t, http.StatusAccepted, group.ID, out)
	if m.ID != sent.ID || string(m.Ciphertext) != "two" || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the retry of an edited message gives %+v", m)
	}
	ann.del(t, sent.ID)
	if m, _ := ann.resend(t, http.StatusAccepted, group.ID, out); m.ID != sent.ID || !m.tombstone() {
		t.Errorf("the retry of a deleted message gives %+v", m)
	}
	out.Key = "other"
	if m, _ := ann.resend(t, http.StatusConflict, group.ID, out); m.ID != sent.ID || !m.tombstone() {
		t.Errorf("the retry by client_seq gives %+v", m)
	}
	if events := ann.events(t, group.ID, 0, 100); len(events) != 4 {
		t.Errorf("the log has %d events, want creation, msg, edit and del: %v", len(events), events)
	}
}

func TestEditWindow(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--edit-window", "3s")
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	deleted, sent := ann.send(t, group.ID, "to be deleted"), ann.send(t, group.ID, "to be edited")
	ann.del(t, deleted.ID)
	ann.edit(t, sent.ID, "in time")
	awaitTime(t, instant(t, sent.CreatedAt).Add(3100*time.Millisecond))
	path := "/v1/messages/" + sent.ID
	ann.refused(t, http.StatusForbidden, "edit_window_closed", http.MethodPatch, path, map[string]any{"ciphertext": []byte("late")})
	ann.refused(t, http.StatusForbidden, "edit_window_closed", http.MethodDelete, path, nil)
	ann.del(t, deleted.ID) // deleting it again changes nothing, so the window does not matter
	if m := ann.message(t, sent.ID); string(m.Ciphertext) != "in time" || m.Deleted {
		t.Errorf("after the window the message is %+v", m)
	}
	// After the window, reactions and pins are still allowed.
	ann.react(t, sent.ID, "👍")
	ann.pin(t, http.StatusCreated, group.ID, sent.ID)
}

func TestRefusedEditsAndDeletions(t *testing.T) {
	s := startServer(t)
	ann, bob, eve := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "eve", "e")
	group := ann.createGroup(t, "bob", "cid")
	sent, deleted := ann.send(t, group.ID, "words"), ann.send(t, group.ID, "gone")
	ann.del(t, deleted.ID)
	cid := s.device(t, "cid", "c")
	left := cid.send(t, group.ID, "and goodbye")
	cid.remove(t, group.ID, "cid")
	before := len(ann.events(t, group.ID, 0, 100))

	edit := map[string]any{"ciphertext": []byte("other words")}
	unknown := "/v1/messages/" + longAgo
	for _, c := range []struct {
		by           *device
		status       int
		code         string
		method, path string
		body         any
	}{
		{bob, 403, "not_the_sender", "PATCH", sent.ID, edit},
		{bob, 403, "not_the_sender", "DELETE", sent.ID, nil},
		{bob, 403, "not_the_sender", "PATCH", deleted.ID, edit},
		{bob, 403, "not_the_sender", "DELETE", deleted.ID, nil},
		{eve, 403, "not_a_participant", "PATCH", sent.ID, edit},
		{eve, 403, "not_a_participant", "DELETE", sent.ID, nil},
		{cid, 403, "not_a_participant", "PATCH", left.ID, edit},
		{cid, 403, "not_a_participant", "DELETE", left.ID, nil},
		{ann, 409, "message_deleted", "PATCH", deleted.ID, edit},
		{ann, 413, "ciphertext_too_large", "PATCH", sent.ID, map[string]any{"ciphertext": make([]byte, 64<<10+1)}},
		{ann, 403, "missing_scope", "PATCH", sent.ID, map[string]any{"ciphertext": []byte("x"), "content_type": "system"}},
		{ann, 400, "invalid_request", "PATCH", sent.ID, map[string]any{"ciphertext": ""}},
		{ann, 400, "invalid_request", "PATCH", sent.ID, map[string]any{"ciphertext": "not base64!"}},
		{ann, 400, "invalid_request", "PATCH", sent.ID, map[string]any{"ciphertext": []byte("x"), "content_type": "poem"}},
		{ann, 400, "invalid_request", "PATCH", sent.ID, map[string]any{"ciphertext": []byte("x"), "cipher": 1}},
		{ann, 400, "invalid_request", "PATCH", sent.ID, map[string]any{"Ciphertext": []byte("x")}},
		{ann, 400, "invalid_request", "PATCH", sent.ID, verbatim(`{"ciphertext":"eA==","ciphertext":"eA=="}`)},
		{ann, 400, "invalid_request", "PATCH", sent.ID, map[string]any{}},
		{ann, 400, "invalid_request", "PATCH", sent.ID, verbatim("{")},
	} {
		c.by.refused(t, c.status, c.code, c.method, "/v1/messages/"+c.path, c.body)
	}
	ann.refused(t, 404, "message_not_found", "PATCH", unknown, edit)
	ann.refused(t, 404, "message_not_found", "DELETE", unknown, nil)
	ann.refused(t, 404, "message_not_found", "DELETE", "/v1/messages/nonsense", nil)
	if m := ann.message(t, sent.ID); string(m.Ciphertext) != "words" || m.EditedAt != nil {
		t.Errorf("after all refusals the message is %+v", m)
	}
	if events := ann.events(t, group.ID, 0, 100); len(events) != before {
		t.Errorf("refusals made events: %v", events[before:])
	}
}
