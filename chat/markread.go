package chat

import "context"

// MarkRead records that the caller has read a thread up to a message, and tells the
// other participants who see that message. A read mark never moves backwards: an older
// message is accepted and changes nothing (docs/contract.md#receipts).
func (s *Service) MarkRead(ctx context.Context, c Caller, id ThreadID, upTo MessageID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	line, err := s.standing(ctx, c.User, id)
	if err != nil {
		return err
	}
	message, err := s.messageIn(ctx, id, upTo)
	if err != nil {
		return err
	}
	if !message.VisibleTo(c.User, line.JoinedSeq) {
		return Refuse(CodeMessageNotFound, "no such message in this thread")
	}
	participants, err := s.cache.participants(ctx, id)
	if err != nil {
		return Unavailable("look up who is told of the receipt", err)
	}
	mark := Mark{Thread: id, User: c.User, Kind: Read, Seq: message.Seq, Message: upTo, At: s.markTime()}
	moved, err := s.putRead(ctx, &mark, message)
	if err != nil {
		return Unavailable("store the receipt", err)
	}
	if moved { // told before anything else can fail: the retry finds that nothing moves
		s.bus.Publish(Notice{Audience: whoSee(message, participants), Receipt: &Receipt{Mark: mark, Device: c.Device}})
	}
	if line.State.MarkedUnread {
		if _, _, err := s.changeOwnState(ctx, c.User, id, StateChange{MarkedUnread: new(false)}); err != nil {
			return err
		}
	}
	return nil
}

// whoSee lists the participants who see a message. Only they are told of a mark that
// names it.
func whoSee(m Event, participants []Participant) (users []UserID) {
	for _, p := range participants {
		if p.Sees(m) {
			users = append(users, p.User)
		}
	}
	return users
}

// putRead stores that the mark's user has read up to a message. Nearly always that is
// one mark at the message's seq.
//
// A message that was redelivered to the user counts from its redelivery, which may lie
// above newer messages that the user has not read. The mark rises to the redelivery,
// or to just before the first of those. In that second case the message gets a mark of
// its own besides. putRead sets mark to the one of the two that moved.
func (s *Service) putRead(ctx context.Context, mark *Mark, m Event) (moved bool, err error) {
	marks, err := s.cache.marks(ctx, m.Thread, mark.User)
	if err != nil {
		return false, err
	}
	mark.Beside = marks.delivered
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

// receivedSeq is the seq of the event that brought a message to a user: its
// redelivery if there was one, else its own.
func (e Event) receivedSeq(by UserID) Seq {
	if by == e.By {
		return e.Seq
	}
	return e.reachedBy()
}

// reachedBy is the seq of the event that brought a message to its recipients.
func (e Event) reachedBy() Seq { return max(e.Seq, e.Message.RedeliveredSeq) }

// readAlone is the id under which a store keeps the marks of a message that was read
// on its own: the message's, in the place of a thread's. No thread has that id.
func readAlone(id MessageID) ThreadID { return ThreadID(id) }

// readPage is how many messages readableUpTo reads at once.
const readPage = 256

// readableUpTo is how far a user's read mark may rise when it reads a message that was
// redelivered to it with event received: up to that event, or to just before the first
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
