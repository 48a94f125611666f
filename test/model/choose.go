package model

import (
	"slices"

	"github.com/parleyhq/parley/chat"
)

// someThread chooses the thread of an operation: mostly one that its user is in,
// rarely one that does not exist (nil).
func (r *runner) someThread(op operation) *thread {
	if op.thread == 63 {
		return nil
	}
	threads := r.threads
	if op.thread%16 != 15 {
		threads = slices.DeleteFunc(slices.Clone(threads), func(t *thread) bool { return t.member(people[op.by]) == nil })
	}
	if len(threads) == 0 {
		return nil
	}
	return threads[op.thread%len(threads)]
}

// someMessage chooses the message of an operation: mostly one that its user sees,
// rarely none (nil, with an id that no message has).
func (r *runner) someMessage(op operation) (*message, chat.MessageID) {
	t := r.someThread(op)
	switch {
	case t == nil || len(t.sent) == 0:
		return nil, chat.MessageID{0: 1}
	case op.message == 255:
		return nil, t.log[0].id // an event that is no message
	}
	messages := t.sent
	if op.message%16 != 15 {
		messages = t.visible(people[op.by])
	}
	if len(messages) == 0 {
		return nil, chat.MessageID{0: 1}
	}
	m := r.recent(messages, op)
	return m, m.sent.id
}

// someGroup chooses as someThread does, mostly a group.
func (r *runner) someGroup(op operation) *thread {
	for i := range len(r.threads) {
		next := op
		next.thread = (op.thread + i) % 64
		if t := r.someThread(next); t == nil || t.kind == chat.Group || op.b%10 == 9 {
			return t
		}
	}
	return r.someThread(op)
}

// idOf is a thread's id, or one that no thread has.
func idOf(t *thread) chat.ThreadID {
	if t == nil {
		return chat.ThreadID{15: 1}
	}
	return t.id
}

func threadName(t *thread) string {
	if t == nil {
		return "no thread"
	}
	return t.name
}

// recent chooses one of some messages, a newer one more often.
func (r *runner) recent(of []*message, op operation) *message {
	return of[len(of)-1-op.message%len(of)]
}
