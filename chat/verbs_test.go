package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Each verb does what a use case of the same name does and ends the test if it
// is refused.

func (w *world) edit(by chat.UserID, m chat.Event, text string) chat.Event {
	w.tb.Helper()
	e, err := w.Edit(w.tb.Context(), as(by), m.ID, chat.EditRequest{Ciphertext: []byte(text)})
	must(w.tb, err)
	return e
}

func (w *world) erase(by chat.UserID, m chat.Event) {
	w.tb.Helper()
	must(w.tb, w.Delete(w.tb.Context(), as(by), m.ID))
}

func (w *world) react(by chat.UserID, m chat.Event, emoji string) chat.Event {
	w.tb.Helper()
	e, err := w.React(w.tb.Context(), as(by), m.ID, emoji)
	must(w.tb, err)
	return e
}

func (w *world) unreact(by chat.UserID, m chat.Event, emoji string) {
	w.tb.Helper()
	must(w.tb, w.Unreact(w.tb.Context(), as(by), m.ID, emoji))
}

func (w *world) pin(by chat.UserID, m chat.Event) chat.Pin {
	w.tb.Helper()
	p, added, err := w.Pin(w.tb.Context(), as(by), m.Thread, m.ID)
	must(w.tb, err)
	if !added {
		w.tb.Fatal("the message was pinned already")
	}
	return p
}

func (w *world) unpin(by chat.UserID, m chat.Event) {
	w.tb.Helper()
	must(w.tb, w.Unpin(w.tb.Context(), as(by), m.Thread, m.ID))
}

func (w *world) block(by, user chat.UserID) {
	w.tb.Helper()
	must(w.tb, w.Block(w.tb.Context(), as(by), user))
}

func (w *world) unblock(by, user chat.UserID) {
	w.tb.Helper()
	must(w.tb, w.Unblock(w.tb.Context(), as(by), user))
}

// sendFor sends a message that expires.
func (w *world) sendFor(by chat.UserID, thread chat.ThreadID, text string, ttl time.Duration) chat.Event {
	w.tb.Helper()
	req := w.request(thread, text)
	req.TTL = ttl
	res, err := w.Send(w.tb.Context(), as(by), req)
	must(w.tb, err)
	return res.Event
}

// resend sends a request again and wants the given outcome.
func (w *world) resend(by chat.UserID, req chat.SendRequest, want chat.SendOutcome) chat.Event {
	w.tb.Helper()
	res, err := w.Send(w.tb.Context(), as(by), req)
	must(w.tb, err)
	same(w.tb, "outcome of the retry", res.Outcome, want)
	return res.Event
}

func (w *world) expireDue() {
	w.tb.Helper()
	must(w.tb, w.ExpireDue(w.tb.Context()))
}

// message is a message as a user sees it.
func (w *world) message(user chat.UserID, m chat.Event) chat.Event {
	w.tb.Helper()
	e, err := w.Message(w.tb.Context(), as(user), m.ID)
	must(w.tb, err)
	return e
}

// events are a thread's events as a user is shown them.
func (w *world) events(user chat.UserID, thread chat.ThreadID) (all []chat.Event) {
	w.tb.Helper()
	for since := chat.Seq(0); ; {
		page, err := w.Events(w.tb.Context(), as(user), thread, since, chat.PageRequest{Size: 100})
		must(w.tb, err)
		all = append(all, page.Events...)
		if since = page.Next; since == 0 {
			return all
		}
	}
}

// pins are the ids of the pinned messages that a user sees.
func (w *world) pins(user chat.UserID, thread chat.ThreadID) []chat.MessageID {
	w.tb.Helper()
	pins, err := w.Pins(w.tb.Context(), as(user), thread)
	must(w.tb, err)
	ids := make([]chat.MessageID, len(pins))
	for i, p := range pins {
		ids[i] = p.Message
	}
	return ids
}

// state is where a recipient stands with a message, as its sender is told.
func (w *world) state(m chat.Event, user chat.UserID) chat.RecipientReceipt {
	w.tb.Helper()
	list, err := w.Receipts(w.tb.Context(), as(m.By), m.ID)
	must(w.tb, err)
	i := slices.IndexFunc(list, func(r chat.RecipientReceipt) bool { return r.User == user })
	if i < 0 {
		w.tb.Fatalf("%s is no recipient", user)
	}
	return list[i]
}

// tombstone checks that a message is one, for the given reason, with nothing left.
func tombstone(tb TB, what string, e chat.Event, why chat.DeleteReason) {
	tb.Helper()
	m := e.Message
	same(tb, what+": reason", m.Deleted, why)
	if len(m.Ciphertext) > 0 || m.AttachmentID != "" || m.AttachmentSHA256 != "" || len(m.Reactions) > 0 {
		tb.Fatalf("%s: the tombstone still has %+v", what, m)
	}
}

// told gives the events among notices in short: kind, seq and what they are about.
func told(notices []chat.Notice) (all []string) {
	for _, n := range notices {
		if n.Event != nil {
			all = append(all, brief(*n.Event))
		}
	}
	return all
}

// brief is an event in short.
func brief(e chat.Event) string {
	s := fmt.Sprintf("%d %s", e.Seq, e.Kind)
	if e.Kind == chat.KindThread {
		s = fmt.Sprintf("%d %s", e.Seq, e.Change.Event)
	}
	if e.Target.Seq > 0 {
		s += fmt.Sprintf(" of %d", e.Target.Seq)
	}
	return s
}

func briefs(events []chat.Event) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = brief(e)
	}
	return all
}

// failure gives the only notice heard, which must say that a message failed.
func (r *recorder) failure(tb TB) (chat.Failure, []chat.UserID) {
	tb.Helper()
	n := r.one(tb)
	if n.Failure == nil {
		tb.Fatal("the notice is no failure")
	}
	return *n.Failure, n.Audience
}

// event gives the only notice heard, which must be an event.
func (r *recorder) event(tb TB) (chat.Event, []chat.UserID) {
	tb.Helper()
	n := r.one(tb)
	if n.Event == nil {
		tb.Fatal("the notice is no event")
	}
	return *n.Event, n.Audience
}

// two gives the only two events heard.
func (r *recorder) two(tb TB) (first, second chat.Event) {
	tb.Helper()
	heard := r.drain()
	if len(heard) != 2 || heard[0].Event == nil || heard[1].Event == nil {
		tb.Fatalf("%d notices were published, want two of events", len(heard))
	}
	return *heard[0].Event, *heard[1].Event
}

// reactions are a message's reactions in short: "👍 alice bob, 🎉 carol".
func reactions(e chat.Event) string {
	all := make([]string, len(e.Message.Reactions))
	for i, r := range e.Message.Reactions {
		all[i] = r.Emoji
		for _, by := range r.By {
			all[i] += " " + string(by.User)
		}
	}
	return strings.Join(all, ", ")
}

// system is a service that may post system messages.
func system(name chat.UserID) chat.Caller { return with(name, chat.ScopeSystem) }

func (w *world) sendSystem(thread chat.ThreadID, text string) chat.Event {
	w.tb.Helper()
	req := w.request(thread, text)
	req.ContentType = chat.System
	res, err := w.Send(w.tb.Context(), system("shop"), req)
	must(w.tb, err)
	return res.Event
}
