package contracts

import "github.com/parleyhq/parley/chat"

// Pins are the pinned messages of a thread, in order of pinning
// (docs/contract.md#pins).
type Pins struct {
	Pins []Pin `json:"pins"`
}

// Pin is one pinned message (docs/contract.md#pins).
type Pin struct {
	MessageID string `json:"message_id"`
	PinnedBy  string `json:"pinned_by"`
	PinnedAt  string `json:"pinned_at"`
}

// NewPins converts a thread's pins.
func NewPins(pins []chat.Pin) Pins { return Pins{convertAll(pins, NewPin)} }

// NewPin converts one pin.
func NewPin(p chat.Pin) Pin {
	return Pin{MessageID: p.Message.String(), PinnedBy: string(p.By), PinnedAt: FormatTime(p.At)}
}

type pinBody struct {
	MessageID *string `json:"message_id"`
}

// DecodePin reads the body of POST /v1/threads/{id}/pins (docs/contract.md#pins).
func DecodePin(body []byte) (chat.MessageID, error) {
	var b pinBody
	if err := decode(body, &b, member{"message_id", &b.MessageID}); err != nil {
		return chat.MessageID{}, err
	}
	return messageIDField("message_id", *b.MessageID)
}
