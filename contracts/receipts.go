package contracts

import (
	"cmp"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// Receipts tells the state of a message for each recipient
// (docs/contract.md#receipts).
type Receipts struct {
	States  []RecipientState `json:"states"` // in order of recipient_id
	Summary ReceiptSummary   `json:"summary"`
}

// RecipientState is one recipient's state of one message
// (docs/contract.md#receipts).
type RecipientState struct {
	RecipientID string  `json:"recipient_id"`
	State       string  `json:"state"`
	DeliveredAt *string `json:"delivered_at"`
	ReadAt      *string `json:"read_at"`
	Reason      *string `json:"reason"` // FAILED only
}

// ReceiptSummary counts each recipient once, by its present state
// (docs/contract.md#receipts).
type ReceiptSummary struct {
	Sent      int `json:"sent"`
	Delivered int `json:"delivered"`
	Read      int `json:"read"`
	Failed    int `json:"failed"`
}

// NewReceipts converts and counts the recipients of one message.
func NewReceipts(recipients []chat.RecipientReceipt) Receipts {
	r := Receipts{States: convertAll(recipients, newRecipientState)}
	for _, recipient := range recipients {
		r.Summary.count(recipient.State)
	}
	slices.SortFunc(r.States, func(a, b RecipientState) int { return cmp.Compare(a.RecipientID, b.RecipientID) })
	return r
}

func newRecipientState(r chat.RecipientReceipt) RecipientState {
	return RecipientState{
		RecipientID: string(r.User),
		State:       string(r.State),
		DeliveredAt: optionalTime(r.DeliveredAt),
		ReadAt:      optionalTime(r.ReadAt),
		Reason:      optional(string(r.Reason)),
	}
}

func (s *ReceiptSummary) count(state chat.RecipientState) {
	switch state {
	case chat.StateSent:
		s.Sent++
	case chat.StateDelivered:
		s.Delivered++
	case chat.StateRead:
		s.Read++
	case chat.StateFailed:
		s.Failed++
	}
}
