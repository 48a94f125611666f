package e2e

import (
	"net/http"
	"testing"
)

// blockedRow is one thing that a blocked person, ann, does; see is what of it the blocker, bob, is
// told in a 1:1: a frame of that type, or "".
type blockedRow struct {
	name string
	see  string
	do   func(t *testing.T, ann *device, thread string, hers, his message)
}

var blockedRows = []blockedRow{
	{"message", "", func(t *testing.T, ann *device, thread string, _, _ message) { ann.send(t, thread, "sent") }},
	{"edit", "", func(t *testing.T, ann *device, _ string, hers, _ message) { ann.edit(t, hers.ID, "edited") }},
	{"reaction", "", func(t *testing.T, ann *device, _ string, _, his message) { ann.react(t, his.ID, "new") }},
	{"reaction taken back", "", func(t *testing.T, ann *device, _ string, _, his message) { ann.unreact(t, his.ID, "old") }},
	{"pin", "", func(t *testing.T, ann *device, thread string, hers, _ message) {
		ann.pin(t, http.StatusCreated, thread, hers.ID)
	}},
	{"unpin", "", func(t *testing.T, ann *device, thread string, _, his message) { ann.unpin(t, thread, his.ID) }},
	{"typing", "", func(t *testing.T, ann *device, thread string, _, _ message) { ann.typeBy(t, "JSON", thread) }},
	{"signal", "", func(t *testing.T, ann *device, thread string, _, _ message) { ann.ring(t, thread, "ring") }},
	{"delete", "del", func(t *testing.T, ann *device, _ string, hers, _ message) { ann.del(t, hers.ID) }},
}

// What a blocked person does in a 1:1 is answered as ever, and hidden from the blocker: live, in
// the replay, in the history and in the events, before and after the block ends. Deletions show,
// and in a group everything does.
func TestBlocksActionByAction(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		for _, row := range blockedRows {
			for _, group := range []bool{false, true} {
				where, see := "1:1", row.see
				if group {
					where, see = "group", map[string]string{
						"message": "msg", "edit": "edit", "reaction": "reaction", "reaction taken back": "reaction", "pin": "thread", "unpin": "thread",
						"typing": "typing", "signal": "signal", "delete": "del",
					}[row.name]
				}
				t.Run(p.name+" "+row.name+" in a "+where, func(t *testing.T) {
					t.Parallel()
					checkBlockedRow(t, s, p, row, group, see)
				})
			}
		}
	}
}

func checkBlockedRow(t *testing.T, s *server, p protocol, row blockedRow, group bool, see string) {
	name := func(who string) string {
		return who + "-" + p.name + map[bool]string{false: "-pair-", true: "-group-"}[group] + row.name[:3] + row.name[len(row.name)-2:]
	}
	ann, bob, tablet := s.device(t, name("ann"), "a"), s.device(t, name("bob"), "b"), s.device(t, name("bob"), "tablet")
	thread := ""
	if group {
		thread = ann.createGroup(t, bob.user).ID
	} else {
		thread = ann.createOneToOne(t, bob.user).ID
	}
	bob.accept(t, thread)
	hers, his := ann.send(t, thread, "hers"), bob.send(t, thread, "his")
	ann.react(t, his.ID, "old")
	ann.pin(t, http.StatusCreated, thread, his.ID)
	line := p.live(t, bob, options{filters: append(options{}.topics(bob), "v1/threads/+/typing", "v1/threads/+/signals/+")})
	bob.block(t, ann.user)
	look := func() string {
		return asJSON(t, bob.history(t, thread)) + asJSON(t, bob.pins(t, thread)) + asJSON(t, len(bob.events(t, thread, 0, 100)))
	}
	before := look()
	row.do(t, ann, thread, hers, his)
	if see == "typing" || see == "signal" {
		line.until(t, see, func(f frame) bool { return f.T == see && f.UserID == ann.user })
		return
	}
	hidden := look() == before
	mark := tablet.send(t, thread, "mark")
	line.untilMessage(t, mark.ID)
	told := 0
	for _, f := range line.all() {
		switch f.T {
		case "msg", "edit", "del", "reaction", "thread", "typing", "signal":
			if f.ID != mark.ID && f.Seq > his.Seq+2 || f.Seq == 0 && f.UserID == ann.user {
				told++
				if f.T != see {
					t.Errorf("bob is told %s", f.raw)
				}
			}
		}
	}
	if want := map[bool]int{true: 1}[see != ""]; told != want || hidden != (see == "") {
		t.Errorf("bob is told %d frames, want %d; what he reads is as before: %v", told, want, hidden)
	}
	if see != "" {
		return
	}
	line.close()
	bob.unblock(t, ann.user)
	if p.name == mqtt311TCP.name { // which cannot ask for what it has acknowledged
		return
	}
	again := p.open(t, bob, options{lastSeen: longAgo})
	again.untilMessage(t, mark.ID)
	for _, f := range again.all() {
		if f.T == "edit" || f.T == "msg" && f.ID != mark.ID && f.ID != hers.ID && f.ID != his.ID || f.Seq > his.Seq+2 && f.ID != mark.ID {
			t.Errorf("the replay has %s", f.raw)
		}
		if f.T == "msg" && f.ID == hers.ID && string(f.Ciphertext) != "hers" {
			t.Errorf("the replay shows her message as %s", f.raw)
		}
	}
	again.close()
}

// Nobody adds a person who blocks them, or makes a group with one; a group that both are in stays.
func TestBlocksKeepFromGroups(t *testing.T) {
	s := startServer(t)
	ann, bob, cid := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "cid", "c")
	group := ann.createGroup(t, "cid")
	bob.block(t, "ann")
	ann.refused(t, 403, "cannot_add", http.MethodPost, "/v1/threads/"+group.ID+"/participants", map[string]string{"user_id": "bob"})
	ann.refused(t, 403, "cannot_add", http.MethodPost, "/v1/threads", map[string]any{"type": "GROUP", "participants": []string{"bob", "cid"}})
	cid.add(t, group.ID, "bob")
	bob.remove(t, group.ID, "bob")
	for _, d := range []*device{ann, cid} { // he blocks the one, and the other is no admin: the same answer
		d.refused(t, 403, "cannot_add", http.MethodPost, "/v1/threads/"+group.ID+"/participants", map[string]string{"user_id": "bob"})
	}
	ann.createOneToOne(t, "bob")
}
