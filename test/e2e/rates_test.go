package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// All durable writes of a user use up one rate, each by its weight. When it is used up every
// kind of write is refused alike, but a retry is answered, reads and read marks go on, and
// others notice nothing.
func TestAllWritesOfAUserUseUpOneRate(t *testing.T) {
	s := startServer(t, "--rate-send", "0.001", "--rate-send-burst", "40", "--rate-read", "0.001", "--rate-read-burst", "200")
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user) // 1
	out := outgoing{ClientSeq: 1000, Key: "first", Ciphertext: []byte("x")}
	first := ann.sendOut(t, group.ID, out)             // 2
	theirs := bob.send(t, group.ID, "hello")           // bob's
	ann.react(t, theirs.ID, "+")                       // 3
	ann.react(t, theirs.ID, "+")                       // no change
	ann.unreact(t, theirs.ID, "+")                     // 4
	ann.edit(t, first.ID, "y")                         // 5
	ann.pin(t, http.StatusCreated, group.ID, first.ID) // 6
	ann.setTitle(t, group.ID, "title")                 // 7
	ann.block(t, "mallory")                            // 8
	ann.block(t, "mallory")                            // no change
	ann.report(t, theirs.ID, "spam", "")               // 13
	ann.upload(t, ann.keysFrom(1, 3))                  // 18
	var others []string
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		others = append(others, "u"+string(c))
	}
	ann.createGroup(t, others...) // 27 people: 20
	sendMany(t, ann, group.ID, 20)
	path := "/v1/threads/" + group.ID
	for what, c := range map[string]struct {
		method, path string
		body         any
	}{
		"a message":   {http.MethodPost, path + "/messages", outgoing{ClientSeq: 99, Key: "k", Ciphertext: []byte("x")}},
		"a reaction":  {http.MethodPost, "/v1/messages/" + theirs.ID + "/reactions", map[string]any{"emoji": "+"}},
		"an edit":     {http.MethodPatch, "/v1/messages/" + first.ID, map[string]any{"ciphertext": "AA=="}},
		"a deletion":  {http.MethodDelete, "/v1/messages/" + first.ID, nil},
		"a title":     {http.MethodPatch, path, map[string]any{"title": "another"}},
		"one more":    {http.MethodPost, path + "/participants", map[string]any{"user_id": "carol"}},
		"a new group": {http.MethodPost, "/v1/threads", map[string]any{"type": "GROUP", "participants": []string{"bob"}}},
		"a block":     {http.MethodPut, "/v1/users/me/blocks/bob", nil},
		"a report":    {http.MethodPost, "/v1/messages/" + theirs.ID + "/reports", map[string]any{"reason": "spam"}},
	} {
		a := ann.refused(t, http.StatusTooManyRequests, "rate_limited", c.method, c.path, c.body, "Idempotency-Key", "k")
		if a.header.Get("Retry-After") == "" || !strings.HasPrefix(a.header.Get("RateLimit"), `"write";r=0;t=`) {
			t.Errorf("%s: Retry-After %q, RateLimit %s", what, a.header.Get("Retry-After"), a.header.Get("RateLimit"))
		}
	}
	again, header := ann.resend(t, http.StatusAccepted, group.ID, out)
	if again.ID != first.ID || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the retry gave %+v, %v", again, header)
	}
	ann.markRead(t, group.ID, theirs.ID)
	bob.send(t, group.ID, "others are not held up")
	t.Logf("after 40 writes by weight: RateLimit-Policy %s, RateLimit %s", header.Get("RateLimit-Policy"), header.Get("RateLimit"))
}
