package chat

import "context"

// Pins lists the pinned messages of a thread that the caller sees, in order of
// pinning (contract 3).
func (s *Service) Pins(ctx context.Context, c Caller, id ThreadID) ([]Pin, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	t, err := s.thread(ctx, id)
	if err != nil {
		return nil, err
	}
	me, in := t.Participant(c.User)
	if !in {
		return nil, notAParticipant()
	}
	var pins []Pin
	for _, p := range t.Pins {
		if p.Seq < me.JoinedSeq {
			continue
		}
		if t.Type == OneToOne { // the only threads that hide a message from somebody
			m, err := s.anyMessage(ctx, p.Message)
			if err != nil {
				return nil, err
			}
			if !m.VisibleTo(c.User) {
				continue
			}
		}
		pins = append(pins, p)
	}
	return pins, nil
}

// Pin pins a message; any participant who sees it may. added is false if it is
// pinned already.
func (s *Service) Pin(ctx context.Context, c Caller, id ThreadID, message MessageID) (p Pin, added bool, err error) {
	done, err := s.onPin(ctx, c, id, message, func(t Thread, m Event) ([]Event, error) {
		switch _, pinned := t.pin(message); {
		case pinned:
			return nil, nil
		case m.Message.Deleted != "":
			return nil, messageDeleted()
		case len(t.Pins) >= s.limits.Pins:
			return nil, Refuse(CodeTooManyPins, "the thread has as many pins as it may: unpin one first")
		}
		return []Event{c.pinning(Pinned, m)}, nil
	})
	p, _ = done.thread.pin(message)
	return p, len(done.events) > 0, err
}

// Unpin takes a pin away; any participant who sees it may.
func (s *Service) Unpin(ctx context.Context, c Caller, id ThreadID, message MessageID) error {
	_, err := s.onPin(ctx, c, id, message, func(t Thread, m Event) ([]Event, error) {
		if _, pinned := t.pin(message); !pinned {
			return nil, noSuchMessage()
		}
		return []Event{c.pinning(Unpinned, m)}, nil
	})
	if err != nil && CodeOf(err) == CodeMessageNotFound {
		return Refuse(CodePinNotFound, "no such pin")
	}
	return err
}

// onPin is onMessage for a message that is to be in a certain thread.
func (s *Service) onPin(ctx context.Context, c Caller, id ThreadID, message MessageID, decide func(Thread, Event) ([]Event, error)) (changed, error) {
	if err := c.need(ScopeWrite); err != nil {
		return changed{}, err
	}
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
	return s.onMessage(ctx, c, message, func(_ context.Context, t Thread, m Event) ([]Event, error) {
		return decide(t, m)
	})
}

func (c Caller) pinning(what ChangeEvent, m Event) Event {
	e := c.about(KindThread, m)
	e.Change = &ThreadChange{Event: what}
	return e
}
