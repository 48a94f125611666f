package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func TestBlocks(t *testing.T) {
	w := newWorld(t)
	list := func(user chat.UserID) []chat.Block {
		t.Helper()
		page, err := w.Blocks(t.Context(), as(user), chat.PageRequest{})
		must(t, err)
		return page.Blocks
	}
	sameList(t, "none", list("bob"))
	one := w.clock.Now()
	w.block("bob", "zoe")
	w.block("bob", "alice")
	two := w.clock.advance(time.Second)
	w.block("bob", "carol")
	w.block("bob", "zoe") // which keeps its time
	w.block("alice", "bob")
	sameList(t, "in order of their ids", list("bob"),
		chat.Block{User: "bob", Blocked: "alice", At: one}, chat.Block{User: "bob", Blocked: "carol", At: two}, chat.Block{User: "bob", Blocked: "zoe", At: one})
	sameList(t, "alice's", list("alice"), chat.Block{User: "alice", Blocked: "bob", At: one.Add(time.Second)})
	w.unblock("bob", "zoe")
	w.unblock("bob", "zoe") // repeating is fine
	w.unblock("bob", "nobody")
	same(t, "left", len(list("bob")), 2)
	three := w.clock.advance(time.Second)
	w.block("bob", "zoe")
	same(t, "blocked again", list("bob")[2], chat.Block{User: "bob", Blocked: "zoe", At: three})
	w.heard.nothing(t)

	for _, change := range []func(chat.Caller, chat.UserID) error{
		func(c chat.Caller, u chat.UserID) error { return w.Block(t.Context(), c, u) },
		func(c chat.Caller, u chat.UserID) error { return w.Unblock(t.Context(), c, u) },
	} {
		refused(t, change(with("bob", chat.ScopeRead), "bob"), chat.CodeMissingScope)
		invalid(t, change(as("bob"), "bob"), "user_id")
		invalid(t, change(as("bob"), "me"), "user_id")
		invalid(t, change(as("bob"), "a/b"), "user_id")
		invalid(t, change(as("bob"), chat.UserID(strings.Repeat("a", 65))), "user_id")
		must(t, change(as("bob"), chat.UserID(strings.Repeat("a", 64))))
	}
	_, err := w.Blocks(t.Context(), with("bob", chat.ScopeWrite), chat.PageRequest{})
	refused(t, err, chat.CodeMissingScope)
}

func TestBlocksArePaged(t *testing.T) {
	w := newWorld(t)
	long := chat.UserID(strings.Repeat("z", chat.MaxNameChars))
	want := []chat.UserID{"a", "ab", "ab.c", "b", long}
	for _, u := range []chat.UserID{"b", long, "ab", "a", "ab.c"} {
		w.block("bob", u)
	}
	w.block("bo", "zoe")
	w.block("bobby", "zoe")
	for size := 1; size <= len(want)+1; size++ {
		var got []chat.UserID
		for p := (chat.PageRequest{Size: size}); ; {
			page, err := w.Blocks(t.Context(), as("bob"), p)
			must(t, err)
			for _, b := range page.Blocks {
				got = append(got, b.Blocked)
			}
			if p.Cursor = page.Next; p.Cursor == "" {
				break
			}
			same(t, "a full page", len(page.Blocks), size)
			_, err = w.Blocks(t.Context(), as("bobby"), p)
			invalid(t, err, "cursor")
		}
		sameList(t, "blocked", got, want...)
	}
	for _, size := range []int{-1, 101} {
		_, err := w.Blocks(t.Context(), as("bob"), chat.PageRequest{Size: size})
		invalid(t, err, "page_size")
	}
}

// blocked is a 1:1 of alice and bob, in which bob has read one message of alice
// and then blocked her.
func blocked(t *testing.T) (w *world, id chat.ThreadID, seen chat.Event) {
	w = newWorld(t)
	id = w.newPair("alice", "bob")
	seen = w.send("alice", id, "before the block")
	w.read("bob", seen)
	w.block("bob", "alice")
	w.heard.drain()
	return w, id, seen
}

func TestBlockedMessageFailsAndIsAnsweredAsAnyOther(t *testing.T) {
	w, id, _ := blocked(t)
	req := w.request(id, "hidden")
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "outcome", res.Outcome, chat.Sent)
	notices := w.heard.drain()
	sameList(t, "told", told(notices), "3 msg")
	same(t, "notices", len(notices), 2)
	f := notices[1].Failure
	sameList(t, "failed: to", notices[1].Audience, "alice")
	sameList(t, "failed: for", f.Users, "bob")
	same(t, "failed: message", f.Message, res.Event.ID)
	same(t, "failed: thread", f.Thread, id)
	same(t, "failed: reason", f.Reason, chat.FailedBlocked)

	want := chat.RecipientReceipt{User: "bob", State: chat.StateFailed, Reason: chat.FailedBlocked}
	same(t, "state", w.state(res.Event, "bob"), want)
	later := w.send("bob", id, "what bob says alice hears")
	w.acknowledge("bob", later)
	w.read("bob", later)
	same(t, "state, whatever bob acknowledges later", w.state(res.Event, "bob"), want)
	w.unblock("bob", "alice")
	same(t, "and when the block is gone", w.state(res.Event, "bob"), want)
	w.soundLog(id)
}

func TestBlockedMessageIsHiddenFromWhoBlocks(t *testing.T) {
	w, id, seen := blocked(t)
	hidden := w.send("alice", id, "hidden")
	w.edit("alice", hidden, "hidden, edited")
	w.react("alice", hidden, "👍")
	w.pin("alice", hidden)
	news := w.send("bob", id, "from bob")
	w.heard.drain()

	sameList(t, "bob's history", w.history("bob", id), "from bob", "before the block")
	since, err := w.HistorySince(t.Context(), as("bob"), id, seen.ID, chat.PageRequest{})
	must(t, err)
	sameList(t, "since", texts(since.Messages), "from bob")
	sameList(t, "bob's events", briefs(w.events("bob", id)), "1 created", "2 msg", "7 msg")
	page, err := w.Events(t.Context(), as("bob"), id, 2, chat.PageRequest{Size: 2})
	must(t, err)
	same(t, "a page of what is hidden is empty", len(page.Events), 0)
	same(t, "and goes on", page.Next, 4)
	sameList(t, "pins", w.pins("bob", id))
	same(t, "unread", w.view("bob", id).Unread, 0)

	ctx, bob := t.Context(), as("bob")
	reply := w.request(id, "to what?")
	reply.ReplyTo = hidden.ID
	_, errMessage := w.Message(ctx, bob, hidden.ID)
	_, errReceipts := w.Receipts(ctx, bob, hidden.ID)
	_, errReact := w.React(ctx, bob, hidden.ID, "👍")
	_, _, errPin := w.Pin(ctx, bob, id, hidden.ID)
	_, _, errReport := w.Report(ctx, bob, hidden.ID, chat.ReportAbuse, "")
	_, errEdit := w.Edit(ctx, bob, hidden.ID, chat.EditRequest{Ciphertext: []byte("x")})
	for what, err := range map[string]error{
		"Message": errMessage, "Receipts": errReceipts, "React": errReact, "Pin": errPin, "Report": errReport, "Edit": errEdit,
		"Unreact": w.Unreact(ctx, bob, hidden.ID, "👍"), "Delete": w.Delete(ctx, bob, hidden.ID), "MarkRead": w.MarkRead(ctx, bob, id, hidden.ID),
	} {
		if chat.CodeOf(err) != chat.CodeMessageNotFound {
			t.Errorf("%s: %v, want %s", what, err, chat.CodeMessageNotFound)
		}
	}
	refused(t, w.Unpin(ctx, bob, id, hidden.ID), chat.CodePinNotFound)
	_, err = w.Send(ctx, bob, reply)
	invalid(t, err, "reply_to_msg_id")
	w.heard.nothing(t)

	// To its sender it is a message like any other.
	sameList(t, "alice's history", w.history("alice", id), "from bob", "hidden, edited", "before the block")
	same(t, "alice's message", reactions(w.message("alice", hidden)), "👍 alice")
	sameList(t, "alice's pins", w.pins("alice", id), hidden.ID)
	same(t, "alice's events", len(w.events("alice", id)), 7)
	w.erase("alice", hidden)
	same(t, "bob's events, after the deletion too", len(w.events("bob", id)), 3)
	same(t, "the last message is bob's own", w.view("bob", id).LastMessage, news.ID)
	w.soundLog(id)
}

func TestBlockedMessageIsNoActivityForWhoBlocks(t *testing.T) {
	w, id, seen := blocked(t)
	list := func(user chat.UserID, want ...chat.ThreadID) chat.ThreadPage {
		t.Helper()
		page, err := w.Threads(t.Context(), as(user), chat.PageRequest{})
		must(t, err)
		got := make([]chat.ThreadID, len(page.Threads))
		for i, v := range page.Threads {
			got[i] = v.ID
		}
		sameList(t, "threads of "+string(user), got, want...)
		return page
	}
	w.clock.advance(time.Second)
	group := w.newGroup("bob", "alice")
	w.clock.advance(time.Second)
	hidden := w.send("alice", id, "hidden")
	page := list("bob", group, id)
	same(t, "last message in bob's list", page.Threads[1].LastMessage, seen.ID)
	same(t, "its time", page.Threads[1].LastActivity(), seen.At)
	same(t, "unread", page.Threads[1].Unread, 0)
	page = list("alice", id, group)
	same(t, "last message in alice's list", page.Threads[0].LastMessage, hidden.ID)
	v := w.view("bob", id)
	same(t, "last message in bob's view", v.LastMessage, seen.ID)
	same(t, "last activity in bob's view", v.LastActivity(), seen.At)

	fresh := w.newPair("alice", "carol")
	w.block("carol", "alice")
	w.clock.advance(time.Second)
	w.send("alice", fresh, "the first of all")
	v = w.view("carol", fresh)
	same(t, "no message at all", v.LastMessage.IsZero(), true)
	same(t, "last activity is the creation", v.LastActivity(), v.CreatedAt)
	sameList(t, "history", w.history("carol", fresh))
}

func TestBlocksStopNothingElse(t *testing.T) {
	w := newWorld(t)
	pair, group := w.newPair("alice", "bob"), w.newGroup("alice", "bob")
	before := w.send("alice", pair, "before")
	w.block("bob", "alice")
	w.heard.drain()

	w.send("alice", group, "in a group")
	w.sendSystem(pair, "from the shop")
	w.send("bob", pair, "the other way")
	for _, n := range w.heard.drain() {
		same(t, "no failure", n.Failure == nil, true)
	}
	sameList(t, "bob's group", w.history("bob", group), "in a group")
	sameList(t, "bob's 1:1", w.history("bob", pair), "the other way", "from the shop", "before")
	same(t, "unread", w.view("bob", pair).Unread, 2)

	// A message that was sent before the block is received like any other.
	w.acknowledge("bob", before)
	same(t, "state", w.state(before, "bob").State, chat.StateDelivered)

	w.block("bob", "shop") // a service speaks to both, whom no block of one stops
	w.sendSystem(pair, "again from the shop")
	same(t, "bob's newest", w.history("bob", pair)[0], "again from the shop")
	w.unblock("bob", "alice")
	after := w.send("alice", pair, "after")
	same(t, "after the block is gone", w.history("bob", pair)[0], "after")
	same(t, "state", w.state(after, "bob").State, chat.StateSent)
}

func TestExpiryOfAHiddenMessage(t *testing.T) {
	w, id, _ := blocked(t)
	req := w.request(id, "hidden and short")
	req.TTL = time.Minute
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	w.clock.advance(time.Minute)
	w.unblock("bob", "alice")
	w.heard.drain()
	tombstone(t, "the retry: there is nothing to deliver any more", w.resend("alice", req, chat.Gone), chat.DeletedByExpiry)
	w.heard.nothing(t)
	w.expireDue()
	e, _ := w.heard.event(t) // its failure was told when it was sent
	same(t, "told", brief(e), "4 del of 3")
	same(t, "bob is not told", e.VisibleTo("bob", 0), false)
	sameList(t, "bob's history", w.history("bob", id), "before the block")
	same(t, "state", w.state(res.Event, "bob"), chat.RecipientReceipt{User: "bob", State: chat.StateFailed, Reason: chat.FailedBlocked})
	w.resend("alice", req, chat.Gone)
	same(t, "events", len(w.soundLog(id)), 4)
}
