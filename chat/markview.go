package chat

import (
	"context"
	"errors"
)

// markView shows a participant with its marks to one of the thread's people.
func (s *Service) markView(ctx context.Context, t Thread, viewer, p Participant, m Marks) (v ParticipantView, err error) {
	v.Participant = p
	if v.DeliveredUpTo, err = s.shownUpTo(ctx, t, viewer, m.Received().Message); err != nil {
		return v, err
	}
	if v.ReadUpTo = v.DeliveredUpTo; m.Read.Message != m.Received().Message {
		v.ReadUpTo, err = s.shownUpTo(ctx, t, viewer, m.Read.Message)
	}
	return v, err
}

// shownUpTo is the newest message at or below that of a mark which the viewer sees,
// zero if there is none: nobody learns the id of a message from before its joining,
// nor of one that is hidden from it. It seldom has to read anything.
func (s *Service) shownUpTo(ctx context.Context, t Thread, viewer Participant, marked MessageID) (MessageID, error) {
	at, joined := int64(marked.Time()), viewer.JoinedAt.UnixMilli()
	newest := t.Head.LastVisibleTo(viewer.User, viewer.JoinedSeq)
	switch {
	case marked.IsZero() || newest.Seq == 0 || at < joined:
		return MessageID{}, nil
	case marked.Compare(newest.ID) >= 0:
		return newest.ID, nil
	case t.Type == Group && at > joined: // where nothing is hidden from anybody
		return marked, nil
	}
	m, err := s.store.Message(ctx, marked)
	switch {
	case errors.Is(err, ErrNotFound):
		return MessageID{}, nil
	case err != nil:
		return MessageID{}, Unavailable("look up what was received", err)
	case viewer.Sees(m):
		return marked, nil
	}
	seen, err := s.store.Messages(ctx, t.ID, MessageRange{
		After: viewer.JoinedSeq - 1, Before: m.Seq, Viewer: viewer.User, NewestFirst: true, Count: 1,
	})
	if err != nil {
		return MessageID{}, Unavailable("look up what was received", err)
	}
	if len(seen) == 0 {
		return MessageID{}, nil
	}
	return seen[0].ID, nil
}

// whoSee lists those of the participants who see a message: only they are told of a mark
// that names it.
func whoSee(m Event, participants []Participant) (users []UserID) {
	for _, p := range participants {
		if p.Sees(m) {
			users = append(users, p.User)
		}
	}
	return users
}
