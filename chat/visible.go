package chat

import (
	"cmp"
	"time"
)

// Visibility says which participants of its thread an event is visible to. It is
// the one rule for all readers: replay and live delivery, history and receipts.
type Visibility struct {
	// About is the seq of the message that the event is about, or its own if it is
	// about none. Who joined later is told of neither.
	About Seq
	// HiddenFrom is the recipient who blocked the message's sender when it was
	// sent; "" is nobody.
	HiddenFrom UserID
}

// Visibility is the event's own.
func (e Event) Visibility() Visibility {
	v := Visibility{About: cmp.Or(e.Target.Seq, e.Seq), HiddenFrom: e.HiddenFrom}
	if v.HiddenFrom == "" && e.Kind == KindMessage {
		v.HiddenFrom = e.Message.HiddenFrom
	}
	return v
}

// To reports whether a participant who joined with the given event sees it.
func (v Visibility) To(user UserID, joined Seq) bool {
	return v.About >= joined && (v.HiddenFrom == "" || v.HiddenFrom != user)
}

// VisibleTo reports whether a participant who joined with the given event sees e.
func (e Event) VisibleTo(user UserID, joined Seq) bool { return e.Visibility().To(user, joined) }

// Sees reports whether the participant sees an event of its thread.
func (p Participant) Sees(e Event) bool { return e.VisibleTo(p.User, p.JoinedSeq) }

// For is the head as a participant sees it: if the last message is hidden from it,
// the last one before that is not.
func (h Head) For(user UserID) Head {
	if h.LastHiddenFrom != "" && h.LastHiddenFrom == user {
		h.LastMessage, h.LastMessageSeq, h.LastMessageAt = h.LastShown.ID, h.LastShown.Seq, h.LastShownAt
		h.LastHiddenFrom, h.LastShown, h.LastShownAt = "", Target{}, time.Time{}
	}
	return h
}

// LastVisibleTo is the newest message that a participant who joined with the given
// event sees; the zero Target if there is none.
func (h Head) LastVisibleTo(user UserID, joined Seq) Target {
	if h = h.For(user); h.LastMessageSeq < joined {
		return Target{}
	}
	return Target{h.LastMessage, h.LastMessageSeq}
}
