package storetest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// mint makes an id above prev, of the given time or, if that is later, of prev's.
func mint(prev chat.EventID, now time.Time) chat.EventID {
	id := chat.EventIDAt(now)
	_, _ = rand.Read(id[6:]) // never fails
	if id.Compare(prev) > 0 {
		return id
	}
	id = prev
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

func newThreadID() (id chat.ThreadID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// creation is the first event of a new thread; the first user makes it.
func (f *fixture) creation(kind chat.ThreadType, users ...chat.UserID) chat.Event {
	change := &chat.ThreadChange{Event: chat.ThreadCreated, Type: kind}
	for i, u := range users {
		role := chat.Member
		if i == 0 && kind == chat.Group {
			role = chat.Admin
		}
		change.Members = append(change.Members, chat.InitialMember{User: u, Role: role})
	}
	if kind == chat.Group {
		change.Title = "the group"
	}
	return chat.Event{
		Thread: newThreadID(), Seq: 1, ID: mint(chat.EventID{}, f.clock.Now()), At: f.clock.Now().UTC(),
		Kind: chat.KindThread, By: users[0], Device: "phone", Change: change,
	}
}

// draft is a message without thread, seq and id, which stamp gives it. No two drafts
// share a client_seq or a key.
func draft(by chat.UserID, text string) chat.Event {
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails
	n := int64(0)
	for _, b := range unique[:7] {
		n = n<<8 | int64(b)
	}
	return chat.Event{Kind: chat.KindMessage, By: by, Device: "phone", Message: &chat.Message{
		Ciphertext: []byte(text), ContentType: chat.Text, ClientSeq: n,
		IdempotencyKey: fmt.Sprintf("key-%x", unique), BodyHash: [32]byte{1, 2, 3},
	}}
}

// drafts makes n drafts of one sender.
func drafts(by chat.UserID, n int) []chat.Event {
	events := make([]chat.Event, n)
	for i := range events {
		events[i] = draft(by, fmt.Sprintf("message %d", i+1))
	}
	return events
}

func change(by chat.UserID, c chat.ThreadChange) chat.Event {
	return chat.Event{Kind: chat.KindThread, By: by, Device: "phone", Change: &c}
}

func addition(user chat.UserID) chat.Event {
	return change("ann", chat.ThreadChange{Event: chat.ParticipantAdded, User: user, Role: chat.Member})
}

func removal(by, user chat.UserID) chat.Event {
	return change(by, chat.ThreadChange{Event: chat.ParticipantRemoved, User: user})
}

// of makes a draft one of another content type.
func of(kind chat.ContentType, d chat.Event) chat.Event {
	d.Message.ContentType = kind
	return d
}

// hiding hides a draft from a user.
func hiding(d chat.Event, from chat.UserID) chat.Event {
	d.Message.HiddenFrom = from
	return d
}

// expiring has a draft expire at the given time.
func expiring(d chat.Event, at time.Time) chat.Event {
	d.Message.ExpiresAt = at
	return d
}

// about drafts an event about a message. What is hidden from a user stays so.
func about(message chat.Event, kind chat.EventKind, by chat.UserID) chat.Event {
	return chat.Event{
		Kind: kind, By: by, Device: "phone", HiddenFrom: message.Message.HiddenFrom,
		Target: chat.Target{ID: message.ID, Seq: message.Seq},
	}
}

func edit(message chat.Event, text string) chat.Event {
	e := about(message, chat.KindEdit, message.By)
	e.Message = &chat.Message{Ciphertext: []byte(text), ContentType: chat.Text}
	return e
}

func deletion(message chat.Event, why chat.DeleteReason) chat.Event {
	e := about(message, chat.KindDelete, message.By)
	if e.Reason = why; why == chat.DeletedByExpiry {
		e.By, e.Device = "", ""
	}
	return e
}

func reaction(message chat.Event, by chat.UserID, emoji string) chat.Event {
	e := about(message, chat.KindReaction, by)
	e.Reaction = &chat.ReactionChange{Emoji: emoji}
	return e
}

func unreaction(message chat.Event, by chat.UserID, emoji string) chat.Event {
	e := reaction(message, by, emoji)
	e.Reaction.Removed = true
	return e
}

func redelivery(message chat.Event) chat.Event {
	e := about(message, chat.KindRedelivery, message.By)
	e.HiddenFrom, e.Message = "", message.Message
	return e
}

func pin(message chat.Event, by chat.UserID) chat.Event {
	e := about(message, chat.KindThread, by)
	e.Change = &chat.ThreadChange{Event: chat.Pinned}
	return e
}

func unpin(message chat.Event, by chat.UserID) chat.Event {
	e := pin(message, by)
	e.Change.Event = chat.Unpinned
	return e
}

// stamp gives drafts the thread, and the seqs and ids that follow a head.
func (f *fixture) stamp(thread chat.ThreadID, head chat.Head, drafts []chat.Event) []chat.Event {
	events := slices.Clone(drafts)
	last := head.ID
	for i := range events {
		last = mint(last, f.clock.Now())
		e := &events[i]
		e.Thread, e.Seq, e.ID, e.At = thread, head.Seq+1+chat.Seq(i), last, f.clock.Now().UTC()
		if e.Kind == chat.KindMessage {
			m := *e.Message
			m.CreatedAt = e.At
			e.Message = &m
		}
	}
	return events
}
