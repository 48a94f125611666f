package model

import (
	"slices"
	"strings"

	"github.com/parleyhq/parley/chat"
)

// add adds a user to a thread.
func (r *runner) add(op operation) {
	t, c, user := r.someGroup(op), r.caller(op), people[op.other]
	code := refuseChange(t, c.User)
	in := code == "" && t.member(user) != nil
	if code == "" && !in {
		_, blocks := r.blocks[block{user, c.User}]
		was := slices.ContainsFunc(t.stints, func(s stint) bool { return s.user == user })
		code = refuseIf(blocks || was && t.member(c.User).role != chat.Admin, chat.CodeCannotAdd)
	}
	if code == "" && !in && len(t.members) >= limits.Participants {
		code = chat.CodeThreadFull
	}
	var strangers []chat.UserID
	if code == "" && !in {
		strangers = r.strangersAmong(c.User, []chat.UserID{user})
		code = r.refuseStrangers(c.User, strangers)
	}
	r.tracef("%s adds %s to %s: %q", c.User, user, threadName(t), code)
	got, added, err := r.node(op).AddParticipant(r.ctx(), c, idOf(t), user)
	if !r.checkError(err, code) {
		return
	}
	equal(r, "the answer", "added", added, !in)
	if !in {
		pending := len(strangers) > 0
		r.noteStrangers(c.User, strangers)
		e := r.appendChange(t, c, event{what: chat.ParticipantAdded, user: user, role: chat.Member, pending: pending})
		t.members = append(t.members, member{user: user, role: chat.Member, joined: e.seq, at: e.at, accepted: !pending})
		t.stints = append(t.stints, stint{user: user, joined: e.seq})
		r.expectEvent(t, e)
	}
	r.compareNotices()
	r.compareMember("the one added", got, c.User, t, user)
	r.compareThread(user, t)
}

// remove removes a user from a thread. One time in three the caller leaves.
func (r *runner) remove(op operation) {
	t, c, user := r.someGroup(op), r.caller(op), people[op.other]
	if op.a%3 == 0 {
		user = c.User // leaves
	}
	code := refuseChange(t, c.User)
	if code == "" {
		code = firstRefusal(
			refuseIf(user != c.User && t.member(c.User).role != chat.Admin, chat.CodeNotAnAdmin),
			refuseIf(t.member(user) == nil, chat.CodeParticipantNotFound))
	}
	r.tracef("%s removes %s from %s: %q", c.User, user, threadName(t), code)
	err := r.node(op).RemoveParticipant(r.ctx(), c, idOf(t), user)
	if !r.checkError(err, code) {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(t.members), func(m member) bool { return m.user == user })
	noAdmin := !slices.ContainsFunc(rest, func(m member) bool { return m.role == chat.Admin })
	if noAdmin && len(rest) > 0 { // who is in longest becomes admin
		rest[0].role = chat.Admin
		r.expectEvent(t, r.appendChange(t, c, event{what: chat.RoleChanged, user: rest[0].user, role: chat.Admin}))
	}
	e := r.appendChange(t, c, event{what: chat.ParticipantRemoved, user: user})
	t.members = rest
	for i := range t.stints {
		if t.stints[i].user == user && t.stints[i].left == 0 {
			t.stints[i].left = e.seq
		}
	}
	r.expectEvent(t, e)
	r.compareNotices()
	r.compareThread(user, t)
	r.compareThread(c.User, t)
}

// setRole makes a participant an admin or a member.
func (r *runner) setRole(op operation) {
	t, c, user := r.someGroup(op), r.caller(op), people[op.other]
	role := []chat.Role{chat.Admin, chat.Member}[op.a%2]
	code := refuseAdministration(t, c.User)
	changes := false
	if code == "" {
		admins := len(slices.DeleteFunc(slices.Clone(t.members), func(m member) bool { return m.role != chat.Admin }))
		target := t.member(user)
		changes = target != nil && target.role != role
		code = firstRefusal(
			refuseIf(target == nil, chat.CodeParticipantNotFound),
			refuseIf(changes && role == chat.Member && admins == 1, chat.CodeLastAdmin))
	}
	r.tracef("%s makes %s %s of %s: %q", c.User, user, role, threadName(t), code)
	got, err := r.node(op).SetRole(r.ctx(), c, idOf(t), user, role)
	if !r.checkError(err, code) {
		return
	}
	if changes {
		t.member(user).role = role
		r.expectEvent(t, r.appendChange(t, c, event{what: chat.RoleChanged, user: user, role: role}))
	}
	r.compareNotices()
	r.compareMember("the one changed", got, c.User, t, user)
}

// setTitle sets a thread's title.
func (r *runner) setTitle(op operation) {
	t, c := r.someGroup(op), r.caller(op)
	title := []string{"", "tea", "coffee", strings.Repeat("é", 256), strings.Repeat("é", 257)}[op.a%5]
	code := firstRefusal(refuseIf(len([]rune(title)) > 256, chat.CodeInvalidRequest), refuseAdministration(t, c.User))
	r.tracef("%s gives %s the title %d: %q", c.User, threadName(t), op.a%5, code)
	got, err := r.node(op).SetTitle(r.ctx(), c, idOf(t), title)
	if !r.checkError(err, code) {
		return
	}
	if t.title != title {
		t.title = title
		r.expectEvent(t, r.appendChange(t, c, event{what: chat.TitleChanged, title: title}))
	}
	r.compareNotices()
	r.compareThreadView("the thread named", got, c.User, t)
}
