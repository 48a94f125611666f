package session

import (
	"github.com/parleyhq/parley/broker/presence"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// askPresence has a greeting tell what a subscription of presence asks for.
func askPresence(g *presence.Greeting, f contracts.Filter) {
	switch {
	case !f.Presence:
	case f.AnyUser:
		g.Everybody = true
	default:
		g.Add(f.User)
	}
}

// meet has the client told of those whom its user meets by an event.
func (s *Session) meet(e chat.Event) {
	s.mu.Lock()
	if !s.ended && s.interest.anyPresence() {
		s.greeting.Meet(e.Thread, e.ID)
	}
	s.mu.Unlock()
	s.greet()
}

// greet has the client told what the greeting says, now that it may be. A JSON
// client gets it behind its caught_up.
func (s *Session) greet() {
	s.mu.Lock()
	due := s.begun && !s.ended && s.greeting.Due()
	s.greeting.Queued = s.greeting.Queued || due
	s.mu.Unlock()
	if due {
		s.reg.presence.Greet(s)
	}
}

// BeginGreeting implements [presence.Guest].
func (s *Session) BeginGreeting() presence.Greeting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greeting.Begin()
}

// EndGreeting implements [presence.Guest].
func (s *Session) EndGreeting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greeting.End()
}

// Gone implements [presence.Guest].
func (s *Session) Gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// TellPresence implements [presence.Guest].
func (s *Session) TellPresence(p chat.Presence) {
	s.hint(presenceOf(p, s.reg.now()), func() bool { return s.greeting.IsNews(p.User) })
}
