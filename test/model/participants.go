package model

import (
	"cmp"
	"slices"
	"strings"

	"github.com/parleyhq/parley/chat"
)

// someGroup is someThread, but for a 1:1 now and then.
func (p *player) someGroup(w wish) *specThread {
	for i := range len(p.threads) {
		next := w
		next.thread = (w.thread + i) % 64
		if t := p.someThread(next); t == nil || t.kind == chat.Group || w.b%10 == 9 {
			return t
		}
	}
	return p.someThread(w)
}

// mayChange is what a user is told who wants to change a thread's people.
func mayChange(t *specThread, u chat.UserID) chat.Code {
	if code := standing(t, u); code != "" {
		return code
	}
	return when(t.kind != chat.Group, chat.CodeNotAGroup)
}

// mayAdminister is the same for what admins may do.
func mayAdminister(t *specThread, u chat.UserID) chat.Code {
	if code := mayChange(t, u); code != "" {
		return code
	}
	return when(t.member(u).role != chat.Admin, chat.CodeNotAnAdmin)
}

// changedThread appends an event about a thread.
func (p *player) changedThread(t *specThread, c chat.Caller, e specEvent) *specEvent {
	e.kind = chat.KindThread
	return p.append(t, c, e)
}

func (p *player) add(w wish) {
	t, c, user := p.someGroup(w), p.caller(w), actors[w.other]
	code := mayChange(t, c.User)
	in := code == "" && t.member(user) != nil
	if code == "" && !in && len(t.members) >= playedLimits.Participants {
		code = chat.CodeThreadFull
	}
	p.say("%s adds %s to %s: %q", c.User, user, threadName(t), code)
	got, added, err := p.node(w).AddParticipant(p.ctx(), c, idOf(t), user)
	if !p.answered(err, code) {
		return
	}
	specSame(p, "the answer", "added", added, !in)
	if !in {
		e := p.changedThread(t, c, specEvent{what: chat.ParticipantAdded, user: user, role: chat.Member})
		t.members = append(t.members, specMember{user, chat.Member, e.seq, e.at})
		t.stays = append(t.stays, specStay{user: user, joined: e.seq})
		p.expectEvent(t, e)
	}
	p.settle()
	p.sameMember("the one added", got, c.User, t, user)
	p.sameThread(user, t)
}

func (p *player) remove(w wish) {
	t, c, user := p.someGroup(w), p.caller(w), actors[w.other]
	if w.a%3 == 0 {
		user = c.User // leaves
	}
	code := mayChange(t, c.User)
	if code == "" {
		code = firstOf(
			when(user != c.User && t.member(c.User).role != chat.Admin, chat.CodeNotAnAdmin),
			when(t.member(user) == nil, chat.CodeParticipantNotFound))
	}
	p.say("%s removes %s from %s: %q", c.User, user, threadName(t), code)
	err := p.node(w).RemoveParticipant(p.ctx(), c, idOf(t), user)
	if !p.answered(err, code) {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(t.members), func(m specMember) bool { return m.user == user })
	noAdmin := !slices.ContainsFunc(rest, func(m specMember) bool { return m.role == chat.Admin })
	if noAdmin && len(rest) > 0 { // the longest-standing of the rest
		rest[0].role = chat.Admin
		p.expectEvent(t, p.changedThread(t, c, specEvent{what: chat.RoleChanged, user: rest[0].user, role: chat.Admin}))
	}
	e := p.changedThread(t, c, specEvent{what: chat.ParticipantRemoved, user: user})
	t.members = rest
	for i := range t.stays {
		if t.stays[i].user == user && t.stays[i].left == 0 {
			t.stays[i].left = e.seq
		}
	}
	p.expectEvent(t, e)
	p.settle()
	p.sameThread(user, t)
	p.sameThread(c.User, t)
}

func (p *player) setRole(w wish) {
	t, c, user := p.someGroup(w), p.caller(w), actors[w.other]
	role := []chat.Role{chat.Admin, chat.Member}[w.a%2]
	code := mayAdminister(t, c.User)
	changes := false
	if code == "" {
		admins := len(slices.DeleteFunc(slices.Clone(t.members), func(m specMember) bool { return m.role != chat.Admin }))
		target := t.member(user)
		changes = target != nil && target.role != role
		code = firstOf(
			when(target == nil, chat.CodeParticipantNotFound),
			when(changes && role == chat.Member && admins == 1, chat.CodeLastAdmin))
	}
	p.say("%s makes %s %s of %s: %q", c.User, user, role, threadName(t), code)
	got, err := p.node(w).SetRole(p.ctx(), c, idOf(t), user, role)
	if !p.answered(err, code) {
		return
	}
	if changes {
		t.member(user).role = role
		p.expectEvent(t, p.changedThread(t, c, specEvent{what: chat.RoleChanged, user: user, role: role}))
	}
	p.settle()
	p.sameMember("the one changed", got, c.User, t, user)
}

func (p *player) setTitle(w wish) {
	t, c := p.someGroup(w), p.caller(w)
	title := []string{"", "tea", "coffee", strings.Repeat("é", 256), strings.Repeat("é", 257)}[w.a%5]
	code := firstOf(when(len([]rune(title)) > 256, chat.CodeInvalidRequest), mayAdminister(t, c.User))
	p.say("%s names %s title %d: %q", c.User, threadName(t), w.a%5, code)
	got, err := p.node(w).SetTitle(p.ctx(), c, idOf(t), title)
	if !p.answered(err, code) {
		return
	}
	if t.title != title {
		t.title = title
		p.expectEvent(t, p.changedThread(t, c, specEvent{what: chat.TitleChanged, title: title}))
	}
	p.settle()
	p.sameView("the thread named", got, c.User, t)
}

func (p *player) block(w wish) {
	c, user := p.caller(w), actors[w.other]
	if w.a%2 == 0 { // of a 1:1, where it matters
		pair := played1To1s[w.other%len(played1To1s)]
		c.User, user = pair[w.b%2], pair[(w.b+1)%2]
	}
	code := when(c.User == user, chat.CodeInvalidRequest)
	p.say("%s blocks %s: %q", c.User, user, code)
	if !p.answered(p.node(w).Block(p.ctx(), c, user), code) {
		return
	}
	if _, blocked := p.blocks[specBlock{c.User, user}]; !blocked {
		p.blocks[specBlock{c.User, user}] = p.now()
	}
	p.sameBlocks(c.User)
}

func (p *player) unblock(w wish) {
	c, user := p.caller(w), actors[w.other]
	if mine := p.blocked(c.User); len(mine) > 0 && w.a%3 > 0 { // one who is blocked, mostly
		user = mine[w.a%len(mine)].Blocked
	}
	code := when(c.User == user, chat.CodeInvalidRequest)
	p.say("%s unblocks %s: %q", c.User, user, code)
	if p.answered(p.node(w).Unblock(p.ctx(), c, user), code) {
		delete(p.blocks, specBlock{c.User, user})
		p.sameBlocks(c.User)
	}
}

// blocked is whom a user blocks, the oldest block first.
func (s *spec) blocked(u chat.UserID) (all []chat.Block) {
	for b, at := range s.blocks {
		if b.user == u {
			all = append(all, chat.Block{User: u, Blocked: b.blocked, At: at})
		}
	}
	slices.SortFunc(all, func(a, b chat.Block) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Blocked, b.Blocked))
	})
	return all
}

func (p *player) presence(w wish) {
	c, user := p.caller(w), actors[w.other]
	shared := c.User == user || slices.ContainsFunc(p.threads, func(t *specThread) bool {
		return t.member(c.User) != nil && t.member(user) != nil
	})
	code := when(!shared, chat.CodeNoSharedThread)
	_, blocked := p.blocks[specBlock{user, c.User}]
	p.say("%s asks for %s: %q", c.User, user, code)
	got, err := p.node(w).Presence(p.ctx(), c, user)
	if p.answered(err, code) {
		specSame(p, "the answer", "presence", got, chat.Presence{User: user, Online: slices.Contains(online, user) && !blocked})
	}
}
