package session

import (
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Answer is what an MQTT client is told of one of its publishes with QoS 1.
type Answer struct {
	Reason byte   // of the PUBACK
	Text   string // the reason string; "" is none
	// Error is an error frame that comes before the PUBACK; nil is none.
	Error contracts.Frame
	// HangUp ends the connection instead, without a PUBACK, and nothing that the client
	// sent after this publish is stored.
	HangUp bool
	// End ends the connection after the answer; zero does not.
	End Reason
}

// ElsewherePublished is the answer to a publish to a topic that is not for clients
// (docs/contract.md#mqtt). MQTT 3.1.1 has no PUBACK that refuses.
func ElsewherePublished(packetID uint16, v5 bool) Answer {
	if v5 {
		return Answer{Reason: reasonNotAuthorized}
	}
	return Answer{Error: contracts.PublishErrorFrame(contracts.CodeNotFound, "clients do not publish to this topic", packetID, "")}
}

// reasonNotAuthorized is a reason code of MQTT 5.
const reasonNotAuthorized = 0x87

// Unanswered is a publish with QoS 1 that is answered later: a message to be stored. Its
// methods are not called at the same time.
type Unanswered interface {
	// Wait is how long it is until Begin may be called; not positive: it may be.
	Wait() time.Duration
	// Begin has the message be stored. Messages are stored in the order in which they are
	// begun, thread by thread.
	Begin(*chat.SendOrder)
	// Await waits until the message is stored, or refused. If the store failed, again is
	// true: once no message of the order is on its way and the order is mended, Begin and
	// Await may be called again.
	Await() (a Answer, again bool)
	// GiveUp says that Begin will not be called. Of several, the last gives up first.
	GiveUp()
}

// control is a frame that waits for no window.
type control struct {
	frame contracts.Frame
	about string        // what it says the present state of; "" for a frame that says no state
	told  chan struct{} // closed once the frame is sent, or is not wanted; may be nil
}

// Tell sends an error frame. The channel that it returns is closed when the frame is in a
// batch, or the client has not subscribed the topic of such frames. It stays open if the
// connection ends before.
func (s *Session) Tell(f contracts.Frame) (told <-chan struct{}) {
	c := control{frame: f, told: make(chan struct{})}
	s.mu.Lock()
	s.inbox.control = append(s.inbox.control, c) // no bound: the client's next answer waits for this
	s.mu.Unlock()
	s.params.Transport.Wake()
	return c.told
}
