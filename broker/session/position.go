package session

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// origin is where a session starts in the logs (docs/contract.md#resuming,
// resume position). It is settled once, before anything is sent.
type origin struct {
	// at is the position in time; floor lies one overlap window before it. A
	// thread without a cursor starts at the floor.
	at, floor chat.EventID
	// cursors are exact: all of the thread up to there was acknowledged.
	cursors map[chat.ThreadID]chat.Seq
	// claimed is set when the client named the position itself: then cursors only
	// say what of the window before it need not come twice.
	claimed bool
}

func originAt(at chat.EventID, cursors map[chat.ThreadID]chat.Seq) origin {
	floor := chat.EventIDAt(time.UnixMilli(int64(at.Time())).Add(-chat.OverlapWindow))
	return origin{at: at, floor: floor, cursors: cursors}
}

// settle finds where the session starts: at what the client says it holds, else
// at what the device acknowledged, else, at its first connect ever, behind what
// no device of the user has acknowledged.
func (r *Registry) settle(ctx context.Context, s *Session, lines []chat.UserThread) (origin, error) {
	stored, found, err := r.store.Position(ctx, s.user, s.device)
	if err != nil {
		return origin{}, err
	}
	now := chat.EventIDAt(s.started)
	if s.params.LastSeen != nil {
		last := *s.params.LastSeen
		if last.Compare(now) > 0 {
			last = now // what comes from here on is news, whatever the client says
		}
		o := originAt(last, stored.Cursors)
		o.claimed = true
		return o, nil
	}
	if found {
		return originAt(stored.Time, stored.Cursors), nil
	}
	o := originAt(now, make(map[chat.ThreadID]chat.Seq))
	for _, line := range lines {
		marks, err := r.store.Marks(ctx, line.Thread, []chat.UserID{s.user})
		if err != nil {
			return origin{}, err
		}
		acknowledged := marks[0].Delivered.Seq // reading by REST is no acknowledgement
		if acknowledged < lastVisible(line) || line.Head.ID.Compare(o.floor) >= 0 {
			o.cursors[line.Thread] = acknowledged
		}
	}
	// This fixes the position: what another device acknowledges from now on does
	// not move it.
	return o, r.store.PutPosition(ctx, s.user, s.device, chat.Position{Time: o.at, Cursors: o.cursors})
}

// start is the seq behind which a session starts in one thread.
func (r *Registry) start(ctx context.Context, o origin, line chat.UserThread) (chat.Seq, error) {
	cursor, known := o.cursors[line.Thread]
	if !known || o.claimed {
		floor, err := r.store.SeqAt(ctx, line.Thread, o.floor)
		if err != nil {
			return 0, err
		}
		from := floor - 1
		if known && cursor > from {
			news, err := r.store.SeqAt(ctx, line.Thread, chat.NextInOrder(o.at))
			if err != nil {
				return 0, err
			}
			from = max(from, min(cursor, news-1))
		}
		cursor = from
	}
	if line.LeftSeq > 0 {
		// Who was removed while away gets that frame alone: it may see no more of
		// the thread (docs/contract.md#threads and docs/contract.md#resuming).
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

// progress is how far a device has acknowledged during a session: what
// [chat.Position] is made of.
//
// Invariant: everything older than base less one window, in threads without a
// cursor, was acknowledged. base therefore only moves while the session gets the
// frames of all threads: it sends those in event-time order up to the window, so
// an acknowledged run up to an event says so of all that is older.
type progress struct {
	base    chat.EventID
	origin  chat.EventID // base at the start of the session
	cursors map[chat.ThreadID]cursor

	covered   bool   // all threads are subscribed
	coverFrom uint64 // and have been since this frame
	changed   bool
	storedAt  time.Time
}

type cursor struct {
	seq chat.Seq
	id  chat.EventID // of the event there; zero: from before this session
}

func (p *progress) begin(o origin) {
	p.base, p.origin = o.at, o.at
	if o.claimed {
		return
	}
	for thread, seq := range o.cursors {
		p.set(thread, cursor{seq: seq})
	}
}

func (p *progress) set(thread chat.ThreadID, c cursor) {
	if p.cursors == nil {
		p.cursors = make(map[chat.ThreadID]cursor)
	}
	p.cursors[thread] = c
}

// coverage notes whether the session gets the frames of all threads from now on.
func (p *progress) coverage(all bool, frameSeq uint64) {
	if all && !p.covered {
		p.coverFrom = frameSeq
	}
	p.covered = all
}

// advance notes an acknowledged event.
func (p *progress) advance(e *sent) {
	p.changed = true
	p.set(e.thread, cursor{e.seq, e.id})
	if !p.covered || e.frameSeq <= p.coverFrom || e.id.Compare(p.base) <= 0 {
		return
	}
	p.base = e.id
}

// position is what to store. Cursors that the base already speaks for are dropped.
func (p *progress) position() chat.Position {
	floor := originAt(p.base, nil).floor
	if floor.Compare(p.origin) > 0 || p.base.Compare(p.origin) > 0 {
		for thread, c := range p.cursors {
			old := c.id.Compare(floor) < 0
			if old && (!c.id.IsZero() || floor.Compare(p.origin) > 0) {
				delete(p.cursors, thread)
			}
		}
	}
	pos := chat.Position{Time: p.base, Cursors: make(map[chat.ThreadID]chat.Seq, len(p.cursors))}
	for thread, c := range p.cursors {
		pos.Cursors[thread] = c.seq
	}
	return pos
}
