package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every call of a user that reads needs chat.read, and every other call chat.write.
func TestScopes(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	sent := ann.send(t, group.ID, "words")
	reader, writer := s.scoped(t, "ann", "chat.read"), s.scoped(t, "ann", "chat.write")
	th, m := "/v1/threads/"+group.ID, "/v1/messages/"+sent.ID
	for _, path := range []string{
		"/v1/threads", th, th + "/messages", th + "/events?since_seq=0", th + "/pins", m, m + "/receipts",
		"/v1/users/me/prekeys", "/v1/users/bob/prekeys", "/v1/users/bob/presence", "/v1/users/me/blocks",
	} {
		writer.refused(t, 403, "missing_scope", http.MethodGet, path, nil)
	}
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/v1/threads", map[string]any{"type": "GROUP", "participants": []string{"bob"}}},
		{"PATCH", th, map[string]any{"title": "x"}},
		{"POST", th + "/participants", map[string]any{"user_id": "cid"}},
		{"PATCH", th + "/participants/bob", map[string]any{"role": "admin"}},
		{"DELETE", th + "/participants/bob", nil},
		{"POST", th + "/messages", map[string]any{"client_seq": 1, "ciphertext": []byte("x")}},
		{"POST", th + "/read", map[string]any{"up_to_msg_id": sent.ID}},
		{"POST", th + "/pins", map[string]any{"message_id": sent.ID}},
		{"DELETE", th + "/pins/" + sent.ID, nil},
		{"PATCH", m, map[string]any{"ciphertext": []byte("x")}},
		{"DELETE", m, nil},
		{"POST", m + "/reactions", map[string]any{"emoji": "x"}},
		{"DELETE", m + "/reactions/x", nil},
		{"POST", m + "/reports", map[string]any{"reason": "spam"}},
		{"PUT", "/v1/users/me/prekeys", ann.keysFrom(1, 1)},
		{"PUT", "/v1/users/me/blocks/bob", nil},
		{"DELETE", "/v1/users/me/blocks/bob", nil},
	} {
		reader.refused(t, 403, "missing_scope", c.method, c.path, c.body, "Idempotency-Key", "k")
	}
	if events := ann.events(t, group.ID, 0, 10); len(events) != 2 {
		t.Errorf("refusals made events: %v", events)
	}
}

// The refusals that every call has in common.
func TestCommonRefusals(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	sent := ann.send(t, group.ID, "words")
	expired := ann.withClaims(t, func(c claimSet) { c["exp"] = time.Now().Add(-time.Minute).Unix() })
	for _, path := range []string{"/v1/threads", "/v1/messages/" + sent.ID, "/v1/users/bob/prekeys", "/v1/admin/reports", "/v1/users/me/blocks"} {
		expired.refused(t, 401, "unauthenticated", http.MethodGet, path, nil)
		ann.refused(t, 401, "unauthenticated", http.MethodGet, path, nil, "Authorization", "Basic eA==")
		ann.refused(t, 403, "device_mismatch", http.MethodGet, path, nil, "X-Device-Id", "another")
	}
	ann.refused(t, 413, "body_too_large", http.MethodPatch, "/v1/messages/"+sent.ID, verbatim(`{"ciphertext":"`+strings.Repeat("A", 513<<10)+`"}`))
	ann.refused(t, 415, "unsupported_media_type", http.MethodPost, "/v1/messages/"+sent.ID+"/reactions", map[string]any{"emoji": "x"}, "Content-Type", "text/plain")

	// What has no route is in no document.
	ann.bulk = true
	for _, c := range []struct {
		status             int
		code, method, path string
	}{
		{404, "not_found", "GET", "/v1/nothing"},
		{404, "not_found", "POST", "/v2/threads"},
		{404, "not_found", "GET", "/v1/threads/" + group.ID + "/nothing"},
		{405, "method_not_allowed", "DELETE", "/v1/threads"},
		{405, "method_not_allowed", "PUT", "/v1/messages/" + sent.ID},
		{405, "method_not_allowed", "POST", "/v1/users/me/prekeys"},
		{405, "method_not_allowed", "POST", "/v1/users/me/blocks/bob"},
	} {
		a := ann.must(t, c.status, c.method, c.path, nil, "X-Request-Id", "my-own-id")
		if !strings.Contains(string(a.body), `"`+c.code+`"`) || a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("X-Request-Id") != "my-own-id" {
			t.Errorf("%s %s: %s (%s, X-Request-Id %q), want %s", c.method, c.path, a.body, a.header.Get("Content-Type"), a.header.Get("X-Request-Id"), c.code)
		}
	}
}

// Reads, and read marks, of what does not exist or is hidden from the caller.
func TestRefusedReads(t *testing.T) {
	s := startServer(t)
	ann, eve := s.device(t, "ann", "a"), s.device(t, "eve", "e")
	group, other := ann.createGroup(t, "bob"), ann.createGroup(t, "bob")
	sent, elsewhere := ann.send(t, group.ID, "words"), ann.send(t, other.ID, "elsewhere")
	m, read := "/v1/messages/"+sent.ID, "/v1/threads/"+group.ID+"/read"
	upTo := func(id any) map[string]any { return map[string]any{"up_to_msg_id": id} }
	for _, path := range []string{m, m + "/receipts"} {
		eve.refused(t, 403, "not_a_participant", http.MethodGet, path, nil)
	}
	for _, path := range []string{"/v1/messages/" + longAgo, "/v1/messages/nonsense", "/v1/messages/" + longAgo + "/receipts"} {
		ann.refused(t, 404, "message_not_found", http.MethodGet, path, nil)
	}
	eve.refused(t, 403, "not_a_participant", http.MethodPost, read, upTo(sent.ID))
	ann.refused(t, 404, "message_not_found", http.MethodPost, read, upTo(longAgo))
	ann.refused(t, 404, "message_not_found", http.MethodPost, read, upTo(elsewhere.ID))
	ann.refused(t, 404, "thread_not_found", http.MethodPost, "/v1/threads/"+noThread+"/read", upTo(sent.ID))
	for _, bad := range []any{upTo("nonsense"), upTo(nil), map[string]any{}, verbatim("{")} {
		ann.refused(t, 400, "invalid_request", http.MethodPost, read, bad)
	}
}
