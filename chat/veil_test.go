package chat_test

import (
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// changesUnderABlock is a 1:1 of alice and bob with a message of each, and what each sees of
// both.
type changesUnderABlock struct {
	*world
	t         *testing.T
	id        chat.ThreadID
	hers, his chat.Event
}

func newChangesUnderABlock(t *testing.T) *changesUnderABlock {
	c := &changesUnderABlock{world: newWorld(t), t: t}
	c.id = c.newPair("alice", "bob")
	c.hers, c.his = c.send("alice", c.id, "hers"), c.send("bob", c.id, "his")
	return c
}

// sees checks what a user sees of both messages, in every way of reading them.
func (c *changesUnderABlock) sees(user chat.UserID, hers, his string) {
	c.t.Helper()
	for m, want := range map[chat.MessageID]string{c.hers.ID: hers, c.his.ID: his} {
		one, err := c.Message(c.t.Context(), as(user), m)
		must(c.t, err)
		look := func(e chat.Event) string { return string(e.Message.Ciphertext) + " " + reactions(e) }
		same(c.t, string(user)+" sees", look(one), want)
		page, err := c.History(c.t.Context(), as(user), c.id, chat.PageRequest{Size: 100})
		must(c.t, err)
		for _, e := range page.Messages {
			if e.ID == m {
				same(c.t, string(user)+" sees in the history", look(e), want)
			}
		}
		for _, e := range c.events(user, c.id) {
			if e.HasContent() && (e.ID == m || e.Target.ID == m) {
				same(c.t, string(user)+" sees in the events", string(e.Message.Ciphertext), string(one.Message.Ciphertext))
			}
		}
	}
}

// In a 1:1 the blocker sees no edit, reaction or pin that the blocked one makes meanwhile. The
// end of the block lifts nothing; the next edit shows, and so does a deletion.
func TestChangesByTheBlockedAreHidden(t *testing.T) {
	c := newChangesUnderABlock(t)
	c.react("alice", c.his, "a")
	c.pin("alice", c.his)
	c.block("bob", "alice")
	before := len(c.events("bob", c.id))

	c.edit("alice", c.hers, "edited")
	c.edit("alice", c.hers, "edited twice")
	c.react("alice", c.his, "b")
	must(t, c.Unreact(t.Context(), as("alice"), c.his.ID, "a"))
	c.react("alice", c.hers, "c")
	c.pin("alice", c.hers)
	must(t, c.Unpin(t.Context(), as("alice"), c.id, c.his.ID))
	look := func() {
		t.Helper()
		c.sees("alice", "edited twice c alice", "his b alice")
		c.sees("bob", "hers ", "his a alice")
		sameList(t, "alice's pins", c.pins("alice", c.id), c.hers.ID)
		sameList(t, "bob's pins", c.pins("bob", c.id), c.his.ID)
		same(t, "events that bob sees", len(c.events("bob", c.id)), before)
	}
	look()
	refused(t, c.Unpin(t.Context(), as("bob"), c.id, c.hers.ID), chat.CodePinNotFound)
	c.unblock("bob", "alice")
	look()

	// What undoes a hidden change is hidden too.
	must(t, c.Unreact(t.Context(), as("alice"), c.his.ID, "b"))
	must(t, c.Unpin(t.Context(), as("alice"), c.id, c.hers.ID))
	same(t, "events that bob sees", len(c.events("bob", c.id)), before)
	c.sees("bob", "hers ", "his a alice")
	c.react("alice", c.his, "a") // which she had taken back
	c.sees("bob", "hers ", "his a alice")
	c.edit("alice", c.hers, "edited again")
	c.sees("bob", "edited again ", "his a alice")
	c.edit("bob", c.his, "his too")
	c.sees("bob", "edited again ", "his too a alice")
	c.sees("alice", "edited again c alice", "his too a alice")
	c.soundLog(c.id)
}

func TestDeletionsShowUnderABlock(t *testing.T) {
	c := newChangesUnderABlock(t)
	c.block("bob", "alice")
	c.edit("alice", c.hers, "edited")
	c.erase("alice", c.hers)
	m := c.message("bob", c.hers)
	same(t, "deleted for bob", m.Message.Deleted, chat.DeletedBySender)
	same(t, "what is left", len(m.Message.Ciphertext), 0)
	events := c.events("bob", c.id)
	same(t, "told", brief(events[len(events)-1]), "5 del of 2")
}

// What the blocker does reaches the blocked one as ever, and each may block the other.
func TestBothBlock(t *testing.T) {
	c := newChangesUnderABlock(t)
	c.block("bob", "alice")
	c.react("bob", c.hers, "b")
	c.sees("alice", "hers b bob", "his ")
	c.block("alice", "bob")
	c.react("bob", c.hers, "c")
	c.react("alice", c.hers, "c")
	c.edit("bob", c.his, "his, edited")
	c.sees("alice", "hers b bob, c alice", "his ")
	c.sees("bob", "hers b bob, c bob", "his, edited ")
	page, err := c.Reactions(t.Context(), as("alice"), c.hers.ID, "c", chat.PageRequest{})
	must(t, err)
	same(t, "who gave c, to alice", len(page.By), 1)
	same(t, "who gave c, to alice", page.By[0].User, "alice")
}

// Of three pins some may be hidden from who pins: the oldest of these makes room.
func TestHiddenPinsMakeRoom(t *testing.T) {
	c := newChangesUnderABlock(t)
	c.block("bob", "alice")
	more := c.sendMany("bob", c.id, 3)
	c.pin("alice", c.hers)
	c.pin("alice", more[0])
	c.pin("bob", more[0]) // which is not pinned to him
	sameList(t, "bob's pins", c.pins("bob", c.id), more[0].ID)
	c.pin("bob", more[1])
	c.pin("bob", more[2])
	sameList(t, "bob's pins", c.pins("bob", c.id), more[0].ID, more[1].ID, more[2].ID)
	sameList(t, "alice's pins", c.pins("alice", c.id), more[0].ID, more[1].ID, more[2].ID)
	_, _, err := c.Pin(t.Context(), as("bob"), c.id, c.his.ID)
	refused(t, err, chat.CodeTooManyPins)
}

func TestTypingPastABlock(t *testing.T) {
	w := newWorld(t)
	pair, group := w.newPair("alice", "bob"), w.newGroup("bob", "alice")
	must(t, w.accept("bob", pair))
	must(t, w.accept("alice", group))
	w.block("bob", "alice")
	typed := func(by chat.UserID, in chat.ThreadID) (told int) {
		t.Helper()
		w.heard.drain()
		w.clock.advance(time.Minute)
		must(t, w.Typing(t.Context(), as(by), in))
		return len(w.heard.drain())
	}
	same(t, "the blocked one in the 1:1", typed("alice", pair), 0)
	same(t, "the blocker in the 1:1", typed("bob", pair), 0)
	same(t, "the blocked one in the group", typed("alice", group), 1)
	same(t, "the blocker in the group", typed("bob", group), 0)
}
