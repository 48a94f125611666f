package e2e

import (
	"net/http"
	"slices"
	"testing"
)

// What bob keeps of a thread is told to his other devices and to nobody else, once for each
// change; the filters of the list and the badge follow it.
func TestOwnState(t *testing.T) {
	s := startServer(t)
	for _, p := range oneOfEach {
		ann, phone, tablet := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "phone"), s.device(t, "bob-"+p.name, "tablet")
		first, second := ann.createGroup(t, phone.user).ID, ann.createGroup(t, phone.user).ID
		ann.send(t, first, "one")
		last := ann.send(t, second, "two")
		atAnn, atTablet := p.live(t, ann, withEphemera(ann)), p.live(t, tablet, withEphemera(tablet))
		lists := func(what string, want map[string][]string) {
			t.Helper()
			for state, ids := range want {
				if got := phone.threadsOf(t, state); !slices.Equal(got, ids) {
					t.Errorf("%s: %s: the threads in %q are %v, want %v", p.name, what, state, got, ids)
				}
			}
		}
		badge := func(what string, threads, messages int) {
			t.Helper()
			var got struct{ Threads, Messages int }
			phone.must(t, http.StatusOK, http.MethodGet, "/v1/users/me/unread", nil).into(t, &got)
			if got.Threads != threads || got.Messages != messages {
				t.Errorf("%s: %s: %+v is unread, want %d threads and %d messages", p.name, what, got, threads, messages)
			}
		}
		lists("at first", map[string][]string{"requests": {second, first}, "inbox": nil, "archived": nil, "": {second, first}})
		badge("at first", 0, 0)
		phone.accept(t, first, second)
		lists("accepted", map[string][]string{"requests": nil, "inbox": {second, first}})
		badge("accepted", 2, 2)

		phone.keep(t, second, map[string]any{"archived": true, "pinned": true, "custom": []byte("a folder")})
		lists("archived", map[string][]string{"inbox": {first}, "archived": {second}})
		badge("archived", 1, 1)
		phone.keep(t, first, map[string]any{"muted_until": "9999-12-31T23:59:59Z", "marked_unread": true})
		badge("muted", 0, 0)
		if me := phone.me(t, second); !me.Archived || !me.Pinned || string(me.Custom) != "a folder" || me.MutedUntil != nil {
			t.Errorf("%s: bob keeps %+v", p.name, me)
		}
		if me := phone.me(t, first); me.MutedUntil == nil || !me.MarkedUnread || me.Archived {
			t.Errorf("%s: bob keeps %+v", p.name, me)
		}
		phone.keep(t, first, map[string]any{"muted_until": nil})
		phone.markRead(t, second, last.ID)
		ann.send(t, second, "it comes back")
		lists("a message came", map[string][]string{"inbox": {second, first}, "archived": nil})
		badge("a message came", 2, 2)

		phone.keep(t, first, map[string]any{"pinned": false}) // no change
		phone.keep(t, first, map[string]any{"pinned": true})
		atTablet.until(t, "the last change", func(f frame) bool { return f.T == "thread_state" && f.ThreadID == first && f.Me != nil && f.Me.Pinned })
		told := 0
		for _, f := range atTablet.all() {
			if f.T == "thread_state" {
				told++
			}
		}
		if told != 6 { // accepted twice, archived, muted, unmuted, pinned
			t.Errorf("%s: the other device was told %d changes, want 6", p.name, told)
		}
		if atAnn.has(func(f frame) bool { return f.T == "thread_state" }) {
			t.Errorf("%s: ann is told what bob keeps", p.name)
		}
	}
}
