package model

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/parleyhq/parley/chat"
)

// target is what a wish about a message names: mostly a message that its user
// sees, rarely none (nil, and an id that is no message's).
func (p *player) target(w wish) (*specMessage, chat.MessageID) {
	t := p.someThread(w)
	switch {
	case t == nil || len(t.sent) == 0:
		return nil, chat.MessageID{0: 1}
	case w.message == 255:
		return nil, t.log[0].id // an event that is no message
	}
	messages := t.sent
	if w.message%16 != 15 {
		messages = t.visible(actors[w.by])
	}
	if len(messages) == 0 {
		return nil, chat.MessageID{0: 1}
	}
	m := p.recent(messages, w)
	return m, m.sent.id
}

// lookup is what a user is told who asks for a message.
func lookup(m *specMessage, u chat.UserID) chat.Code {
	switch {
	case m == nil:
		return chat.CodeMessageNotFound
	case m.thread.member(u) == nil:
		return chat.CodeNotAParticipant
	case !m.thread.sees(u, m):
		return chat.CodeMessageNotFound
	}
	return ""
}

// firstOf is the first refusal of several.
func firstOf(codes ...chat.Code) chat.Code {
	for _, c := range codes {
		if c != "" {
			return c
		}
	}
	return ""
}

func when(is bool, code chat.Code) chat.Code {
	if is {
		return code
	}
	return ""
}

// changed appends an event about a message.
func (p *player) changed(c chat.Caller, m *specMessage, e specEvent) {
	e.about, e.hidden = m, m.hiddenFrom
	p.expectEvent(m.thread, p.append(m.thread, c, e))
}

func (p *player) edit(w wish) {
	m, id := p.target(w)
	c := p.caller(w)
	req := chat.EditRequest{Ciphertext: fmt.Appendf(nil, "edit %d", p.played)}
	if m != nil && w.a%4 > 0 { // by its sender, mostly
		c.User = m.by()
	}
	req.ContentType = []chat.ContentType{"", "", "", chat.Text, chat.ImageRef, "sticker", chat.System}[w.b%7]
	switch w.a % 30 {
	case 28:
		req.Ciphertext = make([]byte, playedLimits.CiphertextBytes+1)
	case 29:
		req.Ciphertext = nil
	}
	code := firstOf(
		when(len(req.Ciphertext) == 0 || req.ContentType == "sticker", chat.CodeInvalidRequest),
		when(len(req.Ciphertext) > playedLimits.CiphertextBytes, chat.CodeCiphertextTooLarge),
		when(req.ContentType == chat.System, chat.CodeMissingScope),
		lookup(m, c.User))
	kind := req.ContentType
	if code == "" {
		if kind == "" {
			kind = m.kind
		}
		isRef := kind != chat.Text && kind != chat.System
		code = firstOf(
			when(m.by() != c.User, chat.CodeNotTheSender),
			when(m.goneAt(p.now()) != "", chat.CodeMessageDeleted),
			when(p.now().After(m.sent.at.Add(playedLimits.EditWindow)), chat.CodeEditWindowClosed),
			when(isRef && m.req.AttachmentID == "", chat.CodeInvalidRequest))
	}
	p.say("%s edits %s to %q (%s): %q", c.User, nameOf(m), req.Ciphertext, req.ContentType, code)
	got, err := p.node(w).Edit(p.ctx(), c, id, req)
	if !p.answered(err, code) {
		return
	}
	m.text, m.kind, m.edited = string(req.Ciphertext), kind, p.now()
	p.changed(c, m, specEvent{kind: chat.KindEdit})
	p.settle()
	p.sameMessage("the message edited", got, m)
	p.lookAt(m)
}

func (p *player) erase(w wish) {
	m, id := p.target(w)
	c := p.caller(w)
	if m != nil && w.a%4 > 0 {
		c.User = m.by()
	}
	code := lookup(m, c.User)
	if code == "" {
		code = firstOf(
			when(m.by() != c.User, chat.CodeNotTheSender),
			when(m.goneAt(p.now()) == "" && p.now().After(m.sent.at.Add(playedLimits.EditWindow)), chat.CodeEditWindowClosed))
	}
	p.say("%s deletes %s: %q", c.User, nameOf(m), code)
	err := p.node(w).Delete(p.ctx(), c, id)
	if !p.answered(err, code) || m.goneAt(p.now()) != "" {
		return
	}
	p.erased(m, chat.DeletedBySender)
	p.changed(c, m, specEvent{kind: chat.KindDelete, reason: chat.DeletedBySender})
	p.settle()
	p.lookAt(m)
}

// erased makes a message of the model a tombstone.
func (p *player) erased(m *specMessage, why chat.DeleteReason) {
	m.gone, m.reactions = why, nil
	m.thread.pins = slices.DeleteFunc(m.thread.pins, func(pin specPin) bool { return pin.message == m })
}

var playedEmojis = []string{"+1", "👍", ":parrot:", "e1", "e2"}

func (p *player) react(w wish) {
	emoji := playedEmojis[w.a%len(playedEmojis)]
	if w.b%25 == 24 {
		emoji = []string{"", "..", "a/b", "\n", string(make([]byte, 65))}[w.a%5]
	}
	m, id := p.target(w)
	p.reactWith(w, m, id, emoji, w.b%25 != 24)
	if m != nil {
		p.lookAt(m)
	}
}

// reactOften brings a message, rarely, to as many different reactions as it may have.
func (p *player) reactOften(w wish) {
	m, id := p.target(w)
	if w.a%5 > 0 || m == nil || lookup(m, actors[w.by]) != "" || m.goneAt(p.now()) != "" {
		return
	}
	for i := range chat.MaxReactions + 1 {
		p.reactWith(w, m, id, "many-"+strconv.Itoa(i), true)
	}
	p.lookAt(m)
}

func (p *player) reactWith(w wish, m *specMessage, id chat.MessageID, emoji string, valid bool) {
	c := p.caller(w)
	code := firstOf(when(!valid, chat.CodeInvalidRequest), lookup(m, c.User))
	if code == "" {
		code = firstOf(
			when(m.goneAt(p.now()) != "", chat.CodeMessageDeleted),
			when(m.reaction(emoji) < 0 && len(m.reactions) >= chat.MaxReactions, chat.CodeTooManyReactions))
	}
	p.say("%s reacts to %s with %q: %q", c.User, nameOf(m), emoji, code)
	got, err := p.node(w).React(p.ctx(), c, id, emoji)
	if !p.answered(err, code) {
		return
	}
	if !m.gave(c.User, emoji) {
		by := chat.ReactionBy{User: c.User, At: p.now()}
		if i := m.reaction(emoji); i >= 0 {
			m.reactions[i].by = append(m.reactions[i].by, by)
		} else {
			m.reactions = append(m.reactions, specReaction{emoji, []chat.ReactionBy{by}})
		}
		p.changed(c, m, specEvent{kind: chat.KindReaction, emoji: emoji})
	}
	p.settle()
	p.sameMessage("the message reacted to", got, m)
}

func (p *player) unreact(w wish) {
	m, id := p.target(w)
	c := p.caller(w)
	emoji := playedEmojis[w.a%len(playedEmojis)]
	if m != nil && len(m.reactions) > 0 && w.b%4 > 0 { // one that is there, mostly
		r := m.reactions[w.a%len(m.reactions)]
		emoji, c.User = r.emoji, r.by[w.b%len(r.by)].User
	}
	code := lookup(m, c.User)
	p.say("%s takes %q off %s: %q", c.User, emoji, nameOf(m), code)
	err := p.node(w).Unreact(p.ctx(), c, id, emoji)
	if !p.answered(err, code) || m.goneAt(p.now()) != "" || !m.gave(c.User, emoji) {
		return
	}
	i := m.reaction(emoji)
	r := &m.reactions[i]
	if r.by = slices.DeleteFunc(r.by, func(b chat.ReactionBy) bool { return b.User == c.User }); len(r.by) == 0 {
		m.reactions = slices.Delete(m.reactions, i, i+1)
	}
	p.changed(c, m, specEvent{kind: chat.KindReaction, emoji: emoji, removed: true})
	p.settle()
	p.lookAt(m)
}

func (t *specThread) pinOf(m *specMessage) int {
	return slices.IndexFunc(t.pins, func(pin specPin) bool { return pin.message == m })
}

// pinsSeen are the pins that a user sees at a moment: what has expired is unpinned.
func (t *specThread) pinsSeen(u chat.UserID, now time.Time) (seen []specPin) {
	for _, pin := range t.pins {
		if t.sees(u, pin.message) && pin.message.goneAt(now) == "" {
			seen = append(seen, pin)
		}
	}
	return seen
}

// inThread is lookup for a message that is to be in a certain thread.
func inThread(t *specThread, m *specMessage, u chat.UserID) chat.Code {
	if code := standing(t, u); code != "" {
		return code
	}
	return when(m == nil || !t.sees(u, m), chat.CodeMessageNotFound)
}

// pinnable is a thread and a message for a pin: rarely not that thread's.
func (p *player) pinnable(w wish) (*specThread, *specMessage, chat.MessageID) {
	m, id := p.target(w)
	t := p.someThread(w)
	if w.b%20 == 19 {
		t = p.someThread(wish{by: w.by, thread: w.a % 64})
	}
	return t, m, id
}

func (p *player) pin(w wish) {
	t, m, id := p.pinnable(w)
	c := p.caller(w)
	code := inThread(t, m, c.User)
	was := -1
	if code == "" {
		was = t.pinOf(m)
		full := len(t.pinsSeen(c.User, p.now())) >= playedLimits.Pins || len(t.pins) >= 16*playedLimits.Pins
		code = firstOf(
			when(m.goneAt(p.now()) != "", chat.CodeMessageDeleted),
			when(was < 0 && full, chat.CodeTooManyPins))
	}
	p.say("%s pins %s in %s: %q", c.User, nameOf(m), threadName(t), code)
	got, added, err := p.node(w).Pin(p.ctx(), c, idOf(t), id)
	if !p.answered(err, code) {
		return
	}
	specSame(p, "the answer", "pinned anew", added, was < 0)
	if was < 0 {
		t.pins = append(t.pins, specPin{m, c.User, p.now()})
		p.changed(c, m, specEvent{kind: chat.KindThread, what: chat.Pinned})
	}
	p.settle()
	p.samePin(got, t.pins[t.pinOf(m)])
	p.samePins(c.User, t)
}

func (p *player) unpin(w wish) {
	t, m, id := p.pinnable(w)
	if t != nil && len(t.pins) > 0 && w.b%3 > 0 { // one that is there, mostly
		m = t.pins[w.a%len(t.pins)].message
		id = m.sent.id
	}
	c := p.caller(w)
	code := inThread(t, m, c.User)
	if code == chat.CodeMessageNotFound || code == "" && (t.pinOf(m) < 0 || m.goneAt(p.now()) != "") {
		code = chat.CodePinNotFound
	}
	p.say("%s unpins %s in %s: %q", c.User, nameOf(m), threadName(t), code)
	err := p.node(w).Unpin(p.ctx(), c, idOf(t), id)
	if !p.answered(err, code) {
		return
	}
	t.pins = slices.Delete(t.pins, t.pinOf(m), t.pinOf(m)+1)
	p.changed(c, m, specEvent{kind: chat.KindThread, what: chat.Unpinned})
	p.settle()
	p.samePins(c.User, t)
}

func (p *player) report(w wish) {
	m, id := p.target(w)
	c := p.caller(w)
	reason := []chat.ReportReason{chat.ReportSpam, chat.ReportAbuse, chat.ReportIllegal, chat.ReportOther, "boring"}[w.a%5]
	code := firstOf(when(reason == "boring", chat.CodeInvalidRequest), lookup(m, c.User))
	p.say("%s reports %s as %s: %q", c.User, nameOf(m), reason, code)
	got, err := p.node(w).Report(p.ctx(), c, id, reason, "note")
	if !p.answered(err, code) {
		return
	}
	want := chat.Report{Thread: m.thread.id, Message: id, Sender: m.by(), By: c.User, Reason: reason, Note: "note"}
	specSame(p, "the answer", "time of the report", got.At().UnixMilli(), p.now().UnixMilli())
	got.ID = chat.ReportID{}
	specSame(p, "the answer", "the report is the one filed", got == want, true)
	p.reports = append(p.reports, want)
	p.sameReports(p.node(w), 1+w.b%100)
}

func (p *player) deny(w wish) {
	hash := hashes[w.b%len(hashes)]
	denied := w.a%2 == 0
	p.say("attachment %d is denied: %v", w.b%len(hashes), denied)
	judge := p.node(w).AllowAttachment
	if p.denied[hash] = denied; denied {
		judge = p.node(w).DenyAttachment
	}
	p.answered(judge(p.ctx(), boss, hash), "")
}
