package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func TestReports(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	sent := w.message("bob", id, "")
	path := "/v1/messages/" + sent.ID + "/reports"
	if got := string(w.asAdmin("GET", "/v1/admin/reports").want(200).body); got != `{"reports":[],"next_cursor":null}` {
		t.Errorf("got %s", got)
	}
	var filed []string
	for _, reason := range []string{"spam", "abuse", "illegal", "other"} {
		of := w.message("bob", id, "")
		a := w.post("/v1/messages/"+of.ID+"/reports", `{"reason":"`+reason+`"}`).want(201)
		r := decoded[contracts.ReportReceipt](a)
		if r.MessageID != of.ID || r.Reason != reason || len(r.ID) != 26 || r.CreatedAt == "" {
			t.Errorf("got %s", a.body)
		}
		filed = append([]string{r.ID}, filed...)
	}
	note := strings.Repeat("é", 1000)
	last := decoded[contracts.ReportReceipt](w.post(path, `{"reason":"spam","note":"`+note+`"}`).want(201))
	filed = append([]string{last.ID}, filed...)
	if again := decoded[contracts.ReportReceipt](w.post(path, `{"reason":"abuse"}`).want(200)); again != last {
		t.Errorf("reported again: %+v, want %+v", again, last)
	}
	w.post(path, `{"reason":"spam","note":"`+note+`x"}`).invalid("note")
	w.post(path, `{"reason":"boring"}`).invalid("reason")
	w.post(path, `{"reason":""}`).invalid("reason")
	w.as("mallory", "POST", path, `{"reason":"spam"}`).refused(403, chat.CodeNotAParticipant)
	w.as("bob", "DELETE", "/v1/messages/"+sent.ID, "").want(204)

	var listed []contracts.Report
	pages := 0
	for query := "?page_size=2"; query != ""; pages++ {
		page := decoded[contracts.ReportPage](w.asAdmin("GET", "/v1/admin/reports"+query).want(200))
		listed = append(listed, page.Reports...)
		if query = ""; page.NextCursor != nil {
			query = "?page_size=2&cursor=" + *page.NextCursor
		}
	}
	if len(listed) != 5 || pages != 3 {
		t.Fatalf("%d reports on %d pages", len(listed), pages)
	}
	for i, r := range listed {
		if r.ID != filed[i] || (r.MessageID == sent.ID) != (i == 0) || r.ThreadID != id || r.SenderID != "bob" || r.ReporterID != "alice" {
			t.Errorf("report %d is %+v, want %s", i, r, filed[i])
		}
	}
	if listed[0].Note == nil || *listed[0].Note != note || listed[1].Note != nil {
		t.Errorf("the notes are %v and %v", listed[0].Note, listed[1].Note)
	}
}

func TestAdminCallsNeedTheScope(t *testing.T) {
	w := newWorld(t)
	hash := strings.Repeat("0f", 32)
	for _, tc := range []struct{ method, path string }{
		{"GET", "/v1/admin/reports"},
		{"GET", "/v1/admin/reports?cursor=nonsense"},
		{"PUT", "/v1/admin/attachment-denylist/" + hash},
		{"DELETE", "/v1/admin/attachment-denylist/" + hash},
		{"DELETE", "/v1/admin/attachment-denylist/nonsense"},
	} {
		all := w.scoped("alice", chat.ScopeRead, chat.ScopeWrite, chat.ScopeSystem)
		w.do(request{token: all, method: tc.method, path: tc.path}).refused(403, chat.CodeMissingScope)
	}
	w.asAdmin("GET", "/v1/threads").refused(403, chat.CodeMissingScope)
	w.asAdmin("GET", "/v1/admin/reports?cursor=nonsense").invalid("cursor")
	for _, size := range []string{"0", "101", "x", ""} {
		w.asAdmin("GET", "/v1/admin/reports?page_size="+size).invalid("page_size")
	}
	w.asAdmin("GET", "/v1/admin/reports?page_size=100").want(200)
	w.group("bob")
	w.group("bob")
	another := decoded[contracts.ThreadPage](w.get("/v1/threads?page_size=1").want(200)).NextCursor
	w.asAdmin("GET", "/v1/admin/reports?cursor="+*another).invalid("cursor")
}

func TestDeniedAttachments(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	hash := strings.Repeat("0f", 32)
	denylist := "/v1/admin/attachment-denylist/"
	send := func(n int, sha string) answer {
		return w.send("alice", id, fmt.Sprint("k", n), fmt.Sprintf(`{"client_seq":%d,"ciphertext":"AA==","attachment_sha256":"%s"}`, n, sha))
	}
	send(1, hash).want(202)
	for range 2 {
		w.asAdmin("PUT", denylist+hash).want(204)
	}
	send(2, hash).refused(422, chat.CodeAttachmentBlocked)
	send(3, strings.Repeat("0e", 32)).want(202)
	if got := decoded[contracts.MessagePage](w.get("/v1/threads/" + id + "/messages").want(200)); len(got.Messages) != 2 {
		t.Errorf("%d messages, want the one from before and the other one", len(got.Messages))
	}
	for range 2 {
		w.asAdmin("DELETE", denylist+hash).want(204)
	}
	send(2, hash).want(202)
	for _, bad := range []string{"x", hash[1:], hash + "0", strings.ToUpper(hash), strings.Repeat("0g", 32), "%00", strings.Repeat("%30", 63), "me"} {
		w.asAdmin("PUT", denylist+bad).invalid("sha256")
		w.asAdmin("DELETE", denylist+bad).invalid("sha256")
	}
	w.asAdmin("PUT", denylist+strings.Repeat("%30", 64)).want(204)
	send(9, strings.Repeat("0", 64)).refused(422, chat.CodeAttachmentBlocked)
}
