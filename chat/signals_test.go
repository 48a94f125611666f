package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func ring(thread chat.ThreadID) chat.Signal { return chat.Signal{Thread: thread, Name: "ring"} }

// A signal goes to everybody in the thread, its sender's other devices too; in a 1:1 not to
// one who blocks the sender, and to one whom the sender blocks as ever.
func TestWhoGetsSignals(t *testing.T) {
	w := newWorld(t)
	group, pair := w.newGroup("alice", "bob", "carol"), w.newPair("alice", "bob")
	for _, user := range []chat.UserID{"bob", "carol"} {
		must(t, w.accept(user, group))
	}
	must(t, w.accept("bob", pair))
	w.heard.drain()
	signal := func(by chat.UserID, thread chat.ThreadID) []chat.UserID {
		t.Helper()
		w.heard.drain()
		must(t, w.Signal(t.Context(), as(by), ring(thread)))
		n := w.heard.one(t)
		if n.Signal == nil || n.Signal.User != by || n.Signal.Device != as(by).Device || n.Signal.Name != "ring" {
			t.Fatalf("the notice is %+v", n.Signal)
		}
		return n.Audience
	}
	sameList(t, "in the group", signal("alice", group), "alice", "bob", "carol")
	sameList(t, "in the 1:1", signal("alice", pair), "alice", "bob")
	must(t, w.Block(t.Context(), as("bob"), "alice"))
	sameList(t, "past bob's block", signal("alice", pair), "alice")
	sameList(t, "by who blocks", signal("bob", pair), "alice", "bob")
	sameList(t, "in the group both are in", signal("alice", group), "alice", "bob", "carol")
}

func TestSignalsRefused(t *testing.T) {
	w := newWorld(t)
	group := w.newGroup("alice", "bob")
	long := ring(group)
	long.Data = make([]byte, chat.MaxSignalBytes)
	must(t, w.Signal(t.Context(), as("alice"), long))
	long.Data = make([]byte, chat.MaxSignalBytes+1)
	invalid(t, w.Signal(t.Context(), as("alice"), long), "data")
	for name, ok := range map[string]bool{
		"a": true, strings.Repeat("z", 32): true, "call.offer-1_x": true, "": false, strings.Repeat("z", 33): false,
		"A": false, "+": false, "#": false, "a/b": false, "ä": false, "a b": false,
	} {
		err := w.Signal(t.Context(), as("alice"), chat.Signal{Thread: group, Name: name})
		if ok {
			must(t, err)
		} else {
			invalid(t, err, "name")
		}
	}
	refused(t, w.Signal(t.Context(), as("eve"), ring(group)), chat.CodeNotAParticipant)
	refused(t, w.Signal(t.Context(), as("alice"), ring(chat.ThreadID{7})), chat.CodeThreadNotFound)
	refused(t, w.Signal(t.Context(), with("alice", chat.ScopeRead), ring(group)), chat.CodeMissingScope)
}

// In a thread of over 32 people a signal counts one for each 32 begun.
func TestSignalsAreLimited(t *testing.T) {
	for size, allowed := range map[int]int{2: 20, 32: 20, 33: 10, 64: 10, 65: 6, 250: 2} {
		w := newWorldOf(t, setup{limits: chat.Limits{SignalRate: chat.DefaultLimits.SignalRate}})
		group := w.newGroup("alice", people(size-1)...)
		for range 2 {
			for range allowed {
				must(t, w.Signal(t.Context(), as("alice"), ring(group)))
			}
			refused(t, w.Signal(t.Context(), as("alice"), ring(group)), chat.CodeRateLimited)
			w.clock.advance(time.Second)
		}
	}
}
