package chat

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Bus carries notices from the services that change threads to the sessions of every
// node. A notice is a hint, and the bus may lose it: the log is the truth, and a
// subscriber that learns of a loss reads from the store what it may have missed.
type Bus interface {
	// Publish hands a notice to every subscriber. It returns without waiting for
	// any of them to act on it; notices of one publisher about one thread arrive
	// in order. The notice and all it points to are shared and never written again.
	Publish(n Notice)
	// Subscribe registers a handler until stop is called. After stop returned the
	// handler is not called again.
	Subscribe(h BusHandler) (stop func())
	// Ping fails if the bus cannot carry notices now.
	Ping(ctx context.Context) error
	// Close ends all subscriptions.
	Close() error
}

// BusHandler receives notices. Its methods must not block: they run on the
// publisher's time.
type BusHandler interface {
	// HandleNotice takes one notice.
	HandleNotice(n Notice)
	// HandleLoss says that any notices may have been lost. A bus that can find out which
	// threads they were about does not say so: it hands on a [Wake] for each of those.
	HandleLoss()
}

// Skipper is a BusHandler that has no use for some notices. A bus over a network asks before
// it reads the whole of a message that another node sent, or of what is for connected people
// only: a delivered receipt, a failure, typing or a signal. If every handler skips it, none is
// given it.
type Skipper interface {
	BusHandler
	// Skip reports whether the handler skips the message of that id, or something else if
	// that is zero, which goes to that audience. It must not block.
	Skip(audience []UserID, message MessageID) bool
}

// NodeWatcher is a BusHandler that wants to know which nodes are dead.
type NodeWatcher interface {
	BusHandler
	// NodeGone says that nothing was heard of a node for 10 s, while it lives by no
	// other account. If it is heard again, it may be gone again.
	NodeGone(n NodeID)
}

// NewNodeID draws a number that no other process has. A server that is started again is
// another node.
func NewNodeID() NodeID {
	var b [8]byte
	_, _ = rand.Read(b[:])                              // it never fails
	return NodeID(binary.BigEndian.Uint64(b[:])>>1 | 1) // databases have signed numbers
}

// LiveFor is how long a node counts as living after it has told the [Register] how it stands.
const LiveFor = 7 * time.Second

// Register lists the nodes that live, and finds what one of them has appended. A store that
// nodes share has it.
type Register interface {
	// Live says how a node stands, and lists all that have done so within [LiveFor] by the
	// store's clock, with what they said last.
	Live(ctx context.Context, own Standing) ([]Standing, error)
	// Leave takes a node off the list.
	Leave(ctx context.Context, n NodeID) error
	// AppendedBy finds the threads to which a node has appended events with ids at or above
	// from. It looks at so many events at most, and gives the id from which it would go on;
	// zero if it has seen all.
	AppendedBy(ctx context.Context, n NodeID, from EventID, most int) (found []Appended, next EventID, err error)
}

// Appended says how far a node has brought a thread.
type Appended struct {
	Wake // of the last event that is the node's
	// Users are the thread's participants now, and those whom the found events have removed.
	Users []UserID
}

// Notice is what goes over the bus. Exactly one of the fields behind Audience is set.
type Notice struct {
	// Audience lists the users to be told. For an event these are the thread's
	// participants and, if it removed one, that user. Who of them sees the event is
	// decided where it is delivered; see [Visibility].
	Audience   []UserID
	Event      *Event
	Receipt    *Receipt
	Failure    *Failure
	PrekeysLow *PrekeysLow
	Typing     *Typing
	Presence   *Presence
	Devices    *DeviceNews
	Removed    *Removal // its user is all of the audience
	State      *ThreadState
	Wake       *Wake
	Signal     *Signal
	// Node is what nodes tell each other: it has no audience, and every node takes it.
	Node *NodeNotice
}

// Wake tells of an event without bringing it: the reader finds it in the store. What is
// kept of its thread may be out of date.
type Wake struct {
	Thread ThreadID
	Seq    Seq     // of the event
	ID     EventID // its id
}

// Failure tells a message's sender, who is all of the audience, that the message does
// not reach some recipients (docs/contract.md#frames, frame `failed`).
type Failure struct {
	Thread  ThreadID
	Message MessageID
	Reason  FailureReason
	Users   []UserID // the recipients
}

// PrekeysLow tells one device that few of its one-time keys are left
// (docs/contract.md#prekeys, frame `prekeys_low`). Its user is all of the
// audience.
type PrekeysLow struct {
	Device DeviceID
	Left   int
	PQLeft *int // of post-quantum ones; nil: the device has none of that kind
}

// Typing tells the others of a thread that a user is writing something
// (docs/contract.md#presence-and-typing).
type Typing struct {
	Thread ThreadID
	User   UserID
}

// Receipt says that a participant's mark moved.
type Receipt struct {
	Mark
	Device DeviceID // the device it was done on: the user's other devices are told too
	// Senders are set for a Delivered mark: those whose messages it newly covers, each
	// with its newest one.
	Senders []SenderMark
}

// SenderMark is the newest message of one sender that a receipt covers.
type SenderMark struct {
	User    UserID
	Message MessageID
}
