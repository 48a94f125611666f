package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
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
	fails  int // so many announcements
}

func (a *announcements) AnnouncePresence(_ context.Context, p chat.Presence) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails > 0 {
		a.fails--
		return context.DeadlineExceeded
	}
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

func (a *announcements) NewPeers(context.Context, chat.UserID, chat.ThreadID, chat.EventID) ([]chat.UserID, error) {
	return a.online, nil
}

func (a *announcements) PresenceFor(_ context.Context, _ chat.Caller, user chat.UserID) (chat.Presence, error) {
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
		Chat: a, Log: slog.New(slog.DiscardHandler), Node: 1, Grace: 10 * time.Second, Now: time.Now,
		Spawn: func(f func(context.Context)) { go f(t.Context()) },
		Tell:  func(chat.NodeNotice) {}, PutLastSeen: func(context.Context, chat.UserID, time.Time) error { return nil },
	})
	t.Cleanup(tracker.Close)
	return tracker
}

func connectionOf(user chat.UserID) chat.Connection {
	return chat.Connection{User: user, Device: "phone", Conn: 1}
}

// A user is online from its first connection to the end of the grace after its last.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &announcements{}
		tracker := newTracker(t, a)
		tracker.Came(connectionOf("ann"))
		a.want(t, "ann is online")
		tracker.Left(connectionOf("ann"))
		time.Sleep(9 * time.Second)
		tracker.Came(connectionOf("ann")) // back within the grace
		tracker.Left(connectionOf("ann")) // and the grace begins anew
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

// An announcement that fails, as when the store is slow, is made again until it does not.
func TestAnnouncementThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &announcements{fails: 3}
		tracker := newTracker(t, a)
		tracker.Came(connectionOf("ann"))
		a.want(t)
		time.Sleep(4 * announceAgainAfter)
		a.want(t, "ann is online")
		a.fails = 3
		tracker.Left(connectionOf("ann"))
		time.Sleep(10 * time.Second)
		a.want(t, "ann is online")
		time.Sleep(4 * announceAgainAfter)
		a.want(t, "ann is online", "ann is offline")
		if len(tracker.shard("ann").users) > 0 {
			t.Error("who is gone is remembered")
		}
		// Of what changes while it fails, only what is so at the end is told, if it is news.
		tracker.Came(connectionOf("ben"))
		a.want(t, "ann is online", "ann is offline", "ben is online")
		a.fails = 1
		tracker.Left(connectionOf("ben"))
		time.Sleep(11 * time.Second)
		tracker.Came(connectionOf("ben"))
		time.Sleep(time.Minute)
		a.want(t, "ann is online", "ann is offline", "ben is online")
		a.fails = 1
		tracker.Came(connectionOf("eve"))
		tracker.Left(connectionOf("eve"))
		time.Sleep(time.Minute)
		a.want(t, "ann is online", "ann is offline", "ben is online", "eve is online", "eve is offline")
	})
}

// guest is a connection with a greeting.
type guest struct {
	user chat.UserID
	told chan chat.Presence
	gone atomic.Bool

	mu       sync.Mutex
	greeting Greeting
}

// newGuest makes a connection that asks about everybody, or about the given users.
func newGuest(user chat.UserID, about ...chat.UserID) *guest {
	g := &guest{user: user, told: make(chan chat.Presence, 2000)}
	g.greeting.Everybody, g.greeting.Queued = len(about) == 0, true
	for _, u := range about {
		g.greeting.Add(u)
	}
	return g
}

func (g *guest) Caller() chat.Caller { return chat.Caller{User: g.user, Device: "phone"} }

func (g *guest) Gone() bool { return g.gone.Load() }

func (g *guest) BeginGreeting() Greeting {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.greeting.Begin()
}

func (g *guest) EndGreeting() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.greeting.End()
}

func (g *guest) TellPresence(p chat.Presence) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.greeting.IsNews(p.User) {
		g.told <- p
	}
}

// A connection is told of its peers who are online, but for those of whom it was told
// by an announcement.
func TestGreetingLeavesOutTheAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := newTracker(t, &announcements{online: []chat.UserID{"ann", "cid"}})
		g := newGuest("bob")
		g.greeting.Announced("cid")
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

// slow is a Chat in which every look-up for one user takes a second.
type slow struct {
	announcements
	looks atomic.Int64
}

func (s *slow) look(user chat.UserID) {
	if user == "mallory" {
		s.looks.Add(1)
		time.Sleep(time.Second)
	}
}

func (s *slow) AnnouncePresence(ctx context.Context, p chat.Presence) error {
	s.look(p.User)
	return s.announcements.AnnouncePresence(ctx, p)
}

func (s *slow) OnlinePeers(_ context.Context, user chat.UserID) ([]chat.UserID, error) {
	s.look(user)
	return []chat.UserID{"ann"}, nil
}

func (s *slow) PresenceFor(_ context.Context, c chat.Caller, user chat.UserID) (chat.Presence, error) {
	s.look(c.User)
	return chat.Presence{User: user}, nil
}

// A user with ten connections, each of which asks about a thousand others, and whose every
// look-up is slow, delays nobody else.
func TestOneUserHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chats := &slow{}
		tracker := New(Config{
			Chat: chats, Log: slog.New(slog.DiscardHandler), Grace: 10 * time.Second, Now: time.Now,
			Spawn: func(f func(context.Context)) { go f(t.Context()) },
		})
		defer tracker.Close()
		tracker.Came(connectionOf("mallory"))
		var asked []chat.UserID
		for i := range 1000 {
			asked = append(asked, chat.UserID(fmt.Sprint("u", i)))
		}
		var heavy []*guest
		for range 10 {
			g := newGuest("mallory", asked...)
			tracker.Greet(g)
			heavy = append(heavy, g)
		}
		time.Sleep(500 * time.Millisecond) // mallory's first look-up is under way
		began := time.Now()
		for i := range 1000 {
			user := chat.UserID(fmt.Sprint("v", i))
			tracker.Came(connectionOf(user))
			g := newGuest(user)
			tracker.Greet(g)
			<-g.told
		}
		synctest.Wait()
		if waited := time.Since(began); waited != 0 {
			t.Errorf("1,000 others waited for %v", waited)
		}
		if n := chats.looks.Load(); n != 1 {
			t.Errorf("mallory had %d look-ups at once", n)
		}
		t.Logf("1,000 others were announced and greeted in %v while mallory had one look-up of 10,000 under way", time.Since(began))
		time.Sleep(3 * time.Hour)
		for _, g := range heavy {
			if len(g.told) != 1000 {
				t.Errorf("a connection of mallory was told of %d, want 1,000", len(g.told))
			}
		}
		if !tracker.Idle() {
			t.Error("the tracker is not idle")
		}
	})
}

// A user who connects again and again leaves no greetings behind.
func TestGreetingsOfEndedConnectionsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &announcements{online: []chat.UserID{"ann"}}
		tracker := newTracker(t, a)
		tracker.cfg.Spawn = func(func(context.Context)) {} // nobody works yet
		for range 100 {
			g := newGuest("bob")
			tracker.Greet(g)
			g.gone.Store(true)
		}
		stays := newGuest("bob")
		tracker.Greet(stays)
		if n := len(tracker.todo.jobs["bob"].visits); n != 1 {
			t.Errorf("%d greetings wait, want 1", n)
		}
		tracker.run(t.Context())
		if p := <-stays.told; p.User != "ann" {
			t.Errorf("told of %+v", p)
		}
	})
}

// After Close nothing is announced, and no goroutine is started.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &announcements{}
		tracker := newTracker(t, a)
		tracker.Close()
		tracker.Came(connectionOf("ann"))
		tracker.Left(connectionOf("ann"))
		time.Sleep(time.Minute)
		a.want(t)
	})
}
