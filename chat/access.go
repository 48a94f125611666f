package chat

import (
	"context"
	"errors"
)

// MayFollow refuses whoever is not in the thread now (contract 4.3: a filter
// that names a thread).
func (s *Service) MayFollow(ctx context.Context, user UserID, id ThreadID) error {
	_, err := s.standing(ctx, user, id)
	return err
}

// ShareThread reports whether two users are in some thread together: that is who
// may see whose presence (contract 4.4).
func (s *Service) ShareThread(ctx context.Context, a, b UserID) (bool, error) {
	if a == b {
		return true, nil
	}
	lines, err := s.store.UserThreads(ctx, a)
	if err != nil {
		return false, Unavailable("list the threads", err)
	}
	for _, line := range lines {
		if line.LeftSeq != 0 {
			continue
		}
		other, err := s.store.UserThread(ctx, b, line.Thread)
		if err == nil && other.LeftSeq == 0 {
			return true, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return false, Unavailable("look up the participant", err)
		}
	}
	return false, nil
}
