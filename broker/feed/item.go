package feed

import (
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Item is a log event as feeds give it: encoded, with what decides who gets it.
// Items are shared and never written again. What an item shows may be out of date
// later: see [TailCache.Outdate].
type Item struct {
	Seq     chat.Seq
	ID      chat.EventID
	By      chat.UserID
	Removes chat.UserID    // the user who is out of the thread from here on; "" is nobody
	Shows   chat.MessageID // the message whose content it shows; zero: none
	Counts  bool           // a reader who acknowledges it has received that message
	At      time.Time      // when it was made

	device     chat.DeviceID
	visibility chat.Visibility
	isMessage  bool // it is the message of Shows, or brings it again
	frame      contracts.Frame

	// From expires on, expired is sent in the place of frame
	// (docs/contract.md#disappearing-messages); a zero expires is never.
	expires time.Time
	expired contracts.Frame
	veiled  []veiled
}

// veiled is what one user is sent in the place of frame ([chat.Veil]).
type veiled struct {
	user  chat.UserID
	frame contracts.Frame
}

func newItem(e chat.Event) *Item {
	it := &Item{
		Seq: e.Seq, ID: e.ID, By: e.By, At: e.At, device: e.Device, visibility: e.Visibility(), frame: contracts.EventFrame(e),
	}
	switch e.Kind {
	case chat.KindMessage:
		it.Shows, it.isMessage = e.ID, true
		// What was redelivered is received with its redelivery
		// (docs/contract.md#sending).
		it.Counts = e.Message.RedeliveredSeq == 0
	case chat.KindRedelivery:
		it.Shows, it.isMessage, it.Counts = e.Target.ID, true, true
	case chat.KindEdit:
		it.Shows = e.Target.ID
	case chat.KindThread:
		if e.Change.Event == chat.ParticipantRemoved {
			it.Removes = e.Change.User
		}
	case chat.KindDelete, chat.KindReaction: // they show nothing of their target
	}
	if m := e.Message; !it.Shows.IsZero() && m.Deleted == "" && !m.ExpiresAt.IsZero() {
		it.expires = m.ExpiresAt
		it.expired = contracts.EventFrame(e.AsOf(m.ExpiresAt))
	}
	if m := e.Message; !it.Shows.IsZero() {
		for _, v := range m.Veils {
			if v.Content != nil {
				it.veiled = append(it.veiled, veiled{v.User, contracts.EventFrame(e.SeenBy(v.User))})
			}
		}
	}
	return it
}

// itemOverhead is about what an item costs besides its frames.
const itemOverhead = 256

func (it *Item) size() int {
	n := len(it.frame) + len(it.expired) + itemOverhead
	for _, v := range it.veiled {
		n += len(v.frame)
	}
	return n
}

// Frame is the frame to send to a user at this moment. Only an item that may expire asks for
// the time.
func (it *Item) Frame(user chat.UserID, now func() time.Time) contracts.Frame {
	if !it.expires.IsZero() && !it.expires.After(now()) {
		return it.expired
	}
	for _, v := range it.veiled {
		if v.user == user {
			return v.frame
		}
	}
	return it.frame
}

// rewrites reports whether an event changes what frames of earlier events show,
// or who gets them. Reactions are part of none.
func rewrites(e chat.Event) bool {
	return e.ChangesMessage() && e.Kind != chat.KindReaction
}
