package chat

import (
	"context"
	"errors"
)

// thread loads a thread's present state.
func (s *Service) thread(ctx context.Context, id ThreadID) (Thread, error) {
	t, err := s.store.Thread(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Thread{}, Refuse(CodeThreadNotFound, "no such thread")
	case err != nil:
		return Thread{}, Unavailable("load the thread", err)
	}
	return t, nil
}

// threadFor loads a thread's present state, and refuses a user who is not in it.
func (s *Service) threadFor(ctx context.Context, user UserID, id ThreadID) (Thread, Participant, error) {
	t, err := s.thread(ctx, id)
	if err != nil {
		return Thread{}, Participant{}, err
	}
	me, in := t.Participant(user)
	if !in {
		return Thread{}, Participant{}, notAParticipant()
	}
	return t, me, nil
}

// standing gives the user's line of a thread, and refuses a user who is not in it now.
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

// messageFor finds a message that the user sees, in a thread that it is in now. To
// everybody else the answer is that there is no such message.
func (s *Service) messageFor(ctx context.Context, user UserID, id MessageID) (Event, error) {
	message, err := s.hintedMessage(ctx, id)
	if err != nil {
		return Event{}, err
	}
	line, err := s.standing(ctx, user, message.Thread)
	if err != nil {
		return Event{}, err
	}
	if !message.VisibleTo(user, line.JoinedSeq) {
		return Event{}, noSuchMessage()
	}
	return message.AsOf(s.now()), nil
}

// threadHint is the key of a context in which a caller says where it takes messages to be.
type threadHint struct{}

// WithThreadHint makes a context for calls about a message that the caller takes to be in that
// thread. In any other thread the message is not found.
func WithThreadHint(ctx context.Context, thread ThreadID) context.Context {
	return context.WithValue(ctx, threadHint{}, thread)
}

// hintedMessage is anyMessage, in the thread that the caller takes it to be in if it said so.
func (s *Service) hintedMessage(ctx context.Context, id MessageID) (Event, error) {
	if hint, ok := ctx.Value(threadHint{}).(ThreadID); ok {
		return s.messageIn(ctx, hint, id)
	}
	return s.anyMessage(ctx, id)
}

// anyMessage finds a message as it is stored, whoever asks.
func (s *Service) anyMessage(ctx context.Context, id MessageID) (Event, error) {
	return foundMessage(s.store.Message(ctx, id))
}

// messageIn finds a message of one thread as it is stored, whoever asks.
func (s *Service) messageIn(ctx context.Context, thread ThreadID, id MessageID) (Event, error) {
	return foundMessage(s.store.MessageIn(ctx, thread, id))
}

// foundMessage is what the store said of a message, with the refusal for one that is not there.
func foundMessage(e Event, err error) (Event, error) {
	switch {
	case errors.Is(err, ErrNotFound):
		return Event{}, noSuchMessage()
	case err != nil:
		return Event{}, Unavailable("look up the message", err)
	}
	return e, nil
}

// MayFollow refuses a user who is not in the thread now (docs/contract.md#mqtt:
// a filter that names a thread).
func (s *Service) MayFollow(ctx context.Context, user UserID, id ThreadID) error {
	_, err := s.standing(ctx, user, id)
	return err
}

// ShareThread reports whether two users are in some thread together. Only then they
// may see each other's presence (docs/contract.md#presence-and-typing).
func (s *Service) ShareThread(ctx context.Context, a, b UserID) (bool, error) {
	if a == b {
		return true, nil
	}
	shared, err := s.store.ShareThread(ctx, a, b)
	if err != nil {
		return false, Unavailable("look up a thread of both", err)
	}
	return shared, nil
}

func notAParticipant() error {
	return Refuse(CodeNotAParticipant, "you are not a participant of this thread")
}

func noSuchMessage() error {
	return Refuse(CodeMessageNotFound, "no such message")
}
