package e2e

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A message is stored once, however often its send is retried.
func TestRetriesOfASend(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group, other := ann.createGroup(t, "bob"), ann.createGroup(t, "bob")
	line := jsonProtocol.live(t, bob, options{})
	quoted := ann.send(t, group.ID, "quoted")
	out := outgoing{
		Key: "!k~", ClientSeq: 7, Ciphertext: []byte("x"), ContentType: "image_ref", AttachmentID: "att",
		AttachmentSHA256: strings.Repeat("ab", 32), ReplyToMsgID: quoted.ID, TTLSeconds: 2_419_200,
	}
	sent, header := ann.resend(t, http.StatusAccepted, group.ID, out)
	if header.Get("Idempotency-Replayed") != "" || sent.ClientSeq != 7 || sent.DeviceID != "a" || sent.SenderID != "ann" || sent.Deleted || sent.EditedAt != nil ||
		text(sent.AttachmentID) != "att" || text(sent.AttachmentSHA256) != out.AttachmentSHA256 || text(sent.ReplyToMsgID) != quoted.ID || sent.ContentType != "image_ref" {
		t.Errorf("the message is %+v", sent)
	}
	again, header := ann.resend(t, http.StatusAccepted, group.ID, out)
	if asJSON(t, again) != asJSON(t, sent) || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the retry gives %+v (replayed %q)", again, header.Get("Idempotency-Replayed"))
	}
	checkKeyIsTaken(t, ann, group.ID, out)
	moved := out
	moved.ReplyToMsgID = "" // it names a message of the first thread
	if m, header := ann.resend(t, http.StatusAccepted, other.ID, moved); m.ID == sent.ID || header.Get("Idempotency-Replayed") != "" {
		t.Errorf("with the key of a message in another thread it is %+v", m)
	}

	// The same client_seq with another key is the same message, but only from the same
	// device.
	taken := outgoing{Key: "other", ClientSeq: 7, Ciphertext: []byte("not this")}
	if m, _ := ann.resend(t, http.StatusConflict, group.ID, taken); asJSON(t, m) != asJSON(t, sent) {
		t.Errorf("409 comes with %+v, want %+v", m, sent)
	}
	for _, d := range []*device{s.device(t, "ann", "another"), bob} {
		m, header := d.resend(t, http.StatusAccepted, group.ID, outgoing{Key: d.id, ClientSeq: 7, Ciphertext: []byte("mine")})
		if m.ID == sent.ID || header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s/%s found another's message", d.user, d.id)
		}
	}
	bob.resend(t, http.StatusAccepted, group.ID, outgoing{Key: out.Key, ClientSeq: 8, Ciphertext: []byte("keys are the user's")})
	ann.resend(t, http.StatusAccepted, other.ID, outgoing{Key: "third", ClientSeq: 8, Ciphertext: []byte("client_seq is the thread's")})
	line.untilMessage(t, ann.send(t, group.ID, "marker").ID)
	times := 0
	for _, f := range line.all() {
		if f.ID == sent.ID {
			times++
		}
	}
	if events := bob.events(t, group.ID, 0, 100); times < 1 || len(events) != 7 {
		t.Errorf("Bob got the message %d times, and the log has %d events, want 7", times, len(events))
	}
}

// checkKeyIsTaken checks that a send with the same key is refused if anything else of it
// differs.
func checkKeyIsTaken(t *testing.T, d *device, thread string, out outgoing) {
	t.Helper()
	for what, change := range map[string]func(o *outgoing){
		"ciphertext":        func(o *outgoing) { o.Ciphertext = []byte("y") },
		"client_seq":        func(o *outgoing) { o.ClientSeq = 8 },
		"content_type":      func(o *outgoing) { o.ContentType = "file_ref" },
		"attachment_id":     func(o *outgoing) { o.AttachmentID = "other" },
		"attachment_sha256": func(o *outgoing) { o.AttachmentSHA256 = "" },
		"reply_to_msg_id":   func(o *outgoing) { o.ReplyToMsgID = "" },
		"ttl_seconds":       func(o *outgoing) { o.TTLSeconds = 0 },
	} {
		t.Log(what)
		changed := out
		change(&changed)
		d.refused(t, 422, "idempotency_key_reused", http.MethodPost, "/v1/threads/"+thread+"/messages", changed, "Idempotency-Key", out.Key)
	}
}

// The same send, made many times at once, stores one message, and one answer alone says
// that it was not replayed.
func TestRetriesOfASendAtOnce(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	for round := range int64(5) {
		var mu sync.Mutex
		firsts, found := 0, map[string]bool{}
		var sending sync.WaitGroup
		for range 12 {
			sending.Go(func() {
				m, header, err := ann.post(t.Context(), group.ID, outgoing{ClientSeq: round + 1, Ciphertext: []byte("x")})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				found[m.ID] = true
				if header.Get("Idempotency-Replayed") == "" {
					firsts++
				}
			})
		}
		sending.Wait()
		if len(found) != 1 || firsts != 1 {
			t.Errorf("round %d: %d messages, %d first answers", round, len(found), firsts)
		}
	}
	if n := len(ann.history(t, group.ID)); n != 5 {
		t.Errorf("5 sends made %d messages", n)
	}
}

// aSend is the body of a send with some fields changed. A nil leaves the field out.
func aSend(change map[string]any) map[string]any {
	body := map[string]any{"client_seq": 1, "ciphertext": []byte("x")}
	for k, v := range change {
		if body[k] = v; v == nil {
			delete(body, k)
		}
	}
	return body
}

// badSends are bodies that are refused in every thread. elsewhere is a message of another
// thread.
func badSends(elsewhere string) map[string]any {
	return map[string]any{
		"no client_seq":             aSend(map[string]any{"client_seq": nil}),
		"a negative client_seq":     aSend(map[string]any{"client_seq": -1}),
		"a broken client_seq":       aSend(map[string]any{"client_seq": 1.5}),
		"a client_seq as text":      aSend(map[string]any{"client_seq": "1"}),
		"no ciphertext":             aSend(map[string]any{"ciphertext": nil}),
		"an empty ciphertext":       aSend(map[string]any{"ciphertext": ""}),
		"no base64":                 aSend(map[string]any{"ciphertext": "a?=="}),
		"base64 without padding":    aSend(map[string]any{"ciphertext": "eA"}),
		"base64 with a line break":  aSend(map[string]any{"ciphertext": "eHh4\neHh4"}),
		"base64 for URLs":           aSend(map[string]any{"ciphertext": "_-8="}),
		"an unknown content_type":   aSend(map[string]any{"content_type": "poem"}),
		"a ref without attachment":  aSend(map[string]any{"content_type": "image_ref"}),
		"an attachment id too long": aSend(map[string]any{"content_type": "file_ref", "attachment_id": strings.Repeat("é", 257)}),
		"a hash too short":          aSend(map[string]any{"attachment_sha256": "ab"}),
		"a hash in capitals":        aSend(map[string]any{"attachment_sha256": strings.Repeat("AB", 32)}),
		"a reply to nothing":        aSend(map[string]any{"reply_to_msg_id": longAgo}),
		"a reply to another thread": aSend(map[string]any{"reply_to_msg_id": elsewhere}),
		"a reply to no id":          aSend(map[string]any{"reply_to_msg_id": "x"}),
		"a ttl of 0":                aSend(map[string]any{"ttl_seconds": 0}),
		"a ttl too long":            aSend(map[string]any{"ttl_seconds": 2_419_201}),
		"a broken ttl":              aSend(map[string]any{"ttl_seconds": 1.5}),
		"an unknown field":          aSend(map[string]any{"cipher_text": "eA=="}),
		"a wrongly cased field":     aSend(map[string]any{"TTL_seconds": 1}),
		"a field twice":             verbatim(`{"client_seq":1,"client_seq":2,"ciphertext":"eA=="}`),
		"trailing data":             verbatim(`{"client_seq":1,"ciphertext":"eA=="}x`),
		"bad UTF-8":                 verbatim("{\"client_seq\":1,\"ciphertext\":\"eA==\",\"attachment_id\":\"\xff\"}"),
		"an array":                  verbatim(`[]`),
		"nothing":                   verbatim(""),
	}
}

func TestRefusedSends(t *testing.T) {
	s := startServer(t)
	ann, eve := s.device(t, "ann", "a"), s.device(t, "eve", "e")
	group, other := ann.createGroup(t, "bob"), ann.createGroup(t, "bob")
	elsewhere := ann.send(t, other.ID, "elsewhere")
	path := "/v1/threads/" + group.ID + "/messages"
	for what, body := range badSends(elsewhere.ID) {
		t.Log(what)
		ann.refused(t, 400, "invalid_request", http.MethodPost, path, body, "Idempotency-Key", "k")
	}
	for _, bad := range []string{"", strings.Repeat("k", 65), "a b", "é"} {
		ann.refused(t, 400, "invalid_request", http.MethodPost, path, aSend(nil), "Idempotency-Key", bad)
	}
	ann.refused(t, 400, "invalid_request", http.MethodPost, path, aSend(nil)) // no key at all
	key := []string{"Idempotency-Key", "k"}
	eve.refused(t, 403, "not_a_participant", http.MethodPost, path, aSend(nil), key...)
	ann.refused(t, 403, "missing_scope", http.MethodPost, path, aSend(map[string]any{"content_type": "system"}), key...)
	ann.refused(t, 404, "thread_not_found", http.MethodPost, "/v1/threads/"+noThread+"/messages", aSend(nil), key...)
	ann.refused(t, 413, "ciphertext_too_large", http.MethodPost, path, aSend(map[string]any{"ciphertext": make([]byte, 64<<10+1)}), key...)
	ann.refused(t, 413, "body_too_large", http.MethodPost, path, aSend(map[string]any{"attachment_id": strings.Repeat("x", 513<<10)}), key...)
	ann.refused(t, 415, "unsupported_media_type", http.MethodPost, path, aSend(nil), "Idempotency-Key", "k", "Content-Type", "text/plain")
	if got := ann.history(t, group.ID); len(got) != 0 {
		t.Errorf("refusals sent %v", ids(got))
	}
	// A refused send does not use its key up, and values at the limits are allowed.
	full := ann.sendOut(t, group.ID, outgoing{Key: "k", ClientSeq: 1, Ciphertext: make([]byte, 64<<10), ContentType: "file_ref", AttachmentID: strings.Repeat("é", 256)})
	if m := ann.message(t, full.ID); len(m.Ciphertext) != 64<<10 {
		t.Errorf("the largest message has %d bytes", len(m.Ciphertext))
	}
}

// A service posts system messages to any thread and is a participant of none.
func TestSystemMessages(t *testing.T) {
	s := startServer(t)
	ann, job := s.device(t, "ann", "a"), s.scoped(t, "billing", "chat.system")
	th := ann.createOneToOne(t, "bob")
	line := mqtt311TCP.live(t, ann, options{})
	sent := job.sendOut(t, th.ID, outgoing{Ciphertext: []byte("your plan ends"), ContentType: "system"})
	if f := line.expect(t, "msg"); f.ID != sent.ID || f.SenderID != "billing" || f.ContentType != "system" || string(f.Ciphertext) != "your plan ends" {
		t.Errorf("Ann got %s", f.raw)
	}
	path := "/v1/threads/" + th.ID
	job.refused(t, 403, "missing_scope", http.MethodPost, path+"/messages", map[string]any{"client_seq": 9, "ciphertext": []byte("x")}, "Idempotency-Key", "t")
	job.refused(t, 403, "missing_scope", http.MethodGet, path, nil)
	job.refused(t, 403, "missing_scope", http.MethodDelete, "/v1/messages/"+sent.ID, nil)
	if th := ann.thread(t, th.ID); th.ParticipantCount != 2 || th.UnreadCount != 1 {
		t.Errorf("the thread is %+v", th)
	}
	if r := ann.receiptsOf(t, sent.ID); len(r.States) != 2 {
		t.Errorf("the system message has the states %+v, want one for each participant", r.States)
	}
}

// The largest ciphertext that may be set fits a request, whatever else is in that.
func TestTheLargestCiphertextFitsABody(t *testing.T) {
	const largest = 390_144
	s := startServer(t, "--max-ciphertext", strconv.Itoa(largest))
	ann := s.device(t, "ann", "a")
	ann.bulk = true
	group := ann.createGroup(t)
	reply := ann.send(t, group.ID, "to be replied to")
	for size, status := range map[int]int{largest: http.StatusAccepted, largest + 1: http.StatusRequestEntityTooLarge} {
		body := fmt.Sprintf(`{"client_seq":%d,"content_type":"video_ref","attachment_id":"%s","attachment_sha256":"%064x","reply_to_msg_id":"%s","ttl_seconds":2419200,"ciphertext":"%s"}`,
			math.MaxInt64-size, strings.Repeat(`\ud83d\ude00`, 256), 1, reply.ID, base64.StdEncoding.EncodeToString(make([]byte, size)))
		a := ann.must(t, status, http.MethodPost, "/v1/threads/"+group.ID+"/messages", verbatim(body), "Idempotency-Key", strconv.Itoa(size))
		if status == http.StatusRequestEntityTooLarge {
			if !strings.Contains(string(a.body), "ciphertext_too_large") {
				t.Errorf("%d bytes are refused with %s", size, a.body)
			}
			continue
		}
		var m message
		a.into(t, &m)
		if len(m.Ciphertext) != size || m.AttachmentID == nil || len([]rune(*m.AttachmentID)) != 256 {
			t.Errorf("of %d bytes %d are stored", size, len(m.Ciphertext))
		}
	}
}
