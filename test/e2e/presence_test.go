package e2e

import (
	"net/http"
	"testing"
	"time"
)

// presence is whether somebody is there.
type presence struct {
	UserID     string  `json:"user_id"`
	Status     string  `json:"status"`
	LastSeenAt *string `json:"last_seen_at"`
}

func (d *device) presenceOf(t testing.TB, user string) presence {
	t.Helper()
	var p presence
	d.must(t, http.StatusOK, http.MethodGet, "/v1/users/"+user+"/presence", nil).into(t, &p)
	if p.UserID != user {
		t.Errorf("the presence of %s is of %s", user, p.UserID)
	}
	return p
}

func TestPresenceByREST(t *testing.T) {
	s := startServer(t, "--presence-grace", "1s")
	for _, p := range oneOfEach {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			tablet := s.device(t, bob.user, "tablet")
			bob.accept(t, ann.createGroup(t, bob.user).ID)
			if got := ann.presenceOf(t, bob.user); got.Status != "offline" || got.LastSeenAt != nil {
				t.Errorf("who was never there is %+v", got)
			}
			first, second := p.live(t, bob, options{}), p.live(t, tablet, options{})
			eventually(t, "Bob is online", func() bool { return ann.presenceOf(t, bob.user).Status == "online" })
			if got := bob.presenceOf(t, bob.user); got.Status != "online" {
				t.Errorf("to himself Bob is %+v", got)
			}
			first.close()
			second.untilMessage(t, ann.send(t, ann.createOneToOne(t, bob.user).ID, "marker").ID)
			if got := ann.presenceOf(t, bob.user); got.Status != "online" {
				t.Errorf("with one of two devices left Bob is %+v", got)
			}
			left := time.Now()
			second.drop()
			var got presence // the time may come a moment after the status
			eventually(t, "Bob is offline, and was seen", func() bool {
				got = ann.presenceOf(t, bob.user)
				return got.Status == "offline" && got.LastSeenAt != nil
			})
			if seen := instant(t, *got.LastSeenAt); seen.Before(left.Add(-2*time.Second)) || seen.After(time.Now()) {
				t.Errorf("Bob left at %v and was seen last at %v", left.UTC(), seen)
			}
			// A user whom Bob blocks is told what is said of a user who never connected.
			bob.block(t, ann.user)
			again := p.live(t, bob, options{})
			eventually(t, "Bob is back", func() bool { return bob.presenceOf(t, bob.user).Status == "online" })
			if got := ann.presenceOf(t, bob.user); got.Status != "offline" || got.LastSeenAt != nil {
				t.Errorf("to a user whom he blocks Bob is %+v", got)
			}
			again.close()
		})
	}
	eve := s.device(t, "eve", "e")
	eve.refused(t, 403, "no_shared_thread", http.MethodGet, "/v1/users/ann-JSON/presence", nil)
	eve.refused(t, 403, "no_shared_thread", http.MethodGet, "/v1/users/never-heard-of/presence", nil)
}
