package chat_test

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

func TestPins(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	sent := w.sendMany("alice", id, 4)
	sameList(t, "none", w.pins("bob", id))
	w.heard.drain()
	at := w.clock.advance(time.Minute)

	p := w.pin("bob", sent[2]) // any member may
	same(t, "pin", p, chat.Pin{Message: sent[2].ID, Seq: sent[2].Seq, By: "bob", At: at})
	e, audience := w.heard.event(t)
	same(t, "told", brief(e), "6 pinned of 4")
	same(t, "target", e.Target, chat.Target{ID: sent[2].ID, Seq: 4})
	same(t, "by", e.By, chat.UserID("bob"))
	sameList(t, "audience", audience, "alice", "bob")

	w.clock.advance(time.Minute)
	again, added, err := w.Pin(t.Context(), as("alice"), id, sent[2].ID)
	must(t, err)
	same(t, "added by repeating", added, false)
	same(t, "the pin that is there", again, p)
	w.heard.nothing(t)

	w.pin("alice", sent[0])
	w.pin("alice", sent[1])
	sameList(t, "in order of pinning", w.pins("bob", id), sent[2].ID, sent[0].ID, sent[1].ID)
	w.heard.drain()
	_, _, err = w.Pin(t.Context(), as("alice"), id, sent[3].ID)
	refused(t, err, chat.CodeTooManyPins)
	_, added, err = w.Pin(t.Context(), as("alice"), id, sent[1].ID)
	must(t, err) // repeating is no fourth
	same(t, "added", added, false)
	w.heard.nothing(t)

	w.unpin("alice", sent[2]) // whoever pinned it
	e, _ = w.heard.event(t)
	same(t, "told", brief(e), "9 unpinned of 4")
	refused(t, w.Unpin(t.Context(), as("alice"), id, sent[2].ID), chat.CodePinNotFound)
	w.heard.nothing(t)
	w.pin("bob", sent[3])
	sameList(t, "pins", w.pins("alice", id), sent[0].ID, sent[1].ID, sent[3].ID)
	same(t, "a pin is no activity", w.view("bob", id).LastMessage, sent[3].ID)
	w.soundLog(id)

	other := w.newPair("alice", "bob") // the bound is a thread's
	w.pin("alice", w.send("bob", other, "elsewhere"))
	few := newWorldOf(t, setup{limits: chat.Limits{Pins: 1}})
	id = few.newGroup("alice")
	few.pin("alice", few.send("alice", id, "one"))
	_, _, err = few.Pin(t.Context(), as("alice"), id, few.send("alice", id, "two").ID)
	refused(t, err, chat.CodeTooManyPins)
}

func TestPinRefusals(t *testing.T) {
	w := newWorld(t)
	id, other, foreign := w.newGroup("alice"), w.newGroup("alice", "bob"), w.newGroup("bob")
	old := w.send("alice", id, "old")
	w.pin("alice", old)
	w.add("alice", id, "bob")
	here, elsewhere, abroad := w.send("alice", id, "here"), w.send("alice", other, "elsewhere"), w.send("bob", foreign, "abroad")
	created := w.log(id)[0]
	w.heard.drain()
	for name, c := range map[string]struct {
		by           chat.Caller
		in           chat.ThreadID
		message      chat.MessageID
		pin, unpin   chat.Code
		alsoToListIt bool
	}{
		"1 no right":                    {with("bob", chat.ScopeSystem), id, here.ID, chat.CodeMissingScope, chat.CodeMissingScope, true},
		"2 no such thread":              {as("bob"), nowhere, here.ID, chat.CodeThreadNotFound, chat.CodeThreadNotFound, true},
		"3 a stranger":                  {as("mallory"), id, here.ID, chat.CodeNotAParticipant, chat.CodeNotAParticipant, true},
		"4 no such message":             {as("bob"), id, ulid.Make(), chat.CodeMessageNotFound, chat.CodePinNotFound, false},
		"4 an event that is no message": {as("alice"), id, created.ID, chat.CodeMessageNotFound, chat.CodePinNotFound, false},
		"4 a message before joining":    {as("bob"), id, old.ID, chat.CodeMessageNotFound, chat.CodePinNotFound, false},
		"4 a message of another thread": {as("alice"), id, elsewhere.ID, chat.CodeMessageNotFound, chat.CodePinNotFound, false},
		"4 of a thread one is not in":   {as("alice"), id, abroad.ID, chat.CodeMessageNotFound, chat.CodePinNotFound, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.Pin(t.Context(), c.by, c.in, c.message)
			refused(t, err, c.pin)
			refused(t, w.Unpin(t.Context(), c.by, c.in, c.message), c.unpin)
			if c.alsoToListIt {
				_, err = w.Pins(t.Context(), c.by, c.in)
				refused(t, err, c.pin)
			}
		})
	}
	refused(t, w.Unpin(t.Context(), as("bob"), id, here.ID), chat.CodePinNotFound)
	w.heard.nothing(t)
	_, err := w.Pins(t.Context(), with("alice", chat.ScopeWrite), id)
	refused(t, err, chat.CodeMissingScope)
	_, _, err = w.Pin(t.Context(), with("alice", chat.ScopeRead), id, here.ID)
	refused(t, err, chat.CodeMissingScope)
}

func TestPinsAreSeenFromJoiningOn(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	old := w.send("alice", id, "old")
	w.pin("alice", old)
	w.add("alice", id, "carol")
	sameList(t, "carol's", w.pins("carol", id))
	news := w.send("alice", id, "new")
	w.pin("carol", news)
	sameList(t, "carol's", w.pins("carol", id), news.ID)
	sameList(t, "bob's", w.pins("bob", id), old.ID, news.ID)

	w.remove("alice", id, "bob")
	_, err := w.Pins(t.Context(), as("bob"), id)
	refused(t, err, chat.CodeNotAParticipant)
	w.add("alice", id, "bob")
	sameList(t, "bob's, back again", w.pins("bob", id))
	third := w.send("alice", id, "third")
	w.pin("alice", third)
	for _, user := range []chat.UserID{"alice", "carol"} { // alice sees all three; carol does not see the oldest
		sees := w.pins(user, id)
		same(t, "pins that "+string(user)+" sees", len(sees), map[chat.UserID]int{"alice": 3, "carol": 2}[user])
	}
	_, _, err = w.Pin(t.Context(), as("alice"), id, w.send("alice", id, "one more").ID)
	refused(t, err, chat.CodeTooManyPins)
}

// A thread has three pins in all. Who pins a fourth takes the place of the oldest that is
// hidden from it, which others see go; who sees all three is refused.
func TestHiddenPinMakesRoom(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	old := w.sendMany("alice", id, 2)
	w.pin("alice", old[1])
	w.pin("bob", old[0])
	w.add("alice", id, "carol")
	news := w.sendMany("alice", id, 4)
	w.pin("alice", news[0])
	w.heard.drain()

	_, _, err := w.Pin(t.Context(), as("bob"), id, news[1].ID)
	refused(t, err, chat.CodeTooManyPins)
	w.heard.nothing(t)

	for i, gone := range []chat.Event{old[1], old[0]} { // in the order of pinning, not of sending
		p, added, err := w.Pin(t.Context(), as("carol"), id, news[i+1].ID)
		must(t, err)
		same(t, "added", added, true)
		same(t, "pin", p.Message, news[i+1].ID)
		unpinned, pinned := w.heard.two(t)
		same(t, "first", unpinned.Change.Event, chat.Unpinned)
		same(t, "of", unpinned.Target, chat.Target{ID: gone.ID, Seq: gone.Seq})
		same(t, "by", unpinned.By, chat.UserID("carol"))
		for user, sees := range map[chat.UserID]bool{"alice": true, "bob": true, "carol": false} {
			joined, _ := w.view(user, id).Participant(user)
			same(t, "shown to "+string(user), joined.Sees(unpinned), sees)
		}
		same(t, "then", pinned.Change.Event, chat.Pinned)
		same(t, "of", pinned.Target.ID, news[i+1].ID)
		same(t, "right behind it", pinned.Seq, unpinned.Seq+1)
	}
	sameList(t, "in the end", w.pins("alice", id), news[0].ID, news[1].ID, news[2].ID)
	sameList(t, "carol's", w.pins("carol", id), news[0].ID, news[1].ID, news[2].ID)
	_, _, err = w.Pin(t.Context(), as("carol"), id, news[3].ID)
	refused(t, err, chat.CodeTooManyPins)
	w.heard.nothing(t)
	w.soundLog(id)
}

func TestPinOfAMessageThatIsHiddenMakesRoom(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	first := w.send("alice", id, "seen")
	w.block("bob", "alice")
	var hidden []chat.Event
	for range 3 {
		hidden = append(hidden, w.send("alice", id, "hidden"))
		w.pin("alice", hidden[len(hidden)-1])
	}
	_, _, err := w.Pin(t.Context(), as("alice"), id, first.ID)
	refused(t, err, chat.CodeTooManyPins)
	w.heard.drain()
	w.pin("bob", first)
	unpinned, pinned := w.heard.two(t)
	same(t, "and then", pinned.Change.Event, chat.Pinned)
	same(t, "told", unpinned.Change.Event, chat.Unpinned)
	same(t, "hidden from", unpinned.HiddenFrom, chat.UserID("bob"))
	sameList(t, "bob's", w.pins("bob", id), first.ID)
	sameList(t, "alice's", w.pins("alice", id), hidden[1].ID, hidden[2].ID, first.ID)
	w.soundLog(id)
}

// What has expired is pinned no more: it takes no place, and nothing else goes for it.
func TestExpiredPinsTakeNoPlace(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	kept, short := w.sendMany("alice", id, 2), w.sendFor("alice", id, "short", time.Minute)
	for _, m := range append(kept, short) {
		w.pin("alice", m)
	}
	w.add("alice", id, "carol")
	w.clock.advance(time.Minute)
	news := w.send("alice", id, "new")
	w.heard.drain()
	w.pin("carol", news)
	told, _ := w.heard.event(t)
	same(t, "told", told.Change.Event, chat.Pinned)
	sameList(t, "alice's", w.pins("alice", id), kept[0].ID, kept[1].ID, news.ID)
}

// cannotPin checks that deleted messages are not pinned and cannot be, and that nobody is
// told of a try.
func (w *world) cannotPin(by chat.UserID, gone ...chat.Event) {
	w.tb.Helper()
	w.heard.drain()
	for _, m := range gone {
		_, _, err := w.Pin(w.tb.Context(), as(by), m.Thread, m.ID)
		refused(w.tb, err, chat.CodeMessageDeleted)
		refused(w.tb, w.Unpin(w.tb.Context(), as(by), m.Thread, m.ID), chat.CodePinNotFound)
	}
	w.heard.nothing(w.tb)
}

func TestWhatGoesIsUnpinned(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	kept, erased, expired := w.send("alice", id, "kept"), w.send("alice", id, "erased"), w.sendFor("alice", id, "short", time.Minute)
	w.pin("bob", erased)
	w.pin("bob", kept)
	w.pin("bob", expired)
	w.erase("alice", erased)
	sameList(t, "after the deletion", w.pins("bob", id), kept.ID, expired.ID)
	w.pin("bob", w.send("alice", id, "there is room"))
	w.clock.advance(time.Minute)
	w.expireDue()
	same(t, "after the expiry", len(w.pins("bob", id)), 2)
	same(t, "the one kept", w.pins("alice", id)[0], kept.ID)
	w.cannotPin("bob", erased, expired)
	w.soundLog(id)
}

// Readers see an expired message unpinned at once, before the sweep.
func TestWhatHasExpiredIsUnpinnedBeforeTheSweep(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	short, unpinned := w.sendFor("alice", id, "short", time.Minute), w.sendFor("alice", id, "too late to pin", time.Minute)
	w.pin("bob", short)
	kept := []chat.Event{w.send("alice", id, "1"), w.send("alice", id, "2"), w.send("alice", id, "3")}
	w.pin("bob", kept[0])
	w.pin("bob", kept[1])
	w.clock.advance(time.Minute)
	w.cannotPin("bob", short, unpinned)
	sameList(t, "at once", w.pins("bob", id), kept[0].ID, kept[1].ID)
	w.pin("bob", kept[2])
	w.expireDue()
	sameList(t, "after the sweep", w.pins("bob", id), kept[0].ID, kept[1].ID, kept[2].ID)
}
