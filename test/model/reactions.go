package model

import (
	"slices"
	"strconv"

	"github.com/parleyhq/parley/chat"
)

// emojis are few, so that several users give the same.
var emojis = []string{"+1", "👍", ":parrot:", "e1", "e2"}

// react gives a message a reaction, one time in 25 an invalid one.
func (r *runner) react(op operation) {
	emoji := emojis[op.a%len(emojis)]
	if op.b%25 == 24 {
		emoji = []string{"", "..", "a/b", "\n", string(make([]byte, 65))}[op.a%5]
	}
	m, id := r.someMessage(op)
	r.reactWith(op, m, id, emoji, op.b%25 != 24)
	if m != nil {
		r.lookAt(m)
	}
}

// reactOften gives a message, one time in five, more different reactions than it may
// have.
func (r *runner) reactOften(op operation) {
	m, id := r.someMessage(op)
	if op.a%5 > 0 || m == nil || refuseMessage(m, people[op.by]) != "" || m.isControl() || m.tombstoneAt(r.now()) != "" {
		return
	}
	for i := range chat.MaxReactions + 1 {
		r.reactWith(op, m, id, "many-"+strconv.Itoa(i), true)
	}
	r.lookAt(m)
}

// reactWith gives a message a reaction.
func (r *runner) reactWith(op operation, m *message, id chat.MessageID, emoji string, valid bool) {
	c := r.caller(op)
	code := firstRefusal(refuseIf(!valid, chat.CodeInvalidRequest), refuseMessage(m, c.User))
	if code == "" {
		code = firstRefusal(
			refuseOfControl(m),
			refuseIf(m.tombstoneAt(r.now()) != "", chat.CodeMessageDeleted),
			refuseIf(m.reaction(emoji) < 0 && len(m.reactions) >= chat.MaxReactions, chat.CodeTooManyReactions))
	}
	r.tracef("%s reacts to %s with %q: %q", c.User, nameOf(m), emoji, code)
	got, err := r.node(op).React(r.ctx(), c, id, emoji)
	if !r.checkError(err, code) {
		return
	}
	if !m.gave(c.User, emoji) {
		by := chat.ReactionBy{User: c.User, At: r.now()}
		if i := m.reaction(emoji); i >= 0 {
			m.reactions[i].by = append(m.reactions[i].by, by)
		} else {
			m.reactions = append(m.reactions, reaction{emoji, []chat.ReactionBy{by}})
		}
		hidden := r.hiddenFrom(m, c.User)
		m.veilReaction(hidden, c.User, emoji, false, r.now())
		r.appendAbout(c, m, event{kind: chat.KindReaction, emoji: emoji, hidden: hidden})
	}
	r.accepts(m.thread, c.User)
	r.compareNotices()
	r.compareMessage("the message reacted to", got, m, c.User)
}

// unreact takes a reaction back, mostly one that is there.
func (r *runner) unreact(op operation) {
	m, id := r.someMessage(op)
	c := r.caller(op)
	emoji := emojis[op.a%len(emojis)]
	if m != nil && len(m.reactions) > 0 && op.b%4 > 0 { // mostly one that is there
		given := m.reactions[op.a%len(m.reactions)]
		emoji, c.User = given.emoji, given.by[op.b%len(given.by)].User
	}
	code := refuseMessage(m, c.User)
	r.tracef("%s takes %q off %s: %q", c.User, emoji, nameOf(m), code)
	err := r.node(op).Unreact(r.ctx(), c, id, emoji)
	if !r.checkError(err, code) || m.tombstoneAt(r.now()) != "" || !m.gave(c.User, emoji) {
		return
	}
	i := m.reaction(emoji)
	given := &m.reactions[i]
	at := given.by[slices.IndexFunc(given.by, func(b chat.ReactionBy) bool { return b.User == c.User })].At
	hidden := m.reactionHiddenFrom(c.User, emoji)
	if hidden == "" {
		hidden = r.hiddenFrom(m, c.User)
	}
	m.veilReaction(hidden, c.User, emoji, true, at)
	if given.by = slices.DeleteFunc(given.by, func(b chat.ReactionBy) bool { return b.User == c.User }); len(given.by) == 0 {
		m.reactions = slices.Delete(m.reactions, i, i+1)
	}
	r.appendAbout(c, m, event{kind: chat.KindReaction, emoji: emoji, removed: true, hidden: hidden})
	r.compareNotices()
	r.lookAt(m)
}
