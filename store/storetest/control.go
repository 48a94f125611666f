package storetest

import (
	"bytes"
	"testing"

	"github.com/parleyhq/parley/chat"
)

var controlScenarios = []scenario{
	{"a control message is neither the last message nor unread", testControlCounts},
	{"the head has the epoch of the newest control message with one", testEpochs},
	{"lists leave out the ciphertext of a large control message", testLargeControl},
}

// control makes a draft a control message, with an epoch unless that is zero.
func control(epoch chat.Epoch, d chat.Event) chat.Event {
	d = of(chat.Control, d)
	d.Message.Epoch = epoch
	return d
}

func testControlCounts(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	text := f.append(thread, draft("ann", "2"), control(0, draft("ann", "3")), draft("ann", "4"))[2]
	f.append(thread, control(1, draft("ann", "5")), hiding(control(0, draft("ann", "6")), "bob"))
	for where, head := range map[string]chat.Head{"Thread": f.thread(thread).Head, "UserThread": f.userThread("bob", thread).Head} {
		if head.Seq != 6 || head.LastMessage != text.ID || head.LastMessageSeq != text.Seq || head.LastHiddenFrom != "" {
			t.Errorf("%s: the head is %+v, want the last message %d", where, head, text.Seq)
		}
	}
	if n := f.unread(thread, "bob"); n != 2 {
		t.Errorf("%d messages are unread, want the two that are none of control", n)
	}
	f.append(thread, redelivery(f.message(f.messages(thread, chat.MessageRange{After: 5, Count: 1})[0].ID)))
	if head := f.thread(thread).Head; head.LastMessage != text.ID {
		t.Errorf("after a redelivery the last message is %s, want %s", head.LastMessage, text.ID)
	}
	page := f.messages(thread, chat.MessageRange{ContentType: chat.Control, Count: 10})
	if got := seqs(page); len(got) != 3 || got[0] != 3 || got[1] != 5 || got[2] != 6 {
		t.Errorf("the control messages are %v, want 3, 5 and 6", got)
	}
}

func testEpochs(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	expected := f.thread(thread)
	step := func(what string, epoch chat.Epoch, d chat.Event) chat.Event {
		t.Helper()
		e := f.append(thread, d)[0]
		expected = expected.Apply(e)
		lines, err := f.store.UserThreads(t.Context(), "ann")
		if err != nil || len(lines) != 1 {
			t.Fatalf("UserThreads = %v, %v", lines, err)
		}
		for where, head := range map[string]chat.Head{
			"Thread": f.thread(thread).Head, "UserThread": f.userThread("ann", thread).Head, "UserThreads": lines[0].Head,
		} {
			if head.Epoch != epoch || head != expected.Head {
				t.Errorf("%s: %s says %+v, want epoch %d and %+v", what, where, head, epoch, expected.Head)
			}
		}
		return e
	}
	step("control without an epoch", 0, control(0, draft("ann", "2")))
	first := step("the first epoch, before any message", 1, control(1, draft("ann", "3")))
	step("a message", 1, draft("bob", "4"))
	step("a hidden one", 1, hiding(draft("bob", "5"), "ann"))
	step("a change of the thread", 1, addition("cid"))
	second := step("the next epoch", 2, control(2, draft("bob", "7")))
	step("a deletion of its message", 2, deletion(second, chat.DeletedBySender))
	step("the largest epoch", chat.MaxEpoch, control(chat.MaxEpoch, draft("ann", "9")))
	for m, want := range map[chat.MessageID]chat.Epoch{first.ID: 1, second.ID: 2} {
		if got := f.message(m).Message; got.Epoch != want || got.ContentType != chat.Control {
			t.Errorf("message %s has epoch %d of type %s, want %d", m, got.Epoch, got.ContentType, want)
		}
	}
}

func testLargeControl(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	shown, large := make([]byte, chat.MaxShownBytes), make([]byte, chat.MaxControlBytes)
	log := f.append(thread,
		control(0, draft("ann", string(shown))), control(1, draft("ann", string(large))), hiding(control(0, draft("ann", string(large))), "bob"), draft("ann", "5"))
	f.append(thread, redelivery(log[2]))
	if got := f.message(log[1].ID).Message; !bytes.Equal(got.Ciphertext, large) || got.Omitted {
		t.Errorf("alone it has %d bytes, want all %d", len(got.Ciphertext), len(large))
	}
	check := func(where string, m *chat.Message, size int) {
		t.Helper()
		if len(m.Ciphertext) != size || m.Omitted != (size == 0) {
			t.Errorf("%s: %d bytes, omitted: %v; want %d bytes", where, len(m.Ciphertext), m.Omitted, size)
		}
	}
	page := f.messages(thread, chat.MessageRange{Count: 10, Bytes: chat.MaxShownBytes + 1})
	if len(page) != 4 { // what is left out counts for nothing
		t.Fatalf("the page has %d messages, want 4", len(page))
	}
	check("the one that is shown", page[0].Message, len(shown))
	check("the large one", page[1].Message, 0)
	check("without a bound", f.messages(thread, chat.MessageRange{After: 2, Count: 1})[0].Message, 0)
	events, err := f.store.Events(t.Context(), thread, 2, 6, chat.Limit{Count: 10, Bytes: 1})
	if err != nil || len(events) != 4 {
		t.Fatalf("Events = %d of them, %v; want 4", len(events), err)
	}
	check("its event", events[0].Message, 0)
	check("a redelivery", events[3].Message, 0)
}
