package storetest

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var logScenarios = []scenario{
	{"every field of an event comes back", testEventFields},
	{"events are bounded on both sides, by count and by bytes", testEventsLimits},
	{"messages are found in both directions between both bounds", testMessages},
	{"a list of messages is bounded by bytes", testMessagesWithinBytes},
	{"a list of messages of one content type has those that are of it now", testMessagesOfType},
	{"a message is found by its id in any thread", testMessageByID},
	{"SeqAt finds the first event at or after an id", testSeqAt},
	{"unread are the messages of others after a seq", testCountUnread},
	{"an append to an outdated head is refused whole", testStaleHead},
	{"an append that does not follow its head is refused", testNotARun},
	{"changing events handed in or out changes nothing stored", testEventsAreCallers},
	{"an ended context writes nothing", testEndedContext},
}

func testEventFields(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	full := draft("ann", strings.Repeat("\x00\xff sealed", 9000))
	full.Device = "Tablet_2.0"
	full.Message.ContentType, full.Message.AttachmentID = chat.ImageRef, "blob/ä 1"
	full.Message.AttachmentSHA256 = strings.Repeat("0f", 32)
	full.Message.ReplyTo = mint(chat.EventID{}, f.clock.Now())
	full.Message.ExpiresAt = f.clock.Now().Add(time.Hour)
	full.Message.ClientSeq = math.MaxInt64
	bare := chat.Event{Kind: chat.KindMessage, By: "bob", Device: "d", Message: &chat.Message{ContentType: chat.System}}
	want := f.append(thread, full, bare, addition("cid"),
		change("ann", chat.ThreadChange{Event: chat.TitleChanged, Title: "Käsekränzchen"}),
		change("ann", chat.ThreadChange{Event: chat.RoleChanged, User: "bob", Role: chat.Admin}), removal("ann", "cid"))
	wantEvents(t, "Events", f.log(thread)[1:], want)
	for _, e := range want[:2] {
		got, err := f.store.Message(t.Context(), e.ID)
		if err != nil || !sameEvent(got, e) {
			t.Errorf("Message(%s) = %+v, %v; want %+v", e.ID, got, err, e)
		}
	}
}

func testEventsLimits(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	f.append(thread, draft("ann", "0123456789"), draft("ann", "0123456789"), addition("cid"), draft("ann", "0123456789"))
	other := f.group("ann", "bob")
	f.append(other, drafts("ann", 3)...)

	const much = 1 << 20
	tests := []struct {
		name           string
		after, through chat.Seq
		limit          chat.Limit
		want           []chat.Seq
	}{
		{"all", 0, 5, chat.Limit{Count: 10, Bytes: much}, []chat.Seq{1, 2, 3, 4, 5}},
		{"through is included, after is not", 2, 4, chat.Limit{Count: 10, Bytes: much}, []chat.Seq{3, 4}},
		{"through beyond the end", 4, math.MaxUint64, chat.Limit{Count: 10, Bytes: much}, []chat.Seq{5}},
		{"after the end", 5, math.MaxUint64, chat.Limit{Count: 10, Bytes: much}, nil},
		{"after as high as can be", math.MaxUint64, math.MaxUint64, chat.Limit{Count: 10, Bytes: much}, nil},
		{"an empty range", 3, 3, chat.Limit{Count: 10, Bytes: much}, nil},
		{"a range the wrong way round", 4, 2, chat.Limit{Count: 10, Bytes: much}, nil},
		{"by count, the oldest first", 0, 5, chat.Limit{Count: 2, Bytes: much}, []chat.Seq{1, 2}},
		{"a count of zero", 0, 5, chat.Limit{Bytes: much}, nil},
		{"by bytes, exactly", 0, 5, chat.Limit{Count: 10, Bytes: 20}, []chat.Seq{1, 2, 3, 4}},
		{"by bytes, one short", 0, 5, chat.Limit{Count: 10, Bytes: 19}, []chat.Seq{1, 2}},
		{"the first comes whatever its size", 1, 5, chat.Limit{Count: 10, Bytes: 1}, []chat.Seq{2}},
	}
	for _, tt := range tests {
		if got := seqs(f.events(thread, tt.after, tt.through, tt.limit)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func testMessages(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, draft("ann", "2"), addition("cid"), draft("cid", "4"), draft("ann", "5"), removal("ann", "cid"), draft("bob", "7"))
	tests := []struct {
		name          string
		after, before chat.Seq
		newestFirst   bool
		count         int
		want          []chat.Seq
	}{
		{"all, oldest first", 0, 0, false, 10, []chat.Seq{2, 4, 5, 7}},
		{"all, newest first", 0, 0, true, 10, []chat.Seq{7, 5, 4, 2}},
		{"neither bound is included", 2, 7, false, 10, []chat.Seq{4, 5}},
		{"neither bound is included, newest first", 2, 7, true, 10, []chat.Seq{5, 4}},
		{"the oldest few", 0, 0, false, 2, []chat.Seq{2, 4}},
		{"the newest few", 0, 0, true, 2, []chat.Seq{7, 5}},
		{"before beyond the end", 4, 100, true, 10, []chat.Seq{7, 5}},
		{"nothing between", 4, 5, false, 10, nil},
		{"nothing after the end", 7, 0, false, 10, nil},
		{"bounds the wrong way round", 5, 2, true, 10, nil},
		{"none asked for", 0, 0, true, 0, nil},
	}
	for _, tt := range tests {
		got := f.messages(thread, chat.MessageRange{After: tt.after, Before: tt.before, NewestFirst: tt.newestFirst, Count: tt.count})
		if !slices.Equal(seqs(got), tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, seqs(got), tt.want)
		}
		for _, e := range got {
			if !sameEvent(e, log[e.Seq-2]) {
				t.Errorf("%s: event %d differs from what was appended", tt.name, e.Seq)
			}
		}
	}
}

// The message that exceeds the bytes ends the list, but for the first one.
func testMessagesWithinBytes(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	var sent []chat.Event
	for _, size := range []int{10, 30, 30, 200, 5, 5, 1, 1, 1} {
		sent = append(sent, f.append(thread, draft("ann", strings.Repeat("x", size)))...)
	}
	// Message 8 has reactions of three names, 9 one that was taken back.
	f.append(thread, reaction(sent[6], "bob", "+1"), reaction(sent[7], "bob", "+1"))
	f.append(thread, reaction(sent[6], "ann", "+1"), unreaction(sent[7], "bob", "+1"))
	f.append(thread, reaction(sent[6], "ann", "-1"))
	const names = 3 * chat.ReactionNameBytes
	for _, tt := range []struct {
		name        string
		after       chat.Seq
		newestFirst bool
		count       int
		bytes       int
		want        []chat.Seq
	}{
		{"no bound", 0, false, 10, 0, []chat.Seq{2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"names in reactions count", 7, false, 10, names + 2, []chat.Seq{8, 9, 10}},
		{"so much with the names, and the next", 6, false, 10, 5 + 1 + names, []chat.Seq{7, 8, 9}},
		{"one byte less with the names", 6, false, 10, 5 + names, []chat.Seq{7, 8}},
		{"the first has the names", 7, false, 10, names, []chat.Seq{8, 9}},
		{"exactly so much, and the next", 0, false, 10, 70, []chat.Seq{2, 3, 4, 5}},
		{"one byte less", 0, false, 10, 69, []chat.Seq{2, 3, 4}},
		{"the first one exceeds it", 4, false, 10, 100, []chat.Seq{5, 6}},
		{"newest first", 0, true, 10, 1 + names, []chat.Seq{10, 9, 8}},
		{"the count comes first", 0, true, 2, 20, []chat.Seq{10, 9}},
	} {
		got := f.messages(thread, chat.MessageRange{After: tt.after, NewestFirst: tt.newestFirst, Count: tt.count, Bytes: tt.bytes})
		if !slices.Equal(seqs(got), tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, seqs(got), tt.want)
		}
	}
}

func testMessagesOfType(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	log := f.append(thread, draft("ann", "2"), of(chat.ImageRef, draft("bob", "3")), hiding(of(chat.ImageRef, draft("ann", "4")), "bob"),
		draft("ann", "5"), expiring(of(chat.ImageRef, draft("ann", "6")), f.clock.Now().Add(time.Hour)))
	check := func(when string, r chat.MessageRange, want ...chat.Seq) {
		t.Helper()
		got := f.messages(thread, r)
		if !slices.Equal(seqs(got), want) {
			t.Errorf("%s: %v, want %v", when, seqs(got), want)
		}
		for _, e := range got {
			if e.Message.ContentType != r.ContentType {
				t.Errorf("%s: message %d is %s", when, e.Seq, e.Message.ContentType)
			}
		}
	}
	check("texts", chat.MessageRange{ContentType: chat.Text, Count: 10}, 2, 5)
	check("images, newest first", chat.MessageRange{ContentType: chat.ImageRef, NewestFirst: true, Count: 10}, 6, 4, 3)
	check("one that bob sees", chat.MessageRange{ContentType: chat.ImageRef, Viewer: "bob", After: 3, Count: 1}, 6)
	check("between bounds", chat.MessageRange{ContentType: chat.ImageRef, After: 3, Before: 6, Count: 10}, 4)
	check("videos", chat.MessageRange{ContentType: chat.VideoRef, Count: 10})

	asText := edit(log[1], "now a text")
	f.append(thread, asText, deletion(log[4], chat.DeletedBySender))
	check("texts, with the one edited to be one", chat.MessageRange{ContentType: chat.Text, Count: 10}, 2, 3, 5)
	check("images, with the tombstone", chat.MessageRange{ContentType: chat.ImageRef, Count: 10}, 4, 6)
}

func testMessageByID(t *testing.T, f *fixture) {
	one, two := f.group("ann", "bob"), f.group("ann", "bob")
	sent := append(f.append(one, drafts("ann", 3)...), f.append(two, drafts("bob", 3)...)...)
	for _, want := range sent {
		if got, err := f.store.Message(t.Context(), want.ID); err != nil || !sameEvent(got, want) {
			t.Errorf("Message(%s) = %+v, %v; want %+v", want.ID, got, err, want)
		}
	}
}

func testSeqAt(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	var log []chat.Event
	for range 4 {
		f.clock.Advance(time.Minute)
		log = append(log, f.append(thread, drafts("ann", 2)...)...)
	}
	f.append(f.group("ann", "bob"), drafts("ann", 2)...) // newer, elsewhere
	tests := []struct {
		name string
		id   chat.EventID
		want chat.Seq
	}{
		{"before everything", chat.EventID{}, 1},
		{"the id of an event", log[3].ID, log[3].Seq},
		{"just above an event", mint(log[3].ID, log[3].At), log[3].Seq + 1},
		{"a time between", chat.EventIDAt(log[2].At.Add(-time.Second)), log[2].Seq},
		{"after everything", chat.EventIDAt(f.clock.Now().Add(time.Hour)), 10},
	}
	for _, tt := range tests {
		if got, err := f.store.SeqAt(t.Context(), thread, tt.id); err != nil || got != tt.want {
			t.Errorf("%s: %d, %v; want %d", tt.name, got, err, tt.want)
		}
	}
}

func testCountUnread(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	f.append(thread, draft("ann", "2"), draft("bob", "3"), addition("cid"), draft("cid", "5"), draft("ann", "6"), draft("ann", "7"))
	tests := []struct {
		user  chat.UserID
		after chat.Seq
		max   int
		want  int
	}{
		{"ann", 0, 100, 2},
		{"bob", 0, 100, 4},
		{"cid", 4, 100, 2},
		{"bob", 2, 100, 3},
		{"bob", 6, 100, 1},
		{"bob", 7, 100, 0},
		{"bob", 100, 100, 0},
		{"bob", 0, 3, 3},
		{"bob", 0, 4, 4},
		{"bob", 0, 0, 0},
		{"eve", 0, 100, 5},
	}
	for _, tt := range tests {
		if got, err := countUnread(t.Context(), f.store, thread, tt.user, tt.after, f.clock.Now(), tt.max); err != nil || got != tt.want {
			t.Errorf("%s after %d up to %d: %d, %v; want %d", tt.user, tt.after, tt.max, got, err, tt.want)
		}
	}
}

func testStaleHead(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	old := f.thread(thread).Head
	want := f.append(thread, drafts("ann", 2)...)
	n, err := f.store.Append(t.Context(), old, f.stamp(thread, old, drafts("bob", 3)))
	if n != 0 || !errors.Is(err, chat.ErrStaleHead) {
		t.Errorf("Append = %d, %v; want 0, ErrStaleHead", n, err)
	}
	wantEvents(t, "the log", f.log(thread)[1:], want)
	if n, err := f.store.Append(t.Context(), old, nil); n != 0 || err != nil {
		t.Errorf("Append of nothing = %d, %v; want 0, nil", n, err)
	}
}

func testNotARun(t *testing.T, f *fixture) {
	thread, other := f.group("ann", "bob"), f.group("ann", "bob")
	head := f.thread(thread).Head
	ahead := chat.Head{Seq: head.Seq + 5, ID: mint(head.ID, f.clock.Now())}
	gap := f.stamp(thread, head, drafts("ann", 2))
	gap[1].Seq++
	mixed := f.stamp(thread, head, drafts("ann", 2))
	mixed[1].Thread = other
	for name, run := range map[string]struct {
		head   chat.Head
		events []chat.Event
	}{
		"past the end of the log": {ahead, f.stamp(thread, ahead, drafts("ann", 1))},
		"with a gap":              {head, gap},
		"for two threads":         {head, mixed},
	} {
		if n, err := f.store.Append(t.Context(), run.head, run.events); n > 1 || err == nil {
			t.Errorf("Append %s = %d, %v; want an error", name, n, err)
		}
	}
	for i, e := range f.log(thread) {
		if e.Seq != chat.Seq(i+1) {
			t.Fatalf("the log has a gap: %v", seqs(f.log(thread)))
		}
	}
}

func testEventsAreCallers(t *testing.T, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, draft("ann", "as it was"))
	id := sent[0].ID
	read := map[string]func() chat.Event{
		"appended": func() chat.Event { return sent[0] },
		"Events":   func() chat.Event { return f.log(thread)[1] },
		"Message": func() chat.Event {
			e, err := f.store.Message(t.Context(), id)
			if err != nil {
				t.Fatalf("Message: %v", err)
			}
			return e
		},
		"Messages": func() chat.Event {
			m := f.messages(thread, chat.MessageRange{NewestFirst: true, Count: 1})
			if len(m) != 1 {
				t.Fatalf("%d messages, want 1", len(m))
			}
			return m[0]
		},
	}
	for name, get := range read {
		m := get().Message
		copy(m.Ciphertext, "XXXXXXXXX")
		m.IdempotencyKey, m.ClientSeq = "another", -1
		if now := f.log(thread)[1].Message; string(now.Ciphertext) != "as it was" || now.ClientSeq == -1 {
			t.Errorf("writing into what %s gave changed the store: %+v", name, now)
		}
	}
}
