package rest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func TestBlocks(t *testing.T) {
	w := newWorld(t)
	w.advance(0)
	const blocks = "/v1/users/me/blocks"
	if got := string(w.get(blocks).want(200).body); got != `{"blocks":[],"next_cursor":null}` {
		t.Errorf("got %s", got)
	}
	w.as("alice", "PUT", blocks+"/mallory", "").want(204)
	before := string(w.get(blocks).want(200).body)
	w.advance(time.Second)
	w.as("alice", "PUT", blocks+"/mallory", "").want(204)
	if after := string(w.get(blocks).want(200).body); after != before {
		t.Errorf("blocking again changed %s to %s", before, after)
	}
	w.as("alice", "PUT", blocks+"/a.b-c_D%2e1", "").want(204)
	list := decoded[contracts.Blocks](w.get(blocks).want(200)).Blocks
	if len(list) != 2 || list[0].UserID != "a.b-c_D.1" || list[1].UserID != "mallory" || list[0].BlockedAt == "" {
		t.Errorf("got %+v", list)
	}
	first := decoded[contracts.Blocks](w.get(blocks + "?page_size=1").want(200))
	if len(first.Blocks) != 1 || first.Blocks[0] != list[0] || first.NextCursor == nil {
		t.Fatalf("the first page is %+v", first)
	}
	rest := decoded[contracts.Blocks](w.get(blocks + "?cursor=" + *first.NextCursor).want(200))
	if len(rest.Blocks) != 1 || rest.Blocks[0] != list[1] || rest.NextCursor != nil {
		t.Errorf("the second page is %+v", rest)
	}
	for range 2 {
		w.del(blocks + "/mallory").want(204)
	}
	if list := decoded[contracts.Blocks](w.get(blocks).want(200)).Blocks; len(list) != 1 {
		t.Errorf("got %+v", list)
	}
	for _, bad := range []string{"alice", "%61lice", "me", "%6De", "-x", "b%C3%B6b", "a%2Fb", "%00", "a%20b", strings.Repeat("x", 65)} {
		w.as("alice", "PUT", blocks+"/"+bad, "").invalid("user_id")
		w.del(blocks + "/" + bad).invalid("user_id")
	}
	if got := string(w.as("mallory", "GET", blocks, "").want(200).body); got != `{"blocks":[],"next_cursor":null}` {
		t.Errorf("mallory has %s", got)
	}
	w.do(request{token: w.scoped("alice", chat.ScopeRead), method: "PUT", path: blocks + "/bob"}).refused(403, chat.CodeMissingScope)
	w.do(request{token: w.scoped("alice", chat.ScopeRead), method: "DELETE", path: blocks + "/bob"}).refused(403, chat.CodeMissingScope)
	w.do(request{token: w.scoped("alice", chat.ScopeWrite), method: "GET", path: blocks}).refused(403, chat.CodeMissingScope)
}

// failedFor is the reason why a message of alice failed for a user, "" if it did not.
func (w *world) failedFor(message, user string) string {
	w.t.Helper()
	for _, s := range decoded[contracts.Receipts](w.get("/v1/messages/" + message + "/receipts").want(200)).States {
		if s.RecipientID == user && s.State == "FAILED" && s.Reason != nil {
			return *s.Reason
		}
	}
	return ""
}

func TestWhatIsBlockedIsTriedAgainByARetry(t *testing.T) {
	for name, retry := range map[string]struct{ key, replayed string }{"same key": {"k", "true"}, "other key": {"k2", ""}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.pair("bob")
			const body = `{"client_seq":1,"ciphertext":"AA=="}`
			w.as("bob", "PUT", "/v1/users/me/blocks/alice", "").want(204)
			sent := w.send("alice", id, "k", body).want(202)
			m := decoded[contracts.Message](sent)
			if got := w.failedFor(m.ID, "bob"); got != "blocked" {
				t.Errorf("it failed for %q", got)
			}
			w.as("bob", "GET", "/v1/messages/"+m.ID, "").refused(404, chat.CodeMessageNotFound)
			w.as("bob", "POST", "/v1/messages/"+m.ID+"/reactions", `{"emoji":"x"}`).refused(404, chat.CodeMessageNotFound)
			w.as("bob", "POST", "/v1/messages/"+m.ID+"/reports", `{"reason":"spam"}`).refused(404, chat.CodeMessageNotFound)
			w.as("bob", "POST", "/v1/threads/"+id+"/pins", `{"message_id":"`+m.ID+`"}`).refused(404, chat.CodeMessageNotFound)

			again := w.send("alice", id, retry.key, body).want(202) // the block stands: nothing changes
			if string(again.body) != string(sent.body) || w.failedFor(m.ID, "bob") != "blocked" {
				t.Errorf("got %s, and it failed for %q", again.body, w.failedFor(m.ID, "bob"))
			}
			w.as("bob", "DELETE", "/v1/users/me/blocks/alice", "").want(204)
			again = w.send("alice", id, retry.key, body).want(202)
			if string(again.body) != string(sent.body) || again.header.Get("Idempotency-Replayed") != retry.replayed {
				t.Errorf("got %v %s", again.header, again.body)
			}
			if why := w.failedFor(m.ID, "bob"); why != "" {
				t.Errorf("it still failed: %s", why)
			}
			w.as("bob", "GET", "/v1/messages/"+m.ID, "").want(200)
		})
	}
}

func TestWhatExpiredIsNeverRevived(t *testing.T) {
	w := newWorld(t)
	w.advance(0)
	id := w.pair("bob")
	const body = `{"client_seq":1,"ciphertext":"AA==","ttl_seconds":60}`
	m := decoded[contracts.Message](w.send("alice", id, "k", body).want(202))
	w.advance(time.Minute - time.Millisecond)
	if w.shown("bob", m.ID).Deleted {
		t.Error("it expired before its time")
	}
	w.send("alice", id, "k", body).want(202)
	w.advance(time.Millisecond)
	if got := w.shown("bob", m.ID); !got.Deleted || len(got.Ciphertext) != 0 || got.ExpiresAt == nil {
		t.Errorf("after its time bob is shown %+v", got)
	}
	for _, key := range []string{"k", "k2"} {
		gone := w.send("alice", id, key, body).want(409)
		if got := decoded[contracts.Message](gone); got.ID != m.ID || !got.Deleted || len(got.Ciphertext) != 0 {
			t.Errorf("%s: got %s", key, gone.body)
		}
		if gone.header.Get("Content-Type") != "application/json" || gone.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s: got %v", key, gone.header)
		}
	}
	if why := w.failedFor(m.ID, "bob"); why != "expired" {
		t.Errorf("it failed for %q", why)
	}
	w.as("alice", "PATCH", "/v1/messages/"+m.ID, `{"ciphertext":"AA=="}`).refused(409, chat.CodeMessageDeleted)
	w.as("bob", "POST", "/v1/messages/"+m.ID+"/reactions", `{"emoji":"x"}`).refused(409, chat.CodeMessageDeleted)
	w.as("bob", "POST", "/v1/threads/"+id+"/pins", `{"message_id":"`+m.ID+`"}`).refused(409, chat.CodeMessageDeleted)
}

func TestPresenceIsForThoseWhoShareAThread(t *testing.T) {
	w := newWorld(t)
	group := w.group("bob", "a.b-c_D")
	seen := time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)
	if err := w.store.PutLastSeen(t.Context(), "bob", seen); err != nil {
		t.Fatal(err)
	}
	ask := func(caller, user string) answer { return w.as(caller, "GET", "/v1/users/"+user+"/presence", "") }
	told := func(caller, want string) {
		t.Helper()
		if got := string(ask(caller, "bob").want(200).body); got != `{"user_id":"bob",`+want+`}` {
			t.Errorf("%s is told %s, want %s", caller, got, want)
		}
	}
	told("alice", `"status":"offline","last_seen_at":null`) // bob has not accepted the group that alice put him into
	w.as("bob", "PATCH", "/v1/threads/"+group+"/me", `{"accepted":true}`).want(200)
	told("alice", `"status":"offline","last_seen_at":"2026-05-30T17:42:11.234Z"`)
	w.online.Store(chat.UserID("bob"), true)
	told("alice", `"status":"online","last_seen_at":null`)
	told("bob", `"status":"online","last_seen_at":null`)
	if got := string(ask("alice", "a.b-c_D").want(200).body); got != `{"user_id":"a.b-c_D","status":"offline","last_seen_at":null}` {
		t.Errorf("got %s", got)
	}
	w.as("bob", "PUT", "/v1/users/me/blocks/alice", "").want(204)
	told("alice", `"status":"offline","last_seen_at":null`)
	w.online.Delete(chat.UserID("bob"))
	told("alice", `"status":"offline","last_seen_at":null`)

	ask("mallory", "bob").refused(403, chat.CodeNoSharedThread)
	for _, bad := range []string{"nobody", "me", "%6De", "%00", "a%2Fb", "-x", strings.Repeat("x", 65)} {
		ask("alice", bad).refused(403, chat.CodeNoSharedThread)
	}
	w.do(request{token: w.scoped("alice", chat.ScopeWrite), method: "GET", path: "/v1/users/bob/presence"}).refused(403, chat.CodeMissingScope)
}

// formal is a service that fails the test when a use case is asked about a malformed user
// id.
type formal struct {
	Chat
	t *testing.T
}

func (f formal) FetchPrekeys(ctx context.Context, c chat.Caller, user chat.UserID) (chat.PrekeyBundle, error) {
	f.check(user)
	return f.Chat.FetchPrekeys(ctx, c, user)
}

func (f formal) Presence(ctx context.Context, c chat.Caller, user chat.UserID) (chat.Presence, error) {
	f.check(user)
	return f.Chat.Presence(ctx, c, user)
}

func (f formal) check(user chat.UserID) {
	if _, err := chat.ParseUserID(string(user)); err != nil {
		f.t.Errorf("a use case is asked about %.80q", user)
	}
}

func TestMalformedUserIDsReachNoUseCase(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Chat = formal{c.Chat, t} })
	for _, bad := range []string{"me", "%6De", "%00", "alice%00", "a%2Fb", "-x", "b%C3%B6b", strings.Repeat("x", 65)} {
		w.get("/v1/users/"+bad+"/presence").refused(403, chat.CodeNoSharedThread)
		if bad != "me" { // has a route of its own
			w.get("/v1/users/"+bad+"/prekeys").refused(404, chat.CodeNoPrekeys)
		}
	}
}
