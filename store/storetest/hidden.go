package storetest

import (
	"slices"
	"testing"

	"github.com/parleyhq/parley/chat"
)

var hiddenScenarios = []scenario{
	{"a message hidden from a viewer is left out for that viewer alone", testViewer},
	{"a message hidden from a user is not unread for that user", testHiddenUnread},
	{"the head tells from whom the last message is hidden", testLastHiddenFrom},
}

func testViewer(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, draft("ann", "2"), hiding(draft("ann", "3"), "bob"), hiding(draft("bob", "4"), "ann"), draft("ann", "5"))
	tests := []struct {
		name string
		r    chat.MessageRange
		want []chat.Seq
	}{
		{"nobody in particular", chat.MessageRange{Count: 10}, []chat.Seq{2, 3, 4, 5}},
		{"one it is hidden from", chat.MessageRange{Viewer: "bob", Count: 10}, []chat.Seq{2, 4, 5}},
		{"another", chat.MessageRange{Viewer: "ann", Count: 10, NewestFirst: true}, []chat.Seq{5, 3, 2}},
		{"a third", chat.MessageRange{Viewer: "eve", Count: 10}, []chat.Seq{2, 3, 4, 5}},
		{"the count is of what is shown", chat.MessageRange{Viewer: "bob", Count: 2}, []chat.Seq{2, 4}},
		{"between bounds", chat.MessageRange{Viewer: "bob", After: 2, Before: 5, Count: 10}, []chat.Seq{4}},
		{"nothing left", chat.MessageRange{Viewer: "bob", After: 2, Before: 4, Count: 10}, nil},
	}
	for _, tt := range tests {
		if got := seqs(f.messages(thread, tt.r)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	f.append(thread, redelivery(log[1]))
	if got := seqs(f.messages(thread, chat.MessageRange{Viewer: "bob", Count: 10})); !slices.Equal(got, []chat.Seq{2, 3, 4, 5}) {
		t.Errorf("after the redelivery bob sees %v", got)
	}
	f.append(thread, deletion(log[2], chat.DeletedBySender))
	if got := seqs(f.messages(thread, chat.MessageRange{Viewer: "ann", Count: 10})); !slices.Equal(got, []chat.Seq{2, 3, 5}) {
		t.Errorf("after its deletion ann sees %v", got)
	}
}

func testHiddenUnread(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob", "cid")
	log := f.append(thread, draft("ann", "2"), hiding(draft("ann", "3"), "bob"), draft("ann", "4"))
	if bob, cid := f.unread(thread, "bob"), f.unread(thread, "cid"); bob != 2 || cid != 3 {
		t.Errorf("unread are %d for whom one is hidden from, %d for another; want 2, 3", bob, cid)
	}
	f.append(thread, redelivery(log[1]))
	if n := f.unread(thread, "bob"); n != 3 {
		t.Errorf("unread are %d once it is redelivered, want 3", n)
	}
}

func testLastHiddenFrom(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	expected := f.thread(thread) // the fold of the log
	step := func(what string, want chat.UserID, d chat.Event) chat.Event {
		e := f.append(thread, d)[0]
		expected = expected.Apply(e)
		lines, err := f.store.UserThreads(t.Context(), "ann")
		if err != nil || len(lines) != 1 {
			t.Fatalf("UserThreads = %v, %v", lines, err)
		}
		for where, head := range map[string]chat.Head{
			"Thread": f.thread(thread).Head, "UserThread": f.userThread("ann", thread).Head, "UserThreads": lines[0].Head,
		} {
			if head.LastHiddenFrom != want || head != expected.Head {
				t.Errorf("%s: %s says %+v, want %+v and hidden from %q", what, where, head, expected.Head, want)
			}
		}
		return e
	}
	step("a message", "", draft("ann", "1"))
	first := step("a hidden one", "bob", hiding(draft("ann", "2"), "bob"))
	step("an edit of it", "bob", edit(first, "changed"))
	step("a change of the thread", "bob", addition("cid"))
	last := step("another hidden one", "ann", hiding(draft("bob", "3"), "ann"))
	step("the redelivery of an older one", "ann", redelivery(first))
	step("the redelivery of the last", "", redelivery(last))
	step("a hidden one again", "bob", hiding(draft("ann", "4"), "bob"))
	step("a message for all", "", draft("bob", "5"))
}
