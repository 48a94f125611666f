package feed

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Origin is where a reader starts in the logs (docs/contract.md#resuming). It is
// found once, before anything is given.
type Origin struct {
	// at is the position in time; floor lies one overlap window before it. A
	// thread without a cursor starts at the floor.
	at, floor chat.EventID
	// cursors are exact: all of the thread up to there was acknowledged.
	cursors map[chat.ThreadID]chat.Seq
	// named is set when the client named the position itself: then cursors only
	// say what of the window before it need not come twice.
	named bool
}

func originAt(at chat.EventID, cursors map[chat.ThreadID]chat.Seq) Origin {
	floor := chat.EventIDAt(time.UnixMilli(int64(at.Time())).Add(-chat.OverlapWindow))
	return Origin{at: at, floor: floor, cursors: cursors}
}

// resolveOrigin finds where the reader starts: at what the client says it holds,
// else at what the device acknowledged, else, at its first connect ever, behind
// what no device of the user has acknowledged.
func (f *Feed) resolveOrigin(ctx context.Context, lines []chat.UserThread) (Origin, error) {
	user, device := f.reader.User, f.reader.Device
	stored, found, err := f.logs.Store.Position(ctx, user, device)
	if err != nil {
		return Origin{}, err
	}
	now := chat.EventIDAt(f.reader.Connected)
	if f.reader.LastSeen != nil {
		last := *f.reader.LastSeen
		if last.Compare(now) > 0 {
			last = now // what comes from here on is news, whatever the client says
		}
		o := originAt(last, stored.Cursors)
		o.named = true
		return o, nil
	}
	if found {
		return originAt(stored.Time, stored.Cursors), nil
	}
	o := originAt(now, make(map[chat.ThreadID]chat.Seq))
	for _, line := range lines {
		marks, err := f.logs.Store.Marks(ctx, line.Thread, []chat.UserID{user})
		if err != nil {
			return Origin{}, err
		}
		acknowledged := marks[0].Delivered.Seq // reading by REST is no acknowledgement
		if acknowledged < lastVisible(line) || line.Head.ID.Compare(o.floor) >= 0 {
			o.cursors[line.Thread] = acknowledged
		}
	}
	// This fixes the position: what another device acknowledges from now on does
	// not move it.
	return o, f.logs.Store.PutPosition(ctx, user, device, chat.Position{Time: o.at, Cursors: o.cursors})
}

// startOf is the seq behind which the reader starts in one thread.
func (f *Feed) startOf(ctx context.Context, line chat.UserThread) (chat.Seq, error) {
	o := f.origin
	cursor, known := o.cursors[line.Thread]
	if !known || o.named {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		floor, err := f.logs.Store.SeqAt(ctx, line.Thread, o.floor)
		if err != nil {
			return 0, err
		}
		from := floor - 1
		if known && cursor > from {
			news, err := f.logs.Store.SeqAt(ctx, line.Thread, chat.NextInOrder(o.at))
			if err != nil {
				return 0, err
			}
			from = max(from, min(cursor, news-1))
		}
		cursor = from
	}
	if line.LeftSeq > 0 {
		// A user who was removed while away gets that frame alone: it may see no
		// more of the thread (docs/contract.md#threads and
		// docs/contract.md#resuming).
		return max(cursor, line.LeftSeq-1), nil
	}
	return max(cursor, line.JoinedSeq-1), nil
}

// lastVisible is the last event of a thread that its user may get.
func lastVisible(line chat.UserThread) chat.Seq {
	if line.LeftSeq > 0 {
		return line.LeftSeq
	}
	return line.Head.Seq
}
