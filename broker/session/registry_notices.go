package session

import (
	"slices"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// HandleNotice leaves a notice with the sessions that it concerns, and waits for none
// of them.
func (r *Registry) HandleNotice(n chat.Notice) {
	switch {
	case n.Event != nil:
		r.handleEvent(n.Audience, *n.Event)
	case n.Receipt != nil:
		r.handleReceipt(n.Audience, *n.Receipt)
	case n.Failure != nil:
		r.handleFailure(n.Audience, *n.Failure)
	case n.PrekeysLow != nil:
		r.handlePrekeysLow(n.Audience, *n.PrekeysLow)
	case n.Devices != nil:
		r.handleDevices(n.Audience, *n.Devices)
	case n.Removed != nil:
		r.handleRemoved(*n.Removed)
	case n.Typing != nil:
		r.handleTyping(n.Audience, *n.Typing)
	case n.Signal != nil:
		r.handleSignal(n.Audience, *n.Signal)
	case n.Presence != nil:
		r.handlePresence(n.Audience, *n.Presence)
	case n.State != nil:
		r.handleThreadState(n.Audience, *n.State)
	case n.Node != nil:
		r.handleNode(*n.Node)
	case n.Wake != nil:
		r.handleWake(n.Audience, *n.Wake)
	}
}

func (r *Registry) handleEvent(audience []chat.UserID, e chat.Event) {
	r.logs.Tails.Outdate(e) // for whoever holds its message, of the audience or not
	cached := false
	for _, user := range audience {
		for _, s := range r.of(user) {
			if !cached { // before the first wake, and only if somebody here reads it
				r.logs.Tails.Add(e)
				cached = true
			}
			s.wake(e.Thread, e.Seq)
		}
	}
	if e.BringsTogether() && len(audience) <= chat.MaxGreetedGroup {
		for _, user := range audience {
			for _, s := range r.of(user) {
				s.meet(e)
			}
		}
	}
}

func (r *Registry) handleWake(audience []chat.UserID, w chat.Wake) {
	r.logs.Tails.Forget(w.Thread)
	for _, user := range audience {
		for _, s := range r.of(user) {
			s.wake(w.Thread, w.Seq)
		}
	}
}

func (r *Registry) handleReceipt(audience []chat.UserID, rc chat.Receipt) {
	key := receiptKey{thread: rc.Thread, by: rc.User, kind: string(rc.Kind)}
	if rc.Kind == chat.Delivered {
		for _, sender := range rc.Senders {
			if sessions := r.of(sender.User); len(sessions) > 0 {
				r.tell(sessions, key, contracts.DeliveredFrame(rc, sender.Message))
			}
		}
		return
	}
	var frame contracts.Frame
	for _, user := range audience {
		sessions := r.of(user)
		if len(sessions) == 0 {
			continue
		}
		if frame == nil {
			frame = contracts.ReadFrame(rc)
		}
		if user == rc.User { // the reader's other devices
			sessions = slices.DeleteFunc(slices.Clone(sessions), func(s *Session) bool { return s.device == rc.Device })
		}
		r.tell(sessions, key, frame)
	}
}

func (r *Registry) handleFailure(audience []chat.UserID, f chat.Failure) {
	for _, sender := range audience {
		sessions := r.of(sender)
		if len(sessions) == 0 {
			continue
		}
		for _, by := range f.Users {
			key := receiptKey{thread: f.Thread, by: by, kind: contracts.FrameFailed, message: f.Message}
			r.tell(sessions, key, contracts.FailedFrame(f, by))
		}
	}
}

func (r *Registry) handlePrekeysLow(audience []chat.UserID, low chat.PrekeysLow) {
	for _, user := range audience {
		for _, s := range r.of(user) {
			if s.device == low.Device {
				s.tell(contracts.PrekeysLowFrame(low))
			}
		}
	}
}

// tell queues a receipt with those of the sessions that get its thread's frames.
func (r *Registry) tell(sessions []*Session, key receiptKey, frame contracts.Frame) {
	for _, s := range sessions {
		s.mu.Lock()
		wanted := !s.ended && s.interest.frames(key.thread).ok
		if wanted && !s.inbox.receipts.put(key, frame) {
			r.stats.ReceiptsDropped.Add(1)
		}
		wake := wanted && s.nudge()
		s.mu.Unlock()
		if wake {
			s.params.Transport.Wake()
		}
	}
}
