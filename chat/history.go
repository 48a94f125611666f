package chat

import (
	"context"
	"errors"
)

// MessagePage is one page of a thread's messages.
type MessagePage struct {
	Messages []Event
	Next     string // "" at the end
}

// History lists a thread's messages newest first, as far back as the caller's joining.
func (s *Service) History(ctx context.Context, c Caller, id ThreadID, p PageRequest) (MessagePage, error) {
	line, size, err := s.reading(ctx, c, id, p)
	if err != nil {
		return MessagePage{}, err
	}
	before := Seq(0)
	if p.Cursor != "" {
		if before, err = decodeSeqCursor(cursorHistory, p.Cursor); err != nil {
			return MessagePage{}, err
		}
	}
	found, err := s.store.Messages(ctx, id, line.JoinedSeq-1, before, true, size+1)
	if err != nil {
		return MessagePage{}, Unavailable("read the history", err)
	}
	return messagePage(cursorHistory, found, size), nil
}

// HistorySince lists the messages that came after the message since, oldest
// first. An id that no message has is a position in time.
func (s *Service) HistorySince(ctx context.Context, c Caller, id ThreadID, since MessageID, p PageRequest) (MessagePage, error) {
	line, size, err := s.reading(ctx, c, id, p)
	if err != nil {
		return MessagePage{}, err
	}
	var after Seq
	if p.Cursor != "" {
		after, err = decodeSeqCursor(cursorSince, p.Cursor)
	} else {
		after, err = s.lastAt(ctx, id, since)
	}
	if err != nil {
		return MessagePage{}, err
	}
	found, err := s.store.Messages(ctx, id, max(after, line.JoinedSeq-1), 0, false, size+1)
	if err != nil {
		return MessagePage{}, Unavailable("read the history", err)
	}
	return messagePage(cursorSince, found, size), nil
}

// lastAt is the seq of the last event at or below id.
func (s *Service) lastAt(ctx context.Context, thread ThreadID, id EventID) (Seq, error) {
	at, err := s.store.SeqAt(ctx, thread, NextInOrder(id))
	if err != nil {
		return 0, Unavailable("find the position", err)
	}
	return at - 1, nil
}

// NextInOrder is the lowest id above id; the highest of all stays itself.
func NextInOrder(id EventID) EventID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			return id
		}
	}
	for i := range id {
		id[i] = 0xFF
	}
	return id
}

// reading settles who reads a thread from where on, and the page's size.
func (s *Service) reading(ctx context.Context, c Caller, id ThreadID, p PageRequest) (UserThread, int, error) {
	if err := c.need(ScopeRead); err != nil {
		return UserThread{}, 0, err
	}
	line, err := s.standing(ctx, c.User, id)
	if err != nil {
		return UserThread{}, 0, err
	}
	size, err := s.pageSize(p)
	return line, size, err
}

// standing is the caller's line of a thread it is in now.
func (s *Service) standing(ctx context.Context, user UserID, id ThreadID) (UserThread, error) {
	line, err := s.store.UserThread(ctx, user, id)
	switch {
	case errors.Is(err, ErrNotFound):
		if _, err := s.thread(ctx, id); err != nil {
			return UserThread{}, err
		}
		return UserThread{}, notAParticipant()
	case err != nil:
		return UserThread{}, Unavailable("look up the participant", err)
	case line.LeftSeq != 0:
		return UserThread{}, notAParticipant()
	}
	return line, nil
}

// messagePage cuts a page out of one message more than it holds.
func messagePage(kind cursorKind, found []Event, size int) MessagePage {
	if len(found) <= size {
		return MessagePage{Messages: found}
	}
	return MessagePage{Messages: found[:size], Next: encodeSeqCursor(kind, found[size-1].Seq)}
}
