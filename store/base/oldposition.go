package base

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// NoteUseEvery is how long a store reads a device's position without noting again that it
// is used. It is little beside [chat.ForgetDevicesAfter].
const NoteUseEvery = 24 * time.Hour

// OldPosition is a device's position as earlier formats kept it. Of a thread in Cursors
// the device has acknowledged the events up to the cursor, and none above. Of any other
// thread it has acknowledged those older than Time less one overlap window.
type OldPosition struct {
	Time    chat.EventID
	Cursors map[chat.ThreadID]chat.Seq
}

// Convert gives the position that says the same of the threads that the user is or was in.
func (p OldPosition) Convert(ctx context.Context, user chat.UserID, store interface {
	UserThreads(ctx context.Context, user chat.UserID) ([]chat.UserThread, error)
	SeqAt(ctx context.Context, thread chat.ThreadID, id chat.EventID) (chat.Seq, error)
},
) (chat.Position, error) {
	lines, err := store.UserThreads(ctx, user)
	if err != nil {
		return chat.Position{}, err
	}
	floor := chat.EventIDAt(time.UnixMilli(int64(p.Time.Time())).Add(-chat.OverlapWindow))
	converted := chat.Position{Through: make(map[chat.ThreadID]chat.Seq, len(lines)), Acknowledged: true}
	for _, line := range lines {
		through, known := p.Cursors[line.Thread]
		switch {
		case known:
		case line.Head.ID.Compare(floor) < 0:
			through = line.Head.Seq
		default:
			first, err := store.SeqAt(ctx, line.Thread, floor)
			if err != nil {
				return chat.Position{}, err
			}
			through = first - 1
		}
		if through > 0 {
			converted.Through[line.Thread] = through
		}
	}
	return converted, nil
}
