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
		m, err := s.messageIn(ctx, t.ID, p.Message)
		if err != nil {
			return nil, err
		}
		if by.Sees(m) && p.HiddenFrom != by.User && !m.Message.ExpiredAt(now) {
			seen = append(seen, p)
		}
	}
	return seen, nil
}

// roomForPin gives the events that make room for one more pin, if the thread has as many as
// it may. The pins are those of all its participants, so some may be hidden from who pins:
// of these the oldest is unpinned. If none is hidden, there is no room.
func (s *Service) roomForPin(ctx context.Context, c Caller, t Thread) ([]Event, error) {
	if len(t.Pins) < s.limits.Pins {
		return nil, nil
	}
	me, _ := t.Participant(c.User)
	now := s.now()
	var unpinned []Event
	pinned := 0
	for _, p := range t.Pins {
		m, err := s.messageIn(ctx, t.ID, p.Message)
		switch {
		case err != nil:
			return nil, err
		case m.Message.ExpiredAt(now): // pinned no more, although the log has no event of that yet
			continue
		case !me.Sees(m):
			unpinned = append(unpinned, c.pinning(Unpinned, m))
		case p.HiddenFrom == me.User:
			e := c.pinning(Unpinned, m)
			e.HiddenFrom = me.User
			unpinned = append(unpinned, e)
		}
		pinned++
	}
	most := max(0, pinned-s.limits.Pins+1) // more than one only in a thread that has more pins than it may by now
	if len(unpinned) < most {
		return nil, Refuse(CodeTooManyPins, "the thread has as many pins as it may: unpin one first")
	}
	return unpinned[:most], nil
}

// Pin pins a message. Any participant who sees it may do that. added is false if it is
// pinned already.
func (s *Service) Pin(ctx context.Context, c Caller, id ThreadID, message MessageID) (p Pin, added bool, err error) {
	done, err := s.changePin(ctx, c, id, message, func(ctx context.Context, t Thread, m Event) ([]Event, error) {
		if m.Message.IsControl() {
			return nil, notForControl()
		}
		if m.Message.Deleted != "" { // maybe only by expiry, of which the log has no event yet
			return nil, messageDeleted()
		}
		if _, pinned := t.pinnedFor(c.User, message); pinned {
			return nil, nil
		}
		events, err := s.roomForPin(ctx, c, t)
		if err != nil {
			return nil, err
		}
		pinned := c.pinning(Pinned, m)
		pinned.HiddenFrom, err = s.hiddenFrom(ctx, c, t, m)
		return append(events, pinned), err
	})
	p, _ = done.thread.pin(message)
	return p, len(done.events) > 0, err
}

// Unpin removes a pin. Any participant who sees it may do that.
func (s *Service) Unpin(ctx context.Context, c Caller, id ThreadID, message MessageID) error {
	_, err := s.changePin(ctx, c, id, message, func(ctx context.Context, t Thread, m Event) (_ []Event, err error) {
		p, pinned := t.pinnedFor(c.User, message)
		if !pinned || m.Message.Deleted != "" {
			return nil, noSuchMessage()
		}
		e := c.pinning(Unpinned, m)
		if e.HiddenFrom = p.HiddenFrom; e.HiddenFrom == "" {
			e.HiddenFrom, err = s.hiddenFrom(ctx, c, t, m)
		}
		return []Event{e}, err
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
	return s.changeSeenMessage(WithThreadHint(ctx, id), c, message, decide)
}

func (c Caller) pinning(what ChangeEvent, m Event) Event {
	e := c.about(KindThread, m)
	e.Change = &ThreadChange{Event: what}
	return e
}
