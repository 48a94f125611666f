package chat

import (
	"errors"
	"sync/atomic"
)

// SendOrder is the order of what one connection sends. Once the store has failed to take
// one of its messages, none behind that is stored in the same thread, and none whose turn
// comes later in another. Whoever sends then tries all of them again in their order, after
// [SendOrder.Mend]. The zero SendOrder is whole.
type SendOrder struct{ broken atomic.Bool }

// Mend lets messages be stored again. No message of the order may be on its way.
func (o *SendOrder) Mend() { o.broken.Store(false) }

// Break has no message of the order be stored whose turn has not come yet.
func (o *SendOrder) Break() { o.broken.Store(true) }

func (o *SendOrder) isBroken() bool { return o != nil && o.broken.Load() }

// failed breaks the order if an operation of it has failed and not been refused.
func (o *SendOrder) failed(err error) {
	if refusal, ok := errors.AsType[*Error](err); o != nil && ok && refusal.Code == CodeUnavailable {
		o.Break()
	}
}

var errBehindAnother = Unavailable("store a message behind another", errors.New("that one was not stored"))
