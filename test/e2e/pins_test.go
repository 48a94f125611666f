package e2e

import (
	"net/http"
	"slices"
	"testing"
)

func TestPinsAreTold(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCast(t, s, p)
			first, second := c.sent(t, "first"), c.sent(t, "second")

			got := c.phone.pin(t, http.StatusCreated, c.thread, second.ID)
			f := c.told(t, "thread")
			if f.Event != "pinned" || f.MessageID != second.ID || !f.by(c.phone.user) || f.Seq != second.Seq+1 {
				t.Errorf("the pin is told as %s", f.raw)
			}
			if want := (pin{second.ID, c.phone.user, f.At}); got != want {
				t.Errorf("the pin is %+v, want %+v", got, want)
			}
			// Pinning a pinned message changes nothing, whoever does it.
			if again := c.phone.pin(t, http.StatusOK, c.thread, second.ID); again != got {
				t.Errorf("pinning again gives %+v, want %+v", again, got)
			}
			if again := c.tablet.pin(t, http.StatusOK, c.thread, second.ID); again != got {
				t.Errorf("pinning what Ann pinned gives %+v, want %+v", again, got)
			}

			c.tablet.pin(t, http.StatusCreated, c.thread, first.ID) // any member may
			c.everybody(t, "thread")
			for _, d := range []*device{c.laptop, c.watch} {
				if pins := d.pins(t, c.thread); !slices.Equal(pins, []string{second.ID, first.ID}) {
					t.Errorf("%s sees the pins %v", d.user, pins)
				}
			}
			c.phone.unpin(t, c.thread, first.ID)
			if f := c.told(t, "thread"); f.Event != "unpinned" || f.MessageID != first.ID || !f.by(c.phone.user) {
				t.Errorf("taking the pin away is told as %s", f.raw)
			}
			c.phone.refused(t, 404, "pin_not_found", http.MethodDelete, "/v1/threads/"+c.thread+"/pins/"+first.ID, nil)

			// Deleting a message removes its pin too, and only the del frame tells of that.
			c.phone.del(t, second.ID)
			c.told(t, "del")
			if pins := c.watch.pins(t, c.thread); len(pins) != 0 {
				t.Errorf("the deleted message is still pinned: %v", pins)
			}
			c.phone.refused(t, 404, "pin_not_found", http.MethodDelete, "/v1/threads/"+c.thread+"/pins/"+second.ID, nil)
			c.nothingElse(t)
		})
	}
}

func TestRefusedPins(t *testing.T) {
	s := startServer(t)
	ann, eve := s.device(t, "ann", "a"), s.device(t, "eve", "e")
	group, other := ann.createGroup(t, "bob"), ann.createGroup(t, "bob")
	sent, elsewhere, deleted := sendMany(t, ann, group.ID, 4), ann.send(t, other.ID, "elsewhere"), ann.send(t, group.ID, "gone")
	ann.del(t, deleted.ID)
	for _, m := range sent[:3] {
		ann.pin(t, http.StatusCreated, group.ID, m.ID)
	}
	path := "/v1/threads/" + group.ID + "/pins"
	of := func(id string) map[string]any { return map[string]any{"message_id": id} }

	ann.refused(t, 409, "too_many_pins", http.MethodPost, path, of(sent[3].ID))
	ann.pin(t, http.StatusOK, group.ID, sent[2].ID) // pinned already, so it does not count again
	eve.refused(t, 403, "not_a_participant", http.MethodGet, path, nil)
	eve.refused(t, 403, "not_a_participant", http.MethodPost, path, of(sent[3].ID))
	eve.refused(t, 403, "not_a_participant", http.MethodDelete, path+"/"+sent[0].ID, nil)
	ann.refused(t, 404, "message_not_found", http.MethodPost, path, of(longAgo))
	ann.refused(t, 404, "message_not_found", http.MethodPost, path, of(elsewhere.ID))
	ann.refused(t, 404, "pin_not_found", http.MethodDelete, path+"/"+sent[3].ID, nil)
	ann.refused(t, 404, "pin_not_found", http.MethodDelete, path+"/"+longAgo, nil)
	ann.refused(t, 404, "thread_not_found", http.MethodGet, "/v1/threads/"+noThread+"/pins", nil)
	ann.refused(t, 404, "thread_not_found", http.MethodPost, "/v1/threads/"+noThread+"/pins", of(sent[0].ID))
	ann.refused(t, 404, "thread_not_found", http.MethodDelete, "/v1/threads/"+noThread+"/pins/"+sent[0].ID, nil)
	for _, bad := range []any{map[string]any{}, of(""), of("nonsense"), map[string]any{"message_id": sent[3].ID, "x": 1}, verbatim("{")} {
		ann.refused(t, 400, "invalid_request", http.MethodPost, path, bad)
	}
	ann.unpin(t, group.ID, sent[0].ID)
	ann.refused(t, 409, "message_deleted", http.MethodPost, path, of(deleted.ID))
	ann.pin(t, http.StatusCreated, group.ID, sent[3].ID)
	if pins := ann.pins(t, group.ID); !slices.Equal(pins, []string{sent[1].ID, sent[2].ID, sent[3].ID}) {
		t.Errorf("in the end the pins are %v", pins)
	}
}

// noThread is a well-formed id that no thread has.
const noThread = "00000000-0000-7000-8000-000000000000"

// A user who joins later sees neither older messages nor changes of them.
func TestNewcomersSeeThingsFromTheirJoiningOn(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			group := ann.createGroup(t)
			old := ann.send(t, group.ID, "before Bob")
			ann.pin(t, http.StatusCreated, group.ID, old.ID)
			line := p.live(t, bob, options{})
			ann.add(t, group.ID, bob.user)
			if f := line.nextDurable(t); f.Event != "participant_added" || f.UserID != bob.user || f.Role != "member" {
				t.Fatalf("Bob is told %s", f.raw)
			}
			if th := bob.thread(t, group.ID); th.LastMsgID != nil || th.UnreadCount != 0 {
				t.Errorf("the newcomer sees last_msg_id %v and %d unread", text(th.LastMsgID), th.UnreadCount)
			}
			if pins := bob.pins(t, group.ID); len(pins) != 0 {
				t.Errorf("the newcomer sees the pins %v", pins)
			}
			ann.edit(t, old.ID, "changed after Bob came")
			ann.react(t, old.ID, "👍")
			ann.unpin(t, group.ID, old.ID)
			ann.pin(t, http.StatusCreated, group.ID, old.ID)
			ann.del(t, old.ID)
			fresh := ann.send(t, group.ID, "for Bob too")
			if f := line.nextDurable(t); f.ID != fresh.ID {
				t.Errorf("the newcomer got %s", f.raw)
			}
			invisible(t, bob, group.ID, old.ID)
			bob.refused(t, 404, "message_not_found", http.MethodPost, "/v1/messages/"+old.ID+"/reactions", map[string]any{"emoji": "x"})
			bob.refused(t, 404, "message_not_found", http.MethodPost, "/v1/threads/"+group.ID+"/pins", map[string]any{"message_id": old.ID})
			bob.refused(t, 404, "message_not_found", http.MethodPost, "/v1/threads/"+group.ID+"/read", map[string]any{"up_to_msg_id": old.ID})
			if got := bob.history(t, group.ID); len(got) != 1 || got[0].ID != fresh.ID {
				t.Errorf("the newcomer's history is %v", got)
			}
		})
	}
}

// A thread has three pins. A newcomer who pins a fourth takes the place of the oldest that it
// does not see; the others are told that this one goes, and then that the new one comes.
func TestNewcomersPinTakesThePlaceOfAHiddenOne(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t)
	old := sendMany(t, ann, group.ID, 3)
	for _, m := range old {
		ann.pin(t, http.StatusCreated, group.ID, m.ID)
	}
	ann.add(t, group.ID, bob.user)
	first, second := ann.send(t, group.ID, "first that Bob sees"), ann.send(t, group.ID, "second")
	ann.refused(t, 409, "too_many_pins", http.MethodPost, "/v1/threads/"+group.ID+"/pins", map[string]any{"message_id": first.ID})
	bob.pin(t, http.StatusCreated, group.ID, first.ID)
	bob.pin(t, http.StatusCreated, group.ID, second.ID)
	told := func(d *device) (all []string) {
		for _, f := range d.events(t, group.ID, second.Seq, 100) {
			all = append(all, f.Event+" "+f.MessageID)
			if !f.by(bob.user) {
				t.Errorf("told by another: %s", f.raw)
			}
		}
		return all
	}
	want := []string{"unpinned " + old[0].ID, "pinned " + first.ID, "unpinned " + old[1].ID, "pinned " + second.ID}
	if got := told(ann); !slices.Equal(got, want) {
		t.Errorf("Ann is told %v, want %v", got, want)
	}
	if got := told(bob); !slices.Equal(got, []string{want[1], want[3]}) {
		t.Errorf("Bob is told %v", got)
	}
	if pins := ann.pins(t, group.ID); !slices.Equal(pins, []string{old[2].ID, first.ID, second.ID}) {
		t.Errorf("the pins are %v", pins)
	}
	if pins := bob.pins(t, group.ID); !slices.Equal(pins, []string{first.ID, second.ID}) {
		t.Errorf("Bob's pins are %v", pins)
	}
}
