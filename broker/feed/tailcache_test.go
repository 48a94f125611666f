package feed

import (
	"slices"
	"testing"

	"github.com/parleyhq/parley/chat"
)

func TestTailHoldsNothingThatWasRewritten(t *testing.T) {
	thread := chat.ThreadID{15: 1}
	id := func(seq chat.Seq) chat.EventID { return chat.EventID{15: byte(seq)} }
	event := func(seq chat.Seq, kind chat.EventKind, target chat.Seq) chat.Event {
		e := chat.Event{Thread: thread, Seq: seq, ID: id(seq), Kind: kind, By: "alice"}
		if target > 0 {
			e.Target = chat.Target{ID: id(target), Seq: target}
		}
		if e.HasContent() {
			e.Message = &chat.Message{Ciphertext: []byte("x")}
		}
		if kind == chat.KindReaction {
			e.Reaction = &chat.ReactionChange{Emoji: "+1"}
		}
		return e
	}
	tails := NewTailCache()
	run := func(after, known chat.Seq) (run []int) {
		for _, it := range tails.After(thread, after, known) {
			run = append(run, int(it.Seq))
		}
		return run
	}
	check := func(what string, after, known chat.Seq, want ...int) {
		t.Helper()
		if got := run(after, known); !slices.Equal(got, want) {
			t.Errorf("%s: behind %d the tail gives %v, want %v", what, after, got, want)
		}
	}
	for seq := chat.Seq(1); seq <= 5; seq++ {
		tails.Add(event(seq, chat.KindMessage, 0))
	}
	tails.Add(event(6, chat.KindReaction, 2))
	check("a reaction", 0, 6, 1, 2, 3, 4, 5, 6)
	tails.Add(event(7, chat.KindEdit, 2))
	check("an edit", 2, 7, 3, 4, 5, 6, 7)
	check("an edit", 1, 7)
	tails.Add(event(8, chat.KindMessage, 0))
	tails.Add(event(9, chat.KindDelete, 2)) // its edit, 7, shows it too
	check("a deletion of what was edited", 7, 9, 8, 9)
	check("a deletion of what was edited", 6, 9)
	before := tails.version(thread).Load()
	tails.Outdate(event(10, chat.KindDelete, 8)) // while nobody here is in the thread
	check("a deletion that nobody here is told of", 8, 9, 9)
	check("to who knows of it", 8, 10)
	tails.Add(event(8, chat.KindMessage, 0)) // a retry fans out again
	check("an old event", 8, 9, 9)
	if tails.version(thread).Load() == before {
		t.Error("those who hold what was rewritten do not learn of it")
	}
	tails.Clear()
	check("after a loss", 8, 9)
}
