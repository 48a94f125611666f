package chat

import (
	"context"
	"slices"
	"time"
)

// StrangersSpan is the time over which the people are counted whom somebody puts into threads
// without knowing them (docs/contract.md#own-state).
const StrangersSpan = 24 * time.Hour

// StrangerStore counts the people whom a user has put into threads though they had no 1:1 with
// it that they had accepted.
type StrangerStore interface {
	// PutStrangers notes that a user puts strangers, who are different, into a thread at that
	// time. Each counts from when it was noted on for a StrangersSpan, and is noted anew only
	// after that. If more than most would count then, it notes nothing, and gives
	// how long it takes until that many may be put in; see [StrangersWait]. What two calls of a user do
	// at once, on any nodes, is as if one came after the other.
	PutStrangers(ctx context.Context, user UserID, strangers []UserID, most int, at time.Time) (wait time.Duration, err error)
}

// StrangerCounts reports whether a stranger who was noted at one time counts at another one. One
// who was noted far ahead was so by a clock that was wrong.
func StrangerCounts(noted, at time.Time) bool { return at.Sub(noted).Abs() < StrangersSpan }

// StrangersWait is how long a user has to wait until it may put so many people into a thread,
// none of whom is among those who count, noted at the given times; zero is not at all. Of more
// than may ever be put in together it is a StrangersSpan.
func StrangersWait(noted []time.Time, people, most int, at time.Time) time.Duration {
	over := len(noted) + people - most
	switch {
	case over <= 0:
		return 0
	case people > most:
		return StrangersSpan
	}
	noted = slices.SortedFunc(slices.Values(noted), time.Time.Compare)
	return max(time.Millisecond, StrangersSpan-at.Sub(noted[over-1]))
}

// countStrangers notes whom a user puts into a thread without knowing them, or refuses it.
func (s *Service) countStrangers(ctx context.Context, user UserID, strangers []UserID) error {
	if len(strangers) == 0 || s.limits.Strangers <= 0 {
		return nil
	}
	wait, err := s.store.PutStrangers(ctx, user, strangers, s.limits.Strangers, s.markTime())
	switch {
	case err != nil:
		return Unavailable("count the people whom the user does not know", err)
	case wait > 0:
		return &Error{
			Code: CodeTooManyStrangers, RetryAfter: wait,
			Detail: "you have put too many people into threads lately who have accepted no 1:1 with you",
		}
	}
	return nil
}

// noteStrangers counts a call that was refused for the strangers.
func (s *Service) noteStrangers(err error) {
	if CodeOf(err) == CodeTooManyStrangers {
		s.strangersRefused.Add(1)
	}
}
