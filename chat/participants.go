package chat

import (
	"context"
	"slices"
	"unicode/utf8"
)

// AddParticipant brings a user into a group; any participant may. added is
// false if the user is in already.
func (s *Service) AddParticipant(ctx context.Context, c Caller, id ThreadID, user UserID) (v ParticipantView, added bool, err error) {
	if err := c.need(ScopeWrite); err != nil {
		return ParticipantView{}, false, err
	}
	if _, err := ParseUserID(string(user)); err != nil {
		return ParticipantView{}, false, err
	}
	events, t, err := s.changeThread(ctx, c, id, func(ctx context.Context, t Thread) ([]Event, error) {
		if err := t.mayChangeGroup(c.User); err != nil {
			return nil, err
		}
		if _, in := t.Participant(user); in {
			return nil, nil
		}
		if err := s.unlessTheyBlock(ctx, c.User, "user_id", []UserID{user}); err != nil {
			return nil, err
		}
		if err := s.mayReturn(ctx, t, c.User, user); err != nil {
			return nil, err
		}
		if len(t.Participants) >= s.limits.Participants {
			return nil, Refuse(CodeThreadFull, "the group is full")
		}
		strangers, _, err := s.strangersAmong(ctx, c.User, []UserID{user})
		if err != nil {
			return nil, err
		}
		if err := s.countStrangers(ctx, c.User, strangers); err != nil {
			return nil, err
		}
		return []Event{c.change(ThreadChange{Event: ParticipantAdded, User: user, Role: Member, Pending: len(strangers) > 0})}, nil
	})
	if err != nil {
		s.noteStrangers(err)
		return ParticipantView{}, false, err
	}
	v, err = s.participantView(ctx, t, events, c.User, user)
	return v, len(events) > 0, err
}

// RemoveParticipant removes a user from a group. Everybody may remove oneself, which is
// leaving; only an admin may remove others. When the last admin leaves, the participant
// who joined first of the rest becomes admin.
func (s *Service) RemoveParticipant(ctx context.Context, c Caller, id ThreadID, user UserID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	_, _, err := s.changeThread(ctx, c, id, func(_ context.Context, t Thread) ([]Event, error) {
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

// SetRole makes a participant of a group an admin or a member. Only an admin may do
// that, and a group keeps at least one admin.
func (s *Service) SetRole(ctx context.Context, c Caller, id ThreadID, user UserID, role Role) (ParticipantView, error) {
	if err := c.need(ScopeWrite); err != nil {
		return ParticipantView{}, err
	}
	if role != Admin && role != Member {
		return ParticipantView{}, Invalid("role", "must be admin or member")
	}
	events, t, err := s.changeThread(ctx, c, id, func(_ context.Context, t Thread) ([]Event, error) {
		if err := t.mayAdminister(c.User); err != nil {
			return nil, err
		}
		p, in := t.Participant(user)
		switch {
		case !in:
			return nil, Refuse(CodeParticipantNotFound, "no such participant")
		case p.Role == role:
			return nil, nil
		case role == Member && t.admins() == 1:
			return nil, Refuse(CodeLastAdmin, "a group keeps an admin: name another one first")
		}
		return []Event{c.change(ThreadChange{Event: RoleChanged, User: user, Role: role})}, nil
	})
	if err != nil {
		return ParticipantView{}, err
	}
	return s.participantView(ctx, t, events, c.User, user)
}

// SetTitle gives a group a title; "" removes it. Only an admin may do that.
func (s *Service) SetTitle(ctx context.Context, c Caller, id ThreadID, title string) (ThreadView, error) {
	if err := c.need(ScopeWrite); err != nil {
		return ThreadView{}, err
	}
	if utf8.RuneCountInString(title) > MaxTitleChars {
		return ThreadView{}, Invalid("title", "is longer than 256 characters")
	}
	_, _, err := s.changeThread(ctx, c, id, func(_ context.Context, t Thread) ([]Event, error) {
		if err := t.mayAdminister(c.User); err != nil {
			return nil, err
		}
		if t.Title == title {
			return nil, nil
		}
		return []Event{c.change(ThreadChange{Event: TitleChanged, Title: title})}, nil
	})
	if err != nil {
		return ThreadView{}, err
	}
	return s.viewWithParticipants(ctx, c, id)
}

// changeThread appends what decide makes of a thread's state. It costs the caller a write,
// unless decide makes nothing of it.
func (s *Service) changeThread(ctx context.Context, c Caller, id ThreadID, decide func(context.Context, Thread) ([]Event, error)) (events []Event, t Thread, err error) {
	err = s.writing(c, costWrite, func() (wrote bool, err error) {
		events, t, err = s.queues.append(ctx, id, &operation{decide: decide})
		return len(events) > 0, err
	})
	return events, t, err
}

// participantView is a participant after the given events of its thread, as another sees it.
func (s *Service) participantView(ctx context.Context, t Thread, events []Event, viewer, user UserID) (ParticipantView, error) {
	for _, e := range events {
		t = t.Apply(e)
	}
	p, _ := t.Participant(user)
	marks, err := s.store.Marks(ctx, t.ID, []UserID{user})
	if err != nil {
		return ParticipantView{}, Unavailable("load the receipts", err)
	}
	me, _ := t.Participant(viewer)
	v, err := s.markView(ctx, t, me, p, marks[0])
	if err != nil {
		return ParticipantView{}, err
	}
	changed, err := s.store.KeysChangedAt(ctx, []UserID{p.User})
	if err != nil {
		return ParticipantView{}, Unavailable("look up when devices changed", err)
	}
	v.DevicesAt = changed[0]
	return v, nil
}

// mayAdminister refuses a user who is not an admin of the group.
func (t Thread) mayAdminister(by UserID) error {
	if err := t.mayChangeGroup(by); err != nil {
		return err
	}
	if me, _ := t.Participant(by); me.Role != Admin {
		return Refuse(CodeNotAnAdmin, "only an admin may do that")
	}
	return nil
}

func (t Thread) admins() int {
	return len(slices.DeleteFunc(slices.Clone(t.Participants), func(p Participant) bool { return p.Role != Admin }))
}

// mayChangeGroup refuses a user who is not in the thread, and any change of a 1:1.
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
