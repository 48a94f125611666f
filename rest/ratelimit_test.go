package rest

import (
	"net/http"
	"testing"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
)

func TestAnswersSayWhatIsLeftOfTheRates(t *testing.T) {
	d := chat.DefaultLimits
	w := newWorldWithin(t, chat.Limits{
		SendRate: d.SendRate, SendBurst: d.SendBurst, ReadRate: d.ReadRate, ReadBurst: d.ReadBurst, SystemRate: d.SystemRate,
	})
	w.advance(0) // the rates give nothing back
	check := func(what string, a answer, policy, left string) {
		t.Helper()
		if got := a.header.Get("RateLimit-Policy"); got != policy {
			t.Errorf("%s: RateLimit-Policy: %s, want %s", what, got, policy)
		}
		if got := a.header.Get("RateLimit"); got != left {
			t.Errorf("%s: RateLimit: %s, want %s", what, got, left)
		}
	}
	const policy = `"write";q=40;w=2, "read";q=200;w=4`
	id := w.group("bob")
	check("a write", w.post("/v1/threads/"+id+"/participants", `{"user_id":"carol"}`).want(http.StatusCreated),
		policy, `"write";r=38;t=1, "read";r=200;t=0`)
	check("a read", w.get("/v1/threads/"+id).want(http.StatusOK), policy, `"write";r=38;t=1, "read";r=199;t=1`)
	check("a refusal", w.post("/v1/threads", `{}`).want(http.StatusBadRequest), policy, `"write";r=38;t=1, "read";r=199;t=1`)
	check("no token", w.do(request{method: "GET", path: "/v1/threads"}).want(http.StatusUnauthorized), "", "")
	check("another device", w.do(request{
		token:  mint(t, auth.Claims{User: "alice", Device: "phone", Scopes: []chat.Scope{chat.ScopeRead}}),
		method: "GET", path: "/v1/threads", header: map[string]string{"X-Device-Id": "tablet"},
	}).want(http.StatusForbidden), policy, `"write";r=38;t=1, "read";r=199;t=1`)
	check("a service", w.do(request{
		token:  mint(t, auth.Claims{User: "backend", Scopes: []chat.Scope{chat.ScopeSystem}}),
		method: "GET", path: "/v1/threads",
	}).want(http.StatusForbidden), policy+`, "system";q=1000;w=1`, `"write";r=40;t=0, "read";r=200;t=0, "system";r=1000;t=0`)

	for range 38 {
		w.message("alice", id, "")
	}
	full := w.send("alice", id, "too-fast", `{"client_seq":999,"ciphertext":"aGVsbG8="}`)
	full.refused(http.StatusTooManyRequests, chat.CodeRateLimited)
	check("too fast", full, policy, `"write";r=0;t=2, "read";r=199;t=1`)
	if got := full.header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After: %s", got)
	}
	w.advance(50 * time.Millisecond)
	w.send("alice", id, "too-fast", `{"client_seq":999,"ciphertext":"aGVsbG8="}`).want(http.StatusAccepted)
}

func TestNoRateNoHeaders(t *testing.T) {
	w := newWorld(t)
	a := w.get("/v1/threads").want(http.StatusOK)
	if a.header.Get("RateLimit") != "" || a.header.Get("RateLimit-Policy") != "" {
		t.Errorf("there is no limit, and the headers are %v", a.header)
	}
}
