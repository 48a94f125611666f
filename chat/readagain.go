package chat

import "context"

// putRead stores that the mark's user has read up to a message: by a mark at its
// seq, which is what reading nearly always is. A message that was redelivered to the
// user counts from the redelivery, and above messages that are newer than it and
// perhaps unread. The mark is raised past none of those; if it does not get to the
// redelivery, the message has a mark of its own beside it. The mark is given back as
// the one that moved.
func (s *Service) putRead(ctx context.Context, mark *Mark, m Event) (moved bool, err error) {
	received := m.receivedSeq(mark.User)
	if received > m.Seq {
		if mark.Seq, err = s.readableUpTo(ctx, mark.User, m, received); err != nil {
			return false, err
		}
	}
	if mark.Seq < received {
		alone := *mark
		alone.Thread, alone.Seq = readAlone(m.ID), received
		if _, moved, err = s.store.PutMark(ctx, alone); err != nil {
			return false, err
		}
	}
	_, raised, err := s.store.PutMark(ctx, *mark)
	if moved && !raised {
		mark.Seq = received
	}
	return moved || raised, err
}

// readAlone is where marks are kept of a message that was read on its own: under its
// id in the place of a thread's. No thread has it.
func readAlone(id MessageID) ThreadID { return ThreadID(id) }

// readPage is how many messages are looked at together for those that are unread.
const readPage = 256

// readableUpTo is how far a user's read mark may rise when it reads a message by the
// redelivery that it received it with: up to there, or to just before the first
// message of others that is newer than this one and not read yet.
func (s *Service) readableUpTo(ctx context.Context, user UserID, m Event, received Seq) (Seq, error) {
	present, err := s.store.Marks(ctx, m.Thread, []UserID{user})
	if err != nil {
		return 0, err
	}
	read, upTo := present[0].Read.Seq, received
	if read >= received {
		return received, nil
	}
	for after := m.Seq; ; {
		newer, err := s.store.Messages(ctx, m.Thread, MessageRange{After: after, Before: upTo, Viewer: user, Count: readPage})
		if err != nil {
			return 0, err
		}
		for _, n := range newer {
			if at := n.receivedSeq(user); n.By != user && at > read {
				upTo = min(upTo, at-1)
			}
		}
		if len(newer) < readPage {
			return upTo, nil
		}
		if after = newer[len(newer)-1].Seq; after >= upTo {
			return upTo, nil
		}
	}
}

// addReadAlone puts the marks of a message that was read on its own in the place of
// later ones, or of none.
func (s *Service) addReadAlone(ctx context.Context, m Event, marks []Marks) error {
	if m.Message.RedeliveredSeq == 0 {
		return nil
	}
	users := make([]UserID, len(marks))
	for i := range marks {
		users[i] = marks[i].User
	}
	alone, err := s.store.MarksAt(ctx, readAlone(m.ID), m.Message.RedeliveredSeq, users)
	if err != nil {
		return Unavailable("load the receipts", err)
	}
	for i, a := range alone {
		if r := &marks[i].Read; a.Read.Seq > 0 && (r.Seq == 0 || a.Read.At.Before(r.At)) {
			r.Seq, r.At = a.Read.Seq, a.Read.At
		}
	}
	return nil
}
