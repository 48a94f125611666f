package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var messageChangeScenarios = []scenario{
	{"an edited message has its new content wherever it is read", testEdit},
	{"a deleted message is a tombstone wherever it is read", testDelete},
	{"a deleted message stays deleted, for the first reason", testDeleteStays},
	{"reactions are kept in the order in which they first came", testReactions},
	{"a message names 100 users of a reaction, and all can be listed", testManyReactions},
	{"a redelivery shows the message at its own place in the log", testRedelivery},
	{"one append may change several messages and the thread", testMixedAppend},
	{"the limit of bytes counts the content that events show", testShownBytes},
	{"a refused append changes no message", testRefusedChange},
	{"a duplicate is given with its changes folded in", testDuplicateIsFolded},
	{"an event about a message is found by its seq, not as a message", testChangeIsNoMessage},
}

// wantFolded fails the test unless every way to read a thread gives its messages with
// the appended changes folded in. Appended is the whole log without its creation.
func (f *fixture) wantFolded(thread chat.ThreadID, appended []chat.Event) {
	f.tb.Helper()
	now := folded(appended)
	wantEvents(f.tb, "the log", f.log(thread)[1:], now)
	messages := messagesOf(now)
	wantEvents(f.tb, "Messages", f.messages(thread, chat.MessageRange{Count: 1000}), messages)
	slices.Reverse(messages)
	wantEvents(f.tb, "Messages, newest first", f.messages(thread, chat.MessageRange{Count: 1000, NewestFirst: true}), messages)
	for _, e := range messages {
		wantEvents(f.tb, "Message", []chat.Event{f.message(e.ID)}, []chat.Event{e})
	}
	Verify(f.tb, f.store, thread)
}

func testEdit(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, draft("ann", "helo"), draft("bob", "hi"))
	sent := log[0]
	f.clock.Advance(time.Minute)
	log = append(log, f.append(thread, edit(sent, "hello"))...)
	f.wantFolded(thread, log)
	got := f.message(sent.ID).Message
	if string(got.Ciphertext) != "hello" || !got.EditedAt.Equal(log[2].At) || got.IdempotencyKey != sent.Message.IdempotencyKey {
		t.Errorf("the edited message is %+v", got)
	}

	f.clock.Advance(time.Minute)
	again := edit(sent, strings.Repeat("long ", 5000))
	again.Message.ContentType, again.Device = chat.System, "tablet"
	log = append(log, f.append(thread, again, draft("ann", "another"))...)
	f.wantFolded(thread, log)
	if got := f.message(sent.ID).Message; got.ContentType != chat.System || !got.EditedAt.Equal(log[3].At) {
		t.Errorf("the message edited again is of type %s, edited at %v", got.ContentType, got.EditedAt)
	}
	for i, want := range []chat.EventKind{chat.KindEdit, chat.KindEdit} {
		e := f.events(thread, log[2+i].Seq-1, log[2+i].Seq, chat.Limit{Count: 1, Bytes: 1})
		if len(e) != 1 || e[0].Kind != want || len(e[0].Message.Ciphertext) != 25_000 {
			t.Errorf("edit %d does not come with the present content: %s", i+1, describe(e[0]))
		}
	}
}

func testDelete(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	d := draft("ann", "secret")
	d.Message.ContentType, d.Message.AttachmentID, d.Message.AttachmentSHA256 = chat.ImageRef, "blob", strings.Repeat("0f", 32)
	d.Message.ReplyTo = mint(chat.EventID{}, f.clock.Now())
	log := f.append(thread, d, draft("bob", "hi"))
	sent := log[0]
	log = append(log, f.append(thread, reaction(sent, "bob", "+1"))...)
	log = append(log, f.append(thread, edit(sent, "more secret"))...)
	log = append(log, f.append(thread, deletion(sent, chat.DeletedBySender))...)
	f.wantFolded(thread, log)
	m := f.message(sent.ID).Message
	if m.Deleted != chat.DeletedBySender || len(m.Ciphertext) > 0 || m.AttachmentID != "" || m.AttachmentSHA256 != "" || len(m.Reactions) > 0 {
		t.Errorf("the tombstone is %+v", m)
	}
	if m.IdempotencyKey != sent.Message.IdempotencyKey || m.ClientSeq != sent.Message.ClientSeq || m.ReplyTo != sent.Message.ReplyTo {
		t.Errorf("the tombstone has forgotten what was sent: %+v", m)
	}
	if shown := f.log(thread)[4]; shown.Kind != chat.KindEdit || len(shown.Message.Ciphertext) > 0 || shown.Message.Deleted == "" {
		t.Errorf("the edit of what is deleted now shows %s", describe(shown))
	}
	if n := f.unread(thread, "bob"); n != 0 {
		t.Errorf("bob has %d unread, want none", n)
	}
}

func testDeleteStays(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, draft("ann", "secret"))
	sent := log[0]
	for _, then := range []chat.Event{
		deletion(sent, chat.DeletedByExpiry), deletion(sent, chat.DeletedBySender), edit(sent, "back"),
		reaction(sent, "bob", "+1"), redelivery(sent),
	} {
		f.clock.Advance(time.Second)
		log = append(log, f.append(thread, then)...)
		f.wantFolded(thread, log)
	}
	if m := f.message(sent.ID).Message; m.Deleted != chat.DeletedByExpiry || len(m.Ciphertext) > 0 {
		t.Errorf("the tombstone became %+v", m)
	}
}

func testReactions(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob", "cid")
	log := f.append(thread, draft("ann", "hello"), draft("ann", "another"))
	sent, other := log[0], log[1]
	custom := strings.Repeat("ü", chat.MaxEmojiBytes/2)
	for _, then := range []chat.Event{
		reaction(sent, "bob", "👍"), reaction(sent, "ann", custom), reaction(sent, "ann", "👍"), reaction(sent, "bob", "👍"),
		reaction(other, "cid", "👍"), unreaction(sent, "bob", "👍"), unreaction(sent, "cid", "👍"), unreaction(sent, "ann", custom),
		unreaction(sent, "ann", "never given"), reaction(sent, "ann", custom),
	} {
		f.clock.Advance(time.Second)
		log = append(log, f.append(thread, then)...)
	}
	f.wantFolded(thread, log)
	got := f.message(sent.ID).Message.Reactions
	if len(got) != 2 || got[0].Emoji != "👍" || got[1].Emoji != custom || len(got[0].By) != 1 || got[0].By[0].User != "ann" {
		t.Fatalf("the reactions are %+v", got)
	}
	if at := got[0].By[0].At; !at.Equal(log[4].At) {
		t.Errorf("ann reacted at %v, want %v", at, log[4].At)
	}
}

// Whatever comes and goes, a message names those who gave an emoji first, and counts the
// others; who is named no more makes room for the next.
func testManyReactions(t *testing.T, f *fixture) {
	var users []chat.UserID
	for n := range chat.MaxReactionNames + 4 {
		users = append(users, chat.UserID(fmt.Sprintf("user%03d", n)))
	}
	thread := f.group(users...)
	log := f.append(thread, draft("ann", "hello"), draft("ann", "another"))
	sent, other := log[0], log[1]
	log = append(log, f.append(thread, reaction(sent, "ann", "rare"), reaction(other, "ann", "+1"))...)
	for _, user := range users {
		log = append(log, f.append(thread, reaction(sent, user, "+1"))...)
		if n := len(log) - 4; n >= chat.MaxReactionNames-1 {
			f.wantMessages(thread, log)
		}
	}
	for _, then := range []chat.Event{
		unreaction(sent, users[0], "+1"), unreaction(sent, users[100], "+1"), unreaction(sent, users[103], "+1"), unreaction(sent, users[103], "+1"),
		reaction(sent, users[0], "+1"), unreaction(sent, users[101], "+1"), unreaction(sent, users[50], "+1"), unreaction(sent, users[51], "+1"),
		unreaction(sent, users[52], "+1"), reaction(sent, users[53], "+1"), reaction(sent, users[50], "+1"), reaction(sent, users[51], "+1"),
		reaction(sent, users[52], "+1"), unreaction(sent, users[102], "+1"), edit(sent, "edited"), unreaction(sent, "ann", "rare"),
	} {
		log = append(log, f.append(thread, then)...)
		f.wantMessages(thread, log)
		f.wantReactions(sent, log, append([]chat.UserID{"ann", "nobody"}, users[48:54]...)...)
	}
	log = append(log, f.append(thread, deletion(sent, chat.DeletedBySender), reaction(other, users[7], "+1"))...)
	f.wantFolded(thread, log)
	f.wantReactions(sent, log, users[7])
	f.wantReactions(other, log, users[7])
}

// wantMessages is the part of wantFolded that reads pages.
func (f *fixture) wantMessages(thread chat.ThreadID, appended []chat.Event) {
	f.tb.Helper()
	wantEvents(f.tb, "Messages", f.messages(thread, chat.MessageRange{Count: 1000}), messagesOf(folded(appended)))
}

// wantReactions fails the test unless the store lists exactly those who have reacted to a
// message, page by page, and what each of the users has given it.
func (f *fixture) wantReactions(m chat.Event, log []chat.Event, users ...chat.UserID) {
	f.tb.Helper()
	now := *m.Message
	for _, e := range log {
		if e.ChangesMessage() && e.Target.Seq == m.Seq {
			now = now.Apply(e)
		}
	}
	for _, r := range append([]chat.Reaction{{Emoji: "never given"}}, now.Reactions...) {
		var got []chat.ReactionBy
		for after, more := chat.Seq(0), true; more; {
			page, err := f.store.Reactors(f.tb.Context(), m, r.Emoji, after, 37)
			if err != nil {
				f.tb.Fatalf("Reactors: %v", err)
			}
			got = append(got, page...)
			if more = len(page) == 37; more {
				after = page[36].Seq
			}
		}
		if !slices.EqualFunc(got, r.By, sameGift) {
			f.tb.Fatalf("%s is by %+v, want %+v", r.Emoji, got, r.By)
		}
	}
	for _, user := range users {
		var want []chat.Reaction
		for _, r := range now.Reactions {
			if i := slices.IndexFunc(r.By, func(by chat.ReactionBy) bool { return by.User == user }); i >= 0 {
				want = append(want, chat.Reaction{Emoji: r.Emoji, By: r.By[i : i+1]})
			}
		}
		got, err := f.store.ReactionsOf(f.tb.Context(), user, []chat.Event{m})
		if err != nil || len(got) != 1 {
			f.tb.Fatalf("ReactionsOf = %+v, %v", got, err)
		}
		byEmoji := func(a, b chat.Reaction) int { return strings.Compare(a.Emoji, b.Emoji) }
		slices.SortFunc(got[0], byEmoji)
		slices.SortFunc(want, byEmoji)
		same := func(a, b chat.Reaction) bool { return a.Emoji == b.Emoji && slices.EqualFunc(a.By, b.By, sameGift) }
		if !slices.EqualFunc(got[0], want, same) {
			f.tb.Fatalf("%s has given %+v, want %+v", user, got[0], want)
		}
	}
}

func sameGift(a, b chat.ReactionBy) bool {
	return a.User == b.User && a.Seq == b.Seq && canonicalTime(a.At).Equal(canonicalTime(b.At))
}

func testRedelivery(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, hiding(draft("ann", "first"), "bob"), draft("ann", "second"))
	sent := log[0]
	f.wantFolded(thread, log)
	log = append(log, f.append(thread, redelivery(sent))...)
	f.wantFolded(thread, log)
	m := f.message(sent.ID).Message
	if m.HiddenFrom != "" || m.RedeliveredSeq != log[2].Seq {
		t.Errorf("the redelivered message is hidden from %q and redelivered at %d", m.HiddenFrom, m.RedeliveredSeq)
	}
	if again := f.log(thread)[3]; string(again.Message.Ciphertext) != "first" {
		t.Errorf("the redelivery comes as %s", describe(again))
	}
	log = append(log, f.append(thread, edit(sent, "changed"))...)
	f.wantFolded(thread, log)
	if again := f.log(thread)[3]; string(again.Message.Ciphertext) != "changed" {
		t.Errorf("after an edit the redelivery comes as %s", describe(again))
	}
}

func testMixedAppend(_ *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, drafts("ann", 4)...)
	log = append(log, f.append(thread,
		edit(log[0], "changed"), draft("bob", "between"), deletion(log[1], chat.DeletedBySender), addition("cid"),
		pin(log[0], "bob"), reaction(log[2], "cid", "+1"), redelivery(log[3]))...)
	f.wantFolded(thread, log)
	log = append(log, f.append(thread, deletion(log[0], chat.DeletedBySender), edit(log[2], "too"))...)
	f.wantFolded(thread, log)
}

func testShownBytes(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, draft("ann", "0123456789"), hiding(draft("ann", "0123456789"), "bob")) // 2 and 3
	f.append(thread, edit(sent[0], "01234567890123456789"), redelivery(sent[1]))                    // 4 and 5
	f.append(thread, reaction(sent[0], "bob", "+1"))                                                // 6
	for _, tt := range []struct {
		after chat.Seq
		bytes int
		want  []chat.Seq
	}{
		{0, 60, []chat.Seq{1, 2, 3, 4, 5, 6}},
		{0, 59, []chat.Seq{1, 2, 3, 4}},
		{0, 49, []chat.Seq{1, 2, 3}},
		{3, 30, []chat.Seq{4, 5, 6}},
		{3, 29, []chat.Seq{4}},
		{3, 1, []chat.Seq{4}},
		{4, 1, []chat.Seq{5}},
		{4, 10, []chat.Seq{5, 6}},
	} {
		if got := seqs(f.events(thread, tt.after, 6, chat.Limit{Count: 10, Bytes: tt.bytes})); !slices.Equal(got, tt.want) {
			t.Errorf("after %d, %d bytes: %v, want %v", tt.after, tt.bytes, got, tt.want)
		}
	}
	f.append(thread, deletion(sent[0], chat.DeletedBySender)) // 7
	if got := seqs(f.events(thread, 0, 7, chat.Limit{Count: 10, Bytes: 20})); len(got) != 7 {
		t.Errorf("what is deleted counts: %v", got)
	}
}

func testRefusedChange(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, drafts("ann", 3)...)
	old := f.thread(thread).Head
	log = append(log, f.append(thread, draft("bob", "faster"))...)
	n, err := f.store.Append(t.Context(), old, f.stamp(thread, old, []chat.Event{edit(log[0], "stale"), deletion(log[1], chat.DeletedBySender)}))
	if n != 0 || !errors.Is(err, chat.ErrStaleHead) {
		t.Errorf("Append = %d, %v; want ErrStaleHead", n, err)
	}
	f.wantFolded(thread, log)

	again := resend(log[0], draft("ann", ""))
	events, n, err := f.tryAppend(thread, edit(log[1], "stored"), again, edit(log[2], "not reached"))
	var dup *chat.DuplicateError
	if n != 1 || !errors.As(err, &dup) {
		t.Fatalf("Append = %d, %v; want the edit, then a duplicate", n, err)
	}
	f.wantFolded(thread, append(log, events[0]))
}

func testDuplicateIsFolded(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, draft("ann", "hello"))
	sent := log[0]
	for _, then := range []chat.Event{edit(sent, "changed"), reaction(sent, "bob", "+1"), deletion(sent, chat.DeletedBySender)} {
		log = append(log, f.append(thread, then)...)
		now := folded(log)[0]
		f.wantDuplicate("by its key", thread, resend(sent, draft("ann", "")), chat.ByIdempotencyKey, now)
		f.wantDuplicate("by its client_seq", thread, resend(draft("ann", ""), sent), chat.ByClientSeq, now)
	}

	other := f.append(thread, draft("ann", "secret"))[0]
	for _, again := range []chat.Event{resend(other, draft("ann", "")), resend(draft("ann", ""), other)} {
		events, n, err := f.tryAppend(thread, edit(other, again.Message.IdempotencyKey), again)
		var dup *chat.DuplicateError
		if n != 1 || !errors.As(err, &dup) || string(dup.Existing.Message.Ciphertext) != string(events[0].Message.Ciphertext) {
			t.Errorf("sent again behind an edit of it: %d, %v; want a duplicate of what was edited", n, err)
		}
	}
}

func testChangeIsNoMessage(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, draft("ann", "hello"))
	head := f.thread(thread).Head
	for _, then := range []chat.Event{edit(log[0], "changed"), redelivery(log[0]), reaction(log[0], "bob", "+1"), pin(log[0], "bob"), deletion(log[0], chat.DeletedBySender)} {
		f.clock.Advance(time.Second)
		e := f.append(thread, then)[0]
		if _, err := f.store.Message(t.Context(), e.ID); !errors.Is(err, chat.ErrNotFound) {
			t.Errorf("Message with the id of an event of kind %s: %v; want ErrNotFound", e.Kind, err)
		}
		if at, err := f.store.SeqAt(t.Context(), thread, e.ID); err != nil || at != e.Seq {
			t.Errorf("SeqAt(id of event %d) = %d, %v", e.Seq, at, err)
		}
		if now := f.thread(thread).Head; now.Seq != e.Seq || now.ID != e.ID || now.LastMessage != head.LastMessage || now.LastMessageSeq != head.LastMessageSeq {
			t.Errorf("after an event of kind %s the head is %+v", e.Kind, now)
		}
	}
}
