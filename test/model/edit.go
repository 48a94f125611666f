package model

import (
	"fmt"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// edit edits a message, mostly one of the caller's own.
func (r *runner) edit(op operation) {
	m, id := r.someMessage(op)
	c := r.caller(op)
	req := chat.EditRequest{Ciphertext: fmt.Appendf(nil, "edit %d", r.done)}
	if m != nil && op.a%4 > 0 { // mostly by its sender
		c.User = m.by()
	}
	req.ContentType = []chat.ContentType{"", "", "", chat.Text, chat.ImageRef, "sticker", chat.System, chat.Control}[op.b%8]
	switch op.a % 30 {
	case 28:
		req.Ciphertext = make([]byte, limits.CiphertextBytes+1)
	case 29:
		req.Ciphertext = nil
	}
	code := firstRefusal(
		refuseIf(len(req.Ciphertext) == 0 || req.ContentType == "sticker" || req.ContentType == chat.Control, chat.CodeInvalidRequest),
		refuseIf(len(req.Ciphertext) > limits.CiphertextBytes, chat.CodeCiphertextTooLarge),
		refuseIf(req.ContentType == chat.System, chat.CodeMissingScope),
		refuseMessage(m, c.User))
	kind := req.ContentType
	if code == "" {
		if kind == "" {
			kind = m.kind
		}
		isRef := kind != chat.Text && kind != chat.System
		code = firstRefusal(
			refuseOfControl(m),
			refuseIf(m.by() != c.User, chat.CodeNotTheSender),
			refuseIf(m.tombstoneAt(r.now()) != "", chat.CodeMessageDeleted),
			refuseIf(r.now().After(m.sent.at.Add(limits.EditWindow)), chat.CodeEditWindowClosed),
			refuseIf(isRef && m.req.AttachmentID == "", chat.CodeInvalidRequest))
	}
	r.tracef("%s edits %s to %q (%s): %q", c.User, nameOf(m), req.Ciphertext, req.ContentType, code)
	got, err := r.node(op).Edit(r.ctx(), c, id, req)
	if !r.checkError(err, code) {
		return
	}
	hidden := r.hiddenFrom(m, c.User)
	m.veilEdit(hidden)
	m.text, m.kind, m.edited = string(req.Ciphertext), kind, r.now()
	r.appendAbout(c, m, event{kind: chat.KindEdit, hidden: hidden})
	r.compareNotices()
	r.compareMessage("the message edited", got, m, c.User)
	r.lookAt(m)
}

// deleteMessage deletes a message, mostly one of the caller's own.
func (r *runner) deleteMessage(op operation) {
	m, id := r.someMessage(op)
	c := r.caller(op)
	if m != nil && op.a%4 > 0 {
		c.User = m.by()
	}
	code := refuseMessage(m, c.User)
	if code == "" {
		code = firstRefusal(
			refuseIf(m.by() != c.User, chat.CodeNotTheSender),
			refuseIf(m.tombstoneAt(r.now()) == "" && r.now().After(m.sent.at.Add(limits.EditWindow)), chat.CodeEditWindowClosed))
	}
	r.tracef("%s deletes %s: %q", c.User, nameOf(m), code)
	err := r.node(op).Delete(r.ctx(), c, id)
	if !r.checkError(err, code) || m.tombstoneAt(r.now()) != "" {
		return
	}
	r.makeTombstone(m, chat.DeletedBySender)
	r.appendAbout(c, m, event{kind: chat.KindDelete, reason: chat.DeletedBySender, hidden: m.hiddenFrom})
	r.compareNotices()
	r.lookAt(m)
}

// makeTombstone deletes a message of the model.
func (r *runner) makeTombstone(m *message, why chat.DeleteReason) {
	m.deleted, m.reactions, m.veils = why, nil, nil
	m.thread.pins = slices.DeleteFunc(m.thread.pins, func(pin pin) bool { return pin.message == m })
}
