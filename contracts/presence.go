package contracts

import "github.com/parleyhq/parley/chat"

// Presence is whether a user is connected (docs/contract.md#presence-and-typing).
type Presence struct {
	UserID     string  `json:"user_id"`
	Status     string  `json:"status"` // online or offline
	LastSeenAt *string `json:"last_seen_at"`
}

// NewPresence converts a user's presence.
func NewPresence(p chat.Presence) Presence {
	return Presence{UserID: string(p.User), Status: presenceStatus(p), LastSeenAt: optionalTime(p.LastSeen)}
}

func presenceStatus(p chat.Presence) string {
	if p.Online {
		return "online"
	}
	return "offline"
}
