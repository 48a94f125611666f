package feed

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// origin is where a reader starts in the logs (docs/contract.md#resuming): for each
// thread the event behind which it does. A thread without an entry begins with the event
// that the user joined with. It is found once, before anything is given.
//
// It is a list in order of the threads, as it stays in memory as long as the reader does.
type origin []start

type start struct {
	thread chat.ThreadID
	seq    chat.Seq
}

func byThread(a start, thread chat.ThreadID) int { return bytes.Compare(a.thread[:], thread[:]) }

func newOrigin(through map[chat.ThreadID]chat.Seq) origin {
	o := make(origin, 0, len(through))
	for thread, seq := range through {
		o = append(o, start{thread, seq})
	}
	slices.SortFunc(o, func(a, b start) int { return byThread(a, b.thread) })
	return o
}

// in is where the reader starts in one thread. A user who was removed while away gets the
// frame of that alone: it may see no more of the thread (docs/contract.md#threads and
// docs/contract.md#resuming).
func (o origin) in(line chat.UserThread) chat.Seq {
	first := cmp.Or(line.LeftSeq, line.JoinedSeq)
	at, found := slices.BinarySearchFunc(o, line.Thread, byThread)
	if !found {
		return first - 1
	}
	return max(o[at].seq, first-1)
}

// resolveOrigin finds where the reader starts.
//
//	the device      names no message            names a message
//	has acked       what it has acknowledged    that, or the message's place if it is before
//	has not acked   where its first connect     the message's place
//	                found it
//	is not known    behind what no device of    the message's place
//	                the user has acknowledged
//
// A message's place is one overlap window before the time in its id. The device's first
// connect ever fixes its position: what another device acknowledges from then on does
// not move it. While the disk is full it cannot be stored: the reader starts there all the
// same, and [Feed.Unbegun] gives what is to be stored later.
func (f *Feed) resolveOrigin(ctx context.Context, lines []chat.UserThread) (origin, error) {
	user, device := f.reader.User, f.reader.Device
	stored, known, err := f.position(ctx)
	if err != nil {
		return nil, err
	}
	at := stored.Through
	switch named, err := f.named(ctx, lines); {
	case err != nil:
		return nil, err
	case named != nil && stored.Acknowledged:
		lowerTo(at, named)
	case named != nil:
		at = named
	case !known:
		if at, err = f.received(ctx, lines); err != nil {
			return nil, err
		}
	}
	if !known {
		begun, err := f.logs.Store.BeginPosition(ctx, user, device, chat.Position{Through: at})
		switch {
		case errors.Is(err, chat.ErrStoreFull):
			f.unbegun = &chat.Position{Through: maps.Clone(at)}
		case err != nil:
			return nil, err
		default:
			at = begun.Through
		}
	}
	return newOrigin(at), nil
}

// position is how far the device has acknowledged, as it is stored.
func (f *Feed) position(ctx context.Context) (chat.Position, bool, error) {
	if stored := f.reader.Stored; stored != nil {
		f.reader.Stored = nil // it is used once: after a failure there may be another
		return stored.Position, stored.Found, nil
	}
	return f.logs.Store.Position(ctx, f.reader.User, f.reader.Device)
}

// lowerTo lowers a position to another one.
func lowerTo(position, to map[chat.ThreadID]chat.Seq) {
	for thread, seq := range position {
		position[thread] = min(seq, to[thread])
	}
}

// named gives the place of the message that the client names in all threads; nil if it
// names none, or one that is newer than anything in the store.
func (f *Feed) named(ctx context.Context, lines []chat.UserThread) (map[chat.ThreadID]chat.Seq, error) {
	if f.reader.LastSeen == nil {
		return nil, nil
	}
	newest := f.logs.Newest()
	for _, line := range lines {
		newest = later(newest, line.Head.ID)
	}
	if f.reader.LastSeen.Compare(newest) > 0 {
		return nil, nil
	}
	floor := chat.EventIDAt(chat.IDTime(*f.reader.LastSeen).Add(-chat.OverlapWindow))
	named := make(map[chat.ThreadID]chat.Seq, len(lines))
	var newer []chat.ThreadID
	for _, line := range lines {
		if named[line.Thread] = line.Head.Seq; line.Head.ID.Compare(floor) >= 0 {
			newer = append(newer, line.Thread)
		}
	}
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	firsts, err := f.logs.Store.SeqsAt(reading, newer, floor)
	if err != nil {
		return nil, err
	}
	for i, thread := range newer {
		named[thread] = firsts[i] - 1
	}
	return named, nil
}

func later(a, b chat.EventID) chat.EventID {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// received gives, for each thread, the event up to which some device of the user has
// acknowledged. Reading by REST is no acknowledgement.
func (f *Feed) received(ctx context.Context, lines []chat.UserThread) (map[chat.ThreadID]chat.Seq, error) {
	threads := make([]chat.ThreadID, len(lines))
	for i, line := range lines {
		threads[i] = line.Thread
	}
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	marks, err := f.logs.Store.MarksOf(reading, f.reader.User, threads)
	if err != nil {
		return nil, err
	}
	through := make(map[chat.ThreadID]chat.Seq)
	for i, thread := range threads {
		if seq := marks[i].Delivered.Seq; seq > 0 {
			through[thread] = seq
		}
	}
	return through, nil
}

// lastVisible is the last event of a thread that its user may get.
func lastVisible(line chat.UserThread) chat.Seq {
	if line.LeftSeq > 0 {
		return line.LeftSeq
	}
	return line.Head.Seq
}

// readTimeout bounds one read of the store.
const readTimeout = 10 * time.Second
