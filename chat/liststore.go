package chat

import (
	"context"
	"time"
)

// ListStore answers for many threads of one user at once. What it costs in round trips does
// not grow with how many threads there are.
type ListStore interface {
	// Threads gives the states of threads, in the order of a user's lines of them: as they are
	// now, or were at a moment since the line was read. One that is not there is the zero
	// Thread. Of a line only Thread and Head count; without a Head it is the present state.
	Threads(ctx context.Context, lines []UserThread) ([]Thread, error)
	// MarksOf gives one user's present marks in threads, in their order.
	MarksOf(ctx context.Context, user UserID, threads []ThreadID) ([]Marks, error)
	// CountUnreadIn is CountUnread for each of several threads, in their order.
	CountUnreadIn(ctx context.Context, user UserID, in []UnreadRange, now time.Time, max int) ([]int, error)
	// SeqsAt is SeqAt for each of several threads, in their order.
	SeqsAt(ctx context.Context, threads []ThreadID, id EventID) ([]Seq, error)
}

// UnreadAfter is after which event unread messages are counted in a thread whose newest event
// is last: the newest 5,000 are looked at, or one who gives a reaction and takes it back for
// days could make the count of others dear. So fewer than there are may be counted where
// fewer than 100 of those events are messages (docs/contract.md#threads).
func UnreadAfter(after, last Seq) Seq {
	if last > after+maxLook {
		return last - maxLook
	}
	return after
}

// UnreadRange is where to count in a thread: after < seq ≤ through.
type UnreadRange struct {
	Thread         ThreadID
	After, Through Seq
}
