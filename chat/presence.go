package chat

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Presence is whether a user is connected (docs/contract.md#presence-and-typing).
type Presence struct {
	User     UserID
	Online   bool
	LastSeen time.Time // zero: online, never yet, or not told
	// Again says, of a notice, that nothing has changed: it goes to people who may know of it
	// since just now.
	Again bool
}

// Presence tells the caller whether a user is connected, or when it last was. The two
// must share a thread. A caller whom the user blocks, or who is in none of the threads that
// the user has accepted, is told that the user is offline and has never been connected.
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
	p := Presence{User: user}
	if shown, err := s.showsPresence(ctx, user, c.User); err != nil || !shown {
		return p, err
	}
	var err error
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

// showsPresence reports whether a viewer is told of a user's presence. It refuses one who shares
// no thread with the user.
func (s *Service) showsPresence(ctx context.Context, user, viewer UserID) (bool, error) {
	if user == viewer {
		return true, nil
	}
	accepted, err := s.store.PeersWhoAccepted(ctx, viewer, []UserID{user}, SharedThreads{})
	if err != nil {
		return false, Unavailable("look up what the user has accepted", err)
	}
	if len(accepted) == 0 {
		switch shared, err := s.ShareThread(ctx, viewer, user); {
		case err != nil:
			return false, err
		case !shared:
			return false, Refuse(CodeNoSharedThread, "you share no thread with this user")
		}
		return false, nil
	}
	blocked, err := s.store.HasBlocked(ctx, user, viewer)
	if err != nil {
		return false, Unavailable("look up the block", err)
	}
	return !blocked, nil
}

// MaxGreetedGroup is the size of the largest group whose participants' presence a device
// is told when it connects, or when they come together in it (docs/contract.md#presence-and-typing).
const MaxGreetedGroup = 32

// OnlinePeers lists the users who a device is told are online when it connects: those
// in the user's 1:1s and smaller groups that they have accepted, without those who block the
// user.
func (s *Service) OnlinePeers(ctx context.Context, user UserID) ([]UserID, error) {
	var unknown error // whether somebody is connected
	online := func(peer UserID) bool {
		is, err := s.online(ctx, peer)
		unknown = cmp.Or(unknown, err)
		return is
	}
	peers, err := s.store.Peers(ctx, user, SharedThreads{Most: MaxGreetedGroup, AcceptedByPeer: true, Among: online})
	switch {
	case err != nil:
		return nil, Unavailable("list who has accepted a thread", err)
	case unknown != nil:
		return nil, Unavailable("ask who is connected", unknown)
	}
	return s.withoutThoseWhoBlock(ctx, user, peers)
}

// NewPeers lists the users who a device is told are online when its user comes to share a
// thread with them that they have accepted: by the given event, which created the thread or
// added somebody to it, and in no thread before that. Of a thread that is too large for a greeting it lists
// nobody (docs/contract.md#presence-and-typing).
//
// If two threads bring two people together at once, it is the one with the lower event id
// that counts, whichever is looked at first.
func (s *Service) NewPeers(ctx context.Context, user UserID, thread ThreadID, by EventID) ([]UserID, error) {
	t, err := s.thread(ctx, thread)
	if err != nil {
		return nil, err
	}
	met := t.metBy(user, by)
	if len(t.Participants) > MaxGreetedGroup || len(met) == 0 {
		return nil, nil
	}
	if met, err = s.whoOnline(ctx, met); err != nil || len(met) == 0 {
		return nil, err
	}
	if met, err = s.whoAccepted(ctx, thread, met); err != nil || len(met) == 0 {
		return nil, err
	}
	known, err := s.store.PeersWhoAccepted(ctx, user, met, SharedThreads{Before: by})
	if err != nil {
		return nil, Unavailable("list who shared a thread before", err)
	}
	met = slices.DeleteFunc(met, func(u UserID) bool { return slices.Contains(known, u) })
	return s.withoutThoseWhoBlock(ctx, user, met)
}

// metBy lists with whom an event brought a user together in the thread: the one of each
// two who joined last did so by that event.
func (t Thread) metBy(user UserID, by EventID) (met []UserID) {
	me, in := t.Participant(user)
	if !in {
		return nil
	}
	for _, p := range t.Participants {
		last := p.JoinedID
		if me.JoinedID.Compare(last) > 0 {
			last = me.JoinedID
		}
		if p.User != user && last == by {
			met = append(met, p.User)
		}
	}
	return met
}

// whoOnline lists those of the users who are connected.
func (s *Service) whoOnline(ctx context.Context, users []UserID) (there []UserID, err error) {
	for _, u := range users {
		online, err := s.online(ctx, u)
		if err != nil {
			return nil, Unavailable("ask who is connected", err)
		}
		if online {
			there = append(there, u)
		}
	}
	return there, nil
}

// withoutThoseWhoBlock lists those of the others who do not block the user.
func (s *Service) withoutThoseWhoBlock(ctx context.Context, user UserID, others []UserID) ([]UserID, error) {
	if len(others) == 0 {
		return nil, nil
	}
	blocking, err := s.store.WhoBlocks(ctx, user, others)
	if err != nil {
		return nil, Unavailable("look up the blocks", err)
	}
	block := make(map[UserID]bool, len(blocking))
	for _, u := range blocking {
		block[u] = true
	}
	return slices.DeleteFunc(others, func(u UserID) bool { return block[u] }), nil
}

// AnnouncePresence tells everybody who shares a thread with a user, that the user has accepted,
// that it came or went, except those whom it blocks (docs/contract.md#presence-and-typing).
func (s *Service) AnnouncePresence(ctx context.Context, p Presence) error {
	peers, err := s.presenceAudience(ctx, p.User)
	if err != nil {
		return err
	}
	if len(peers) > 0 {
		s.bus.Publish(Notice{Audience: peers, Presence: &p})
	}
	return nil
}

// presenceAudience lists to whom a user's presence is told.
func (s *Service) presenceAudience(ctx context.Context, user UserID) ([]UserID, error) {
	peers, err := s.store.Peers(ctx, user, SharedThreads{Accepted: true})
	if err != nil {
		return nil, Unavailable("list who shares a thread", err)
	}
	return s.withoutBlocked(ctx, user, peers)
}

// notShownYet lists who is told of a user's presence once the user accepts a thread, and was not
// before. Of one who is not connected, or of a thread that is too large for a greeting, nobody
// is. Whatever fails, only that is not told.
func (s *Service) notShownYet(ctx context.Context, user UserID, thread ThreadID) []UserID {
	if online, err := s.online(ctx, user); err != nil || !online {
		return nil
	}
	participants, err := s.cache.participants(ctx, thread)
	if err != nil || len(participants) > MaxGreetedGroup {
		return nil
	}
	shown, err := s.presenceAudience(ctx, user)
	if err != nil {
		s.log.Warn("those whose thread a user has accepted are not told that it is online", "user", user, "error", err)
		return nil
	}
	var others []UserID
	for _, p := range participants {
		if p.User != user && !slices.Contains(shown, p.User) {
			others = append(others, p.User)
		}
	}
	if others, err = s.withoutBlocked(ctx, user, others); err != nil {
		return nil
	}
	return others
}
