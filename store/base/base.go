// Package base is what every store begins with: the defaults of its options, and the
// check of the format of what it finds.
package base

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Defaults sets those of a store's common options that are zero: the idempotency
// window to that of chat.DefaultLimits, now to time.Now, log to a silent one.
func Defaults(idempotencyWindow *time.Duration, now *func() time.Time, log **slog.Logger) {
	*idempotencyWindow = cmp.Or(*idempotencyWindow, chat.DefaultLimits.IdempotencyWindow)
	*log = cmp.Or(*log, slog.New(slog.DiscardHandler))
	if *now == nil {
		*now = time.Now
	}
}

// CheckFormat refuses a store whose format this build can neither use nor convert: it
// converts those from oldest on. Zero is the format of no store.
func CheckFormat(stored, oldest, written int64) error {
	switch {
	case stored <= 0:
		return errors.New("the format version is unreadable")
	case stored > written:
		return fmt.Errorf("it has format %d and this build knows up to %d: it was written by a newer version", stored, written)
	case stored < oldest:
		return fmt.Errorf("it has format %d and this build knows only %d to %d: it was written by a build before the first release and is of no use to this one",
			stored, oldest, written)
	}
	return nil
}

// JoinedIDAt stands for the id of the event with which somebody joined, where a store of
// an earlier format kept only its time: it is the highest id of that millisecond. So no
// message of before the joining passes for a later one.
func JoinedIDAt(at time.Time) (id chat.EventID) {
	id = chat.EventIDAt(at)
	for i := 6; i < len(id); i++ { // behind the 48 bits of time
		id[i] = 0xFF
	}
	return id
}
