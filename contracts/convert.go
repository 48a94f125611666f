package contracts

import (
	"time"

	"github.com/parleyhq/parley/chat"
)

// convertAll converts a list, which is [] in JSON when it is empty and never null.
func convertAll[From, To any](list []From, convert func(From) To) []To {
	converted := make([]To, len(list))
	for i, item := range list {
		converted[i] = convert(item)
	}
	return converted
}

// optional turns "", which means no value, into null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// optionalID turns the zero id, which means no message, into null.
func optionalID(id chat.MessageID) *string {
	if id.IsZero() {
		return nil
	}
	s := id.String()
	return &s
}

// optionalEpoch turns zero, which means no epoch, into null.
func optionalEpoch(epoch chat.Epoch) *uint64 {
	if epoch == 0 {
		return nil
	}
	n := uint64(epoch)
	return &n
}

// optionalTime turns the zero time, which means no time, into null.
func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := FormatTime(t)
	return &s
}
