package chat

import (
	"context"
	"time"
)

// TypingInterval is the least time between two notices of a user's typing in one thread.
// What comes sooner is dropped (docs/contract.md#presence-and-typing).
const TypingInterval = 3 * time.Second

// Typing tells the other participants that the caller is writing something, except those whom it
// blocks and, in a 1:1, one who blocks it. While the caller has not accepted the thread, nobody is
// told. Nothing of it is stored. The sessions of each node pass the notice on to their clients
// (broker/session/ephemera.go).
func (s *Service) Typing(ctx context.Context, c Caller, id ThreadID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	line, err := s.standing(ctx, c.User, id)
	if err != nil {
		return err
	}
	if !line.State.Accepted || !s.typings.allows(string(c.User)+"/"+string(id[:]), s.now()) {
		return nil
	}
	t, err := s.cache.thread(ctx, id)
	if err != nil {
		return Unavailable("load the thread", err)
	}
	blocker, err := s.blockedBy(ctx, c, t)
	if err != nil {
		return err
	}
	others := make([]UserID, 0, len(t.Participants))
	for _, p := range t.Participants {
		if p.User != c.User && (blocker == "" || p.User != blocker) {
			others = append(others, p.User)
		}
	}
	if others, err = s.withoutBlocked(ctx, c.User, others); err != nil {
		return err
	}
	if len(others) > 0 {
		s.bus.Publish(Notice{Audience: others, Typing: &Typing{Thread: id, User: c.User}})
	}
	return nil
}
