package nats

import (
	"sync"
	"sync/atomic"

	"github.com/parleyhq/parley/bus/wire"
)

// Bounds of what waits to be sent. What comes while it is full is not sent, and uses up its
// number: so the others notice that it is missing.
const (
	maxWaiting      = 1 << 16
	maxWaitingBytes = 16 << 20
)

// outbox numbers notices and keeps them until they are sent. Nobody waits for it.
type outbox struct {
	overflowed atomic.Int64

	mu      sync.Mutex
	numbers [subjects]uint64 // of the last notice of each subject
	waiting []outgoing
	bytes   int
	closed  bool
	some    chan struct{} // has an item while there may be something to send
}

type outgoing struct {
	subject int // heartbeats have the one behind all others
	data    []byte
}

func newOutbox() *outbox { return &outbox{some: make(chan struct{}, 1)} }

// put numbers a stamped notice and queues it. A nil one only uses up a number.
func (o *outbox) put(subject int, stamped []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.numbers[subject]++
	if o.closed {
		return
	}
	if stamped == nil || len(o.waiting) >= maxWaiting || o.bytes+len(stamped) > maxWaitingBytes {
		o.overflowed.Add(1)
		return
	}
	wire.SetNumber(stamped, o.numbers[subject])
	o.add(outgoing{subject, stamped})
}

// beat queues a heartbeat behind all that it tells of, also when the outbox is full. If the
// last that waits is a heartbeat, it queues no second one.
func (o *outbox) beat(b wire.Beat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.waiting) > 0 && o.waiting[len(o.waiting)-1].subject == beatSubject {
		return
	}
	b.Numbers = o.numbers[:]
	o.add(outgoing{beatSubject, wire.AppendBeat(nil, b)})
	o.closed = b.Leaving
}

func (o *outbox) add(out outgoing) {
	o.waiting = append(o.waiting, out)
	o.bytes += len(out.data)
	select {
	case o.some <- struct{}{}:
	default:
	}
}

// drain gives all that waits. The caller gives back the slice of the last time.
func (o *outbox) drain(used []outgoing) []outgoing {
	clear(used)
	o.mu.Lock()
	defer o.mu.Unlock()
	drained := o.waiting
	o.waiting, o.bytes = used[:0], 0
	return drained
}
