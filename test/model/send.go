package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parleyhq/parley/chat"
)

// someThread is a thread of the wish's: mostly one that its user is in, rarely one
// that is not there (nil).
func (p *player) someThread(w wish) *specThread {
	if w.thread == 63 {
		return nil
	}
	threads := p.threads
	if w.thread%16 != 15 {
		threads = slices.DeleteFunc(slices.Clone(threads), func(t *specThread) bool { return t.member(actors[w.by]) == nil })
	}
	if len(threads) == 0 {
		return nil
	}
	return threads[w.thread%len(threads)]
}

// idOf is a thread's id, or one that no thread has.
func idOf(t *specThread) chat.ThreadID {
	if t == nil {
		return chat.ThreadID{15: 1}
	}
	return t.id
}

func threadName(t *specThread) string {
	if t == nil {
		return "no thread"
	}
	return t.name
}

// standing is what a user without a place in the thread is told.
func standing(t *specThread, u chat.UserID) chat.Code {
	switch {
	case t == nil:
		return chat.CodeThreadNotFound
	case t.member(u) == nil:
		return chat.CodeNotAParticipant
	}
	return ""
}

var played1To1s = [][2]chat.UserID{{"ann", "bob"}, {"ann", "cid"}, {"bob", "cid"}, {"dan", "ann"}}

// create makes a group or a 1:1; one creation in four has a key, and may be a retry.
func (p *player) create(w wish) {
	c := p.caller(w)
	req := chat.CreateThread{Type: chat.Group, Title: []string{"", "tea", "coffee", strings.Repeat("é", 256), strings.Repeat("é", 257)}[w.b%5]}
	for i := range w.a % 6 {
		req.Participants = append(req.Participants, actors[(w.other+i*w.b)%len(actors)])
	}
	switch {
	case w.a%3 == 0 || len(p.threads) >= maxPlayedThreads:
		pair := played1To1s[w.other%len(played1To1s)]
		req = chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{pair[(w.b+1)%2], pair[w.b%2]}}
		c.User = pair[w.b%2]
	case w.a%20 == 19:
		req.Type = chat.OneToOne // of whoever happens to be there
	}
	if w.b%4 == 1 {
		req.IdempotencyKey = fmt.Sprintf("k%d", w.message%40)
	}
	p.tryCreate(c, p.node(w), req)
}

func (p *player) tryCreate(c chat.Caller, node *chat.Service, req chat.CreateThread) {
	users := mergedUsers(c, req)
	pair := p.pairOf(req, users)
	use, used := p.used(c.User, req.IdempotencyKey)
	same := used && use.message == nil && sameCreation(use.create, req, c)
	code, outcome, t := chat.Code(""), chat.Created, (*specThread)(nil)
	switch {
	case len(users) > playedLimits.Participants, req.Type == chat.OneToOne && len(users) != 2, len([]rune(req.Title)) > chat.MaxTitleChars:
		code = chat.CodeInvalidRequest
	case used && !same:
		code = chat.CodeIdempotencyKeyReused
	case same:
		outcome, t = chat.Recreated, use.thread
		code = standing(t, c.User)
	case pair != nil:
		outcome, t = chat.AlreadyExists, pair
	}
	if code == "" && outcome == chat.Created && len(p.threads) >= maxPlayedThreads {
		return
	}
	p.say("%s creates a %s of %v, key %q: outcome %d of %s, %q", c.User, req.Type, users, req.IdempotencyKey, outcome, threadName(t), code)
	v, got, err := node.CreateThread(p.ctx(), c, req)
	if !p.answered(err, code) {
		return
	}
	specSame(p, "the answer", "outcome", got, outcome)
	switch outcome {
	case chat.Created:
		t = p.created(c, req, users, v.ID)
		p.expectEvent(t, t.log[0])
		if req.IdempotencyKey != "" {
			p.keys[specKey{c.User, req.IdempotencyKey}] = specUse{at: p.now(), thread: t, create: req}
		}
	case chat.Recreated:
		p.expectEvent(t, t.log[0])
	case chat.AlreadyExists:
	}
	p.settle()
	p.sameView("the thread created", v, c.User, t)
	p.sameMembers("the thread created", v, c.User, t)
}

func (p *player) created(c chat.Caller, req chat.CreateThread, users []chat.UserID, id chat.ThreadID) *specThread {
	t := &specThread{
		name: fmt.Sprintf("t%d", len(p.threads)+1), id: id, kind: req.Type, title: req.Title, by: c.User, at: p.now(),
		marks: make(map[chat.UserID][]specMark),
	}
	e := specEvent{kind: chat.KindThread, what: chat.ThreadCreated, title: req.Title}
	for _, u := range users {
		role := chat.Member
		if u == c.User && req.Type == chat.Group {
			role = chat.Admin
		}
		e.members = append(e.members, chat.InitialMember{User: u, Role: role})
		t.members = append(t.members, specMember{u, role, 1, p.now()})
		t.stays = append(t.stays, specStay{user: u, joined: 1})
	}
	p.threads = append(p.threads, t)
	p.append(t, c, e)
	return t
}

// mergedUsers are the people of a creation, each once; its maker comes first if the
// request does not say where.
func mergedUsers(c chat.Caller, req chat.CreateThread) (users []chat.UserID) {
	if !slices.Contains(req.Participants, c.User) {
		users = append(users, c.User)
	}
	for _, u := range req.Participants {
		if !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	return users
}

func sameCreation(a, b chat.CreateThread, by chat.Caller) bool {
	return a.Type == b.Type && a.Title == b.Title && slices.Equal(mergedUsers(by, a), mergedUsers(by, b))
}

func (p *player) pairOf(req chat.CreateThread, users []chat.UserID) *specThread {
	for _, t := range p.threads {
		if req.Type == chat.OneToOne && t.kind == chat.OneToOne && slices.Equal(sortedUsers(t.users()), sortedUsers(users)) {
			return t
		}
	}
	return nil
}

// used is what a user's key stands for, while it does.
func (s *spec) used(u chat.UserID, key string) (specUse, bool) {
	use, found := s.keys[specKey{u, key}]
	return use, found && !s.now().After(use.at.Add(window))
}

// send sends a new message.
func (p *player) send(w wish) {
	t, c := p.someThread(w), p.caller(w)
	if t == nil && len(p.threads) < maxPlayedThreads {
		p.create(w)
		return
	}
	req := chat.SendRequest{
		Thread: idOf(t), IdempotencyKey: fmt.Sprintf("key-%d", p.played), ClientSeq: int64(p.played), Ciphertext: fmt.Appendf(nil, "text %d", p.played),
	}
	switch w.a % 20 {
	case 9, 10:
		req.ContentType, req.AttachmentID, req.AttachmentSHA256 = chat.ImageRef, "blob", hashes[w.b%len(hashes)]
	case 11:
		req.ContentType = chat.FileRef
	case 12, 13:
		req.ContentType, c = chat.System, shop
	case 14:
		req.ContentType = chat.System
	case 15:
		req.Ciphertext = make([]byte, playedLimits.CiphertextBytes+w.b%3)
	case 16:
		req.ContentType, req.AttachmentID = chat.AudioRef, "blob"
	}
	if w.b%3 == 0 {
		req.TTL = []time.Duration{time.Minute, time.Second, 10 * time.Minute, time.Hour, 25 * time.Hour, time.Millisecond}[w.a%6]
	}
	var reply *specMessage
	if w.b%7 == 2 && len(p.messages) > 0 {
		if reply = p.recent(p.messages, w); w.b%2 == 0 && t != nil && len(t.sent) > 0 {
			reply = p.recent(t.sent, w)
		}
		req.ReplyTo = reply.sent.id
	}
	p.trySend(c, p.node(w), req, t, reply)
}

// recent is one of some messages, more often a newer one.
func (p *player) recent(of []*specMessage, w wish) *specMessage {
	return of[len(of)-1-w.message%len(of)]
}

// retry sends a message again, or nearly.
func (p *player) retry(w wish) {
	mine := slices.DeleteFunc(slices.Clone(p.messages), func(m *specMessage) bool { return m.by() != actors[w.by] })
	if len(mine) == 0 {
		return
	}
	old := p.recent(mine, w)
	if hidden := slices.DeleteFunc(mine, func(m *specMessage) bool { return m.hiddenFrom == "" }); w.thread%2 == 0 && len(hidden) > 0 {
		old = p.recent(hidden, w)
	}
	c, req, t := p.caller(w), old.req, old.thread
	reply := p.byID[req.ReplyTo]
	fresh := int64(1_000_000 + p.played)
	if w.b%5 == 1 && w.a%9 > 3 {
		c.Device = old.sent.device
	}
	switch w.a % 9 {
	case 0, 1:
		c.Device = old.sent.device
	case 2: // from the other device
		if c.Device = "phone"; old.sent.device == "phone" {
			c.Device = "tablet"
		}
	case 3:
		req.Ciphertext = []byte("another")
	case 4, 5:
		req.IdempotencyKey, req.Ciphertext, c.Device = fmt.Sprintf("key-%d", fresh), []byte("whatever"), old.sent.device
	case 6:
		req.ClientSeq = fresh
	case 7:
		if t = p.someThread(w); t == nil {
			return
		}
		req.Thread, req.ReplyTo, reply = t.id, chat.MessageID{}, nil
	case 8:
		create := chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{actors[w.other]}, IdempotencyKey: req.IdempotencyKey}
		p.tryCreate(c, p.node(w), create)
		return
	}
	p.trySend(c, p.node(w), req, t, reply)
}

// refuseSend is why a send is refused whatever was sent before, "" if it is not.
func (p *player) refuseSend(c chat.Caller, req chat.SendRequest, t *specThread) chat.Code {
	isRef := slices.Contains([]chat.ContentType{chat.ImageRef, chat.AudioRef, chat.FileRef}, req.ContentType)
	system := req.ContentType == chat.System
	switch {
	case system && c.User != shop.User:
		return chat.CodeMissingScope
	case isRef && req.AttachmentID == "", req.TTL != 0 && req.TTL < time.Second:
		return chat.CodeInvalidRequest
	case len(req.Ciphertext) > playedLimits.CiphertextBytes:
		return chat.CodeCiphertextTooLarge
	case t == nil:
		return chat.CodeThreadNotFound
	case !system && t.member(c.User) == nil:
		return chat.CodeNotAParticipant
	}
	return ""
}

// refuseNew is why a message is refused that was not sent before.
func (p *player) refuseNew(c chat.Caller, req chat.SendRequest, t *specThread, reply *specMessage) chat.Code {
	switch system := req.ContentType == chat.System; {
	case reply != nil && (reply.thread != t || !system && !t.sees(c.User, reply)):
		return chat.CodeInvalidRequest
	case p.denied[req.AttachmentSHA256]:
		return chat.CodeAttachmentBlocked
	}
	return ""
}

func (p *player) trySend(c chat.Caller, node *chat.Service, req chat.SendRequest, t *specThread, reply *specMessage) {
	code := p.refuseSend(c, req, t)
	use, used := p.used(c.User, req.IdempotencyKey)
	number := specNumber{t, c.User, c.Device, req.ClientSeq}
	if code == "" && used && (use.message == nil || !sameSend(use.send, req)) {
		code = chat.CodeIdempotencyKeyReused
	}
	old, by := p.numbers[number], chat.ByClientSeq
	if used {
		old, by = use.message, chat.ByIdempotencyKey
	}
	if code == "" && old != nil {
		p.resend(c, node, req, old, by)
		return
	}
	if code == "" {
		code = p.refuseNew(c, req, t, reply)
	}
	p.say("%s on %s sends %q (%s) to %s, key %s, ttl %s, reply to %s: %q",
		c.User, c.Device, req.Ciphertext, req.ContentType, threadName(t), req.IdempotencyKey, req.TTL, nameOf(reply), code)
	res, err := node.Send(p.ctx(), c, req)
	if !p.answered(err, code) {
		return
	}
	specSame(p, "the answer", "outcome", res.Outcome, chat.Sent)
	m := p.sent(c, req, t)
	p.keys[specKey{c.User, req.IdempotencyKey}] = specUse{at: p.now(), message: m, send: req}
	p.numbers[number] = m
	p.say("     it is %s", m.name)
	p.settle()
	p.sameMessage("the message sent", res.Event, m)
	p.lookAt(m)
}

// sent is a new message of the model.
func (p *player) sent(c chat.Caller, req chat.SendRequest, t *specThread) *specMessage {
	m := &specMessage{
		name: fmt.Sprintf("m%d", len(p.messages)+1), thread: t, req: req, text: string(req.Ciphertext), kind: req.ContentType,
		hiddenFrom: p.blocker(t, c.User),
	}
	if m.kind == "" {
		m.kind = chat.Text
	}
	if req.TTL > 0 {
		m.expires = p.now().Add(req.TTL)
	}
	m.sent = p.append(t, c, specEvent{kind: chat.KindMessage, about: m})
	t.sent, p.messages = append(t.sent, m), append(p.messages, m)
	p.expectEvent(t, m.sent)
	if m.hiddenFrom != "" {
		p.expectFailure(m, chat.FailedBlocked, m.hiddenFrom)
	}
	return m
}

func sameSend(a, b chat.SendRequest) bool {
	return a.Thread == b.Thread && a.ClientSeq == b.ClientSeq && string(a.Ciphertext) == string(b.Ciphertext) && a.ContentType == b.ContentType &&
		a.AttachmentID == b.AttachmentID && a.AttachmentSHA256 == b.AttachmentSHA256 && a.ReplyTo == b.ReplyTo && a.TTL == b.TTL
}

// resend sends what was sent before.
func (p *player) resend(c chat.Caller, node *chat.Service, req chat.SendRequest, m *specMessage, by chat.DuplicateOf) {
	want := chat.Replayed
	if by == chat.ByClientSeq {
		want = chat.ClientSeqTaken
	}
	gone := m.goneAt(p.now())
	blocked := m.hiddenFrom != ""
	switch {
	case gone == chat.DeletedByExpiry && (blocked || len(p.unreached(m)) > 0):
		want = chat.Gone
	case blocked && !p.now().After(m.sent.at.Add(window)):
		if by == chat.ByClientSeq {
			want = chat.Retried
		}
		if gone != "" || p.blocker(m.thread, c.User) != "" {
			p.expectFailure(m, chat.FailedBlocked, m.hiddenFrom)
			break
		}
		m.hiddenFrom = ""
		first := chat.Caller{User: c.User, Device: m.sent.device} // whatever device tries again
		e := p.append(m.thread, first, specEvent{kind: chat.KindRedelivery, about: m})
		m.redelivered = e.seq
		p.expectEvent(m.thread, e)
	default:
		p.expectEvent(m.thread, m.sent)
	}
	p.say("%s on %s sends %s again, the same by its %s: outcome %d", c.User, c.Device, m, by, want)
	res, err := node.Send(p.ctx(), c, req)
	p.answered(err, "")
	specSame(p, "the answer", "outcome", res.Outcome, want)
	p.settle()
	p.sameMessage("the message found", res.Event, m)
	p.lookAt(m)
}
