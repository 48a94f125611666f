package session

import (
	"context"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// maxSignalsBytes bounds the signals that wait for one connection. Beyond it new ones are
// dropped: nothing of them is promised.
const maxSignalsBytes = 256 << 10

// handleSignal leaves a signal with the sessions of the audience, but for that of its sender.
func (r *Registry) handleSignal(audience []chat.UserID, sig chat.Signal) {
	e := ephemeral{
		ephemeralKey: ephemeralKey{contracts.Topic{Kind: contracts.TopicThreadSignal, Thread: sig.Thread, Name: sig.Name}, sig.User},
		at:           r.now(),
	}
	for _, user := range audience {
		for _, s := range r.of(user) {
			if user == sig.User && s.device == sig.Device {
				continue
			}
			if e.frame == nil {
				e.frame = contracts.SignalFrame(sig)
			}
			s.hint(e, nil)
		}
	}
}

// Signal tells the others of a thread a signal. Its error is an *chat.Error; one that the
// signal was dropped as one too many is for [Session.RefuseSignal].
func (s *Session) Signal(thread chat.ThreadID, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(s.reg.ctx, typingTimeout)
	defer cancel()
	return s.reg.chat.Signal(ctx, s.Caller(), chat.Signal{Thread: thread, Name: name, Data: data})
}

// RefuseSignal tells the client by an error frame why its signal was refused; of those that
// were dropped as too many, once in [chat.SignalErrorEvery].
func (s *Session) RefuseSignal(err error) {
	if chat.CodeOf(err) == chat.CodeRateLimited && !s.mayTellDrop() {
		return
	}
	s.Refuse(err)
}

func (s *Session) mayTellDrop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.reg.now()
	if !s.toldDrop.IsZero() && now.Sub(s.toldDrop) < chat.SignalErrorEvery {
		return false
	}
	s.toldDrop = now
	return true
}
