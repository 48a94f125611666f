package pebble

import (
	"context"

	"github.com/parleyhq/parley/chat"
)

// AcceptedBy implements [chat.AcceptanceStore].
func (s *Store) AcceptedBy(_ context.Context, thread chat.ThreadID, users []chat.UserID) (accepted []chat.UserID, err error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	for _, user := range users {
		m, found, err := lookup(v, userThreadKey(user, thread), decodeMembership)
		if err != nil {
			return nil, err
		}
		if found && m.left == 0 && m.own.Accepted {
			accepted = append(accepted, user)
		}
	}
	return accepted, nil
}

// PeersWhoAccepted implements [chat.AcceptanceStore]. Mostly the 1:1 with a peer answers, which
// takes three look-ups.
func (s *Store) PeersWhoAccepted(ctx context.Context, user chat.UserID, peers []chat.UserID, in chat.SharedThreads) (accepted []chat.UserID, err error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	for _, peer := range peers {
		has, err := v.peerAccepted(ctx, user, peer, in)
		if err != nil {
			return nil, err
		}
		if has {
			accepted = append(accepted, peer)
		}
	}
	return accepted, nil
}

func (v *view) peerAccepted(ctx context.Context, user, peer chat.UserID, in chat.SharedThreads) (has bool, err error) {
	pair, found, err := lookup(v, pairKey(user, peer), decodeThreadID)
	if err != nil {
		return false, err
	}
	if found {
		own, err := v.own(peer, pair)
		if err != nil {
			return false, err
		}
		if own.Accepted {
			if has, err = v.counts(in, pair, user, peer); err != nil || has {
				return has, err
			}
		}
	}
	err = v.threadsOfBoth(ctx, user, peer, func(t chat.ThreadID, _, ofPeer membership) (more bool, err error) {
		if ofPeer.own.Accepted {
			has, err = v.counts(in, t, user, peer)
		}
		return !has, err
	})
	return has, err
}

// counts reports whether a thread that both users are in counts among those that they share.
func (v *view) counts(in chat.SharedThreads, thread chat.ThreadID, users ...chat.UserID) (bool, error) {
	if in.Most == 0 && in.Before == (chat.EventID{}) {
		return true, nil
	}
	t, err := v.threadRecord(thread)
	if err != nil || !in.Counts(len(t.Participants)) {
		return false, err
	}
	for _, user := range users {
		if p, is := t.Participant(user); !is || !in.CountsFor(p.JoinedID) {
			return false, nil
		}
	}
	return true, nil
}
