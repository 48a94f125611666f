package contracts

import (
	"time"

	"github.com/parleyhq/parley/chat"
)

// optional turns "", which is none, into null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// optionalID turns the zero id, which is none, into null.
func optionalID(id chat.MessageID) *string {
	if id.IsZero() {
		return nil
	}
	s := id.String()
	return &s
}

// optionalTime turns the zero time, which is none, into null.
func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := FormatTime(t)
	return &s
}
