package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func TestOneToOneIsCreatedOnce(t *testing.T) {
	w := newWorld(t)
	a := w.post("/v1/threads", `{"type":"1_TO_1","participants":["bob"]}`).want(http.StatusCreated)
	first := decoded[contracts.Thread](a)
	if first.Type != "1_TO_1" || first.CreatedBy != "alice" || first.ParticipantCount != 2 || first.Participants != nil {
		t.Errorf("got %s", a.body)
	}
	if loc := a.header.Get("Location"); loc != "/v1/threads/"+first.ID {
		t.Errorf("Location is %s", loc)
	}
	again := w.do(request{user: "bob", method: "POST", path: "/v1/threads", body: `{"type":"1_TO_1","participants":["bob","alice"]}`}).want(http.StatusOK)
	if decoded[contracts.Thread](again).ID != first.ID {
		t.Errorf("the pair got another thread: %s", again.body)
	}
	shown := decoded[contracts.Thread](w.get("/v1/threads/" + first.ID).want(http.StatusOK))
	if len(shown.Participants) != 2 || shown.Participants[0].UserID != "alice" || shown.Participants[1].ReadUpTo != nil {
		t.Errorf("got %+v", shown.Participants)
	}
}

func TestCreateThreadBounds(t *testing.T) {
	w := newWorld(t)
	people := func(n int) string {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprintf(`"u%d"`, i)
		}
		return "[" + strings.Join(ids, ",") + "]"
	}
	group := func(people, title string) string {
		return `{"type":"GROUP","participants":` + people + `,"title":"` + title + `"}`
	}
	for name, body := range map[string]string{
		"title of 256":  group(`["bob"]`, strings.Repeat("é", 256)),
		"250 people":    group(people(249), ""),
		"alone":         group(`[]`, ""),
		"merged":        group(`["bob","bob","alice"]`, ""),
		"id of 64":      group(`["`+strings.Repeat("x", 64)+`"]`, ""),
		"title is null": `{"type":"GROUP","participants":["bob"],"title":null}`,
	} {
		t.Run(name, func(t *testing.T) { w.post("/v1/threads", body).want(http.StatusCreated) })
	}
	for _, tc := range []struct{ name, body, field string }{
		{"title of 257", group(`["bob"]`, strings.Repeat("é", 257)), "title"},
		{"251 people", group(people(250), ""), "participants"},
		{"id of 65", group(`["`+strings.Repeat("x", 65)+`"]`, ""), "participants"},
		{"me", group(`["me"]`, ""), "participants"},
		{"null in the list", group(`[null]`, ""), "participants"},
		{"1:1 of one", `{"type":"1_TO_1","participants":["alice"]}`, "participants"},
		{"1:1 of three", `{"type":"1_TO_1","participants":["bob","carol"]}`, "participants"},
		{"type unknown", `{"type":"group","participants":["bob"]}`, "type"},
		{"type missing", `{"participants":["bob"]}`, "type"},
		{"participants missing", `{"type":"GROUP"}`, "participants"},
		{"unknown field", `{"type":"GROUP","participants":[],"topic":"x"}`, "topic"},
		{"miscased field", `{"type":"GROUP","Participants":[]}`, "Participants"},
		{"duplicate field", `{"type":"GROUP","type":"GROUP","participants":[]}`, "type"},
		{"trailing garbage", `{"type":"GROUP","participants":[]}]`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) { w.post("/v1/threads", tc.body).invalid(tc.field) })
	}
}

func TestGroupMembership(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	members := "/v1/threads/" + id + "/participants"

	carol := decoded[contracts.Participant](w.post(members, `{"user_id":"carol"}`).want(http.StatusCreated))
	if carol.UserID != "carol" || carol.Role != "member" {
		t.Errorf("got %+v", carol)
	}
	w.post(members, `{"user_id":"carol"}`).want(http.StatusOK)
	w.post(members, `{"user_id":"me"}`).invalid("user_id")
	w.post(members, `{}`).invalid("user_id")
	w.post(members, `{"user_id":"dave","role":"admin"}`).invalid("role")
	asBob := func(method, path, body string) answer {
		return w.do(request{user: "bob", method: method, path: path, body: body})
	}
	asBob("DELETE", members+"/carol", "").refused(403, chat.CodeNotAnAdmin)
	w.del(members+"/nobody").refused(404, chat.CodeParticipantNotFound)
	w.del(members+"/me").refused(404, chat.CodeParticipantNotFound)
	w.del(members + "/%63arol").want(http.StatusNoContent)
	asBob("DELETE", members+"/bob", "").want(http.StatusNoContent)
	asBob("GET", "/v1/threads/"+id, "").refused(403, chat.CodeNotAParticipant)
	asBob("POST", members, `{"user_id":"dave"}`).refused(403, chat.CodeNotAParticipant)

	pair := decoded[contracts.Thread](w.post("/v1/threads", `{"type":"1_TO_1","participants":["bob"]}`)).ID
	w.post("/v1/threads/"+pair+"/participants", `{"user_id":"carol"}`).refused(409, chat.CodeNotAGroup)
	w.del("/v1/threads/"+pair+"/participants/bob").refused(409, chat.CodeNotAGroup)

	others := make([]string, 249)
	for i := range others {
		others[i] = fmt.Sprintf("u%d", i)
	}
	w.post("/v1/threads/"+w.group(others...)+"/participants", `{"user_id":"carol"}`).refused(409, chat.CodeThreadFull)
}

func TestThreadList(t *testing.T) {
	w := newWorld(t)
	if got := string(w.get("/v1/threads").want(200).body); got != `{"threads":[],"next_cursor":null}` {
		t.Errorf("got %s", got)
	}
	made := map[string]bool{}
	for range 5 {
		made[w.group("bob")] = true
	}
	cursor, pages := "", 0
	for {
		page := decoded[contracts.ThreadPage](w.get("/v1/threads?page_size=2&cursor=" + cursor).want(200))
		for _, th := range page.Threads {
			if !made[th.ID] {
				t.Errorf("%s is listed twice or not ours", th.ID)
			}
			delete(made, th.ID)
		}
		if pages++; page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	if len(made) != 0 || pages != 3 {
		t.Errorf("%d threads missing after %d pages", len(made), pages)
	}
	w.get("/v1/threads?cursor=nonsense").invalid("cursor")
}

func TestPageSizeBounds(t *testing.T) {
	w := newWorld(t)
	history := "/v1/threads/" + w.group("bob") + "/messages"
	for _, path := range []string{"/v1/threads", history} {
		for _, size := range []string{"1", "100"} {
			w.get(path + "?page_size=" + size).want(200)
		}
		for _, size := range []string{"0", "101", "-1", "x", "", "1.0", "99999999999999999999"} {
			w.get(path + "?page_size=" + size).invalid("page_size")
		}
	}
}

func TestMalformedIDsInThePathNameNothing(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	const unknown = "018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00"
	for _, bad := range []string{unknown, "x", strings.ToUpper(id), "%7B" + id + "%7D", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), "%00"} {
		path := "/v1/threads/" + bad
		w.get(path).refused(404, chat.CodeThreadNotFound)
		w.get(path+"/messages").refused(404, chat.CodeThreadNotFound)
		w.send("alice", bad, "k", `{"client_seq":1,"ciphertext":"AA=="}`).refused(404, chat.CodeThreadNotFound)
		w.post(path+"/read", `{"up_to_msg_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB"}`).refused(404, chat.CodeThreadNotFound)
		w.post(path+"/participants", `{"user_id":"bob"}`).refused(404, chat.CodeThreadNotFound)
		w.del(path+"/participants/bob").refused(404, chat.CodeThreadNotFound)
	}
	for _, bad := range []string{"01HX9G3M2J8K4N5P7Q8R0S1TAB", "x", "01hx9g3m2j8k4n5p7q8r0s1tab", "81HX9G3M2J8K4N5P7Q8R0S1TAB"} {
		w.get("/v1/messages/"+bad+"/receipts").refused(404, chat.CodeMessageNotFound)
	}
}

func TestTitleIsForAdminsOfGroups(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	path := "/v1/threads/" + id
	as := func(user, body string) answer {
		return w.do(request{user: user, method: "PATCH", path: path, body: body})
	}
	title := strings.Repeat("é", 256)
	if got := decoded[contracts.Thread](as("alice", `{"title":"`+title+`"}`).want(200)); got.Title == nil || *got.Title != title {
		t.Errorf("the title is %v", got.Title)
	}
	as("alice", `{"title":"`+title+`é"}`).invalid("title")
	as("alice", `{"title":7}`).invalid("title")
	as("alice", `{}`).invalid("title")
	as("alice", `{"title":"x","colour":1}`).invalid("colour")
	as("bob", `{"title":"x"}`).refused(403, chat.CodeNotAnAdmin)
	as("mallory", `{"title":"x"}`).refused(403, chat.CodeNotAParticipant)
	if got := decoded[contracts.Thread](as("alice", `{"title":null}`).want(200)); got.Title != nil {
		t.Errorf("a null left the title %q", *got.Title)
	}
	before := decoded[contracts.EventPage](w.get(path + "/events").want(200))
	as("alice", `{"title":null}`).want(200) // clears nothing, and is no event
	after := decoded[contracts.EventPage](w.get(path + "/events").want(200))
	if len(after.Events) != len(before.Events) || len(after.Events) != 3 {
		t.Errorf("%d events, then %d; want created and two changes of title", len(before.Events), len(after.Events))
	}
	one := decoded[contracts.Thread](w.post("/v1/threads", `{"type":"1_TO_1","participants":["bob"]}`).want(201)).ID
	w.do(request{user: "alice", method: "PATCH", path: "/v1/threads/" + one, body: `{"title":"x"}`}).refused(409, chat.CodeNotAGroup)
}

func TestRolesAreGivenByAdmins(t *testing.T) {
	w := newWorld(t)
	members := "/v1/threads/" + w.group("bob") + "/participants/"
	as := func(user, whose, body string) answer {
		return w.do(request{user: user, method: "PATCH", path: members + whose, body: body})
	}
	as("bob", "bob", `{"role":"admin"}`).refused(403, chat.CodeNotAnAdmin)
	as("mallory", "bob", `{"role":"admin"}`).refused(403, chat.CodeNotAParticipant)
	as("alice", "alice", `{"role":"member"}`).refused(409, chat.CodeLastAdmin)
	as("alice", "carol", `{"role":"admin"}`).refused(404, chat.CodeParticipantNotFound)
	as("alice", "bob", `{"role":"owner"}`).invalid("role")
	as("alice", "bob", `{}`).invalid("role")
	if got := decoded[contracts.Participant](as("alice", "bob", `{"role":"admin"}`).want(200)); got.Role != "admin" {
		t.Errorf("bob is %s", got.Role)
	}
	as("alice", "bob", `{"role":"admin"}`).want(200)
	if got := decoded[contracts.Participant](as("alice", "alice", `{"role":"member"}`).want(200)); got.Role != "member" {
		t.Errorf("alice is %s", got.Role)
	}
}

func TestCreatingAThreadIsRetried(t *testing.T) {
	w := newWorld(t)
	create := func(key, body string) answer {
		return w.do(request{user: "alice", method: "POST", path: "/v1/threads", body: body, header: map[string]string{"Idempotency-Key": key}})
	}
	group := `{"type":"GROUP","participants":["bob"]}`
	first, again := create("k", group).want(201), create("k", group).want(201)
	if decoded[contracts.Thread](first).ID != decoded[contracts.Thread](again).ID {
		t.Errorf("the retry made another group: %s, %s", first.body, again.body)
	}
	if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" ||
		again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("headers %v, then %v", first.header, again.header)
	}
	create("k", `{"type":"GROUP","participants":["carol"]}`).refused(422, chat.CodeIdempotencyKeyReused)
	create(strings.Repeat("x", 64), group).want(201)
	create(strings.Repeat("x", 65), group).invalid("Idempotency-Key")
	create("a b", group).invalid("Idempotency-Key")
}
