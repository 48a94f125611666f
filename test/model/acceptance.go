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

// accepts has a user accept a thread, if it is in it.
func (r *runner) accepts(t *thread, user chat.UserID) {
	if t.member(user) != nil {
		r.changeOwn(t, user, chat.StateChange{Accepted: new(true)})
	}
}

// meets are those of a thread who may know that a user is online once it accepts the thread, and
// not before.
func (md *model) meets(t *thread, user chat.UserID) (told []chat.UserID) {
	for _, other := range t.users() {
		_, blocked := md.blocks[block{user, other}]
		if other != user && !blocked && slices.Contains(online, user) && !md.shows(user, other) {
			told = append(told, other)
		}
	}
	return told
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
	r.changeOwn(t, c.User, chat.StateChange{Accepted: &accepted})
	r.compareNotices()
	r.compareMe("the answer", me, t, c.User, c.Device)
	r.compareThread(c.User, t)
}
