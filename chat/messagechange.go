package chat

import "context"

// decideOnMessage decides what an operation makes of a message; see [operation].
type decideOnMessage func(ctx context.Context, t Thread, m Event) ([]Event, error)

// changed is what an operation on a message has led to: its events, if any, and the
// message and its thread as they are after them.
type changed struct {
	events  []Event
	message Event
	thread  Thread
}

// changeMessageFor appends what decide makes of a message, for a caller who is in its
// thread and sees it. The message is as readers see it at that moment. It costs the caller
// a write, unless decide makes nothing of it.
func (s *Service) changeMessageFor(ctx context.Context, c Caller, id MessageID, decide decideOnMessage) (done changed, err error) {
	err = s.writing(c, costWrite, func() (wrote bool, err error) {
		done, err = s.changeSeenMessage(ctx, c, id, decide)
		return len(done.events) > 0, err
	})
	return done, err
}

// changeSeenMessage is changeMessageFor without its cost.
func (s *Service) changeSeenMessage(ctx context.Context, c Caller, id MessageID, decide decideOnMessage) (changed, error) {
	m, err := s.messageFor(ctx, c.User, id)
	if err != nil {
		return changed{}, err
	}
	done, err := s.changeAnyMessage(ctx, m.Thread, id, func(ctx context.Context, t Thread, m Event) ([]Event, error) {
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
		// What is stored is not refused because the viewer's own reactions cannot be read.
		done.message, _ = s.shownTo(ctx, c.User, done.message)
	}
	return done, err
}

// changeAnyMessage appends what decide makes of a message as it is stored, whoever
// asks, and whether or not the message has expired.
func (s *Service) changeAnyMessage(ctx context.Context, thread ThreadID, id MessageID, decide decideOnMessage) (changed, error) {
	loaded := make(chan Event, 1) // the leader fills it, perhaps after the caller has given up
	op := &operation{target: id, decide: func(ctx context.Context, t Thread) ([]Event, error) {
		m, err := s.store.MessageIn(ctx, thread, id)
		if err != nil {
			return nil, Unavailable("read the message", err)
		}
		select {
		case <-loaded: // of an earlier call
		default:
		}
		loaded <- m
		return decide(ctx, t, m)
	}}
	var done changed
	var err error
	if done.events, done.thread, err = s.queues.append(ctx, thread, op); err != nil {
		return changed{}, err
	}
	done.message = <-loaded
	for _, e := range done.events {
		done.thread = done.thread.Apply(e)
		after := done.message.Message.Apply(e)
		done.message.Message = &after
	}
	return done, nil
}

// hiddenFrom is the user who is not told of what the caller does to a message that it sees: the
// one from whom the message is hidden, or who blocks the caller in their 1:1 now; "" is nobody.
func (s *Service) hiddenFrom(ctx context.Context, c Caller, t Thread, m Event) (UserID, error) {
	if m.Message.HiddenFrom != "" {
		return m.Message.HiddenFrom, nil
	}
	return s.blockedBy(ctx, c, t)
}

// about drafts an event for what the caller does to a message.
func (c Caller) about(kind EventKind, m Event) Event {
	return Event{Kind: kind, By: c.User, Device: c.Device, Target: Target{m.ID, m.Seq}, HiddenFrom: m.Message.HiddenFrom}
}
