package chat

import "time"

// MarkKind is one of the two watermarks a participant leaves in a thread.
type MarkKind string

// The two marks of contract 3.2.
const (
	Delivered MarkKind = "delivered"
	Read      MarkKind = "read"
)

// Mark says: everything of Thread up to event Seq was delivered to, or read by,
// User at At. Marks are append-only and only ever rise; the state of a message
// is the first mark at or above its seq, so it stays exact, times included,
// without a row per message and recipient.
type Mark struct {
	Thread  ThreadID
	User    UserID
	Kind    MarkKind
	Seq     Seq
	Message MessageID // newest message at or below Seq known to the marker; zero is none
	At      time.Time // UTC, milliseconds
}

// Marks is one user's pair of marks in one thread. A mark with Seq zero is not set.
type Marks struct {
	User      UserID
	Delivered Mark
	Read      Mark
}

// Received is the higher of the two marks: what is read was delivered. Its message
// is the newer of theirs, since a mark may cover no message, or an older one that
// was redelivered.
func (m Marks) Received() Mark {
	high, low := m.Delivered, m.Read
	if low.Seq >= high.Seq {
		high, low = low, high
	}
	if low.Message.Compare(high.Message) > 0 {
		high.Message = low.Message
	}
	return high
}

// before leaves out the marks at or above seq; zero leaves out none.
func (m Marks) before(seq Seq) Marks {
	if seq > 0 && m.Delivered.Seq >= seq {
		m.Delivered = Mark{}
	}
	if seq > 0 && m.Read.Seq >= seq {
		m.Read = Mark{}
	}
	return m
}

// RecipientState is where one recipient stands with one message (contract 3.2).
type RecipientState string

// The states of contract 3.2.
const (
	StateSent      RecipientState = "SENT"
	StateDelivered RecipientState = "DELIVERED"
	StateRead      RecipientState = "READ"
	StateFailed    RecipientState = "FAILED"
)

// RecipientReceipt is one recipient's state machine for one message. DeliveredAt
// and ReadAt are zero while unset; Reason is set for FAILED only.
type RecipientReceipt struct {
	User        UserID
	State       RecipientState
	DeliveredAt time.Time
	ReadAt      time.Time
	Reason      FailureReason
}

// FailureReason says why a message does not reach a recipient (contract 3.2).
type FailureReason string

// The reasons of contract 3.2.
const (
	FailedBlocked FailureReason = "blocked" // 1:1: the recipient blocks the sender
	FailedExpired FailureReason = "expired" // its time was up before delivery
)

// receiptFrom folds the first marks at or above a message into its state for their
// user (contract 3.2). READ implies DELIVERED: with no delivered mark of its own,
// or a later one, the message was delivered when it was read.
func receiptFrom(message Event, m Marks, now time.Time) RecipientReceipt {
	r := RecipientReceipt{User: m.User, State: StateSent}
	if message.Message.HiddenFrom == m.User {
		r.State, r.Reason = StateFailed, FailedBlocked
		return r
	}
	if m.Delivered.Seq > 0 {
		r.State, r.DeliveredAt = StateDelivered, m.Delivered.At
	}
	if m.Read.Seq > 0 {
		r.State, r.ReadAt = StateRead, m.Read.At
		if r.DeliveredAt.IsZero() || r.DeliveredAt.After(r.ReadAt) {
			r.DeliveredAt = r.ReadAt
		}
	}
	if message.Message.outlived(r.DeliveredAt, now) {
		return RecipientReceipt{User: m.User, State: StateFailed, Reason: FailedExpired}
	}
	return r
}

// outlived reports whether the message's time was up before it was delivered: at
// the given time, or at zero not yet.
func (m Message) outlived(delivered, now time.Time) bool {
	if m.ExpiresAt.IsZero() || m.ExpiresAt.After(now) || m.Deleted == DeletedBySender {
		return false
	}
	return delivered.IsZero() || !delivered.Before(m.ExpiresAt)
}
