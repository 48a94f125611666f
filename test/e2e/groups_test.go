package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// roles are a thread's people in order, with their roles.
func (th thread) roles() string {
	var all []string
	for _, p := range th.Participants {
		all = append(all, p.UserID+":"+p.Role)
	}
	return strings.Join(all, " ")
}

func (d *device) setRole(t testing.TB, thread, user, role string) participant {
	t.Helper()
	var p participant
	d.must(t, http.StatusOK, http.MethodPatch, "/v1/threads/"+thread+"/participants/"+user, map[string]any{"role": role}).into(t, &p)
	return p
}

func (d *device) setTitle(t testing.TB, thread string, title any) {
	t.Helper()
	d.must(t, http.StatusOK, http.MethodPatch, "/v1/threads/"+thread, map[string]any{"title": title})
}

// A new role, a new title, a joining and a leaving are told to every device but the acting
// one. A call that changes nothing is told to nobody.
func TestChangesOfAGroupAreTold(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCast(t, s, p)
			other := s.device(t, "cid-"+p.name, "c")
			onOther := p.live(t, other, options{})
			th := c.phone.thread(t, c.thread)
			if want := c.phone.user + ":admin " + c.watch.user + ":member"; th.roles() != want || th.ParticipantCount != 2 || th.CreatedBy != c.phone.user {
				t.Fatalf("the new group is %+v, want %s", th, want)
			}

			c.phone.setTitle(t, c.thread, "Tea")
			if f := c.told(t, "thread"); f.Event != "title_changed" || text(f.Title) != "Tea" || !f.by(c.phone.user) || f.Seq != 2 {
				t.Errorf("the title is told as %s", f.raw)
			}
			c.phone.setTitle(t, c.thread, "Tea")
			c.phone.setTitle(t, c.thread, nil)
			if f := c.told(t, "thread"); f.Event != "title_changed" || f.Title != nil || f.Seq != 3 {
				t.Errorf("the removal of the title is told as %s", f.raw)
			}
			if th := c.watch.thread(t, c.thread); th.Title != nil {
				t.Errorf("the title is %q", *th.Title)
			}

			c.tablet.add(t, c.thread, other.user) // any member may
			if f := c.everybody(t, "thread"); f.Event != "participant_added" || f.UserID != other.user || f.Role != "member" || !f.by(c.tablet.user) {
				t.Errorf("the newcomer is told as %s", f.raw)
			} else if g := onOther.nextDurable(t); g.body() != f.body() {
				t.Errorf("the newcomer is told %s", g.raw)
			}
			c.phone.must(t, http.StatusOK, http.MethodPost, "/v1/threads/"+c.thread+"/participants", map[string]any{"user_id": other.user})

			if p := c.phone.setRole(t, c.thread, other.user, "admin"); p.UserID != other.user || p.Role != "admin" {
				t.Errorf("the new admin is %+v", p)
			}
			if f := c.told(t, "thread"); f.Event != "role_changed" || f.UserID != other.user || f.Role != "admin" || !f.by(c.phone.user) {
				t.Errorf("the role is told as %s", f.raw)
			}
			c.phone.setRole(t, c.thread, other.user, "admin")

			onOther.nextDurable(t)
			c.phone.remove(t, c.thread, other.user)
			f := c.told(t, "thread")
			if f.Event != "participant_removed" || f.UserID != other.user || !f.by(c.phone.user) {
				t.Errorf("the removal is told as %s", f.raw)
			}
			if g := onOther.nextDurable(t); g.body() != f.body() {
				t.Errorf("the removed one is told %s", g.raw)
			}
			c.nothingElse(t)
			if n := len(c.phone.events(t, c.thread, 0, 100)); n != 7 {
				t.Errorf("the log has %d events, want 7: what changed nothing took a seq", n)
			}
		})
	}
}

// When the last admin leaves, the member who joined first becomes admin. Members who came
// with the creation stand in the order of its request.
func TestSuccession(t *testing.T) {
	s := startServer(t)
	ann, zed, bob := s.device(t, "ann", "a"), s.device(t, "zed", "z"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "zed", "bob")
	ann.add(t, group.ID, "aaron")
	line := jsonProtocol.live(t, zed, options{})
	ann.remove(t, group.ID, "ann")
	events := map[string]frame{}
	for range 2 {
		f := line.nextDurable(t)
		events[f.Event] = f
	}
	if f := events["participant_removed"]; f.UserID != "ann" || !f.by("ann") {
		t.Errorf("zed is told %v", events)
	}
	if f := events["role_changed"]; f.UserID != "zed" || f.Role != "admin" {
		t.Errorf("zed is told %v", events)
	}
	if got := zed.thread(t, group.ID); got.roles() != "zed:admin bob:member aaron:member" {
		t.Errorf("after the founder left: %s", got.roles())
	}
	ann.refused(t, 403, "not_a_participant", http.MethodGet, "/v1/threads/"+group.ID, nil)

	// One of two admins leaves: nobody else becomes admin.
	zed.setRole(t, group.ID, "aaron", "admin")
	zed.remove(t, group.ID, "zed")
	if got := bob.thread(t, group.ID); got.roles() != "bob:member aaron:admin" {
		t.Errorf("after one of two admins left: %s", got.roles())
	}
	// Ann comes back as the newest member: Bob becomes admin before her.
	aaron := s.device(t, "aaron", "a")
	aaron.add(t, group.ID, "ann")
	aaron.remove(t, group.ID, "aaron")
	if got := bob.thread(t, group.ID); got.roles() != "bob:admin ann:member" {
		t.Errorf("after the last admin left again: %s", got.roles())
	}
	bob.remove(t, group.ID, "ann")
	if got := bob.thread(t, group.ID); got.roles() != "bob:admin" || got.ParticipantCount != 1 {
		t.Errorf("a group of one: %s", got.roles())
	}
	bob.send(t, group.ID, "to myself")
}

func TestRefusedChangesOfGroups(t *testing.T) {
	s := startServer(t)
	ann, bob, eve := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "eve", "e")
	group, pair := "/v1/threads/"+ann.createGroup(t, "bob").ID, "/v1/threads/"+ann.createOneToOne(t, "bob").ID
	const nowhere = "/v1/threads/" + noThread
	user := func(id any) map[string]any { return map[string]any{"user_id": id} }
	role := func(r any) map[string]any { return map[string]any{"role": r} }
	title := func(v any) map[string]any { return map[string]any{"title": v} }
	for _, c := range []struct {
		by           *device
		status       int
		code         string
		method, path string
		body         any
	}{
		{eve, 403, "not_a_participant", "GET", group, nil},
		{ann, 404, "thread_not_found", "GET", nowhere, nil},
		{ann, 404, "thread_not_found", "GET", "/v1/threads/nonsense", nil},

		{bob, 403, "not_an_admin", "PATCH", group, title("x")},
		{eve, 403, "not_a_participant", "PATCH", group, title("x")},
		{ann, 409, "not_a_group", "PATCH", pair, title("x")},
		{ann, 404, "thread_not_found", "PATCH", nowhere, title("x")},
		{ann, 400, "invalid_request", "PATCH", group, title(strings.Repeat("é", 257))},
		{ann, 400, "invalid_request", "PATCH", group, title(7)},
		{ann, 400, "invalid_request", "PATCH", group, map[string]any{}},

		{ann, 409, "not_a_group", "POST", pair + "/participants", user("cid")},
		{eve, 403, "not_a_participant", "POST", group + "/participants", user("cid")},
		{ann, 404, "thread_not_found", "POST", nowhere + "/participants", user("cid")},
		{ann, 400, "invalid_request", "POST", group + "/participants", user("me")},
		{ann, 400, "invalid_request", "POST", group + "/participants", user("a/b")},
		{ann, 400, "invalid_request", "POST", group + "/participants", user(strings.Repeat("x", 65))},
		{ann, 400, "invalid_request", "POST", group + "/participants", user(nil)},

		{bob, 403, "not_an_admin", "PATCH", group + "/participants/ann", role("member")},
		{eve, 403, "not_a_participant", "PATCH", group + "/participants/ann", role("member")},
		{ann, 409, "last_admin", "PATCH", group + "/participants/ann", role("member")},
		{ann, 404, "participant_not_found", "PATCH", group + "/participants/eve", role("member")},
		{ann, 404, "thread_not_found", "PATCH", nowhere + "/participants/ann", role("member")},
		{ann, 400, "invalid_request", "PATCH", group + "/participants/bob", role("owner")},
		{ann, 400, "invalid_request", "PATCH", group + "/participants/bob", role(nil)},

		{bob, 403, "not_an_admin", "DELETE", group + "/participants/ann", nil},
		{eve, 403, "not_a_participant", "DELETE", group + "/participants/eve", nil},
		{ann, 404, "participant_not_found", "DELETE", group + "/participants/eve", nil},
		{ann, 409, "not_a_group", "DELETE", pair + "/participants/bob", nil},
		{ann, 409, "not_a_group", "DELETE", pair + "/participants/ann", nil},
		{ann, 404, "thread_not_found", "DELETE", nowhere + "/participants/bob", nil},
	} {
		c.by.refused(t, c.status, c.code, c.method, c.path, c.body)
	}
	if th := ann.thread(t, strings.TrimPrefix(group, "/v1/threads/")); th.roles() != "ann:admin bob:member" || th.Title != nil {
		t.Errorf("after all refusals the group is %+v", th)
	}
	ann.setTitle(t, strings.TrimPrefix(group, "/v1/threads/"), strings.Repeat("é", 256))
}

// A group has room for 250 people, at its creation and later.
func TestFullGroup(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	var others []string
	for i := range 250 {
		others = append(others, fmt.Sprint("user-", i))
	}
	ann.refused(t, 400, "invalid_request", http.MethodPost, "/v1/threads", map[string]any{"type": "GROUP", "participants": others})
	group := ann.createGroup(t, append(others[:248], "ann", "user-7")...) // duplicates are merged
	if th := ann.thread(t, group.ID); th.ParticipantCount != 249 || len(th.Participants) != 249 || th.Participants[7].UserID != "user-6" {
		t.Fatalf("the group has %d participants", th.ParticipantCount)
	}
	ann.add(t, group.ID, "the-250th")
	path := "/v1/threads/" + group.ID + "/participants"
	ann.refused(t, 409, "thread_full", http.MethodPost, path, map[string]any{"user_id": "one-more"})
	ann.must(t, http.StatusOK, http.MethodPost, path, map[string]any{"user_id": "user-7"})
	ann.remove(t, group.ID, "user-7")
	ann.add(t, group.ID, "one-more")
	sent := ann.send(t, group.ID, "hello everybody")
	if r := ann.receiptsOf(t, sent.ID); len(r.States) != 249 || r.Summary.Sent != 249 {
		t.Errorf("the message to 249 others has %d states and the summary %+v", len(r.States), r.Summary)
	}
}

// The unread count and the marks of a thread, as Ann and as Bob get them.
func TestUnreadCount(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	unread := func(d *device) int { t.Helper(); return d.thread(t, group.ID).UnreadCount }
	if th := ann.thread(t, group.ID); th.LastActivityAt != th.CreatedAt || th.LastMsgID != nil {
		t.Errorf("the new thread is %+v", th)
	}
	sent := sendMany(t, ann, group.ID, 5)
	if a, b := unread(ann), unread(bob); a != 0 || b != 5 {
		t.Errorf("after 5 messages of Ann's she has %d unread, Bob %d", a, b)
	}
	ann.del(t, sent[4].ID)
	ann.react(t, sent[0].ID, "👍")
	ann.edit(t, sent[1].ID, "changed")
	ann.setTitle(t, group.ID, "no message")
	if n := unread(bob); n != 4 {
		t.Errorf("one deleted: %d unread, want 4", n)
	}
	if th := bob.thread(t, group.ID); text(th.LastMsgID) != sent[4].ID || th.LastActivityAt != sent[4].CreatedAt {
		t.Errorf("the last message is %s at %s, want %s at %s", text(th.LastMsgID), th.LastActivityAt, sent[4].ID, sent[4].CreatedAt)
	}
	bob.markRead(t, group.ID, sent[1].ID)
	bob.markRead(t, group.ID, sent[0].ID) // never backwards
	if n := unread(bob); n != 2 {
		t.Errorf("two read: %d unread, want 2", n)
	}
	for _, p := range ann.thread(t, group.ID).Participants {
		if p.UserID == "bob" && (text(p.ReadUpTo) != sent[1].ID || text(p.DeliveredUpTo) != sent[1].ID) {
			t.Errorf("Bob's marks are %s and %s, want both at %s", text(p.DeliveredUpTo), text(p.ReadUpTo), sent[1].ID)
		}
	}
	ann.bulk = true
	sendMany(t, ann, group.ID, 97)
	if n := unread(bob); n != 99 {
		t.Errorf("%d unread, want 99", n)
	}
	sendMany(t, ann, group.ID, 3)
	if n := unread(bob); n != 100 {
		t.Errorf("over 99 unread: %d, want 100", n)
	}
}
