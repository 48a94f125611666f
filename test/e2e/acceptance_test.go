package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// ownState is what a user keeps of a thread.
type ownState struct {
	Accepted      bool    `json:"accepted"`
	MutedUntil    *string `json:"muted_until"`
	Archived      bool    `json:"archived"`
	Pinned        bool    `json:"pinned"`
	MarkedUnread  bool    `json:"marked_unread"`
	Custom        []byte  `json:"custom"`
	LastClientSeq *int64  `json:"last_client_seq"`
}

// me is what the device's user keeps of a thread.
func (d *device) me(t testing.TB, thread string) (me ownState) {
	t.Helper()
	d.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+thread+"/me", nil).into(t, &me)
	return me
}

// keep changes what the device's user keeps of a thread.
func (d *device) keep(t testing.TB, thread string, change map[string]any) (me ownState) {
	t.Helper()
	d.must(t, http.StatusOK, http.MethodPatch, "/v1/threads/"+thread+"/me", change).into(t, &me)
	return me
}

// accept accepts a thread that others have put the device's user into.
func (d *device) accept(t testing.TB, threads ...string) {
	t.Helper()
	for _, thread := range threads {
		if !d.keep(t, thread, map[string]any{"accepted": true}).Accepted {
			t.Errorf("%s cannot accept %s", d.user, thread)
		}
	}
}

// acceptAll accepts a thread for other people, each on a device that is never connected.
func acceptAll(t testing.TB, s *server, thread string, users ...string) {
	t.Helper()
	for _, user := range users {
		s.device(t, user, "acceptance").accept(t, thread)
	}
}

// threadsOf lists the ids of the threads of one filter.
func (d *device) threadsOf(t testing.TB, state string) (ids []string) {
	t.Helper()
	var page struct {
		Threads    []thread `json:"threads"`
		NextCursor *string  `json:"next_cursor"`
	}
	path := "/v1/threads"
	if state != "" {
		path += "?state=" + state
	}
	d.must(t, http.StatusOK, http.MethodGet, path, nil).into(t, &page)
	for _, th := range page.Threads {
		ids = append(ids, th.ID)
	}
	return ids
}

// Of somebody who was put into a thread by a stranger, that stranger sees no presence, no typing
// and no devices until it accepts, and signals it gets none.
func TestRequestsHide(t *testing.T) {
	s := startServer(t)
	checkRequestsHide(t, s, s)
}

func TestRequestsHideAtAnotherNode(t *testing.T) {
	one, two, _ := startNodes(t)
	checkRequestsHide(t, one, two)
}

func checkRequestsHide(t *testing.T, here, there *server) {
	for _, p := range oneOfEach {
		ann, bob, other := here.device(t, "ann-"+p.name, "a"), there.device(t, "bob-"+p.name, "b"), there.device(t, "bob-"+p.name, "other")
		pair := ann.createOneToOne(t, bob.user)
		atBob := p.live(t, bob, withSignals(bob))
		atAnn := p.live(t, ann, withEphemera(ann))
		// None of it is told, and so comes before what is.
		other.upload(t, other.keysFrom(1, 1))
		other.typeBy(t, p.name, pair.ID)
		ann.ring(t, pair.ID, "early")
		if got := ann.presenceOf(t, bob.user); got.Status != "offline" || got.LastSeenAt != nil {
			t.Errorf("%s: bob, who has not accepted, is %+v", p.name, got)
		}
		if got := bob.presenceOf(t, ann.user); got.Status != "online" {
			t.Errorf("%s: ann is %+v", p.name, got)
		}
		atBob.until(t, "that a device of his own was added", func(f frame) bool { return f.T == "devices" && f.DeviceID == "other" })
		atAnn.untilMessage(t, there.device(t, bob.user, "late").sendControl(t, pair.ID).ID)
		for _, f := range atAnn.all() {
			if f.UserID == bob.user && (f.T == "typing" || f.T == "presence" || f.T == "devices") {
				t.Errorf("%s: before he accepted ann was told %s", p.name, f.raw)
			}
		}
		if got := atBob.signalsOf(ann.user); len(got) > 0 {
			t.Errorf("%s: before he accepted bob got the signals %v", p.name, got)
		}

		bob.accept(t, pair.ID)
		atAnn.until(t, "that bob is there", func(f frame) bool { return f.T == "presence" && f.UserID == bob.user && f.Status == "online" })
		if got := ann.presenceOf(t, bob.user); got.Status != "online" {
			t.Errorf("%s: bob, who has accepted, is %+v", p.name, got)
		}
		eventually(t, "a signal comes", func() bool { // it may be lost between nodes
			ann.ring(t, pair.ID, "ring")
			return len(atBob.signalsOf(ann.user)) > 0
		})
		eventually(t, "typing is seen", func() bool {
			other.typeBy(t, p.name, pair.ID)
			return atAnn.has(func(f frame) bool { return f.T == "typing" && f.UserID == bob.user })
		})
		again := other.keysFrom(7, 1)
		again.IdentityKey = []byte("another installation")
		other.upload(t, again)
		atAnn.until(t, "that a device has another identity", func(f frame) bool { return f.T == "devices" && f.UserID == bob.user })

		// He takes it back.
		bob.keep(t, pair.ID, map[string]any{"accepted": false})
		if got := ann.presenceOf(t, bob.user); got.Status != "offline" || got.LastSeenAt != nil {
			t.Errorf("%s: bob, who has refused, is %+v", p.name, got)
		}
		before := len(atBob.signalsOf(ann.user))
		ann.ring(t, pair.ID, "refused")
		nextDevice := here.device(t, ann.user, "next")
		next := p.live(t, nextDevice, withEphemera(nextDevice))
		if next.has(func(f frame) bool { return f.T == "presence" && f.UserID == bob.user }) {
			t.Errorf("%s: a device is greeted with bob, who has refused", p.name)
		}
		atBob.untilMessage(t, ann.send(t, pair.ID, "mark").ID)
		for _, got := range atBob.signalsOf(ann.user)[before:] {
			if got == "refused " {
				t.Errorf("%s: after he refused bob got the signal %q", p.name, got)
			}
		}
		for _, c := range []*client{atBob, atAnn, next} {
			c.close()
		}
	}
}

// ring signals once, and returns when it was handled.
func (d *device) ring(t testing.TB, thread, name string) {
	t.Helper()
	conn := d.srv.device(t, d.user, "ringing").dialJSON(t)
	defer conn.CloseNow()
	if err := wsjson.Write(t.Context(), conn, map[string]any{"t": "signal", "thread_id": thread, "name": name, "data": ""}); err != nil {
		t.Fatal(err)
	}
	handledByJSON(t, conn)
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

// sendControl sends a control message, which accepts nothing.
func (d *device) sendControl(t testing.TB, threadID string) (m message) {
	t.Helper()
	a := d.must(t, http.StatusAccepted, http.MethodPost, "/v1/threads/"+threadID+"/messages",
		json.RawMessage(`{"client_seq":1,"ciphertext":"Y29udHJvbA==","content_type":"control"}`), "Idempotency-Key", d.user+"-control")
	a.into(t, &m)
	return m
}

// A person puts so many into threads in a day who have accepted no 1:1 with it; the store counts,
// so that a restart and another node go on.
func TestStrangers(t *testing.T) {
	s := startServer(t, "--rate-strangers", "3")
	checkStrangers(t, s, s)
	ann := s.device(t, "ann", "a")
	s.stop(t)
	s.start(t)
	refuseStrangers(t, ann, "1_TO_1", "jon")
	s.stop(t)
	s.extra = []string{"--rate-strangers", "0"}
	s.start(t)
	ann.create(t, http.StatusCreated, "1_TO_1", []string{"jon"})
}

func TestStrangersAtAnotherNode(t *testing.T) {
	one, two, _ := startNodes(t, "--rate-strangers", "3")
	checkStrangers(t, one, two)
}

func refuseStrangers(t *testing.T, d *device, kind string, users ...string) {
	t.Helper()
	a := d.refused(t, 429, "too_many_strangers", http.MethodPost, "/v1/threads", map[string]any{"type": kind, "participants": users})
	if after, _ := strconv.Atoi(a.header.Get("Retry-After")); after < 23*3600 || after > 24*3600 {
		t.Errorf("Retry-After is %q, want about a day", a.header.Get("Retry-After"))
	}
}

func checkStrangers(t *testing.T, here, there *server) {
	ann, elsewhere, cid := here.device(t, "ann", "a"), there.device(t, "ann", "b"), there.device(t, "cid", "c")
	group := ann.createGroup(t, "bob", "cid") // two
	refuseStrangers(t, elsewhere, "GROUP", "dan", "eve")
	elsewhere.must(t, http.StatusCreated, http.MethodPost, "/v1/threads/"+group.ID+"/participants", map[string]string{"user_id": "dan"}) // three
	elsewhere.must(t, http.StatusOK, http.MethodPost, "/v1/threads/"+group.ID+"/participants", map[string]string{"user_id": "dan"})
	ann.refused(t, 429, "too_many_strangers", http.MethodPost, "/v1/threads/"+group.ID+"/participants", map[string]string{"user_id": "eve"})
	refuseStrangers(t, ann, "1_TO_1", "eve")
	pair := ann.createOneToOne(t, "cid") // who counts already
	ann.create(t, http.StatusOK, "1_TO_1", []string{"cid"})
	elsewhere.createGroup(t, "bob", "cid", "dan")
	cid.accept(t, pair.ID)
	cid.createGroup(t, "ann", "x", "y", "z") // ann has accepted their 1:1
	fay := there.device(t, "fay", "f")
	fay.createOneToOne(t, "ann")
	ann.createGroup(t, "fay") // who is no stranger
}
