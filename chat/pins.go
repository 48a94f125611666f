package chat

import "context"

// Pins lists the pinned messages of a thread that the caller sees, in the order in
// which they were pinned (docs/contract.md#pins).
func (s *Service) Pins(ctx context.Context, c Caller, id ThreadID) ([]Pin, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	if err := s.spendRead(c); err != nil {
		return nil, err
	}
	t, me, err := s.threadFor(ctx, c.User, id)
	if err != nil {
		return nil, err
	}
	return s.pinsSeen(ctx, t, me)
}

// pinsSeen lists the pins of a thread that one participant sees: those of messages that
// it sees and that have not expired.
func (s *Service) pinsSeen(ctx context.Context, t Thread, by Participant) ([]Pin, error) {
	now := s.now()
	var seen []Pin
	for _, p := range t.Pins {
		m, err := s.anyMessage(ctx, p.Message)
		if err != nil {
			return nil, err
		}
		if by.Sees(m) && !m.Message.ExpiredAt(now) {
			seen = append(seen, p)
		}
	}
	return seen, nil
}

// maxPinned bounds the pins of a thread, as a multiple of what one participant may see.
// There may be more than one sees, since people who join later do not see the older ones.
const maxPinned = 16

// roomForPin refuses a pin to a participant who sees as many as there may be.
func (s *Service) roomForPin(ctx context.Context, t Thread, by UserID) error {
	if len(t.Pins) < s.limits.Pins {
		return nil
	}
	me, _ := t.Participant(by)
	seen, err := s.pinsSeen(ctx, t, me)
	if err == nil && (len(seen) >= s.limits.Pins || len(t.Pins) >= maxPinned*s.limits.Pins) {
		return Refuse(CodeTooManyPins, "the thread has as many pins as it may: unpin one first")
	}
	return err
}

// Pin pins a message. Any participant who sees it may do that. added is false if it is
// pinned already.
func (s *Service) Pin(ctx context.Context, c Caller, id ThreadID, message MessageID) (p Pin, added bool, err error) {
	done, err := s.changePin(ctx, c, id, message, func(ctx context.Context, t Thread, m Event) ([]Event, error) {
		if m.Message.Deleted != "" { // maybe only by expiry, of which the log has no event yet
			return nil, messageDeleted()
		}
		if _, pinned := t.pin(message); pinned {
			return nil, nil
		}
		if err := s.roomForPin(ctx, t, c.User); err != nil {
			return nil, err
		}
		return []Event{c.pinning(Pinned, m)}, nil
	})
	p, _ = done.thread.pin(message)
	return p, len(done.events) > 0, err
}

// Unpin removes a pin. Any participant who sees it may do that.
func (s *Service) Unpin(ctx context.Context, c Caller, id ThreadID, message MessageID) error {
	_, err := s.changePin(ctx, c, id, message, func(_ context.Context, t Thread, m Event) ([]Event, error) {
		if _, pinned := t.pin(message); !pinned || m.Message.Deleted != "" {
			return nil, noSuchMessage()
		}
		return []Event{c.pinning(Unpinned, m)}, nil
	})
	if err != nil && CodeOf(err) == CodeMessageNotFound {
		return Refuse(CodePinNotFound, "no such pin")
	}
	return err
}

// changePin is changeMessageFor a message that has to be in the given thread.
func (s *Service) changePin(ctx context.Context, c Caller, id ThreadID, message MessageID, decide decideOnMessage) (done changed, err error) {
	if err := c.need(ScopeWrite); err != nil {
		return changed{}, err
	}
	err = s.writing(c, costWrite, func() (wrote bool, err error) {
		done, err = s.changePinOf(ctx, c, id, message, decide)
		return len(done.events) > 0, err
	})
	return done, err
}

func (s *Service) changePinOf(ctx context.Context, c Caller, id ThreadID, message MessageID, decide decideOnMessage) (changed, error) {
	if _, err := s.standing(ctx, c.User, id); err != nil {
		return changed{}, err
	}
	m, err := s.anyMessage(ctx, message)
	if err != nil {
		return changed{}, err
	}
	if m.Thread != id { // whether or not the caller is in that one
		return changed{}, noSuchMessage()
	}
	return s.changeSeenMessage(ctx, c, message, decide)
}

func (c Caller) pinning(what ChangeEvent, m Event) Event {
	e := c.about(KindThread, m)
	e.Change = &ThreadChange{Event: what}
	return e
}
