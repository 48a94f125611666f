package presence

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// announcements is a Chat that prints into a list what it is asked to announce.
type announcements struct {
	mu     sync.Mutex
	said   []string
	online []chat.UserID
}

func (a *announcements) AnnouncePresence(_ context.Context, p chat.Presence) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	what := " is offline"
	if p.Online {
		what = " is online"
	}
	a.said = append(a.said, string(p.User)+what)
	return nil
}

func (a *announcements) OnlinePeers(context.Context, chat.UserID) ([]chat.UserID, error) {
	return a.online, nil
}

func (a *announcements) Presence(_ context.Context, _ chat.Caller, user chat.UserID) (chat.Presence, error) {
	return chat.Presence{User: user}, nil
}

func (a *announcements) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.said) != len(want) {
		t.Fatalf("announced were %q, want %q", a.said, want)
	}
	for i := range want {
		if a.said[i] != want[i] {
			t.Fatalf("announced were %q, want %q", a.said, want)
		}
	}
}

func newTracker(t *testing.T, a *announcements) *Tracker {
	tracker := New(Config{
		Chat: a, Log: slog.New(slog.DiscardHandler), Grace: 10 * time.Second, Now: time.Now,
		Spawn: func(f func(context.Context)) { go f(t.Context()) },
	})
	t.Cleanup(tracker.Close)
	return tracker
}

// A user is online from its first connection to the end of the grace after its last.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &announcements{}
		tracker := newTracker(t, a)
		tracker.Came("ann")
		a.want(t, "ann is online")
		tracker.Left("ann")
		time.Sleep(9 * time.Second)
		tracker.Came("ann") // back within the grace
		tracker.Left("ann") // and the grace begins anew
		time.Sleep(9 * time.Second)
		a.want(t, "ann is online")
		if !tracker.Online("ann") {
			t.Error("ann is offline before the grace is over")
		}
		time.Sleep(2 * time.Second)
		a.want(t, "ann is online", "ann is offline")
		if tracker.Online("ann") {
			t.Error("ann is online after the grace")
		}
	})
}

// guest is a connection that asks about everybody.
type guest struct{ told chan chat.Presence }

func (g guest) Caller() chat.Caller { return chat.Caller{User: "bob", Device: "phone"} }
func (g guest) DrainGreeting() Greeting {
	return Greeting{Everybody: true, announced: []chat.UserID{"cid"}}
}
func (g guest) TellPresence(p chat.Presence) { g.told <- p }

// A connection is told of its peers who are online, but for those of whom it was told
// by an announcement.
func TestGreetingLeavesOutTheAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := newTracker(t, &announcements{online: []chat.UserID{"ann", "cid"}})
		g := guest{told: make(chan chat.Presence, 4)}
		tracker.Greet(g)
		synctest.Wait()
		close(g.told)
		var told []chat.UserID
		for p := range g.told {
			told = append(told, p.User)
		}
		if len(told) != 1 || told[0] != "ann" {
			t.Errorf("the greeting tells of %v, want ann", told)
		}
	})
}

// After Close nothing is announced, and no goroutine is started.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &announcements{}
		tracker := newTracker(t, a)
		tracker.Close()
		tracker.Came("ann")
		tracker.Left("ann")
		time.Sleep(time.Minute)
		a.want(t)
	})
}
