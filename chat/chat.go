// Package chat is Parley's domain: what a thread, a message and a receipt are,
// the rules that hold for them, and the use cases that change them.
//
// It knows no transport and no database. What it needs of the outside it
// declares as two ports, [Store] and [Bus]; everything that crosses the network
// is converted at the border, in package contracts.
//
// The heart of the model is the thread's log: every change of a thread that
// participants must learn of is an [Event] with a seq of 1, 2, 3 … without a
// gap. The log is the truth. What the bus says is only a hint that the log has
// grown.
//
// Read in this order: chat.go and id.go for the names of things; event.go,
// message.go, thread.go for the log and what it folds into; visible.go for who sees
// what; store.go and bus.go for the ports; service.go; appendqueue.go for the way of
// every change into a log, and doubts.go for a change whose outcome is unknown; then
// send.go and idempotency.go, messagechange.go with edit.go, reactions.go and pins.go, and
// receipts.go with markread.go and acknowledge.go.
//
// What is left stands alone. About threads: create.go, meet.go with strangers.go,
// participants.go, threads.go, ownstate.go with ownstateagain.go; history.go and
// pagecursor.go; expire.go. About people and their devices: devices.go with forget.go,
// prekeys.go with groupprekeys.go, epoch.go, blocks.go with veil.go, presence.go,
// typing.go, signals.go, moderation.go; rates.go and ratelimit.go. About several nodes:
// nodes.go, idclock.go with skew.go and skewguard.go, openmints.go, lease.go.
package chat

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// UserID names a user: the `sub` of its token (docs/contract.md#names).
type UserID string

// DeviceID names one device of one user (docs/contract.md#names). Two users may
// have devices of the same name.
type DeviceID string

// ThreadID is a UUID, version 7 when minted here (docs/contract.md#names).
type ThreadID uuid.UUID

// String gives the canonical lower-case form.
func (id ThreadID) String() string { return uuid.UUID(id).String() }

// Seq is an event's number within its thread: 1, 2, 3 … without gaps. Zero is
// "before everything".
type Seq uint64

// Epoch numbers what the control messages of a thread begin, one after the other:
// 1, 2, 3 … (docs/contract.md#control-messages). Zero is none yet.
type Epoch uint64

// EventID is the ULID every event of a log carries. Its milliseconds are the
// event time; within a thread ids rise strictly with [Seq]. A message's EventID
// is the public message id.
type EventID = ulid.ULID

// MessageID is the EventID of a message.
type MessageID = EventID

// EventIDAt is the lowest EventID of the given instant. It stands for that instant
// among the ids of a log.
func EventIDAt(t time.Time) EventID {
	var id EventID
	if ms := t.UnixMilli(); ms > 0 {
		_ = id.SetTime(uint64(ms)) // only fails past the year 10889
	}
	return id
}

// Scope is a right that a token grants (docs/contract.md#authentication).
type Scope string

// The scopes of docs/contract.md#authentication.
const (
	ScopeRead   Scope = "chat.read"
	ScopeWrite  Scope = "chat.write"
	ScopeSystem Scope = "chat.system"
	ScopeAdmin  Scope = "chat.admin"
)

// Caller is the authenticated user (or service) that makes a request, and its device.
type Caller struct {
	User   UserID
	Device DeviceID
	Scopes []Scope
}

// Has reports whether the caller's token grants s.
func (c Caller) Has(s Scope) bool { return slices.Contains(c.Scopes, s) }
