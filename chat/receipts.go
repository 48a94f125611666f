package chat

import (
	"context"
	"slices"
	"time"
)

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

// Receipts lists where each recipient of a message stands, in no particular
// order: everyone who was in the thread when it was sent, but the sender.
func (s *Service) Receipts(ctx context.Context, c Caller, id MessageID) ([]RecipientReceipt, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	message, err := s.messageFor(ctx, c.User, id)
	if err != nil {
		return nil, err
	}
	return s.receiptsOf(ctx, message)
}

// receiptsOf finds where each recipient of a message stands.
func (s *Service) receiptsOf(ctx context.Context, message Event) ([]RecipientReceipt, error) {
	stints, err := s.store.ParticipantsAt(ctx, message.Thread, message.Seq)
	if err != nil {
		return nil, Unavailable("list the recipients", err)
	}
	stints = slices.DeleteFunc(stints, func(st Stint) bool { return st.User == message.By })
	users := make([]UserID, len(stints))
	for i, st := range stints {
		users[i] = st.User
	}
	from := max(message.Seq, message.Message.RedeliveredSeq)
	marks, err := s.store.MarksAt(ctx, message.Thread, from, users)
	if err != nil {
		return nil, Unavailable("load the receipts", err)
	}
	if err := s.addReadAlone(ctx, message, marks); err != nil {
		return nil, err
	}
	now := s.now()
	receipts := make([]RecipientReceipt, len(marks))
	for i, m := range marks {
		// What it received in a later stint says nothing about what it sees no more.
		receipts[i] = receiptFrom(message, m.before(stints[i].LeftSeq), now)
	}
	return receipts, nil
}

// addReadAlone puts the marks of a message that was read on its own in the place of
// later ones, or of none.
func (s *Service) addReadAlone(ctx context.Context, m Event, marks []Marks) error {
	if m.Message.RedeliveredSeq == 0 {
		return nil
	}
	users := make([]UserID, len(marks))
	for i := range marks {
		users[i] = marks[i].User
	}
	alone, err := s.store.MarksAt(ctx, readAlone(m.ID), m.Message.RedeliveredSeq, users)
	if err != nil {
		return Unavailable("load the receipts", err)
	}
	for i, a := range alone {
		if r := &marks[i].Read; a.Read.Seq > 0 && (r.Seq == 0 || a.Read.At.Before(r.At)) {
			r.Seq, r.At = a.Read.Seq, a.Read.At
		}
	}
	return nil
}
