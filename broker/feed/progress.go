package feed

import (
	"time"

	"github.com/parleyhq/parley/chat"
)

// Progress collects by how much a device's position has risen since it was stored. The
// zero Progress is that of a device that has acknowledged nothing since it connected. It
// has no lock: the caller has.
//
// A thread's entry may be raised over an event once the device has acknowledged it and
// all before it in the thread that is for the device. The caller sees to that.
type Progress struct {
	raised       map[chat.ThreadID]chat.Seq // not stored yet
	acknowledged bool                       // the device has acknowledged something
	storedAt     time.Time
}

// Acknowledge raises the position over an event that the device has acknowledged.
func (p *Progress) Acknowledge(thread chat.ThreadID, seq chat.Seq) {
	p.acknowledged = true
	p.Pass(thread, seq)
}

// Pass raises the position over an event that is not for the device.
func (p *Progress) Pass(thread chat.ThreadID, seq chat.Seq) {
	if p.raised == nil {
		p.raised = make(map[chat.ThreadID]chat.Seq)
	}
	p.raised[thread] = max(p.raised[thread], seq)
}

// Due reports whether the position has risen since it was stored, and was stored at
// least so long ago.
func (p *Progress) Due(now time.Time, every time.Duration) bool {
	return len(p.raised) > 0 && now.Sub(p.storedAt) >= every
}

// Drain gives what is to be stored, and has nothing then.
func (p *Progress) Drain(now time.Time) chat.Position {
	rise := chat.Position{Through: p.raised, Acknowledged: p.acknowledged}
	p.raised, p.storedAt = nil, now
	return rise
}

// PutBack takes back what was drained and could not be stored.
func (p *Progress) PutBack(rise chat.Position) {
	for thread, seq := range rise.Through {
		p.Pass(thread, seq)
	}
}
