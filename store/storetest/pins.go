package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var pinScenarios = []scenario{
	{"pins come in order of pinning", testPins},
	{"deleting a message unpins it", testDeletedIsUnpinned},
	{"pins stay while other events are appended", testPinsStay},
}

// wantPins fails the test unless these messages of the thread are pinned, in this
// order, by bob at the times of the given events.
func (f *fixture) wantPins(what string, thread chat.ThreadID, messages, by []chat.Event) {
	f.tb.Helper()
	var want []chat.Pin
	for i, m := range messages {
		want = append(want, chat.Pin{Message: m.ID, Seq: m.Seq, By: "bob", At: by[i].At, HiddenFrom: by[i].HiddenFrom})
	}
	got := canonicalThread(f.thread(thread)).Pins
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		f.tb.Errorf("%s: the pins are %+v, want %+v", what, got, want)
	}
	Verify(f.tb, f.store, thread)
}

func testPins(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, drafts("ann", 3)...)
	var pinned []chat.Event
	for _, i := range []int{1, 2, 0} {
		f.clock.Advance(time.Second)
		pinned = append(pinned, f.append(thread, pin(sent[i], "bob"))...)
	}
	f.wantPins("three", thread, []chat.Event{sent[1], sent[2], sent[0]}, pinned)
	f.append(thread, unpin(sent[2], "ann"))
	f.wantPins("one taken out", thread, []chat.Event{sent[1], sent[0]}, []chat.Event{pinned[0], pinned[2]})
	f.append(thread, unpin(sent[1], "ann"), unpin(sent[0], "ann"))
	f.wantPins("all taken out", thread, nil, nil)
	again := f.append(thread, pin(sent[0], "bob"))
	f.wantPins("pinned again", thread, sent[:1], again)
}

func testDeletedIsUnpinned(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, drafts("ann", 5)...)
	f.append(thread, deletion(sent[4], chat.DeletedBySender))
	f.wantPins("without pins", thread, nil, nil)
	pinned := f.append(thread, pin(sent[0], "bob"), pin(sent[1], "bob"))
	f.append(thread, deletion(sent[2], chat.DeletedBySender))
	f.wantPins("another one deleted", thread, sent[:2], pinned)
	f.append(thread, draft("ann", "between"), deletion(sent[0], chat.DeletedByExpiry))
	f.wantPins("the first deleted", thread, sent[1:2], pinned[1:])
	third := f.append(thread, pin(sent[3], "bob"), deletion(sent[1], chat.DeletedBySender))
	f.wantPins("one pinned, one deleted", thread, sent[3:4], third)
	f.append(thread, deletion(sent[3], chat.DeletedBySender))
	f.wantPins("the last deleted", thread, nil, nil)
	last := f.append(thread, draft("ann", "new"))
	f.append(thread, pin(last[0], "bob"), deletion(last[0], chat.DeletedBySender))
	f.wantPins("pinned and deleted in one append", thread, nil, nil)
}

func testPinsStay(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, hiding(draft("ann", "2"), "bob"))
	pinned := f.append(thread, pin(sent[0], "bob"))
	if got := f.log(thread)[2]; got.HiddenFrom != "bob" || got.Target != (chat.Target{ID: sent[0].ID, Seq: 2}) {
		t.Errorf("the pinning comes as %s", describe(got))
	}
	f.append(thread, edit(sent[0], "changed"), addition("cid"), draft("cid", "hi"),
		change("ann", chat.ThreadChange{Event: chat.TitleChanged, Title: "the club"}), removal("ann", "bob"))
	f.append(thread, reaction(sent[0], "cid", "+1"))
	f.append(thread, redelivery(sent[0]))
	f.wantPins("after much else", thread, sent, pinned)
}
