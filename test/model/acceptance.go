package model

import (
	"fmt"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// knows reports whether two people have a 1:1 that the second one has accepted.
func (md *model) knows(by, user chat.UserID) bool {
	return slices.ContainsFunc(md.threads, func(t *thread) bool {
		return t.kind == chat.OneToOne && t.member(by) != nil && t.member(user) != nil && t.member(user).accepted
	})
}

// shows reports whether a user is in a thread with another one that it has accepted.
func (md *model) shows(user, to chat.UserID) bool {
	return slices.ContainsFunc(md.threads, func(t *thread) bool {
		return t.member(to) != nil && t.member(user) != nil && t.member(user).accepted
	})
}

// accepts has a user accept a thread that it is in. Those of the thread who may know that it is
// online since now are told so.
func (r *runner) accepts(t *thread, user chat.UserID) {
	me := t.member(user)
	if me == nil || me.accepted {
		return
	}
	var told []chat.UserID
	for _, other := range t.users() {
		_, blocked := r.blocks[block{user, other}]
		if other != user && !blocked && slices.Contains(online, user) && !r.shows(user, other) {
			told = append(told, other)
		}
	}
	me.accepted = true
	if len(told) > 0 {
		r.expected = append(r.expected, describePresence(user, told))
	}
}

func describePresence(user chat.UserID, to []chat.UserID) string {
	return fmt.Sprintf("%s is online, to %v", user, sortedUsers(to))
}

// setAccepted accepts or refuses a thread.
func (r *runner) setAccepted(op operation) {
	t, c, accepted := r.someThread(op), r.caller(op), op.a%2 == 0
	code := refuseOutsider(t, c.User)
	r.tracef("%s accepts %s, %v: %q", c.User, threadName(t), accepted, code)
	me, err := r.node(op).SetOwnState(r.ctx(), c, idOf(t), chat.StateChange{Accepted: &accepted})
	if !r.checkError(err, code) {
		return
	}
	equal(r, "the answer", "accepted", me.Accepted, accepted)
	if accepted {
		r.accepts(t, c.User)
	}
	t.member(c.User).accepted = accepted
	r.compareNotices()
	r.compareThread(c.User, t)
}
