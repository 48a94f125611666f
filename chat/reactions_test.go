package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

func TestReactionsInOrder(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	m := w.send("alice", id, "who comes?")
	w.heard.drain()
	one := w.clock.advance(time.Second)
	w.react("bob", m, "👍")
	e, audience := w.heard.event(t)
	same(t, "told", brief(e), "3 reaction of 2")
	same(t, "emoji", *e.Reaction, chat.ReactionChange{Emoji: "👍"})
	same(t, "by", e.By, chat.UserID("bob"))
	same(t, "a reaction carries no message", e.Message == nil, true)
	sameList(t, "audience, the acting one's other devices too", audience, "alice", "bob", "carol")

	w.clock.advance(time.Second)
	w.react("carol", m, ":party_parrot:")
	three := w.clock.advance(time.Second)
	w.react("alice", m, "👍") // one may react to oneself
	got := w.react("bob", m, ":party_parrot:")
	same(t, "each emoji as it first came, each giver as they gave", reactions(got), "👍 bob alice, :party_parrot: carol bob")
	same(t, "bob's time", got.Message.Reactions[0].By[0].At, one)
	same(t, "alice's time", got.Message.Reactions[0].By[1].At, three)
	same(t, "what carol sees", reactions(w.message("carol", m)), "👍 bob alice, :party_parrot: carol bob")
	same(t, "what was sent is not edited", got.Message.EditedAt.IsZero(), true)
	same(t, "a reaction is no activity", w.view("bob", id).LastMessage, m.ID)
	w.soundLog(id)
}

func TestReactionsRepeatedAndTakenBack(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	w.react("bob", m, "👍")
	w.react("bob", m, "🎉")
	first := w.message("bob", m).Message.Reactions[0].By[0].At
	w.heard.drain()
	w.clock.advance(time.Second)
	same(t, "repeating answers with the message", reactions(w.react("bob", m, "👍")), "👍 bob, 🎉 bob")
	w.unreact("alice", m, "👍") // who has given none
	w.unreact("bob", m, "👎")
	w.heard.nothing(t)
	same(t, "and keeps the time", w.message("bob", m).Message.Reactions[0].By[0].At, first)

	w.unreact("bob", m, "👍")
	e, _ := w.heard.event(t)
	same(t, "told", *e.Reaction, chat.ReactionChange{Emoji: "👍", Removed: true})
	same(t, "the other stays", reactions(w.message("alice", m)), "🎉 bob")
	w.unreact("bob", m, "👍")
	w.heard.nothing(t)

	again := w.clock.advance(time.Second)
	same(t, "given again it is the last", reactions(w.react("bob", m, "👍")), "🎉 bob, 👍 bob")
	same(t, "with its new time", w.message("alice", m).Message.Reactions[1].By[0].At, again)
	w.react("alice", m, "🎉")
	w.unreact("bob", m, "🎉")
	same(t, "while somebody gives it it keeps its place", reactions(w.message("alice", m)), "🎉 alice, 👍 bob")
	w.unreact("alice", m, "🎉")
	w.unreact("bob", m, "👍")
	same(t, "none left", w.message("alice", m).Message.Reactions == nil, true)
	same(t, "events", len(w.soundLog(id)), 10)
}

func TestReactionsAreAtMost64Different(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	emoji := func(i int) string { return fmt.Sprintf("e%02d", i) }
	for i := range 64 {
		w.react([]chat.UserID{"alice", "bob"}[i%2], m, emoji(i))
	}
	w.heard.drain()
	for _, by := range []chat.UserID{"alice", "bob"} {
		_, err := w.React(t.Context(), as(by), m.ID, "one more")
		refused(t, err, chat.CodeTooManyReactions)
	}
	w.react("alice", m, emoji(0)) // repeating is no change
	w.heard.nothing(t)
	w.react("alice", m, emoji(1)) // one that is there
	w.unreact("bob", m, emoji(1))
	_, err := w.React(t.Context(), as("bob"), m.ID, "one more")
	refused(t, err, chat.CodeTooManyReactions)
	w.unreact("alice", m, emoji(1)) // which makes room
	w.react("bob", m, "one more")
	same(t, "different ones", len(w.message("bob", m).Message.Reactions), 64)
	_, err = w.React(t.Context(), as("alice"), m.ID, emoji(1))
	refused(t, err, chat.CodeTooManyReactions)
}

func TestEmoji(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	m := w.send("alice", id, "hello")
	created := w.log(id)[0]
	w.heard.drain()
	for name, c := range map[string]struct {
		emoji string
		good  bool
	}{
		"one":                  {"👍", true},
		"of several":           {"👩‍👩‍👧‍👦", true},
		"with a skin tone":     {"👍🏽", true},
		"a custom name":        {":shipit:", true},
		"one byte":             {"+", true},
		"64 bytes":             {strings.Repeat("x", 64), true},
		"64 bytes of emoji":    {strings.Repeat("👍", 16), true},
		"65 bytes":             {strings.Repeat("x", 65), false},
		"65 bytes of 17 runes": {strings.Repeat("👍", 16) + "x", false},
		"nothing":              {"", false},
		"a dot":                {".", false},
		"two dots":             {"..", false},
		"three dots":           {"...", true},
		"a slash":              {"/", false},
		"a slash within":       {"a/b", false},
		"a backslash":          {`\`, true},
		"a space":              {"a b", true},
		"a newline":            {"a\nb", false},
		"a zero byte":          {"\x00", false},
		"DEL":                  {"a\x7f", false},
		"a C1 control":         {"a\u0085", false},
		"no UTF-8":             {"a\xff", false},
		"half a rune":          {"👍"[:3], false},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := w.React(t.Context(), as("alice"), m.ID, c.emoji)
			if !c.good {
				invalid(t, err, "emoji")
				invalid(t, w.Unreact(t.Context(), as("alice"), m.ID, c.emoji), "emoji")
				w.heard.nothing(t)
				return
			}
			must(t, err)
			same(t, "reaction", e.Message.Reactions[0].Emoji, c.emoji)
			w.unreact("alice", m, c.emoji)
			same(t, "told", len(w.heard.drain()), 2)
		})
	}
	for name, c := range map[string]struct {
		by   chat.Caller
		of   chat.MessageID
		code chat.Code
	}{
		"no right to write":           {with("alice", chat.ScopeRead), m.ID, chat.CodeMissingScope},
		"no such message":             {as("alice"), ulid.Make(), chat.CodeMessageNotFound},
		"an event that is no message": {as("alice"), created.ID, chat.CodeMessageNotFound},
		"a stranger":                  {as("mallory"), m.ID, chat.CodeNotAParticipant},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.React(t.Context(), c.by, c.of, "👍")
			refused(t, err, c.code)
			refused(t, w.Unreact(t.Context(), c.by, c.of, "👍"), c.code)
		})
	}
	w.heard.nothing(t)
}

func TestReactionsOfThoseWhoJoinLaterAndLeave(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	old := w.send("alice", id, "old")
	w.react("bob", old, "👍")
	w.add("alice", id, "carol")
	m := w.send("alice", id, "new")
	w.heard.drain()

	_, err := w.React(t.Context(), as("carol"), old.ID, "👍")
	refused(t, err, chat.CodeMessageNotFound)
	refused(t, w.Unreact(t.Context(), as("carol"), old.ID, "👍"), chat.CodeMessageNotFound)
	w.heard.nothing(t)
	w.react("carol", m, "🎉")
	_, audience := w.heard.event(t)
	sameList(t, "audience", audience, "alice", "bob", "carol")

	// Who joined later is not told of changes to older messages, whatever they show.
	w.edit("alice", old, "still old")
	w.react("alice", old, "🎉")
	w.pin("bob", old)
	w.unpin("bob", old)
	w.erase("alice", old)
	joined, react := "4 participant_added", "6 reaction of 5"
	sameList(t, "carol's events", briefs(w.events("carol", id)), joined, "5 msg", react)
	all := w.events("bob", id)
	same(t, "bob's events", len(all), 11)
	page, err := w.Events(t.Context(), as("carol"), id, 6, chat.PageRequest{Size: 2})
	must(t, err)
	same(t, "a page of nothing for her", len(page.Events), 0)
	same(t, "that goes on", page.Next, 8)

	w.remove("alice", id, "carol")
	same(t, "a reaction stays when who gave it goes", reactions(w.message("bob", m)), "🎉 carol")
	w.add("alice", id, "carol")
	refused(t, w.Unreact(t.Context(), as("carol"), m.ID, "🎉"), chat.CodeMessageNotFound)
	kinds := briefs(w.events("carol", id))
	sameList(t, "from her last joining on", kinds, "13 participant_added")
	w.soundLog(id)
}

func TestAMessageThatManyReactToKeepsAllOfThem(t *testing.T) {
	w := newWorld(t)
	everyone := people(249)
	id := w.newGroup("alice", everyone...)
	m := w.send("alice", id, "hello")
	for _, u := range everyone {
		w.react(u, m, "👍")
	}
	stored := w.log(id)[1]
	same(t, "more than are named", stored.Message.Reactions[0].More, 149)
	by, err := w.store.Reactors(t.Context(), stored, "👍", 0, 1000)
	must(t, err)
	users := make([]chat.UserID, len(by))
	for i, b := range by {
		users[i] = b.User
	}
	sameList(t, "givers in order", users, everyone...)
	same(t, "none twice", len(slices.Compact(users)), 249)
}

// A message names 100 users of a reaction, the viewer always, and counts the others; all
// can be paged through, also while somebody takes the reaction back.
func TestWhoGaveAReaction(t *testing.T) {
	w := newWorld(t)
	all := people(150)
	id := w.newGroup("alice", all...)
	m := w.send("alice", id, "hello")
	for _, u := range all {
		w.clock.advance(time.Millisecond)
		_, err := w.React(t.Context(), as(u), m.ID, "+")
		must(t, err)
	}
	users := func(by []chat.ReactionBy) (users []chat.UserID) {
		for _, r := range by {
			users = append(users, r.User)
		}
		return users
	}
	for _, viewer := range []chat.UserID{"alice", all[0], all[99], all[100], all[149]} {
		got, err := w.Message(t.Context(), as(viewer), m.ID)
		must(t, err)
		want := slices.Clone(all[:100])
		if slices.Index(all, viewer) >= 100 {
			want[99] = viewer
		}
		sameList(t, "named", users(got.Message.Reactions[0].By), want...)
		same(t, "more", got.Message.Reactions[0].More, 50)
		page, err := w.History(t.Context(), as(viewer), id, chat.PageRequest{})
		must(t, err)
		sameList(t, "named in a page", users(page.Messages[0].Message.Reactions[0].By), want...)
	}
	same(t, "read of the store", len(w.log(id)[1].Message.Reactions[0].By), 100)
	again, err := w.React(t.Context(), as(all[149]), m.ID, "+")
	must(t, err)
	same(t, "repeating changes nothing", again.Message.Reactions[0].More, 50)
	same(t, "and names who repeats", again.Message.Reactions[0].By[99].User, all[149])
	same(t, "events", w.log(id)[len(w.log(id))-1].Seq, 152)

	list := func(size int, between func(page int)) (got []chat.UserID) {
		t.Helper()
		for p, n := (chat.PageRequest{Size: size}), 0; ; n++ {
			page, err := w.Reactions(t.Context(), as("alice"), m.ID, "+", p)
			must(t, err)
			got = append(got, users(page.By)...)
			if p.Cursor = page.Next; p.Cursor == "" {
				return got
			}
			same(t, "a full page", len(page.By), size)
			between(n)
		}
	}
	for _, size := range []int{1, 50, 100} {
		sameList(t, "all", list(size, func(int) {}), all...)
	}
	sameList(t, "the last of a page is gone", list(50, func(n int) {
		if n == 0 {
			must(t, w.Unreact(t.Context(), as(all[49]), m.ID, "+"))
		}
	}), all...)
	none, err := w.Reactions(t.Context(), as("alice"), m.ID, "-", chat.PageRequest{})
	must(t, err)
	same(t, "of another emoji", len(none.By), 0)
	first, err := w.Reactions(t.Context(), as("alice"), m.ID, "+", chat.PageRequest{Size: 1})
	must(t, err)
	_, err = w.Reactions(t.Context(), as("alice"), m.ID, "-", chat.PageRequest{Cursor: first.Next})
	invalid(t, err, "cursor")
	_, err = w.Reactions(t.Context(), as("alice"), m.ID, "", chat.PageRequest{})
	invalid(t, err, "emoji")
	_, err = w.Reactions(t.Context(), as("mallory"), m.ID, "+", chat.PageRequest{})
	refused(t, err, chat.CodeNotAParticipant)
}
