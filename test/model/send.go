package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// used is what an idempotency key was used for within the idempotency window.
func (md *model) used(key idempotencyKey) (keyUse, bool) {
	use, found := md.keys[key]
	return use, found && !md.now().After(use.at.Add(window))
}

// send sends a new message.
func (r *runner) send(op operation) {
	t, c := r.someThread(op), r.caller(op)
	if t == nil && len(r.threads) < maxThreads {
		r.create(op)
		return
	}
	req := chat.SendRequest{
		Thread: idOf(t), IdempotencyKey: fmt.Sprintf("key-%d", r.done), ClientSeq: int64(r.done), Ciphertext: fmt.Appendf(nil, "text %d", r.done),
	}
	switch op.a % 20 {
	case 9, 10:
		req.ContentType, req.AttachmentID, req.AttachmentSHA256 = chat.ImageRef, "blob", hashes[op.b%len(hashes)]
	case 11:
		req.ContentType = chat.FileRef
	case 12, 13:
		req.ContentType, c = chat.System, service
	case 14:
		req.ContentType = chat.System
	case 15:
		req.Ciphertext = make([]byte, limits.CiphertextBytes+op.b%3)
	case 16:
		req.ContentType, req.AttachmentID = chat.AudioRef, "blob"
	case 17, 18:
		req.ContentType, req.Epoch = chat.Control, someEpoch(t, op)
	case 19:
		req.Epoch = chat.Epoch(op.b % 2) // only a control message may have one
	}
	if op.b%3 == 0 {
		req.TTL = []time.Duration{time.Minute, time.Second, 10 * time.Minute, time.Hour, 25 * time.Hour, time.Millisecond}[op.a%6]
	}
	var reply *message
	if op.b%7 == 2 && len(r.messages) > 0 {
		if reply = r.recent(r.messages, op); op.b%2 == 0 && t != nil && len(t.sent) > 0 {
			reply = r.recent(t.sent, op)
		}
		req.ReplyTo = reply.sent.id
	}
	r.trySend(c, r.node(op), req, t, reply)
}

// retry sends a message once more, the same or changed in one respect.
func (r *runner) retry(op operation) {
	mine := slices.DeleteFunc(slices.Clone(r.messages), func(m *message) bool { return m.by() != people[op.by] })
	if len(mine) == 0 {
		return
	}
	old := r.recent(mine, op)
	if hidden := slices.DeleteFunc(mine, func(m *message) bool { return m.hiddenFrom == "" }); op.thread%2 == 0 && len(hidden) > 0 {
		old = r.recent(hidden, op)
	}
	c, req, t := r.caller(op), old.req, old.thread
	reply := r.byID[req.ReplyTo]
	fresh := int64(1_000_000 + r.done)
	if op.b%5 == 1 && op.a%9 > 3 {
		c.Device = old.sent.device
	}
	switch op.a % 9 {
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
		if t = r.someThread(op); t == nil {
			return
		}
		req.Thread, req.ReplyTo, reply = t.id, chat.MessageID{}, nil
	case 8:
		create := chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{people[op.other]}, IdempotencyKey: req.IdempotencyKey}
		r.tryCreate(c, r.node(op), create)
		return
	}
	r.trySend(c, r.node(op), req, t, reply)
}

// refuseSend is why a send is refused whatever was sent before, "" if it is not.
func (r *runner) refuseSend(c chat.Caller, req chat.SendRequest, t *thread) chat.Code {
	isRef := slices.Contains([]chat.ContentType{chat.ImageRef, chat.AudioRef, chat.FileRef}, req.ContentType)
	system := req.ContentType == chat.System
	switch {
	case system && c.User != service.User:
		return chat.CodeMissingScope
	case isRef && req.AttachmentID == "", req.TTL != 0 && req.TTL < time.Second, refuseControl(req):
		return chat.CodeInvalidRequest
	case len(req.Ciphertext) > limits.CiphertextBytes:
		return chat.CodeCiphertextTooLarge
	case t == nil:
		return chat.CodeThreadNotFound
	}
	return ""
}

// refuseNewMessage is why a message is refused that was not sent before. Who has left still
// learns what became of what it sent.
func (r *runner) refuseNewMessage(c chat.Caller, req chat.SendRequest, t *thread, reply *message) chat.Code {
	switch system := req.ContentType == chat.System; {
	case !system && t.member(c.User) == nil:
		return chat.CodeNotAParticipant
	case reply != nil && (reply.thread != t || !system && !t.sees(c.User, reply)):
		return chat.CodeInvalidRequest
	case r.denied[req.AttachmentSHA256]:
		return chat.CodeAttachmentBlocked
	}
	return r.refuseEpoch(c.User, req, t)
}

// trySend sends what was asked for: a new message, or one that was sent before.
func (r *runner) trySend(c chat.Caller, node *chat.Service, req chat.SendRequest, t *thread, reply *message) {
	code := r.refuseSend(c, req, t)
	use, used := r.used(idempotencyKey{c.User, req.Thread, req.IdempotencyKey})
	number := clientSeq{t, c.User, c.Device, req.ClientSeq}
	if code == chat.CodeNotAParticipant && (used || r.numbers[number] != nil) {
		code = "" // what was sent before is told also to who has left
	}
	if code == "" && used && (use.message == nil || !sameSend(use.send, req)) {
		code = chat.CodeIdempotencyKeyReused
	}
	old, by := r.numbers[number], chat.ByClientSeq
	if used {
		old, by = use.message, chat.ByIdempotencyKey
	}
	if code == "" && old != nil {
		r.resend(c, node, req, old, by)
		return
	}
	if code == "" {
		code = r.refuseNewMessage(c, req, t, reply)
	}
	r.tracef("%s on %s sends %q (%s) to %s, key %s, ttl %s, reply to %s: %q",
		c.User, c.Device, req.Ciphertext, req.ContentType, threadName(t), req.IdempotencyKey, req.TTL, nameOf(reply), code)
	res, err := node.Send(r.ctx(), c, req)
	if !r.checkError(err, code) {
		r.compareConflict(err, c.User, t)
		return
	}
	equal(r, "the answer", "outcome", res.Outcome, chat.Sent)
	m := r.addMessage(c, req, t)
	r.keys[idempotencyKey{c.User, req.Thread, req.IdempotencyKey}] = keyUse{at: r.now(), message: m, send: req}
	r.numbers[number] = m
	r.tracef("     it is %s", m.name)
	r.acceptsBySending(m, c.User)
	r.compareNotices()
	r.compareMessage("the message sent", res.Event, m, c.User)
	r.lookAt(m)
}

// addMessage adds a new message to the model.
func (r *runner) addMessage(c chat.Caller, req chat.SendRequest, t *thread) *message {
	m := &message{
		name: fmt.Sprintf("m%d", len(r.messages)+1), thread: t, req: req, text: string(req.Ciphertext), kind: req.ContentType,
		hiddenFrom: r.blocker(t, c.User),
	}
	if m.kind == "" {
		m.kind = chat.Text
	}
	if req.TTL > 0 {
		m.expires = r.now().Add(req.TTL)
	}
	m.sent = r.append(t, c, event{kind: chat.KindMessage, about: m})
	t.sent, r.messages = append(t.sent, m), append(r.messages, m)
	if req.Epoch > 0 {
		t.epoch, t.began = req.Epoch, m
	}
	r.expectEvent(t, m.sent)
	if m.hiddenFrom != "" {
		r.expectFailure(m, chat.FailedBlocked, m.hiddenFrom)
	}
	return m
}

func sameSend(a, b chat.SendRequest) bool {
	return a.Thread == b.Thread && a.ClientSeq == b.ClientSeq && string(a.Ciphertext) == string(b.Ciphertext) && a.ContentType == b.ContentType &&
		a.AttachmentID == b.AttachmentID && a.AttachmentSHA256 == b.AttachmentSHA256 && a.ReplyTo == b.ReplyTo && a.TTL == b.TTL && a.Epoch == b.Epoch
}

// resend sends a message that was sent before.
func (r *runner) resend(c chat.Caller, node *chat.Service, req chat.SendRequest, m *message, by chat.DuplicateOf) {
	want := chat.Replayed
	if by == chat.ByClientSeq {
		want = chat.ClientSeqTaken
	}
	gone := m.tombstoneAt(r.now())
	blocked := m.hiddenFrom != ""
	switch {
	case gone == chat.DeletedByExpiry && (blocked || len(r.unreached(m)) > 0):
		want = chat.Gone
	case blocked && !r.now().After(m.sent.at.Add(window)):
		if by == chat.ByClientSeq {
			want = chat.Retried
		}
		if gone != "" || r.blocker(m.thread, c.User) != "" {
			r.expectFailure(m, chat.FailedBlocked, m.hiddenFrom)
			break
		}
		m.hiddenFrom = ""
		first := chat.Caller{User: c.User, Device: m.sent.device} // whichever device retries
		e := r.append(m.thread, first, event{kind: chat.KindRedelivery, about: m})
		m.redelivered = e.seq
		r.expectEvent(m.thread, e)
	default:
		r.expectEvent(m.thread, m.sent)
	}
	if want != chat.Gone && sameSend(m.req, req) {
		r.acceptsBySending(m, c.User)
	}
	r.tracef("%s on %s sends %s again, a duplicate by %s", c.User, c.Device, m, by)
	res, err := node.Send(r.ctx(), c, req)
	r.checkError(err, "")
	equal(r, "the answer", "outcome", res.Outcome, want)
	r.compareNotices()
	r.compareMessage("the message found", res.Event, m, c.User)
	r.lookAt(m)
}
