package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// epochProblem is the body of an epoch_conflict.
type epochProblem struct {
	Code    string   `json:"code"`
	Epoch   *uint64  `json:"epoch"`
	Message *message `json:"message"`
}

// A Welcome of an MLS group of 250 devices takes 88,520 bytes. It goes through REST, is
// announced without its content on every protocol, and read by itself.
func TestLargeControlMessageIsAnnouncedAndFetched(t *testing.T) {
	s := startServer(t)
	welcome := bytes.Repeat([]byte{7}, 88_520)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			group := ann.createGroup(t, bob.user)
			text := ann.send(t, group.ID, "text")
			line := p.live(t, bob, options{})
			sent := ann.sendOut(t, group.ID, outgoing{Ciphertext: welcome, ContentType: "control", Epoch: 1})
			if !bytes.Equal(sent.Ciphertext, welcome) || sent.Omitted || sent.Epoch == nil || *sent.Epoch != 1 {
				t.Fatalf("the 202 has %d bytes, omitted %v, epoch %v", len(sent.Ciphertext), sent.Omitted, sent.Epoch)
			}
			if f := line.untilMessage(t, sent.ID); len(f.Ciphertext) > 0 || !f.Omitted || f.Epoch != 1 || f.ContentType != "control" {
				t.Errorf("the frame is %s", f.raw)
			}
			small := ann.sendOut(t, group.ID, outgoing{Ciphertext: []byte("commit"), ContentType: "control", Epoch: 2})
			if f := line.untilMessage(t, small.ID); string(f.Ciphertext) != "commit" || f.Omitted || f.Epoch != 2 {
				t.Errorf("the frame is %s", f.raw)
			}
			if m := bob.message(t, sent.ID); !bytes.Equal(m.Ciphertext, welcome) || m.Omitted {
				t.Errorf("by itself it has %d bytes, omitted %v", len(m.Ciphertext), m.Omitted)
			}
			events := bob.events(t, group.ID, sent.Seq-1, 1)
			for _, m := range bob.history(t, group.ID)[1:2] {
				if m.ID != sent.ID || len(m.Ciphertext) > 0 || !m.Omitted || !events[0].Omitted || events[0].ID != sent.ID {
					t.Errorf("in lists it is %+v and %s", m, events[0].raw)
				}
			}
			var page struct{ Messages []message }
			bob.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+group.ID+"/messages?content_type=control", nil).into(t, &page)
			if len(page.Messages) != 2 {
				t.Errorf("%d messages are control, want 2", len(page.Messages))
			}
			v := bob.thread(t, group.ID)
			if v.Epoch != 2 || v.UnreadCount != 1 || v.LastMsgID == nil || *v.LastMsgID != text.ID || v.LastActivityAt != text.CreatedAt {
				t.Errorf("the thread is %+v, want epoch 2 and the text as its last message", v)
			}
			bob.markRead(t, group.ID, sent.ID)
			if state := ann.stateOf(t, sent.ID, bob.user); state != "READ" {
				t.Errorf("it is %s for bob, want READ", state)
			}
		})
	}
}

func TestEpochConflicts(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	pair := ann.createOneToOne(t, bob.user)
	path := "/v1/threads/" + pair.ID + "/messages"
	commit := func(seq int64, epoch any, more ...any) map[string]any {
		body := map[string]any{"client_seq": seq, "ciphertext": []byte("c"), "content_type": "control", "epoch": epoch}
		for i := 0; i+1 < len(more); i += 2 {
			body[more[i].(string)] = more[i+1]
		}
		return body
	}
	conflict := func(d *device, key string, body any) epochProblem {
		t.Helper()
		var p epochProblem
		d.refused(t, http.StatusConflict, "epoch_conflict", http.MethodPost, path, body, "Idempotency-Key", key).into(t, &p)
		return p
	}
	if p := conflict(ann, "1", commit(1, 2)); p.Epoch == nil || *p.Epoch != 0 || p.Message != nil {
		t.Errorf("at first the problem has %v and %v", p.Epoch, p.Message)
	}
	var won message
	ann.must(t, http.StatusAccepted, http.MethodPost, path, commit(1, 1), "Idempotency-Key", "1").into(t, &won)
	if p := conflict(bob, "1", commit(1, 1)); *p.Epoch != 1 || p.Message == nil || asJSON(t, *p.Message) != asJSON(t, won) {
		t.Errorf("the problem has %v and %v, want %v", *p.Epoch, p.Message, won)
	}
	again := ann.must(t, http.StatusAccepted, http.MethodPost, path, commit(1, 1), "Idempotency-Key", "1")
	if again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the retry of the winner is no replay: %s", again.body)
	}
	for _, bad := range []any{
		commit(2, 0), commit(2, -1), commit(2, 1<<53), commit(2, "1"), commit(2, 1.5),
		commit(2, 2, "content_type", "text"), commit(2, 2, "reply_to_msg_id", won.ID),
	} {
		ann.refused(t, http.StatusBadRequest, "invalid_request", http.MethodPost, path, bad, "Idempotency-Key", "2")
	}
	conflict(ann, "2", commit(2, int64(1<<53-1)))
	ann.refused(t, http.StatusRequestEntityTooLarge, "ciphertext_too_large", http.MethodPost, path,
		commit(2, 2, "ciphertext", make([]byte, 256<<10+1)), "Idempotency-Key", "2")
	ann.refused(t, http.StatusBadRequest, "invalid_request", http.MethodPatch, "/v1/messages/"+won.ID, map[string]any{"ciphertext": []byte("x")})
	bob.refused(t, http.StatusBadRequest, "invalid_request", http.MethodPost, "/v1/messages/"+won.ID+"/reactions", map[string]any{"emoji": "x"})
	bob.refused(t, http.StatusBadRequest, "invalid_request", http.MethodPost, "/v1/threads/"+pair.ID+"/pins", map[string]any{"message_id": won.ID})
	text := ann.sendOut(t, pair.ID, outgoing{Ciphertext: []byte("text"), ClientSeq: 50})
	ann.refused(t, http.StatusBadRequest, "invalid_request", http.MethodPatch, "/v1/messages/"+text.ID,
		map[string]any{"ciphertext": []byte("x"), "content_type": "control"})

	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(bob))
	r.publish(t, 1, 1, messagesTopic(pair.ID), mqttSend(t, "m1", 11, "c", "content_type", "control", "epoch", 1))
	if got := r.answered(t); got.code != 0x99 || got.reason != "epoch_conflict" {
		t.Errorf("the publish is answered with %+v", got)
	}
	r.publish(t, 2, 1, messagesTopic(pair.ID), mqttSend(t, "m1", 11, "c", "content_type", "control", "epoch", 2))
	if got := r.answered(t); got.code != 0 {
		t.Errorf("the next epoch, with the same key, is answered with %+v", got)
	}
	ann.block(t, bob.user)
	r.publish(t, 3, 1, messagesTopic(pair.ID), mqttSend(t, "m3", 13, "c", "content_type", "control", "epoch", 3))
	if got := r.answered(t); got.code != 0x87 || got.reason != "blocked" {
		t.Errorf("whom the other blocks is answered with %+v", got)
	}
	bob.refused(t, http.StatusForbidden, "blocked", http.MethodPost, path, commit(3, 3), "Idempotency-Key", "3")
	if v := ann.thread(t, pair.ID); v.Epoch != 2 {
		t.Errorf("the epoch is %d, want 2", v.Epoch)
	}
	var problem map[string]json.RawMessage
	bob.refused(t, http.StatusForbidden, "blocked", http.MethodPost, path, commit(4, 1), "Idempotency-Key", "4").into(t, &problem)
	if _, told := problem["epoch"]; told || strings.Contains(string(problem["detail"]), "epoch") {
		t.Errorf("the refusal of whom the other blocks tells of the epoch: %s", problem)
	}
}
