package contracts

import "github.com/parleyhq/parley/chat"

// Thread is a thread as one participant sees it (docs/contract.md#threads).
type Thread struct {
	ID               string        `json:"id"`
	Type             string        `json:"type"`
	Title            *string       `json:"title"`
	CreatedAt        string        `json:"created_at"`
	CreatedBy        string        `json:"created_by"`
	LastMessageID    *string       `json:"last_msg_id"`
	LastActivityAt   string        `json:"last_activity_at"`
	ParticipantCount int           `json:"participant_count"`
	UnreadCount      int           `json:"unread_count"` // exact up to 99; 100 means 100 or more
	Epoch            uint64        `json:"epoch"`
	Me               Me            `json:"me"`
	Participants     []Participant `json:"participants,omitempty"` // only in GET /v1/threads/{id}
}

// Participant is one user of a thread and up to which message it has received and read
// (docs/contract.md#threads).
type Participant struct {
	UserID        string  `json:"user_id"`
	Role          string  `json:"role"`
	JoinedAt      string  `json:"joined_at"`
	DeliveredUpTo *string `json:"delivered_up_to"`
	ReadUpTo      *string `json:"read_up_to"`
	DevicesAt     *string `json:"devices_at"`
}

// ThreadPage is one page of threads (docs/contract.md#threads).
type ThreadPage struct {
	Threads    []Thread `json:"threads"`
	NextCursor *string  `json:"next_cursor"`
}

// NewThread converts a thread without its participants.
func NewThread(v chat.ThreadView) Thread {
	return Thread{
		ID:               v.ID.String(),
		Type:             string(v.Type),
		Title:            optional(v.Title),
		CreatedAt:        FormatTime(v.CreatedAt),
		CreatedBy:        string(v.CreatedBy),
		LastMessageID:    optionalID(v.LastMessage),
		LastActivityAt:   FormatTime(v.LastActivity()),
		ParticipantCount: len(v.Thread.Participants),
		UnreadCount:      v.Unread,
		Epoch:            uint64(v.Head.Epoch),
		Me:               NewMe(v.Me),
	}
}

// NewThreadWithParticipants converts a thread as GET /v1/threads/{id} shows it.
func NewThreadWithParticipants(v chat.ThreadView) Thread {
	t := NewThread(v)
	t.Participants = convertAll(v.Views, NewParticipant)
	return t
}

// NewParticipant converts a participant.
func NewParticipant(p chat.ParticipantView) Participant {
	return Participant{
		UserID:        string(p.User),
		Role:          string(p.Role),
		JoinedAt:      FormatTime(p.JoinedAt),
		DeliveredUpTo: optionalID(p.DeliveredUpTo),
		ReadUpTo:      optionalID(p.ReadUpTo),
		DevicesAt:     optionalTime(p.DevicesAt),
	}
}

// NewThreadPage converts a page of threads.
func NewThreadPage(p chat.ThreadPage) ThreadPage {
	return ThreadPage{Threads: convertAll(p.Threads, NewThread), NextCursor: optional(p.Next)}
}
