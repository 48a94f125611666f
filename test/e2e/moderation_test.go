package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// report is a report of a message, as its reporter is answered and as operators list it.
type report struct {
	ID         string  `json:"id"`
	MessageID  string  `json:"message_id"`
	ThreadID   string  `json:"thread_id"`
	SenderID   string  `json:"sender_id"`
	ReporterID string  `json:"reporter_id"`
	Reason     string  `json:"reason"`
	Note       *string `json:"note"`
	CreatedAt  string  `json:"created_at"`
}

// scoped is a device whose token has just these scopes.
func (s *server) scoped(t testing.TB, user, scope string) *device {
	t.Helper()
	return s.device(t, user, "d").withClaims(t, func(c claimSet) { c["scope"] = scope })
}

func (d *device) report(t testing.TB, messageID, reason, note string) report {
	t.Helper()
	body := map[string]any{"reason": reason}
	if note != "" {
		body["note"] = note
	}
	var r report
	d.must(t, http.StatusCreated, http.MethodPost, "/v1/messages/"+messageID+"/reports", body).into(t, &r)
	if r.MessageID != messageID || r.Reason != reason || r.ID == "" {
		t.Errorf("the report of %s for %s is %+v", messageID, reason, r)
	}
	return r
}

// reports lists all reports, in pages of that size.
func (d *device) reports(t testing.TB, size int) (all []report) {
	t.Helper()
	for cursor := ""; ; {
		var page struct {
			Reports    []report `json:"reports"`
			NextCursor *string  `json:"next_cursor"`
		}
		d.must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/v1/admin/reports?page_size=%d%s", size, cursor), nil).into(t, &page)
		if all = append(all, page.Reports...); page.NextCursor == nil {
			return all
		}
		if len(page.Reports) != size {
			t.Fatalf("a page of %d has %d reports and a cursor", size, len(page.Reports))
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

func TestReports(t *testing.T) {
	s := startServer(t)
	ann, bob, admin := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.scoped(t, "operator", "chat.admin")
	group := ann.createGroup(t, "bob")
	sent := ann.send(t, group.ID, "something bad")
	if got := admin.reports(t, 10); len(got) != 0 {
		t.Errorf("at first there is %+v", got)
	}
	note := strings.Repeat("é", 1000)
	made := map[string]report{}
	for i, reason := range []string{"spam", "abuse", "illegal", "other", "spam"} {
		of := ann.send(t, group.ID, "something bad")
		r := bob.report(t, of.ID, reason, []string{"", note, "a note", "", ""}[i])
		made[r.ID] = r
		var again report
		body := map[string]any{"reason": "other"}
		bob.must(t, http.StatusOK, http.MethodPost, "/v1/messages/"+of.ID+"/reports", body).into(t, &again)
		if again.ID != r.ID || again.Reason != reason {
			t.Errorf("reported again, the answer is %+v, want the first %+v", again, r)
		}
	}
	own := ann.report(t, sent.ID, "other", "one may report oneself") // any participant may
	made[own.ID] = own
	ann.del(t, sent.ID) // the reports stay

	for size := 1; size <= 7; size++ {
		got := admin.reports(t, size)
		seen := map[string]bool{}
		for _, r := range got {
			m, known := made[r.ID]
			wantBy := map[bool]string{true: "ann", false: "bob"}[r.ID == own.ID]
			if !known || seen[r.ID] || r.MessageID != m.MessageID || r.Reason != m.Reason || r.CreatedAt != m.CreatedAt ||
				r.ThreadID != group.ID || r.SenderID != "ann" || r.ReporterID != wantBy {
				t.Errorf("in pages of %d there is %+v, made was %+v (seen %t)", size, r, m, seen[r.ID])
			}
			if r.Reason == "abuse" && text(r.Note) != note {
				t.Errorf("the note has become %q", text(r.Note))
			}
			seen[r.ID] = true
		}
		if len(got) != len(made) {
			t.Errorf("in pages of %d there are %d reports, %d were made", size, len(got), len(made))
		}
		if !slices.IsSortedFunc(got, func(a, b report) int { return strings.Compare(b.ID, a.ID) }) {
			t.Errorf("in pages of %d they are not newest first", size)
		}
	}
}

func TestRefusedReports(t *testing.T) {
	s := startServer(t)
	ann, eve, admin := s.device(t, "ann", "a"), s.device(t, "eve", "e"), s.scoped(t, "operator", "chat.admin")
	group := ann.createGroup(t, "bob")
	sent := ann.send(t, group.ID, "words")
	path := "/v1/messages/" + sent.ID + "/reports"
	good := map[string]any{"reason": "spam"}
	eve.refused(t, 403, "not_a_participant", http.MethodPost, path, good)
	ann.refused(t, 404, "message_not_found", http.MethodPost, "/v1/messages/"+longAgo+"/reports", good)
	for _, bad := range []any{
		map[string]any{},
		map[string]any{"reason": "dislike"},
		map[string]any{"reason": 1},
		map[string]any{"reason": "spam", "x": 1},
		map[string]any{"reason": "spam", "note": strings.Repeat("é", 1001)},
		verbatim("[]"), verbatim(""),
	} {
		ann.refused(t, 400, "invalid_request", http.MethodPost, path, bad)
	}
	for _, bad := range []string{"page_size=0", "page_size=101", "page_size=x", "cursor=nonsense"} {
		admin.refused(t, 400, "invalid_request", http.MethodGet, "/v1/admin/reports?"+bad, nil)
	}
	if got := admin.reports(t, 10); len(got) != 0 {
		t.Errorf("refusals left %+v", got)
	}
}

func TestAttachmentDenylist(t *testing.T) {
	s := startServer(t)
	ann, admin := s.device(t, "ann", "a"), s.scoped(t, "operator", "chat.admin")
	group := ann.createGroup(t, "bob")
	bad := strings.Repeat("0a", 32)
	path := "/v1/admin/attachment-denylist/" + bad
	out := outgoing{Key: "k1", ClientSeq: 1, Ciphertext: []byte("x"), ContentType: "image_ref", AttachmentID: "att", AttachmentSHA256: bad}
	sent := ann.sendOut(t, group.ID, out)
	for range 2 { // repeating it is fine
		admin.must(t, http.StatusNoContent, http.MethodPut, path, nil)
	}
	next := out
	next.Key, next.ClientSeq = "k2", 2
	refused := func() {
		t.Helper()
		ann.refused(t, 422, "attachment_blocked", http.MethodPost, "/v1/threads/"+group.ID+"/messages", next, "Idempotency-Key", next.Key)
	}
	refused()
	next.ContentType = "file_ref"
	refused()
	next.ContentType, next.AttachmentID = "", ""
	refused() // a text without an attachment id: the hash alone decides
	other := next
	other.Key, other.ClientSeq, other.AttachmentSHA256 = "k3", 3, strings.Repeat("0b", 32)
	ann.sendOut(t, group.ID, other)
	if m := ann.message(t, sent.ID); text(m.AttachmentSHA256) != bad {
		t.Errorf("what was sent before is now %+v", m)
	}
	for range 2 {
		admin.must(t, http.StatusNoContent, http.MethodDelete, path, nil)
	}
	ann.sendOut(t, group.ID, next)
	for _, wrong := range []string{"x", strings.Repeat("0A", 32), strings.Repeat("a", 63), strings.Repeat("a", 65)} {
		for _, method := range []string{http.MethodPut, http.MethodDelete} {
			a, err := admin.callBy(t.Context(), wrongClient, method, "/v1/admin/attachment-denylist/"+wrong, nil)
			if err != nil || (a.status != 400 && a.status != 404) {
				t.Errorf("%s of %q: %v %d %s", method, wrong, err, a.status, a.body)
			}
		}
	}
}

// The calls for operators need the scope chat.admin, and that scope allows nothing else.
func TestAdminScope(t *testing.T) {
	s := startServer(t)
	ann, admin := s.device(t, "ann", "a"), s.scoped(t, "operator", "chat.admin")
	hash := "/v1/admin/attachment-denylist/" + strings.Repeat("0a", 32)
	for _, d := range []*device{ann, s.scoped(t, "job", "chat.system"), s.scoped(t, "nobody", "")} {
		d.refused(t, 403, "missing_scope", http.MethodGet, "/v1/admin/reports", nil)
		d.refused(t, 403, "missing_scope", http.MethodPut, hash, nil)
		d.refused(t, 403, "missing_scope", http.MethodDelete, hash, nil)
	}
	admin.refused(t, 403, "missing_scope", http.MethodGet, "/v1/threads", nil)
	admin.refused(t, 403, "missing_scope", http.MethodPost, "/v1/threads", map[string]any{"type": "GROUP", "participants": []string{"bob"}})
}
