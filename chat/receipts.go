package chat

import (
	"context"
	"slices"
	"time"
)

// MarkKind tells a delivered mark from a read mark.
type MarkKind string

// The two marks of docs/contract.md#receipts.
const (
	Delivered MarkKind = "delivered"
	Read      MarkKind = "read"
)

// Mark says that everything of Thread up to event Seq was delivered to, or read by,
// User at the time At. Marks are append-only and only ever rise. The first mark at or
// above a message's seq says when that message was delivered or read: exactly, however
// old it is, and without a row per message and recipient.
type Mark struct {
	Thread  ThreadID
	User    UserID
	Kind    MarkKind
	Seq     Seq
	Message MessageID // the newest message at or below Seq that the user knew of; zero is none
	At      time.Time // UTC, milliseconds
	// Beside is the seq of the user's mark of the other kind that was there before this
	// one. It tells which of the two came first, which their times do not if the clock was
	// set between them. Zero is none, or not known.
	Beside Seq
}

// Marks is one user's pair of marks in one thread. A mark with Seq zero is not set.
type Marks struct {
	User      UserID
	Delivered Mark
	Read      Mark
}

// Received is the higher of the two marks, since what was read was delivered. Its
// Message is the newer one of the two: the higher mark may have none, or an older one
// that was redelivered.
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

// RecipientState is where one recipient stands with one message
// (docs/contract.md#receipts).
type RecipientState string

// The states of docs/contract.md#receipts.
const (
	StateSent      RecipientState = "SENT"
	StateDelivered RecipientState = "DELIVERED"
	StateRead      RecipientState = "READ"
	StateFailed    RecipientState = "FAILED"
)

// RecipientReceipt is the state of one message for one recipient. DeliveredAt and
// ReadAt are zero while unset; Reason is set for FAILED only.
type RecipientReceipt struct {
	User        UserID
	State       RecipientState
	DeliveredAt time.Time
	ReadAt      time.Time
	Reason      FailureReason
}

// FailureReason says why a message does not reach a recipient
// (docs/contract.md#receipts).
type FailureReason string

// The reasons of docs/contract.md#receipts.
const (
	FailedBlocked FailureReason = "blocked" // 1:1: the recipient blocks the sender
	FailedExpired FailureReason = "expired" // its time was up before delivery
)

// deliveredAt is when an event was delivered to the user of the marks, which are that
// user's first ones at or above it; zero is not yet. READ implies DELIVERED: what was read
// before it was acknowledged was delivered when it was read.
func (m Marks) deliveredAt(event Seq) time.Time {
	switch d, r := m.Delivered, m.Read; {
	case r.Seq == 0 || d.Seq > 0 && r.Beside >= event:
		return d.At
	case d.Seq == 0 || d.Beside >= event:
		return r.At
	case d.At.Before(r.At): // each was made without knowledge of the other
		return d.At
	default:
		return r.At
	}
}

// receiptFrom is a message's state for the user of the given marks, which are that
// user's first ones at or above the event that brought the message
// (docs/contract.md#receipts).
func receiptFrom(message Event, m Marks, now time.Time) RecipientReceipt {
	r := RecipientReceipt{User: m.User, State: StateSent}
	if message.Message.HiddenFrom == m.User {
		r.State, r.Reason = StateFailed, FailedBlocked
		return r
	}
	if r.DeliveredAt = m.deliveredAt(message.reachedBy()); !r.DeliveredAt.IsZero() {
		r.State = StateDelivered
	}
	if m.Read.Seq > 0 {
		r.State, r.ReadAt = StateRead, m.Read.At
	}
	if message.Message.outlived(r.DeliveredAt, now) {
		return RecipientReceipt{User: m.User, State: StateFailed, Reason: FailedExpired}
	}
	return r
}

// outlived reports whether the message expired before it was delivered. It was
// delivered at the given time; zero is not yet.
func (m Message) outlived(delivered, now time.Time) bool {
	if m.ExpiresAt.IsZero() || m.ExpiresAt.After(now) || m.Deleted == DeletedBySender {
		return false
	}
	return delivered.IsZero() || !delivered.Before(m.ExpiresAt)
}

// Receipts lists the state of a message for each of its recipients, in no particular
// order. The recipients are those who were in the thread when it was sent, without the
// sender.
func (s *Service) Receipts(ctx context.Context, c Caller, id MessageID) ([]RecipientReceipt, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	if err := s.spendRead(c); err != nil {
		return nil, err
	}
	message, err := s.messageFor(ctx, c.User, id)
	if err != nil {
		return nil, err
	}
	return s.receiptsOf(ctx, message)
}

// receiptsOf is Receipts without a caller.
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
	marks, err := s.store.MarksAt(ctx, message.Thread, message.reachedBy(), users)
	if err != nil {
		return nil, Unavailable("load the receipts", err)
	}
	if err := s.addReadAlone(ctx, message, users, marks); err != nil {
		return nil, err
	}
	now := s.now()
	receipts := make([]RecipientReceipt, len(marks))
	for i, m := range marks {
		// A mark of a later stint says nothing about this message, which is not visible in it.
		receipts[i] = receiptFrom(message, m.before(stints[i].LeftSeq), now)
	}
	return receipts, nil
}

// addReadAlone replaces read marks by those of the message alone, where there are such: a
// message is read alone only before the thread is read up to it; see putRead.
func (s *Service) addReadAlone(ctx context.Context, m Event, users []UserID, marks []Marks) error {
	if m.Message.RedeliveredSeq == 0 {
		return nil
	}
	alone, err := s.store.MarksAt(ctx, readAlone(m.ID), m.Message.RedeliveredSeq, users)
	if err != nil {
		return Unavailable("load the receipts", err)
	}
	for i, a := range alone {
		if a.Read.Seq > 0 {
			r := &marks[i].Read
			r.Seq, r.At, r.Beside = a.Read.Seq, a.Read.At, a.Read.Beside
		}
	}
	return nil
}
