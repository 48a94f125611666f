package model

import (
	"errors"

	"github.com/parleyhq/parley/chat"
)

func (m *message) isControl() bool { return m.req.ContentType == chat.Control }

// someEpoch is mostly the epoch after the thread's, sometimes none, that of the thread, or one too many.
func someEpoch(t *thread, op operation) chat.Epoch {
	if t == nil {
		return 0
	}
	return []chat.Epoch{t.epoch + 1, t.epoch + 1, t.epoch + 1, 0, t.epoch, t.epoch + 2}[op.b%6]
}

// refuseControl reports whether a message is none for its being of the clients' protocol, or not.
func refuseControl(req chat.SendRequest) bool {
	if req.ContentType == chat.Control {
		return !req.ReplyTo.IsZero()
	}
	return req.Epoch != 0
}

// refuseEpoch is why a message may not begin an epoch, "" if it does not, or may.
func (r *runner) refuseEpoch(u chat.UserID, req chat.SendRequest, t *thread) chat.Code {
	return firstRefusal(
		refuseIf(req.Epoch > 0 && r.blocker(t, u) != "", chat.CodeBlocked),
		refuseIf(req.Epoch > 0 && req.Epoch != t.epoch+1, chat.CodeEpochConflict))
}

// compareConflict compares what somebody is told whose epoch was refused.
func (r *runner) compareConflict(err error, u chat.UserID, t *thread) {
	refusal, ok := errors.AsType[*chat.Error](err)
	if !ok || refusal.Epoch == nil {
		return
	}
	equal(r, "the conflict", "epoch", refusal.Epoch.Epoch, t.epoch)
	sees := t.began != nil && t.sees(u, t.began)
	equal(r, "the conflict", "it has the message", refusal.Epoch.Message != nil, sees)
	if sees {
		r.compareMessage("the message that began the epoch", *refusal.Epoch.Message, t.began, u)
	}
}

// refuseOfControl is the refusal of what control messages do not take: edits, reactions and pins.
func refuseOfControl(m *message) chat.Code { return refuseIf(m.isControl(), chat.CodeInvalidRequest) }

// acceptsBySending has the sender of a message accept the thread; one of the clients' protocol is
// no answer of a person.
func (r *runner) acceptsBySending(m *message, u chat.UserID) {
	if !m.isControl() {
		r.accepts(m.thread, u)
	}
}
