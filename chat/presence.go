package chat

import (
	"context"
	"time"
)

// Presence is whether a user is connected (docs/contract.md#presence-and-typing).
type Presence struct {
	User     UserID
	Online   bool
	LastSeen time.Time // zero: online, never yet, or not told
}

// Presence tells the caller whether a user is connected, or when it last was. The two
// must share a thread. A caller whom the user blocks is told that the user is offline
// and has never been connected.
func (s *Service) Presence(ctx context.Context, c Caller, user UserID) (Presence, error) {
	if err := c.need(ScopeRead); err != nil {
		return Presence{}, err
	}
	if err := s.spendRead(c); err != nil {
		return Presence{}, err
	}
	return s.PresenceFor(ctx, c, user)
}

// PresenceFor is Presence for a caller who has subscribed it: it costs no read.
func (s *Service) PresenceFor(ctx context.Context, c Caller, user UserID) (Presence, error) {
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

// MaxGreetedGroup is the size of the largest group whose participants' presence a device
// is told when it connects (docs/contract.md#presence-and-typing).
const MaxGreetedGroup = 32

// OnlinePeers lists the users who a device is told are online when it connects: those
// in the user's 1:1s and smaller groups, without those who block the user.
func (s *Service) OnlinePeers(ctx context.Context, user UserID) ([]UserID, error) {
	peers, err := s.store.Peers(ctx, user, MaxGreetedGroup)
	if err != nil {
		return nil, Unavailable("list who shares a thread", err)
	}
	var there []UserID
	for _, peer := range peers {
		online, err := s.online(ctx, peer)
		if err != nil {
			return nil, Unavailable("ask who is connected", err)
		}
		if !online {
			continue
		}
		blocked, err := s.store.HasBlocked(ctx, peer, user)
		if err != nil {
			return nil, Unavailable("look up the block", err)
		}
		if !blocked {
			there = append(there, peer)
		}
	}
	return there, nil
}

// AnnouncePresence tells everybody who shares a thread with a user that it came or
// went, except those whom it blocks (docs/contract.md#presence-and-typing).
func (s *Service) AnnouncePresence(ctx context.Context, p Presence) error {
	peers, err := s.store.Peers(ctx, p.User, 0)
	if err != nil {
		return Unavailable("list who shares a thread", err)
	}
	if peers, err = s.withoutBlocked(ctx, p.User, peers); err != nil {
		return err
	}
	if len(peers) > 0 {
		s.bus.Publish(Notice{Audience: peers, Presence: &p})
	}
	return nil
}
