package chat

import (
	"context"
	"time"
)

// Presence is whether a user is connected (contract 4.4).
type Presence struct {
	User     UserID
	Online   bool
	LastSeen time.Time // zero: online, never yet, or not told
}

// Presence tells the caller of somebody it shares a thread with. Whom that user
// blocks is told what an offline user's would be told who was never there.
func (s *Service) Presence(ctx context.Context, c Caller, user UserID) (Presence, error) {
	if err := c.need(ScopeRead); err != nil {
		return Presence{}, err
	}
	shared, err := s.ShareThread(ctx, c.User, user)
	if err != nil {
		return Presence{}, err
	}
	if !shared {
		return Presence{}, Refuse(CodeNoSharedThread, "you share no thread with this user")
	}
	p := Presence{User: user}
	blocked, err := s.store.HasBlocked(ctx, user, c.User)
	if err != nil {
		return Presence{}, Unavailable("look up the block", err)
	}
	if blocked {
		return p, nil
	}
	if p.Online, err = s.online(ctx, user); err != nil {
		return Presence{}, Unavailable("ask who is connected", err)
	}
	if p.Online {
		return p, nil
	}
	if p.LastSeen, err = s.store.LastSeen(ctx, user); err != nil {
		return Presence{}, Unavailable("look up when the user was seen", err)
	}
	return p, nil
}
