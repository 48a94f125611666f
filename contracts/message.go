package contracts

import "github.com/parleyhq/parley/chat"

// Message is a message (docs/contract.md#sending). Every member is always
// present, and null means that there is no value. A deleted message has no
// ciphertext, attachment or reactions.
type Message struct {
	ID               string     `json:"id"`
	ThreadID         string     `json:"thread_id"`
	Seq              uint64     `json:"seq"`
	SenderID         string     `json:"sender_id"`
	DeviceID         string     `json:"device_id"`
	ClientSeq        int64      `json:"client_seq"`
	Ciphertext       []byte     `json:"ciphertext"`
	Omitted          bool       `json:"omitted,omitzero"` // the ciphertext is there and not shown here
	ContentType      string     `json:"content_type"`
	Epoch            *uint64    `json:"epoch"` // of a control message
	CreatedAt        string     `json:"created_at"`
	EditedAt         *string    `json:"edited_at"`
	Deleted          bool       `json:"deleted"`
	Reactions        []Reaction `json:"reactions"`
	ReplyTo          *string    `json:"reply_to_msg_id"`
	AttachmentID     *string    `json:"attachment_id"`
	AttachmentSHA256 *string    `json:"attachment_sha256"`
	ExpiresAt        *string    `json:"expires_at"`
}

// Reaction is one emoji with the users who gave it: By[i] gave it at At[i]. They are at most
// 100 of the Count (docs/contract.md#reactions).
type Reaction struct {
	Emoji string   `json:"emoji"`
	Count int      `json:"count"`
	By    []string `json:"by"`
	At    []string `json:"at"`
}

// MessagePage is one page of messages (docs/contract.md#history).
type MessagePage struct {
	Messages   []Message `json:"messages"`
	NextCursor *string   `json:"next_cursor"`
}

// NewMessage converts an event of chat.KindMessage. The result shares the ciphertext.
func NewMessage(e chat.Event) Message {
	m := e.Message
	return Message{
		ID:               e.ID.String(),
		ThreadID:         e.Thread.String(),
		Seq:              uint64(e.Seq),
		SenderID:         string(e.By),
		DeviceID:         string(e.Device),
		ClientSeq:        m.ClientSeq,
		Ciphertext:       m.Ciphertext,
		Omitted:          m.Omitted,
		ContentType:      string(m.ContentType),
		Epoch:            optionalEpoch(m.Epoch),
		CreatedAt:        FormatTime(e.At),
		EditedAt:         optionalTime(m.EditedAt),
		Deleted:          m.Deleted != "",
		Reactions:        convertAll(m.Reactions, newReaction),
		ReplyTo:          optionalID(m.ReplyTo),
		AttachmentID:     optional(m.AttachmentID),
		AttachmentSHA256: optional(m.AttachmentSHA256),
		ExpiresAt:        optionalTime(m.ExpiresAt),
	}
}

func newReaction(r chat.Reaction) Reaction {
	by, at := givers(r.By)
	return Reaction{Emoji: r.Emoji, Count: len(r.By) + r.More, By: by, At: at}
}

func givers(all []chat.ReactionBy) (by, at []string) {
	by, at = make([]string, len(all)), make([]string, len(all))
	for i, r := range all {
		by[i], at[i] = string(r.User), FormatTime(r.At)
	}
	return by, at
}

// ReactionPage is one page of the users who gave an emoji: By[i] gave it at At[i]
// (docs/contract.md#reactions).
type ReactionPage struct {
	By         []string `json:"by"`
	At         []string `json:"at"`
	NextCursor *string  `json:"next_cursor"`
}

// NewReactionPage converts a page of who gave an emoji.
func NewReactionPage(p chat.ReactionPage) ReactionPage {
	by, at := givers(p.By)
	return ReactionPage{By: by, At: at, NextCursor: optional(p.Next)}
}

// NewMessagePage converts a page of messages.
func NewMessagePage(p chat.MessagePage) MessagePage {
	return MessagePage{Messages: convertAll(p.Messages, NewMessage), NextCursor: optional(p.Next)}
}
