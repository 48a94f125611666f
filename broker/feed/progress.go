package feed

import (
	"time"

	"github.com/parleyhq/parley/chat"
)

// Progress is how far a device has acknowledged since it connected: the position to
// store is made of it. The zero Progress is that of a device that has acknowledged
// nothing. It has no lock: the caller has.
//
// Invariant: everything older than base less one overlap window, in threads without
// a cursor, was acknowledged. So base only moves while the reader gets the events
// of all threads: then they come in the order of their times up to the overlap
// window, and an acknowledged run up to an event says so of all that is older.
type Progress struct {
	base    chat.EventID
	origin  chat.EventID // base at the start
	cursors map[chat.ThreadID]ackedEvent

	all      bool   // the reader gets the events of all threads
	allSince uint64 // and has since this frame
	moved    bool   // since Position was called last
	storedAt time.Time
}

// Acked is one event that a device has acknowledged, or that is not for it.
type Acked struct {
	FrameSeq uint64 // the number of the frame that it was sent with
	Thread   chat.ThreadID
	Seq      chat.Seq
	ID       chat.EventID
}

type ackedEvent struct {
	seq chat.Seq
	id  chat.EventID // of the event there; zero: from before this connection
}

// Begin sets where the reader started.
func (p *Progress) Begin(o Origin) {
	p.base, p.origin = o.at, o.at
	if o.named {
		return
	}
	for thread, seq := range o.cursors {
		p.set(thread, ackedEvent{seq: seq})
	}
}

func (p *Progress) set(thread chat.ThreadID, e ackedEvent) {
	if p.cursors == nil {
		p.cursors = make(map[chat.ThreadID]ackedEvent)
	}
	p.cursors[thread] = e
}

// Covers says whether the reader gets the events of all threads in the frames after
// the given one.
func (p *Progress) Covers(all bool, frameSeq uint64) {
	if all && !p.all {
		p.allSince = frameSeq
	}
	p.all = all
}

// Advance moves the progress over an event.
func (p *Progress) Advance(e Acked) {
	p.moved = true
	p.set(e.Thread, ackedEvent{e.Seq, e.ID})
	if p.all && e.FrameSeq > p.allSince && e.ID.Compare(p.base) > 0 {
		p.base = e.ID
	}
}

// Due reports whether there is a position to store that was not stored yet, and that
// the last one was stored at least so long ago.
func (p *Progress) Due(now time.Time, every time.Duration) bool {
	return p.moved && now.Sub(p.storedAt) >= every
}

// Retry has the position stored again: what Position gave could not be.
func (p *Progress) Retry() { p.moved = true }

// Position is what to store now. Cursors that base speaks for are dropped.
func (p *Progress) Position(now time.Time) chat.Position {
	p.moved, p.storedAt = false, now
	floor := originAt(p.base, nil).floor
	if floor.Compare(p.origin) > 0 || p.base.Compare(p.origin) > 0 {
		for thread, e := range p.cursors {
			old := e.id.Compare(floor) < 0
			if old && (!e.id.IsZero() || floor.Compare(p.origin) > 0) {
				delete(p.cursors, thread)
			}
		}
	}
	pos := chat.Position{Time: p.base, Cursors: make(map[chat.ThreadID]chat.Seq, len(p.cursors))}
	for thread, e := range p.cursors {
		pos.Cursors[thread] = e.seq
	}
	return pos
}
