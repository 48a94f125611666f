package chat

import "context"

// AddParticipant brings a user into a group; any participant may. added is
// false if the user is in already.
func (s *Service) AddParticipant(ctx context.Context, c Caller, id ThreadID, user UserID) (v ParticipantView, added bool, err error) {
	if err := c.need(ScopeWrite); err != nil {
		return ParticipantView{}, false, err
	}
	if _, err := ParseUserID(string(user)); err != nil {
		return ParticipantView{}, false, err
	}
	events, t, err := s.logs.append(ctx, id, 0, func(t Thread) ([]Event, error) {
		if err := t.mayChangeGroup(c.User); err != nil {
			return nil, err
		}
		if _, in := t.Participant(user); in {
			return nil, nil
		}
		if len(t.Participants) >= s.limits.Participants {
			return nil, Refuse(CodeThreadFull, "the group is full")
		}
		return []Event{c.change(ThreadChange{Event: ParticipantAdded, User: user, Role: Member})}, nil
	})
	if err != nil {
		return ParticipantView{}, false, err
	}
	for _, e := range events {
		t = t.Apply(e)
	}
	p, _ := t.Participant(user)
	marks, err := s.store.Marks(ctx, id, []UserID{user})
	if err != nil {
		return ParticipantView{}, false, Unavailable("load the receipts", err)
	}
	return ParticipantView{Participant: p, DeliveredUpTo: marks[0].Received().Message, ReadUpTo: marks[0].Read.Message}, len(events) > 0, nil
}

// RemoveParticipant takes a user out of a group: oneself is leaving, others are
// for admins. When the last admin leaves, the longest-standing of the rest
// becomes admin.
func (s *Service) RemoveParticipant(ctx context.Context, c Caller, id ThreadID, user UserID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	_, _, err := s.logs.append(ctx, id, 0, func(t Thread) ([]Event, error) {
		if err := t.mayChangeGroup(c.User); err != nil {
			return nil, err
		}
		if me, _ := t.Participant(c.User); user != c.User && me.Role != Admin {
			return nil, Refuse(CodeNotAnAdmin, "only an admin removes others")
		}
		if _, in := t.Participant(user); !in {
			return nil, Refuse(CodeParticipantNotFound, "no such participant")
		}
		var events []Event
		// The heir first: were only one of the two committed, the group would have
		// an admin too many rather than none.
		if heir, ok := t.successor(user); ok {
			events = append(events, c.change(ThreadChange{Event: RoleChanged, User: heir, Role: Admin}))
		}
		return append(events, c.change(ThreadChange{Event: ParticipantRemoved, User: user})), nil
	})
	return err
}

// mayChangeGroup refuses who is not in, and any change of a 1:1.
func (t Thread) mayChangeGroup(by UserID) error {
	if _, in := t.Participant(by); !in {
		return notAParticipant()
	}
	if t.Type != Group {
		return Refuse(CodeNotAGroup, "a 1:1 keeps its two people")
	}
	return nil
}

// change drafts an event for a change the caller makes.
func (c Caller) change(ch ThreadChange) Event {
	return Event{Kind: KindThread, By: c.User, Device: c.Device, Change: &ch}
}
