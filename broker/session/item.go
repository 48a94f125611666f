package session

import (
	"cmp"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// item is a log event as sessions need it: encoded, with what decides who gets
// it. Items are shared and never written again: what an item shows may be out of
// date later, see [tails.rewritten].
type item struct {
	seq     chat.Seq
	about   chat.Seq // of the message it is about; its own if it is about none
	id      chat.EventID
	by      chat.UserID
	device  chat.DeviceID
	hidden  chat.UserID    // who is not told of it; "" is nobody
	removes chat.UserID    // who is out of the thread from here on
	shows   chat.MessageID // the message whose content it shows; zero: none
	message bool           // it is that message, or brings it again
	counts  bool           // whoever acknowledges it has received that message
	frame   contracts.Frame

	// From expires on, expired is sent in the place of frame
	// (docs/contract.md#disappearing-messages); a zero expires is never.
	expires time.Time
	expired contracts.Frame
}

func newItem(e chat.Event) *item {
	it := &item{
		seq: e.Seq, about: cmp.Or(e.Target.Seq, e.Seq), id: e.ID, by: e.By, device: e.Device, hidden: hiddenFrom(e),
		frame: contracts.EventFrame(e),
	}
	switch e.Kind {
	case chat.KindMessage:
		it.shows, it.message = e.ID, true
		// What was redelivered is received with its redelivery
		// (docs/contract.md#sending).
		it.counts = e.Message.RedeliveredSeq == 0
	case chat.KindRedelivery:
		it.shows, it.message, it.counts = e.Target.ID, true, true
	case chat.KindEdit:
		it.shows = e.Target.ID
	case chat.KindThread:
		if e.Change.Event == chat.ParticipantRemoved {
			it.removes = e.Change.User
		}
	case chat.KindDelete, chat.KindReaction: // they show nothing of their target
	}
	if m := e.Message; it.showsContent() && m.Deleted == "" && !m.ExpiresAt.IsZero() {
		it.expires = m.ExpiresAt
		it.expired = contracts.EventFrame(e.AsOf(m.ExpiresAt))
	}
	return it
}

// hiddenFrom is who is not told of an event, as [chat.Event.VisibleTo] says.
func hiddenFrom(e chat.Event) chat.UserID {
	if e.HiddenFrom == "" && e.Kind == chat.KindMessage {
		return e.Message.HiddenFrom
	}
	return e.HiddenFrom
}

// itemOverhead is about what an item costs besides its frames.
const itemOverhead = 256

func (it *item) size() int { return len(it.frame) + len(it.expired) + itemOverhead }

func (it *item) showsContent() bool { return !it.shows.IsZero() }

func (it *item) hiddenFrom(user chat.UserID) bool { return it.hidden != "" && it.hidden == user }

// frameNow is the frame to send at this moment. Only what may expire looks at the
// clock.
func (it *item) frameNow(now func() time.Time) contracts.Frame {
	if it.expires.IsZero() || it.expires.After(now()) {
		return it.frame
	}
	return it.expired
}

// rewrites reports whether an event changes what frames of earlier events show,
// or who gets them. Reactions are part of none.
func rewrites(e chat.Event) bool {
	return e.ChangesMessage() && e.Kind != chat.KindReaction
}
