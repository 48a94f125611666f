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

// Received is the higher of the two marks: what is read was delivered.
func (m Marks) Received() Mark {
	if m.Read.Seq >= m.Delivered.Seq {
		return m.Read
	}
	return m.Delivered
}

// before leaves out the marks at or above seq.
func (m Marks) before(seq Seq) Marks {
	if m.Delivered.Seq >= seq {
		m.Delivered = Mark{}
	}
	if m.Read.Seq >= seq {
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
	Reason      string
}

// receiptFrom folds the first marks at or above a message into its state. READ
// implies DELIVERED: with no delivered mark of its own, or a later one, the
// message was delivered when it was read.
func receiptFrom(m Marks) RecipientReceipt {
	r := RecipientReceipt{User: m.User, State: StateSent}
	if m.Delivered.Seq > 0 {
		r.State, r.DeliveredAt = StateDelivered, m.Delivered.At
	}
	if m.Read.Seq > 0 {
		r.State, r.ReadAt = StateRead, m.Read.At
		if r.DeliveredAt.IsZero() || r.DeliveredAt.After(r.ReadAt) {
			r.DeliveredAt = r.ReadAt
		}
	}
	return r
}
