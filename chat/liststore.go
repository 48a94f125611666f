package chat

import (
	"context"
	"time"
)

// ListStore answers for many threads of one user at once. What it costs in round trips does
// not grow with how many threads there are.
type ListStore interface {
	// Threads gives the present states of threads, in their order; one that is not there is
	// the zero Thread.
	Threads(ctx context.Context, ids []ThreadID) ([]Thread, error)
	// MarksOf gives one user's present marks in threads, in their order.
	MarksOf(ctx context.Context, user UserID, threads []ThreadID) ([]Marks, error)
	// CountUnreadIn is CountUnread for each of several threads, in their order.
	CountUnreadIn(ctx context.Context, user UserID, in []UnreadRange, now time.Time, max int) ([]int, error)
	// SeqsAt is SeqAt for each of several threads, in their order.
	SeqsAt(ctx context.Context, threads []ThreadID, id EventID) ([]Seq, error)
}

// UnreadRange is where to count in a thread: after < seq ≤ through.
type UnreadRange struct {
	Thread         ThreadID
	After, Through Seq
}
