package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestReactionsAreTold(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCast(t, s, p)
			sent := c.sent(t, "funny")

			got := c.phone.react(t, sent.ID, "👍🏽")
			f := c.told(t, "reaction")
			if f.ID != sent.ID || f.Seq != sent.Seq+1 || !f.by(c.phone.user) || f.Emoji != "👍🏽" || f.Op != "add" || f.At == "" {
				t.Errorf("the reaction is told as %s", f.raw)
			}
			want := []reaction{{Emoji: "👍🏽", By: []string{c.phone.user}, At: []string{f.At}}}
			if asJSON(t, got.Reactions) != asJSON(t, want) {
				t.Errorf("the reactions are %+v, want %+v", got.Reactions, want)
			}
			// Repeating it is no change.
			if again := c.phone.react(t, sent.ID, "👍🏽"); asJSON(t, again) != asJSON(t, got) {
				t.Errorf("the repeated reaction gives %+v, the first gave %+v", again, got)
			}

			// Bob gives the same and a custom one from his tablet.
			c.tablet.react(t, sent.ID, "👍🏽")
			same := c.everybody(t, "reaction")
			c.tablet.react(t, sent.ID, "party_parrot")
			custom := c.everybody(t, "reaction")
			want[0].By, want[0].At = append(want[0].By, c.tablet.user), append(want[0].At, same.At)
			want = append(want, reaction{Emoji: "party_parrot", By: []string{c.tablet.user}, At: []string{custom.At}})
			if m := c.everywhere(t, sent.ID); asJSON(t, m.Reactions) != asJSON(t, want) || m.EditedAt != nil {
				t.Errorf("the message is %+v, want the reactions %+v", m, want)
			}

			// Each takes back its own, once.
			c.phone.unreact(t, sent.ID, "👍🏽")
			f = c.told(t, "reaction")
			if f.Op != "remove" || f.Emoji != "👍🏽" || !f.by(c.phone.user) || f.Seq != sent.Seq+4 {
				t.Errorf("taking the reaction back is told as %s", f.raw)
			}
			c.phone.unreact(t, sent.ID, "👍🏽")
			c.phone.unreact(t, sent.ID, "party_parrot")
			c.phone.unreact(t, sent.ID, "never given")
			c.tablet.unreact(t, sent.ID, "👍🏽")
			c.everybody(t, "reaction")
			if m := c.everywhere(t, sent.ID); asJSON(t, m.Reactions) != asJSON(t, want[1:]) {
				t.Errorf("the reactions are %+v, want %+v", m.Reactions, want[1:])
			}
			c.nothingElse(t)
		})
	}
}

func TestRefusedReactions(t *testing.T) {
	s := startServer(t)
	ann, eve, bob := s.device(t, "ann", "a"), s.device(t, "eve", "e"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	sent, deleted := ann.send(t, group.ID, "words"), ann.send(t, group.ID, "gone")
	ann.del(t, deleted.ID)
	path := "/v1/messages/" + sent.ID + "/reactions"
	for _, bad := range []string{"", strings.Repeat("x", 65), strings.Repeat("é", 33), "a/b", ".", "..", "a\nb", "\x00", "a\u0085b"} {
		ann.refused(t, 400, "invalid_request", http.MethodPost, path, map[string]any{"emoji": bad})
	}
	for _, bad := range []any{map[string]any{}, map[string]any{"emoji": 1}, map[string]any{"emoji": "x", "by": "bob"}, verbatim(`{"emoji":"\ud800"}`)} {
		ann.refused(t, 400, "invalid_request", http.MethodPost, path, bad)
	}
	good := map[string]any{"emoji": "x"}
	eve.refused(t, 403, "not_a_participant", http.MethodPost, path, good)
	eve.refused(t, 403, "not_a_participant", http.MethodDelete, path+"/x", nil)
	ann.refused(t, 404, "message_not_found", http.MethodPost, "/v1/messages/"+longAgo+"/reactions", good)
	ann.refused(t, 404, "message_not_found", http.MethodDelete, "/v1/messages/"+longAgo+"/reactions/x", nil)
	ann.refused(t, 409, "message_deleted", http.MethodPost, "/v1/messages/"+deleted.ID+"/reactions", good)

	// A reaction may have 64 bytes, and a message 64 different reactions. A second person's
	// equal reaction is not another one.
	longest := strings.Repeat("x", 64)
	ann.react(t, sent.ID, longest)
	for i := range 63 {
		ann.react(t, sent.ID, fmt.Sprint("custom-", i))
	}
	ann.refused(t, 409, "too_many_reactions", http.MethodPost, path, map[string]any{"emoji": "one more"})
	bob.refused(t, 409, "too_many_reactions", http.MethodPost, path, map[string]any{"emoji": "one more"})
	if m := bob.react(t, sent.ID, longest); len(m.Reactions) != 64 || len(m.Reactions[0].By) != 2 {
		t.Errorf("after 64 reactions and one more of them: %+v", m.Reactions)
	}
	ann.unreact(t, sent.ID, "custom-0")
	bob.react(t, sent.ID, "one more")
}

// When many people change one message at the same time, no change is lost.
func TestManyReactAtOnce(t *testing.T) {
	const people = 12
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	members := []string{}
	for i := range people {
		members = append(members, fmt.Sprint("user-", i))
	}
	group := ann.createGroup(t, members...)
	sent := ann.send(t, group.ID, "to be changed by all")
	line := mqtt5TCP.live(t, s.device(t, "user-0", "watch"), options{})

	var reacting sync.WaitGroup
	for _, user := range members {
		d := s.device(t, user, "d")
		reacting.Go(func() {
			for _, emoji := range []string{"👍", "👎", user} {
				path := "/v1/messages/" + sent.ID + "/reactions"
				if a, err := d.call(t.Context(), http.MethodPost, path, map[string]any{"emoji": emoji}); err != nil || a.status != http.StatusOK {
					t.Errorf("%s reacting: %v %d %s", d.user, err, a.status, a.body)
				}
			}
			path := "/v1/messages/" + sent.ID + "/reactions/%F0%9F%91%8E"
			if a, err := d.call(t.Context(), http.MethodDelete, path, nil); err != nil || a.status != http.StatusNoContent {
				t.Errorf("%s taking a reaction back: %v %d %s", d.user, err, a.status, a.body)
			}
		})
	}
	for i := range 5 {
		ann.edit(t, sent.ID, fmt.Sprint("version ", i))
	}
	reacting.Wait()

	m := everywhere(t, group.ID, sent.ID, ann)
	if len(m.Reactions) != people+1 || string(m.Ciphertext) != "version 4" {
		t.Errorf("in the end the message has %d different reactions, want %d: %+v", len(m.Reactions), people+1, m)
	}
	for _, r := range m.Reactions {
		if want := map[bool]int{true: people, false: 1}[r.Emoji == "👍"]; len(r.By) != want || len(r.At) != want || !slices.IsSorted(r.At) {
			t.Errorf("%q was given by %v at %v, want %d people in order", r.Emoji, r.By, r.At, want)
		}
	}
	// Creation, message, 5 edits, and per person three reactions and one back.
	const total = 2 + 5 + 4*people
	seen := &union{name: "the connected one"}
	line.watch(patience, func(f []frame) bool { return seen.with(f).complete(group.ID, total) })
	seen.take(t, line.record)
	seen.checkComplete(t, group.ID, total)
	if events := ann.events(t, group.ID, 0, 7); len(events) != total || events[total-1].Seq != total {
		t.Errorf("the log has %d events, want %d", len(events), total)
	}
}
