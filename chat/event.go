package chat

import (
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// EventKind says what an [Event] did. It is also the type of the frame that tells of it
// (docs/contract.md#frames), except that clients see a redelivery as a `msg`.
type EventKind string

// The kinds of events a log holds.
const (
	KindMessage    EventKind = "msg"
	KindEdit       EventKind = "edit"
	KindDelete     EventKind = "del"
	KindReaction   EventKind = "reaction"
	KindRedelivery EventKind = "redelivery" // a message tried again for who blocked its sender (docs/contract.md#sending)
	KindThread     EventKind = "thread"
)

// Event is one entry of a thread's log. Events are immutable once appended and
// shared between goroutines; nobody writes into one.
type Event struct {
	Thread ThreadID
	Seq    Seq
	ID     EventID   // a message's public id; its time orders events, and is no clock's
	At     time.Time // when it was made by the wall clock: UTC, milliseconds
	Kind   EventKind
	By     UserID   // who did it: a message's sender; "" is the server, for what expired
	Device DeviceID // the device it was done on

	// Target is the message it is about: set for edits, deletions, reactions and
	// redeliveries, and for a thread's pinning and unpinning.
	Target Target
	// HiddenFrom is the user who is not told of it, since the message it is about is hidden from that
	// user, or since that user blocks who did it in their 1:1; "" is nobody. For a KindMessage it is
	// empty: its Message says that, as a redelivery changes it.
	HiddenFrom UserID

	// Message is what a KindMessage carries. For KindEdit and KindRedelivery it is
	// the target as it is now: a log keeps each message's content once.
	Message  *Message
	Reaction *ReactionChange // KindReaction
	Reason   DeleteReason    // KindDelete
	Change   *ThreadChange   // KindThread
}

// Target names a message of the same thread.
type Target struct {
	ID  MessageID
	Seq Seq
}

// IDTime is the time in an id, in UTC. It orders what was made by several nodes and is
// not when that was made: see [Event.At]. Events from before stores kept that time have
// this one as both.
func IDTime(id ulid.ULID) time.Time { return time.UnixMilli(int64(id.Time())).UTC() }

// ChangesMessage reports whether [Message.Apply] has the event change its target.
func (e Event) ChangesMessage() bool {
	return e.Kind == KindEdit || e.Kind == KindDelete || e.Kind == KindReaction || e.Kind == KindRedelivery
}

// BringsTogether reports whether users may share a thread by the event who shared none.
func (e Event) BringsTogether() bool {
	return e.Kind == KindThread && (e.Change.Event == ThreadCreated || e.Change.Event == ParticipantAdded)
}

// HasContent reports whether the event shows a message's content: its own, or
// its target's as it is now.
func (e Event) HasContent() bool {
	return e.Kind == KindMessage || e.Kind == KindEdit || e.Kind == KindRedelivery
}

// CheckRun is a store's check of what it is to append: all events are of one thread
// and follow its head, and each passes the store's own check. A run that does not is
// a mistake of the caller, and nothing of it is stored.
func CheckRun(head Head, events []Event, check func(Event) error) error {
	for i, e := range events {
		if e.Thread != events[0].Thread || e.Seq != head.Seq+1+Seq(i) {
			return fmt.Errorf("event %d of %s does not follow %d of %s", e.Seq, e.Thread, head.Seq+Seq(i), events[0].Thread)
		}
		if err := check(e); err != nil {
			return err
		}
	}
	return nil
}

// AsOf gives the event as readers may see it at a moment: a message that has expired by
// then is a tombstone, whether or not the log says so yet
// (docs/contract.md#disappearing-messages).
func (e Event) AsOf(now time.Time) Event {
	if e.Message != nil && e.Message.ExpiredAt(now) {
		gone := e.Message.erased(DeletedByExpiry)
		e.Message = &gone
	}
	return e
}

// Retry gives what a repetition of the request that made the event is recognised by:
// its idempotency key, "" if it had none, and a hash of every other value.
func (e Event) Retry() (key string, hash [32]byte) {
	switch {
	case e.Kind == KindMessage && e.Message != nil:
		return e.Message.IdempotencyKey, e.Message.BodyHash
	case e.Kind == KindThread && e.Change != nil:
		return e.Change.IdempotencyKey, e.Change.BodyHash
	}
	return "", hash
}

// RetryIn is the thread within which the key that [Event.Retry] gives is the sender's: a
// sender may use it again in another one. It is zero for the key of a creation, which is
// among all creations of the sender.
func (e Event) RetryIn() ThreadID {
	if e.Kind == KindMessage {
		return e.Thread
	}
	return ThreadID{}
}

// ChangeEvent says what a KindThread event did (docs/contract.md#frames, frame
// `thread`).
type ChangeEvent string

// The change events of docs/contract.md#frames.
const (
	ThreadCreated      ChangeEvent = "created"
	TitleChanged       ChangeEvent = "title_changed"
	ParticipantAdded   ChangeEvent = "participant_added"
	ParticipantRemoved ChangeEvent = "participant_removed"
	RoleChanged        ChangeEvent = "role_changed"
	Pinned             ChangeEvent = "pinned"
	Unpinned           ChangeEvent = "unpinned"
)

// ThreadChange is what a KindThread event carries. What is pinned or unpinned is
// the event's Target.
type ThreadChange struct {
	Event   ChangeEvent
	Type    ThreadType      // created
	Members []InitialMember // created, in the order of the request
	User    UserID          // participant_added, participant_removed, role_changed
	Role    Role            // participant_added, role_changed
	Title   string          // created, title_changed; "" is none
	Pending bool            // participant_added; see [Participant]

	// IdempotencyKey and BodyHash recognise a retry of a creation; see Message.
	IdempotencyKey string
	BodyHash       [32]byte
}

// InitialMember is one of those a thread was created with.
type InitialMember struct {
	User    UserID
	Role    Role
	Pending bool // see [Participant]
}
