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
	// CountUnreadIn counts, for each range and up to max, the messages that others than user
	// sent, that are not hidden from user, that are no control messages, and that are
	// neither deleted nor expired at now.
	CountUnreadIn(ctx context.Context, user UserID, in []UnreadRange, now time.Time, max int) ([]int, error)
	// SeqsAt is SeqAt for each of several threads, in their order.
	SeqsAt(ctx context.Context, threads []ThreadID, id EventID) ([]Seq, error)
}

// UnreadRange is where to count in a thread: after < seq ≤ through.
type UnreadRange struct {
	Thread         ThreadID
	After, Through Seq
}

// unreadIn is where the unread messages of a user are: above its read mark, up to the last
// message that it sees, and among the 5,000 events up to that. Without that bound, who
// renames a group or toggles a reaction all day would make every list of threads dear
// (docs/contract.md#threads).
func unreadIn(id ThreadID, head Head, user UserID, joined, read Seq) UnreadRange {
	r := UnreadRange{Thread: id, After: max(read, joined), Through: head.LastVisibleTo(user, joined).Seq}
	if r.Through > r.After+maxLook {
		r.After = r.Through - maxLook
	}
	return r
}
