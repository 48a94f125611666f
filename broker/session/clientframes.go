package session

import (
	"context"
	"errors"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Handle does what a client frame asks for. Its error is an *chat.Error for
// [Session.Refuse].
func (s *Session) Handle(f contracts.ClientFrame) error {
	switch f.Type {
	case contracts.FrameClientAck:
		if !s.AckThrough(f.FrameSeq) {
			return chat.Refuse(contracts.CodeInvalidFrame, "client_ack of a frame that was never sent")
		}
	case contracts.FramePong:
		s.pong()
	case contracts.FrameTyping:
		if f.Thread == (chat.ThreadID{}) {
			return chat.Refuse(contracts.CodeInvalidFrame, "typing needs a thread_id")
		}
		return s.Typing(f.Thread)
	case contracts.FrameAuth:
		if !s.params.SubscribesAll {
			return chat.Refuse(contracts.CodeInvalidFrame, "over MQTT a token is published to the topic for that")
		}
		s.authenticate(f.Token)
	case contracts.FrameSignal:
		s.RefuseSignal(s.Signal(f.Thread, f.Name, f.Data))
	}
	return nil
}

// Refuse tells the client of the error that [Session.Handle] returned for its frame;
// nil is no error. A malformed frame counts as one of those that end the connection, as
// with [Session.Fail]. A frame that asks for what the client may not do does not count.
func (s *Session) Refuse(err error) {
	refusal, refused := errors.AsType[*chat.Error](err)
	switch {
	case !refused:
	case refusal.Code == contracts.CodeInvalidFrame:
		s.Fail(refusal.Code, refusal.Detail)
	default: // a refusal that names fields has its detail in them
		s.Warn(refusal.Code, contracts.ProblemOf(err).Detail)
	}
}

// Fail answers a client frame that was wrong with an error frame, and ends the
// connection when there have been too many (docs/contract.md#frames).
func (s *Session) Fail(code chat.Code, detail string) {
	s.mu.Lock()
	s.badFrames++
	if s.badFrames >= maxBadFrames {
		s.inbox.last = BadFrames // once the error frame is out
	}
	s.mu.Unlock()
	s.tellError(code, detail)
}

// maxBadFrames is how many wrong frames end a JSON connection
// (docs/contract.md#frames).
const maxBadFrames = 10

// Warn tells the client by an error frame that what it asked for was refused. The
// client's frame was well-formed and does not count as wrong.
func (s *Session) Warn(code chat.Code, detail string) { s.tellError(code, detail) }

// tellError queues an error frame.
func (s *Session) tellError(code chat.Code, detail string) {
	protocol := "mqtt"
	if s.params.SubscribesAll {
		protocol = "json"
	}
	s.reg.stats.Errors.Add([2]string{protocol, string(code)}, 1)
	s.tell(contracts.ErrorFrame(code, detail))
}

// pong records a client's answer to a ping.
func (s *Session) pong() {
	s.mu.Lock()
	s.lastPong = s.reg.now()
	s.mu.Unlock()
}

// Typing tells the others of a thread that the user is writing something. Its error
// is an *chat.Error.
func (s *Session) Typing(thread chat.ThreadID) error {
	ctx, cancel := context.WithTimeout(s.reg.ctx, typingTimeout)
	defer cancel()
	return s.reg.chat.Typing(ctx, s.Caller(), thread)
}

// typingTimeout bounds how long a typing frame holds up the frames that the client
// sends after it.
const typingTimeout = 5 * time.Second
