package pebble

import (
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var testTime = time.Date(2026, 5, 30, 17, 42, 11, 0, time.UTC)

// numberedID is an event id whose order is that of n.
func numberedID(n chat.Seq) (id chat.EventID) {
	id = chat.EventIDAt(testTime)
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}

func creationOf(kind chat.ThreadType, thread byte, users ...chat.UserID) chat.Event {
	c := &chat.ThreadChange{Event: chat.ThreadCreated, Type: kind}
	for _, u := range users {
		c.Members = append(c.Members, chat.InitialMember{User: u, Role: chat.Member})
	}
	return chat.Event{Thread: chat.ThreadID{15: thread}, Seq: 1, ID: numberedID(1), At: testTime, Kind: chat.KindThread, By: users[0], Device: "d", Change: c}
}

func messageOf(thread byte, seq chat.Seq, key string) chat.Event {
	id := numberedID(seq)
	id[13] = thread
	return chat.Event{
		Thread: chat.ThreadID{15: thread}, Seq: seq, ID: id, At: testTime, Kind: chat.KindMessage, By: "ann", Device: "d",
		Message: &chat.Message{CreatedAt: testTime, Ciphertext: []byte("sealed"), ContentType: chat.Text, ClientSeq: int64(seq), IdempotencyKey: key},
	}
}

// aboutOf is an event about a message, by its sender.
func aboutOf(message chat.Event, seq chat.Seq, kind chat.EventKind) chat.Event {
	id := numberedID(seq)
	id[13] = message.Thread[15]
	e := chat.Event{
		Thread: message.Thread, Seq: seq, ID: id, At: testTime, Kind: kind, By: message.By, Device: "d",
		Target: chat.Target{ID: message.ID, Seq: message.Seq}, HiddenFrom: message.Message.HiddenFrom,
	}
	if kind == chat.KindRedelivery {
		e.Message = message.Message
	}
	return e
}

func editOf(message chat.Event, seq chat.Seq, text string) chat.Event {
	e := aboutOf(message, seq, chat.KindEdit)
	e.Message = &chat.Message{Ciphertext: []byte(text), ContentType: chat.Text}
	return e
}

func deletionOf(message chat.Event, seq chat.Seq) chat.Event {
	e := aboutOf(message, seq, chat.KindDelete)
	e.Reason = chat.DeletedBySender
	return e
}

func reactionOf(message chat.Event, seq chat.Seq, emoji string) chat.Event {
	e := aboutOf(message, seq, chat.KindReaction)
	e.Reaction = &chat.ReactionChange{Emoji: emoji}
	return e
}

func pinOf(message chat.Event, seq chat.Seq) chat.Event {
	e := aboutOf(message, seq, chat.KindThread)
	e.Change = &chat.ThreadChange{Event: chat.Pinned}
	return e
}

func create(t *testing.T, s *Store, e chat.Event) {
	t.Helper()
	if err := s.CreateThread(t.Context(), e); err != nil {
		t.Fatalf("CreateThread: %v", err)
	}
}

func mustAppend(t *testing.T, s *Store, events ...chat.Event) {
	t.Helper()
	head := chat.Head{Seq: events[0].Seq - 1}
	if n, err := s.Append(t.Context(), head, events); n != len(events) || err != nil {
		t.Fatalf("Append = %d, %v", n, err)
	}
}
