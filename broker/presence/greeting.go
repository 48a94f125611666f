package presence

import (
	"slices"

	"github.com/parleyhq/parley/chat"
)

// Guest is a connection that is to be told who is here.
type Guest interface {
	// Caller is whose connection it is.
	Caller() chat.Caller
	// DrainGreeting gives the greeting that is due, and leaves an empty one.
	DrainGreeting() Greeting
	// TellPresence has the client told of a user's presence. It does not block.
	TellPresence(p chat.Presence)
}

// Greeting is whose presence a client is to be told because it has just subscribed
// that, or connected. It has no lock: the guest has.
type Greeting struct {
	Everybody bool // all who are online, of those whom the client may know of
	Queued    bool // Greet was called for it
	users     []chat.UserID
	announced []chat.UserID // the users of whom the client was told since it was queued
}

// maxAnnounced bounds how many of these users a greeting notes. Beyond it a client
// may be told of one twice.
const maxAnnounced = 1024

// Due reports whether there is something to tell that was not queued yet.
func (g *Greeting) Due() bool { return !g.Queued && (g.Everybody || len(g.users) > 0) }

// Add adds a user of whom the client is to be told.
func (g *Greeting) Add(user chat.UserID) {
	if !slices.Contains(g.users, user) {
		g.users = append(g.users, user)
	}
}

// Merge adds what another greeting says, and empties that one.
func (g *Greeting) Merge(other *Greeting) {
	g.Everybody = g.Everybody || other.Everybody
	for _, user := range other.users {
		g.Add(user)
	}
	*other = Greeting{}
}

// Announced notes that the client is told of a user's presence by an announcement.
func (g *Greeting) Announced(user chat.UserID) {
	if g.Queued && len(g.announced) < maxAnnounced {
		g.announced = append(g.announced, user)
	}
}
