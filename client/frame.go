package client

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/parleyhq/parley/contracts"
)

// Types of events, the frames that are kept in a thread's log (docs/contract.md#frames). Those
// of other frames are in the package contracts, as contracts.FrameRead.
const (
	EventMessage  = "msg"
	EventEdit     = "edit"
	EventDelete   = "del"
	EventReaction = "reaction"
	EventThread   = "thread"
)

// Frame is what the server tells (docs/contract.md#frames). Type says which members have a
// value; those that the frame does not have are zero. A frame of a type that this version does
// not know comes too, and Raw has all of it.
type Frame struct {
	Type     string `json:"t"`
	FrameSeq uint64 `json:"frame_seq"` // counts the frames of one connection; 0 for what came otherwise
	ThreadID string `json:"thread_id"`
	Seq      uint64 `json:"seq"` // of an event
	ID       string `json:"id"`  // of the message that it is about

	// Of a message and an edit.
	SenderID         string    `json:"sender_id"`
	DeviceID         string    `json:"device_id"`
	ClientSeq        int64     `json:"client_seq"`
	Ciphertext       []byte    `json:"ciphertext"`
	Omitted          bool      `json:"omitted"` // the ciphertext is too large for a frame: API.Message has it
	ContentType      string    `json:"content_type"`
	Epoch            uint64    `json:"epoch"`
	ReplyTo          string    `json:"reply_to_msg_id"`
	AttachmentID     string    `json:"attachment_id"`
	AttachmentSHA256 string    `json:"attachment_sha256"`
	CreatedAt        time.Time `json:"created_at"`
	EditedAt         time.Time `json:"edited_at"`
	ExpiresAt        time.Time `json:"expires_at"` // also of token_expiring and auth
	Redelivery       bool      `json:"redelivery"`

	// Who did it, and when.
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // del, failed

	// Of a reaction.
	Emoji string `json:"emoji"`
	Op    string `json:"op"` // add, remove

	// Of a change of the thread.
	Event        string                  `json:"event"`
	ThreadType   string                  `json:"type"`
	Title        *string                 `json:"title"`
	Participants []contracts.Participant `json:"participants"`
	UserID       string                  `json:"user_id"` // also of typing, signal, presence, devices
	Role         string                  `json:"role"`
	MessageID    string                  `json:"message_id"`

	// Of what is not kept in a log.
	UpTo           string        `json:"up_to"`           // read
	TTL            int64         `json:"ttl_ms"`          // typing
	Name           string        `json:"name"`            // signal
	Data           []byte        `json:"data"`            // signal
	Status         string        `json:"status"`          // presence
	LastSeenAt     time.Time     `json:"last_seen_at"`    // presence
	Change         string        `json:"change"`          // devices
	Me             *contracts.Me `json:"me"`              // thread_state
	LastID         string        `json:"last_id"`         // caught_up
	Replayed       int           `json:"replayed"`        // caught_up
	StoreID        string        `json:"store_id"`        // hello, caught_up
	Code           string        `json:"code"`            // error
	Detail         string        `json:"detail"`          // error
	IdempotencyKey string        `json:"idempotency_key"` // error, over MQTT

	Raw json.RawMessage `json:"-"`
}

// IsEvent reports whether the frame is an event of a thread's log, and so has a Seq.
func (f Frame) IsEvent() bool {
	switch f.Type {
	case EventMessage, EventEdit, EventDelete, EventReaction, EventThread:
		return true
	}
	return false
}

// ParseFrame reads a frame. It keeps text, which must not be written to afterwards.
func ParseFrame(text []byte) (Frame, error) {
	var f Frame
	if err := json.Unmarshal(text, &f); err != nil {
		return Frame{}, fmt.Errorf("read a frame: %w", err)
	}
	f.Raw = text
	return f, nil
}

// UnmarshalJSON keeps the text beside the members.
func (f *Frame) UnmarshalJSON(text []byte) error {
	type members Frame
	if err := json.Unmarshal(text, (*members)(f)); err != nil {
		return err
	}
	f.Raw = append([]byte(nil), text...)
	return nil
}

// frameOf is a message of one's own as the event that other devices are told.
func frameOf(m contracts.Message) (Frame, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return Frame{}, fmt.Errorf("write a message: %w", err)
	}
	f, err := ParseFrame(text)
	f.Type = EventMessage
	return f, err
}
