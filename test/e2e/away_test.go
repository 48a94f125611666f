package e2e

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

// Everything that happened while a device was away is in its replay, in order. Messages
// have their present content, and deleted ones have none. GET …/events has the same.
func TestWhatHappenedWhileAwayIsReplayed(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			group := ann.createGroup(t, bob.user)
			old := sendMany(t, ann, group.ID, 3)
			line := p.live(t, bob, options{})
			eventually(t, "delivery", func() bool { return ann.stateOf(t, old[2].ID, bob.user) == "DELIVERED" })
			line.drop()

			kinds := changeEverything(t, ann, group.ID, old)
			checkReplay(t, p.live(t, bob, options{}), bob, group.ID, old[2].Seq, kinds)
			// A new device gets the whole thread in its present form.
			checkPresent(t, p.live(t, bob, options{lastSeen: longAgo}), bob)
		})
	}
}

// changeEverything makes every kind of change to old and new messages. It returns the
// types of the frames that must follow, in order.
func changeEverything(t testing.TB, ann *device, group string, old []message) (kinds []string) {
	t.Helper()
	fresh := sendMany(t, ann, group, 3)
	ann.edit(t, fresh[0].ID, "second version")
	ann.edit(t, fresh[0].ID, "third version")
	ann.edit(t, fresh[1].ID, "edited, then deleted")
	ann.del(t, fresh[1].ID)
	ann.react(t, fresh[2].ID, "👍")
	ann.unreact(t, fresh[2].ID, "👍")
	ann.pin(t, http.StatusCreated, group, fresh[2].ID)
	ann.unpin(t, group, fresh[2].ID)
	ann.edit(t, old[0].ID, "an old one, edited")
	ann.del(t, old[1].ID)
	ann.react(t, old[2].ID, "👎")
	ann.must(t, http.StatusOK, http.MethodPatch, "/v1/threads/"+group, map[string]any{"title": "While you were away"})
	return []string{
		"msg", "msg", "msg", "edit", "edit", "edit", "del", "reaction", "reaction",
		"thread pinned", "thread unpinned", "edit", "del", "reaction", "thread title_changed",
	}
}

// checkReplay checks that the replay after that seq has frames of exactly these types, and
// that they are those of the log.
func checkReplay(t *testing.T, line *client, d *device, thread string, after uint64, kinds []string) {
	t.Helper()
	line.checkOrder(t)
	checkPresent(t, line, d)
	var got []frame
	for _, f := range line.all() {
		if f.durable() && f.ThreadID == thread && f.Seq > after {
			got = append(got, f)
		}
	}
	events := d.events(t, thread, after, 4)
	if len(got) != len(kinds) || len(events) != len(kinds) {
		t.Fatalf("%d frames were replayed and the log has %d, want %d: %v\n%v", len(got), len(events), len(kinds), got, events)
	}
	for i, f := range got {
		kind := f.T
		if kind == "thread" {
			kind += " " + f.Event
		}
		if kind != kinds[i] || f.Seq != after+uint64(i)+1 {
			t.Errorf("replayed frame %d is %s, want %s with seq %d", i, f.raw, kinds[i], after+uint64(i)+1)
		}
		if !sameJSON(t, f.body(), events[i].body()) {
			t.Errorf("replayed is %s, the log has %s", f.body(), events[i].body())
		}
	}
}

func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var left, right any
	if err := json.Unmarshal([]byte(a), &left); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &right); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(left, right)
}

// checkPresent checks that each message came with the content that it has now, and that
// a del frame followed each tombstone.
func checkPresent(t *testing.T, line *client, d *device) {
	t.Helper()
	open := map[string]frame{}
	for _, f := range line.all() {
		switch f.T {
		case "msg", "edit":
			now := d.message(t, f.ID)
			if string(f.Ciphertext) != string(now.Ciphertext) {
				t.Errorf("replayed %s, the message is now %+v", f.raw, now)
			}
			if now.Deleted {
				open[f.ID] = f
			}
		case "del":
			delete(open, f.ID)
		}
	}
	for _, f := range open {
		t.Errorf("%s is a tombstone, and no del followed", f.raw)
	}
}

// A device whose window is full gets the next events later, from the store: a message
// that was deleted meanwhile reaches it without its content.
func TestDeletedWhileTheWindowIsFull(t *testing.T) {
	s := startServer(t, "--ack-window", "4")
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			group := ann.createGroup(t, bob.user)
			line := p.open(t, bob, options{manual: true})
			line.until(t, "creation", frame.durable).ack()
			sent := sendMany(t, ann, group.ID, 12)
			line.untilMessage(t, sent[2].ID)
			ann.del(t, sent[10].ID)
			ann.edit(t, sent[11].ID, "the second version")
			for n := 0; ; n++ {
				f := line.nextDurable(t)
				f.ack()
				if f.ID == sent[10].ID && f.T == "msg" && len(f.Ciphertext) != 0 {
					t.Errorf("deleted before it was sent, and came as %s", f.raw)
				}
				if f.ID == sent[11].ID && string(f.Ciphertext) != "the second version" {
					t.Errorf("edited before it was sent, and came as %s", f.raw)
				}
				if f.T == "edit" {
					break
				}
				if n == 0 {
					line.ackAll() // the three before it
				}
			}
			line.checkOrder(t)
		})
	}
}
