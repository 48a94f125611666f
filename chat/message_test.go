package chat

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// about makes an event about a message, n seconds after it.
func about(n int, kind EventKind, by UserID, change func(*Event)) Event {
	e := Event{Kind: kind, By: by, Seq: Seq(n + 2), Target: Target{Seq: 2}, ID: EventIDAt(instant(n)), At: instant(n)}
	change(&e)
	return e
}

func anEvent(rt *rapid.T, n int) Event {
	kind := rapid.SampledFrom([]EventKind{KindReaction, KindReaction, KindReaction, KindEdit, KindRedelivery, KindDelete, KindMessage, KindThread}).Draw(rt, "kind")
	return about(n, kind, rapid.SampledFrom([]UserID{"alice", "bob", "carol"}).Draw(rt, "by"), func(e *Event) {
		switch kind {
		case KindEdit:
			e.Message = &Message{Ciphertext: []byte{byte(n)}, ContentType: Text}
		case KindDelete:
			e.Reason = rapid.SampledFrom([]DeleteReason{DeletedBySender, DeletedByExpiry}).Draw(rt, "reason")
		case KindReaction:
			e.Reaction = &ReactionChange{rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "emoji"), rapid.Bool().Draw(rt, "removed")}
		default:
		}
	})
}

func deepCopy(m Message) Message {
	m.Ciphertext, m.Reactions = bytes.Clone(m.Ciphertext), slices.Clone(m.Reactions)
	for i := range m.Reactions {
		m.Reactions[i].By = slices.Clone(m.Reactions[i].By)
	}
	return m
}

// Messages are shared between goroutines: a change makes a new one and leaves the
// old one, and every other made of it, as they were.
func TestApplyWritesIntoNoSharedMessage(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		first := Message{Ciphertext: []byte("sent"), AttachmentID: "a", HiddenFrom: "bob"}
		messages, copies := []Message{first}, []Message{deepCopy(first)}
		for n := range rapid.IntRange(1, 20).Draw(rt, "steps") {
			from := rapid.IntRange(0, len(messages)-1).Draw(rt, "from")
			next := messages[from].Apply(anEvent(rt, n+1))
			messages, copies = append(messages, next), append(copies, deepCopy(next))
		}
		for i := range messages {
			if !reflect.DeepEqual(messages[i], copies[i]) {
				rt.Fatalf("message %d was written into: %+v, was %+v", i, messages[i], copies[i])
			}
		}
	})
}

func TestWhatEventsDoToAMessage(t *testing.T) {
	sent := Message{
		Ciphertext: []byte("sent"), ContentType: ImageRef, AttachmentID: "a", AttachmentSHA256: "b", ClientSeq: 7, HiddenFrom: "bob",
		IdempotencyKey: "k", ExpiresAt: instant(1000),
	}
	roll := func(m Message, events ...Event) Message {
		for _, e := range events {
			m = m.Apply(e)
		}
		return m
	}
	edit := func(n int) Event {
		return about(n, KindEdit, "alice", func(e *Event) { e.Message = &Message{Ciphertext: []byte("edited"), ContentType: Text} })
	}
	erase := func(n int, why DeleteReason) Event {
		return about(n, KindDelete, "", func(e *Event) { e.Reason = why })
	}
	react := func(n int, by UserID, emoji string) Event {
		return about(n, KindReaction, by, func(e *Event) { e.Reaction = &ReactionChange{Emoji: emoji} })
	}
	redeliver := about(5, KindRedelivery, "alice", func(*Event) {})

	edited := sent
	edited.Ciphertext, edited.ContentType, edited.EditedAt = []byte("edited"), Text, instant(3)
	redelivered := sent
	redelivered.HiddenFrom, redelivered.RedeliveredSeq = "", 7
	gone := Message{ContentType: ImageRef, ClientSeq: 7, HiddenFrom: "bob", IdempotencyKey: "k", ExpiresAt: instant(1000), Deleted: DeletedBySender}
	reacted := sent
	reacted.Reactions = []Reaction{
		{Emoji: "a", By: []ReactionBy{{"bob", instant(1), 3}, {"carol", instant(3), 5}}}, {Emoji: "b", By: []ReactionBy{{"bob", instant(2), 4}}},
	}
	for name, c := range map[string]struct{ got, want Message }{
		"edited":                 {roll(sent, edit(3)), edited},
		"edited again":           {roll(sent, edit(1), edit(3)), edited},
		"redelivered":            {roll(sent, redeliver), redelivered},
		"deleted":                {roll(sent, react(1, "bob", "a"), erase(2, DeletedBySender)), gone},
		"deleted once":           {roll(sent, erase(1, DeletedBySender), erase(2, DeletedByExpiry)), gone},
		"nothing after deletion": {roll(sent, erase(1, DeletedBySender), edit(2), react(3, "bob", "a")), gone},
		"reactions":              {roll(sent, react(1, "bob", "a"), react(2, "bob", "b"), react(3, "carol", "a"), react(4, "bob", "a")), reacted},
		"no event about it":      {roll(sent, Event{Kind: KindMessage, Message: &sent}, Event{Kind: KindThread, Change: &ThreadChange{Event: Pinned}}), sent},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
}

func TestAsOf(t *testing.T) {
	m := &Message{Ciphertext: []byte("sent"), ExpiresAt: instant(50), Reactions: []Reaction{{Emoji: "a"}}}
	for _, kind := range []EventKind{KindMessage, KindEdit, KindRedelivery} {
		e := Event{Kind: kind, Message: m}
		if got := e.AsOf(instant(50).Add(-time.Millisecond)); got.Message != m {
			t.Errorf("%s: before its time it is %+v", kind, got.Message)
		}
		gone := e.AsOf(instant(50)).Message
		if gone.Deleted != DeletedByExpiry || len(gone.Ciphertext) > 0 || gone.Reactions != nil || string(m.Ciphertext) != "sent" {
			t.Errorf("%s: at its time it is %+v, and what it was made of %+v", kind, gone, m)
		}
	}
	erased := m.erased(DeletedBySender)
	if got := (Event{Kind: KindMessage, Message: &erased}).AsOf(instant(60)).Message.Deleted; got != DeletedBySender {
		t.Errorf("what was deleted before its time is shown as %s", got)
	}
	if got := (Event{Kind: KindDelete}).AsOf(instant(60)); got.Message != nil {
		t.Errorf("a deletion got a message: %+v", got.Message)
	}
}

func TestVisibleToWhoJoinedInTime(t *testing.T) {
	for _, c := range []struct {
		event, target, joined Seq
		want                  bool
	}{
		{5, 0, 5, true}, {4, 0, 5, false}, {6, 5, 5, true}, {6, 4, 5, false}, {4, 4, 5, false}, {9, 0, 5, true},
	} {
		if got := (Event{Seq: c.event, Target: Target{Seq: c.target}}).VisibleTo("bob", c.joined); got != c.want {
			t.Errorf("event %d about %d is told to who joined with %d: %v", c.event, c.target, c.joined, got)
		}
	}
}
