package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// GET …/events gives every durable frame that a connection got, whatever the size of the
// pages.
func TestEventsAreTheFramesOfAConnection(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	line := jsonProtocol.live(t, bob, options{})
	group := ann.createGroup(t, bob.user)
	old := sendMany(t, ann, group.ID, 3)
	kinds := changeEverything(t, ann, group.ID, old)
	ann.must(t, http.StatusOK, http.MethodPatch, "/v1/threads/"+group.ID+"/participants/bob", map[string]any{"role": "admin"})
	ann.add(t, group.ID, "cid")
	ann.remove(t, group.ID, "cid")
	total := 1 + len(old) + len(kinds) + 3
	seen := &union{}
	line.watch(patience, func(f []frame) bool { return seen.with(f).complete(group.ID, total) })
	live := map[uint64]frame{}
	for _, f := range line.all() {
		live[f.Seq] = f
	}
	for _, size := range []int{1, 3, total - 1, total, 100} {
		for _, after := range []uint64{0, 5, uint64(total)} {
			events := bob.events(t, group.ID, after, size)
			if len(events) != total-int(after) {
				t.Fatalf("after %d in pages of %d there are %d events, want %d", after, size, len(events), total-int(after))
			}
			for i, e := range events {
				if e.Seq != after+uint64(i)+1 {
					t.Fatalf("after %d in pages of %d event %d has seq %d", after, size, i, e.Seq)
				}
				// A message may have been edited since it was sent live; the rest is the same.
				if f := live[e.Seq]; f.T != "msg" && f.T != "edit" && !sameJSON(t, f.body(), e.body()) {
					t.Errorf("the log has %s, live came %s", e.body(), f.body())
				}
				if e.T == "msg" || e.T == "edit" {
					if now := bob.message(t, e.ID); string(now.Ciphertext) != string(e.Ciphertext) {
						t.Errorf("the log has %s, the message is %+v", e.body(), now)
					}
				}
			}
		}
	}
}

func TestRefusedEvents(t *testing.T) {
	s := startServer(t)
	ann, eve := s.device(t, "ann", "a"), s.device(t, "eve", "e")
	group := ann.createGroup(t, "bob")
	path := "/v1/threads/" + group.ID + "/events"
	for _, bad := range []string{"since_seq=-1", "since_seq=x", "since_seq=1.5", "since_seq=99999999999999999999", "page_size=0", "page_size=101", "page_size=x"} {
		ann.refused(t, 400, "invalid_request", http.MethodGet, path+"?"+bad, nil)
	}
	eve.refused(t, 403, "not_a_participant", http.MethodGet, path+"?since_seq=0", nil)
	ann.refused(t, 404, "thread_not_found", http.MethodGet, "/v1/threads/"+noThread+"/events?since_seq=0", nil)
	if events := ann.events(t, group.ID, 1<<40, 10); len(events) != 0 {
		t.Errorf("beyond the end of the log there is %v", events)
	}
}

// The history by cursor (newest first) and by since (oldest first) has the same messages.
func TestHistoryInPages(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	sent := sendMany(t, ann, group.ID, 7)
	for size := 1; size <= 8; size++ {
		for what, want := range map[string][]message{"": reversed(sent), "&since=" + longAgo: sent, "&since=" + sent[2].ID: sent[3:], "&since=" + sent[6].ID: nil} {
			got := bob.pages(t, fmt.Sprintf("/v1/threads/%s/messages?page_size=%d", group.ID, size), what)
			if asJSON(t, ids(got)) != asJSON(t, ids(want)) {
				t.Errorf("pages of %d with %q: %v, want %v", size, what, ids(got), ids(want))
			}
		}
	}
	path := "/v1/threads/" + group.ID + "/messages?"
	for _, bad := range []string{"page_size=0", "page_size=101", "page_size=x", "cursor=nonsense", "cursor=AAAA", "since=nonsense", "since="} {
		ann.refused(t, 400, "invalid_request", http.MethodGet, path+bad, nil)
	}
	s.device(t, "eve", "e").refused(t, 403, "not_a_participant", http.MethodGet, path, nil)
	ann.refused(t, 404, "thread_not_found", http.MethodGet, "/v1/threads/"+noThread+"/messages", nil)
}

func ids(messages []message) []string {
	all := []string{}
	for _, m := range messages {
		all = append(all, m.ID)
	}
	return all
}

func reversed(messages []message) []message {
	var all []message
	for _, m := range messages {
		all = append([]message{m}, all...)
	}
	return all
}

// pages reads all pages of a listing. first is the part of the query that only the first
// page has.
func (d *device) pages(t testing.TB, path, first string) (all []message) {
	t.Helper()
	for query := first; ; {
		var page struct {
			Messages   []message `json:"messages"`
			NextCursor *string   `json:"next_cursor"`
		}
		d.must(t, http.StatusOK, http.MethodGet, path+query, nil).into(t, &page)
		all = append(all, page.Messages...)
		if page.NextCursor == nil {
			return all
		}
		if len(page.Messages) == 0 {
			t.Fatalf("%s%s is an empty page with a cursor", path, query)
		}
		query = "&cursor=" + *page.NextCursor
	}
}
