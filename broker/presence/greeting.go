package presence

import (
	"slices"

	"github.com/parleyhq/parley/chat"
)

// Guest is a connection that is to be told who is here.
type Guest interface {
	// Caller is whose connection it is.
	Caller() chat.Caller
	// BeginGreeting gives the greeting that is due, and leaves an empty one, which notes
	// who is announced until EndGreeting; see [Greeting.Begin].
	BeginGreeting() Greeting
	// TellPresence has the client told of a user's presence, unless it was told of that
	// user by an announcement since the greeting began. It does not block.
	TellPresence(p chat.Presence)
	EndGreeting()
	// Gone reports whether the connection has ended, so that nobody hears a greeting.
	Gone() bool
}

// Greeting is whose presence a client is to be told because it has just subscribed
// that, or connected. It has no lock: the guest has.
type Greeting struct {
	Everybody bool // all who are online, of those whom the client may know of
	Queued    bool // Greet was called for it
	users     []chat.UserID
	met       []meeting
	announced map[chat.UserID]bool // the users of whom the client was told since it was queued
	// underWay are those of whom it was told since the greeting before this one was
	// queued; nil if that is over.
	underWay map[chat.UserID]bool
}

// meeting is an event by which the client's user may have come to share a thread with others.
type meeting struct {
	thread chat.ThreadID
	by     chat.EventID
}

// maxMet bounds how many of these a greeting holds. Of those beyond, the client is not told.
const maxMet = 256

// maxAnnounced bounds how many of these users a greeting notes. Beyond it a client
// may be told of one twice.
const maxAnnounced = 1024

// Due reports whether there is something to tell that was not queued yet.
func (g *Greeting) Due() bool { return !g.Queued && (len(g.users) > 0 || g.more()) }

// more reports whether the greeting says more than of single users.
func (g *Greeting) more() bool { return g.Everybody || len(g.met) > 0 }

// Add adds a user of whom the client is to be told.
func (g *Greeting) Add(user chat.UserID) {
	if !slices.Contains(g.users, user) {
		g.users = append(g.users, user)
	}
}

// Meet adds those with whom the client's user shares a thread by that event, and by none
// before. If all who are online are to be told anyway, they are among them.
func (g *Greeting) Meet(thread chat.ThreadID, by chat.EventID) {
	if !g.Everybody && len(g.met) < maxMet {
		g.met = append(g.met, meeting{thread, by})
	}
}

// Merge adds what another greeting says, and empties that one.
func (g *Greeting) Merge(other *Greeting) {
	g.Everybody = g.Everybody || other.Everybody
	for _, user := range other.users {
		g.Add(user)
	}
	for _, m := range other.met {
		g.Meet(m.thread, m.by)
	}
	*other = Greeting{}
}

// Begin gives the greeting, and leaves an empty one in its place.
func (g *Greeting) Begin() Greeting {
	begun := *g
	*g = Greeting{underWay: begun.announced}
	if g.underWay == nil {
		g.underWay = make(map[chat.UserID]bool)
	}
	return begun
}

// End notes that all is told of the greeting that was begun last.
func (g *Greeting) End() { g.underWay = nil }

// IsNews reports whether the greeting under way is to tell of a user: it is not if an
// announcement did so since it was queued.
func (g *Greeting) IsNews(user chat.UserID) bool { return !g.underWay[user] }

// Announced notes that the client is told of a user's presence by an announcement.
func (g *Greeting) Announced(user chat.UserID) {
	if g.Queued && len(g.announced) < maxAnnounced {
		if g.announced == nil {
			g.announced = make(map[chat.UserID]bool)
		}
		g.announced[user] = true
	}
	if g.underWay != nil && len(g.underWay) < maxAnnounced {
		g.underWay[user] = true
	}
}
