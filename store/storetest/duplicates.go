package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var duplicateScenarios = []scenario{
	{"a retry is recognised by its idempotency key", testSameKey},
	{"a message is recognised by its client_seq", testSameClientSeq},
	{"a message that matches by both is reported as ByIdempotencyKey", testBothMatch},
	{"a key is of one user in one thread, a client_seq of one device in it", testKeyScopes},
	{"messages without a key are no duplicates of each other", testNoKey},
	{"what precedes a duplicate is stored, what follows is not", testPrefix},
	{"duplicates within one append are recognised", testDuplicateInBatch},
	{"a key is forgotten after the idempotency window, a client_seq never", testWindow},
	{"a message not sent before is no duplicate", testSentBefore},
	{"a key used after the idempotency window starts a new one", testWindowAgain},
}

// wantDuplicate appends a draft and fails the test unless the store refuses it as a
// duplicate of existing, and SentBefore says the same.
func (f *fixture) wantDuplicate(what string, thread chat.ThreadID, d chat.Event, by chat.DuplicateOf, existing chat.Event) {
	f.tb.Helper()
	_, n, err := f.tryAppend(thread, d)
	d.Thread = thread
	for call, err := range map[string]error{"Append": err, "SentBefore": f.store.SentBefore(f.tb.Context(), d)} {
		var dup *chat.DuplicateError
		switch {
		case n != 0 || !errors.As(err, &dup):
			f.tb.Errorf("%s: %s after %d: %v; want a DuplicateError", what, call, n, err)
		case dup.By != by || !sameEvent(dup.Existing, existing):
			f.tb.Errorf("%s: %s: a duplicate by %s of %+v, want by %s of %+v", what, call, dup.By, dup.Existing, by, existing)
		}
	}
}

func testSentBefore(t *testing.T, f *fixture) {
	thread, other := f.group("ann", "bob"), f.group("ann", "bob")
	first := f.append(thread, draft("ann", "hello"))[0]
	otherUser := resend(first, first)
	otherUser.By, otherUser.Thread = "bob", thread
	otherDevice := resend(draft("ann", ""), first)
	otherDevice.Device, otherDevice.Thread = "tablet", thread
	otherThread := resend(draft("ann", ""), first)
	otherThread.Thread = other
	unkeyed := draft("ann", "")
	unkeyed.Message.IdempotencyKey, unkeyed.Thread = "", thread
	for i, e := range []chat.Event{otherUser, otherDevice, otherThread, unkeyed} {
		if err := f.store.SentBefore(t.Context(), e); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

// resend is a draft with the key and the client_seq of another.
func resend(key, clientSeq chat.Event) chat.Event {
	d := draft(key.By, "again")
	d.Message.IdempotencyKey, d.Message.ClientSeq = key.Message.IdempotencyKey, clientSeq.Message.ClientSeq
	return d
}

func testSameKey(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	first := f.append(thread, draft("ann", "hello"))[0]
	f.append(thread, draft("bob", "hi"))
	f.wantDuplicate("in the same thread", thread, resend(first, draft("ann", "")), chat.ByIdempotencyKey, first)
	if head := f.thread(thread).Head.Seq; head != 3 {
		t.Errorf("the log ends at %d, want 3", head)
	}
}

func testSameClientSeq(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	first := f.append(thread, draft("ann", "hello"))[0]
	f.wantDuplicate("with another key", thread, resend(draft("ann", ""), first), chat.ByClientSeq, first)
	unkeyed := resend(draft("ann", ""), first)
	unkeyed.Message.IdempotencyKey = ""
	f.wantDuplicate("without a key", thread, unkeyed, chat.ByClientSeq, first)
}

func testBothMatch(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	one, two := f.append(thread, draft("ann", "1"))[0], f.append(thread, draft("ann", "2"))[0]
	f.wantDuplicate("both of the same message", thread, resend(one, one), chat.ByIdempotencyKey, one)
	f.wantDuplicate("each of another message", thread, resend(two, one), chat.ByIdempotencyKey, two)
}

func testKeyScopes(t *testing.T, f *fixture) {
	thread, other := f.group("ann", "bob"), f.group("ann", "bob")
	first := f.append(thread, draft("ann", "hello"))[0]
	otherUser := resend(first, first)
	otherUser.By = "bob"
	otherDevice := resend(draft("ann", ""), first)
	otherDevice.Device = "tablet"
	f.append(thread, otherUser, otherDevice)
	inOther := f.append(other, resend(first, first))[0]
	f.wantDuplicate("in the other thread", other, resend(first, draft("ann", "")), chat.ByIdempotencyKey, inOther)
	if head := f.thread(thread).Head.Seq; head != 4 {
		t.Errorf("the log ends at %d, want 4", head)
	}
}

func testNoKey(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	unkeyed := drafts("ann", 3)
	for i := range unkeyed {
		unkeyed[i].Message.IdempotencyKey = ""
	}
	f.append(thread, unkeyed...)
}

func testPrefix(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	first := f.append(thread, draft("ann", "hello"))[0]
	batch := []chat.Event{draft("bob", "3"), addition("cid"), resend(first, draft("ann", "")), draft("bob", "not reached")}
	events, n, err := f.tryAppend(thread, batch...)
	var dup *chat.DuplicateError
	if n != 2 || !errors.As(err, &dup) || !sameEvent(dup.Existing, first) {
		t.Fatalf("Append = %d, %v; want 2 and a duplicate of %s", n, err, first.ID)
	}
	wantEvents(t, "the log", f.log(thread)[2:], events[:2])
	if _, in := f.thread(thread).Participant("cid"); !in {
		t.Error("the addition before the duplicate did not happen")
	}
	if _, err := f.store.Message(t.Context(), events[3].ID); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("the message after the duplicate: %v; want ErrNotFound", err)
	}
	f.append(thread, batch[3]) // its key and client_seq are still free
}

func testDuplicateInBatch(t *testing.T, f *fixture) {
	for _, by := range []chat.DuplicateOf{chat.ByIdempotencyKey, chat.ByClientSeq} {
		thread := f.group("ann", "bob")
		first := draft("ann", "hello")
		again := resend(first, draft("ann", ""))
		if by == chat.ByClientSeq {
			again = resend(draft("ann", ""), first)
		}
		events, n, err := f.tryAppend(thread, first, draft("bob", "between"), again, draft("bob", "after"))
		var dup *chat.DuplicateError
		if n != 2 || !errors.As(err, &dup) || dup.By != by || !sameEvent(dup.Existing, events[0]) {
			t.Errorf("Append = %d, %v; want 2 and a duplicate by %s of event 2", n, err, by)
		}
		wantEvents(t, "the log", f.log(thread)[1:], events[:2])
	}
}

func testWindow(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	first := f.append(thread, draft("ann", "hello"))[0]
	for range 4 {
		f.clock.Advance(window/4 - time.Second)
		f.wantDuplicate("within the window", thread, resend(first, draft("ann", "")), chat.ByIdempotencyKey, first)
	}
	f.clock.Advance(5 * time.Second)
	f.append(thread, resend(first, draft("ann", "")))
	f.clock.Advance(40 * window)
	f.wantDuplicate("long after", thread, resend(draft("ann", ""), first), chat.ByClientSeq, first)
}

func testWindowAgain(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	first := f.append(thread, draft("ann", "hello"))[0]
	f.clock.Advance(window + time.Second)
	second := f.append(thread, resend(first, draft("ann", "")))[0]
	f.clock.Advance(window - time.Second)
	f.wantDuplicate("within the second window", thread, resend(first, draft("ann", "")), chat.ByIdempotencyKey, second)
}
