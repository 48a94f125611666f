package chat

import "context"

// messageRule decides what a wish about a message makes of it; see rule.
type messageRule func(ctx context.Context, t Thread, m Event) ([]Event, error)

// changed is what a wish about a message has led to: its events, if any, and the
// message and its thread as they are after them.
type changed struct {
	events  []Event
	message Event
	thread  Thread
}

// onMessage appends what a rule decides for a caller who is in the message's
// thread and sees it. The message is as readers see it at that moment.
func (s *Service) onMessage(ctx context.Context, c Caller, id MessageID, decide messageRule) (changed, error) {
	m, err := s.messageFor(ctx, c.User, id)
	if err != nil {
		return changed{}, err
	}
	done, err := s.aboutMessage(ctx, m.Thread, id, func(ctx context.Context, t Thread, m Event) ([]Event, error) {
		p, in := t.Participant(c.User)
		switch {
		case !in:
			return nil, notAParticipant()
		case !p.Sees(m):
			return nil, noSuchMessage()
		}
		return decide(ctx, t, m.AsOf(s.now()))
	})
	if err == nil {
		done.message = done.message.AsOf(s.now())
	}
	return done, err
}

// aboutMessage appends what a rule decides about a message as it is stored,
// whether or not that has expired.
func (s *Service) aboutMessage(ctx context.Context, thread ThreadID, id MessageID, decide messageRule) (changed, error) {
	read := make(chan Event, 1) // the leader writes it, perhaps when the caller has gone
	op := &appendOp{target: id, rule: func(ctx context.Context, t Thread) ([]Event, error) {
		m, err := s.store.Message(ctx, id)
		if err != nil {
			return nil, Unavailable("read the message", err)
		}
		select {
		case <-read: // of an earlier call
		default:
		}
		read <- m
		return decide(ctx, t, m)
	}}
	var done changed
	var err error
	if done.events, done.thread, err = s.logs.append(ctx, thread, op); err != nil {
		return changed{}, err
	}
	done.message = <-read
	for _, e := range done.events {
		done.thread = done.thread.Apply(e)
		after := done.message.Message.Apply(e)
		done.message.Message = &after
	}
	return done, nil
}

// about drafts an event for what the caller does to a message.
func (c Caller) about(kind EventKind, m Event) Event {
	return Event{Kind: kind, By: c.User, Device: c.Device, Target: Target{m.ID, m.Seq}, HiddenFrom: m.Message.HiddenFrom}
}
