package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parleyhq/parley/chat"
)

// own is what a participant keeps of a thread for itself, besides whether it has accepted it.
type own struct {
	muted    time.Time // zero: it is not
	archived chat.Seq  // where the log ended when it was archived; zero: it is not
	pinned   bool
	unread   bool // it was marked as unread
	custom   chat.Custom
}

// shown is the state of a thread as its user is shown it, without the last client_seq.
func (md *model) shown(t *thread, user chat.UserID) chat.Me {
	me := t.member(user)
	st := chat.Me{Accepted: me.accepted, Archived: t.archived(me), Pinned: me.own.pinned, MarkedUnread: me.own.unread, Custom: me.own.custom}
	if me.own.muted.After(md.now()) {
		st.MutedUntil = me.own.muted
	}
	return st
}

// archived reports whether a member has the thread archived: no message that it sees came since,
// other than while it had the thread muted.
func (t *thread) archived(me *member) bool {
	ends := func(m *message) bool {
		return !m.isControl() && m.hiddenFrom != me.user && m.seq() > me.own.archived && m.sent.at.After(me.own.muted)
	}
	return me.own.archived > 0 && !slices.ContainsFunc(t.sent, ends)
}

// lastClientSeq is the largest client_seq of a device in a thread; -1 if there is none.
func (md *model) lastClientSeq(t *thread, user chat.UserID, device chat.DeviceID) int64 {
	last := int64(-1)
	for n := range md.numbers {
		if n.thread == t && n.user == user && n.device == device {
			last = max(last, n.number)
		}
	}
	return last
}

func describeMe(me chat.Me) string {
	var is []string
	for what, holds := range map[string]bool{
		"accepted": me.Accepted, "archived": me.Archived, "pinned": me.Pinned, "marked as unread": me.MarkedUnread,
		fmt.Sprint("muted until ", me.MutedUntil.UnixMilli()): !me.MutedUntil.IsZero(), fmt.Sprintf("custom %.8q", me.Custom.Bytes): me.Custom.Set,
	} {
		if holds {
			is = append(is, what)
		}
	}
	slices.Sort(is)
	return strings.Join(is, ", ")
}

func describeState(thread string, to []chat.UserID, revision uint64, me chat.Me) string {
	return fmt.Sprintf("%s is %s, change %d, to %v", thread, describeMe(me), revision, to)
}

// changeOwn changes what a user keeps of a thread, if that changes what it is shown: then its
// devices are told. If it accepts the thread, those of the thread who may know that it is online
// since now are told so.
func (r *runner) changeOwn(t *thread, user chat.UserID, change chat.StateChange) {
	me := t.member(user)
	old, before := *me, r.shown(t, user)
	if change.Accepted != nil {
		me.accepted = *change.Accepted
	}
	if change.MutedUntil != nil {
		me.own.muted = *change.MutedUntil
	}
	if change.Pinned != nil {
		me.own.pinned = *change.Pinned
	}
	if change.MarkedUnread != nil {
		me.own.unread = *change.MarkedUnread
	}
	if change.Custom != nil {
		me.own.custom = *change.Custom
	}
	archived := before.Archived
	if change.Archived != nil {
		archived = *change.Archived
	}
	if me.own.archived = 0; archived { // what came while it was muted counts no more
		me.own.archived = chat.Seq(len(t.log))
	}
	after := r.shown(t, user)
	if describeMe(after) == describeMe(before) {
		*me = old
		return
	}
	t.changes[user]++
	r.expected = append(r.expected, describeState(t.name, []chat.UserID{user}, t.changes[user], after))
	if after.Accepted && !before.Accepted {
		me.accepted = false
		told := r.meets(t, user)
		if me.accepted = true; len(told) > 0 {
			r.expected = append(r.expected, describePresence(user, told))
		}
	}
}

// setOwn changes one or two things of what a user keeps of a thread.
func (r *runner) setOwn(op operation) {
	t, c := r.someThread(op), r.caller(op)
	var change chat.StateChange
	for _, what := range []int{op.a % 7, op.b % 9} {
		switch what {
		case 0, 1:
			change.Archived = new(op.b%4 > 0)
		case 2:
			times := []time.Time{{}, r.now().Add(time.Minute), r.now().Add(time.Hour), r.now().Add(-time.Hour), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
			change.MutedUntil = &times[op.message%len(times)]
		case 3:
			change.Pinned = new(op.b%3 > 0)
		case 4:
			change.MarkedUnread = new(op.b%3 > 0)
		case 5:
			customs := []chat.Custom{{}, {Set: true}, {Set: true, Bytes: "x"}, {Set: true, Bytes: strings.Repeat("x", chat.MaxCustomBytes+op.b%2)}}
			change.Custom = &customs[op.message%len(customs)]
		}
	}
	code := firstRefusal(refuseIf(change.Custom != nil && len(change.Custom.Bytes) > chat.MaxCustomBytes, chat.CodeInvalidRequest), refuseOutsider(t, c.User))
	r.tracef("%s changes its state of %s: archived %v, muted %v, pinned %v, unread %v, custom %v: %q", c.User, threadName(t),
		change.Archived != nil, change.MutedUntil != nil, change.Pinned != nil, change.MarkedUnread != nil, change.Custom != nil, code)
	me, err := r.node(op).SetOwnState(r.ctx(), c, idOf(t), change)
	if !r.checkError(err, code) {
		return
	}
	r.changeOwn(t, c.User, change)
	r.compareNotices()
	r.compareMe("the answer", me, t, c.User, c.Device)
	got, err := r.nodes[1-op.node].OwnState(r.ctx(), reader(c.User), t.id)
	r.checkError(err, "")
	r.compareMe(fmt.Sprintf("what %s keeps of %s", c.User, t), got, t, c.User, reader(c.User).Device)
	r.compareUnread(c.User)
}

func (r *runner) compareMe(what string, got chat.Me, t *thread, user chat.UserID, device chat.DeviceID) {
	equal(r, what, "state", describeMe(got), describeMe(r.shown(t, user)))
	last := int64(-1)
	if got.LastClientSeq != nil {
		last = *got.LastClientSeq
	}
	equal(r, what, "last client_seq", last, r.lastClientSeq(t, user, device))
}

// listed reports whether a filter lists a thread for a user.
func (md *model) listed(t *thread, user chat.UserID, filter chat.ThreadFilter) bool {
	if t.member(user) == nil {
		return false
	}
	me := md.shown(t, user)
	switch filter {
	case chat.Inbox:
		return me.Accepted && !me.Archived
	case chat.Requests:
		return !me.Accepted
	case chat.Archived:
		return me.Accepted && me.Archived
	}
	return true
}

// compareUnread compares the numbers of a user's badge.
func (r *runner) compareUnread(u chat.UserID) {
	var want chat.UnreadCounts
	for _, t := range r.threads {
		if !r.listed(t, u, chat.Inbox) || !r.shown(t, u).MutedUntil.IsZero() {
			continue
		}
		unread := r.unread(t, u)
		want.Messages += unread
		if unread > 0 || t.member(u).own.unread {
			want.Threads++
		}
	}
	want.Messages = min(want.Messages, chat.MaxUnreadCount)
	got, err := r.nodes[1].Unread(r.ctx(), reader(u))
	if r.checkError(err, "") {
		equal(r, "the badge of "+string(u), "unread", got, want)
	}
}
