package bench

import "sync/atomic"

// stream is the messages of one sender into one thread, numbered 0, 1, 2 … A receiver must
// get all of them in this order.
type stream struct {
	sent atomic.Uint32 // the server has acknowledged all numbers below it
}

// receivedNumbers records which numbers of a stream one receiver has got.
type receivedNumbers struct {
	next    uint32              // the highest number received, plus one
	missing map[uint32]struct{} // the numbers below next that have not come; nil until one is missing
}

// verdict says how a number fits those received before.
type verdict int

const (
	inOrder   verdict = iota // it is the next one
	early                    // numbers before it are missing now
	late                     // it was missing: it comes out of order
	duplicate                // it has come before
)

// add records a number and says how it fits.
func (t *receivedNumbers) add(number uint32) verdict {
	switch {
	case number == t.next:
		t.next++
		return inOrder
	case number > t.next:
		if t.missing == nil {
			t.missing = make(map[uint32]struct{})
		}
		for n := t.next; n < number; n++ {
			t.missing[n] = struct{}{}
		}
		t.next = number + 1
		return early
	}
	if _, ok := t.missing[number]; ok {
		delete(t.missing, number)
		return late
	}
	return duplicate
}

// lost counts the numbers below sent that have not come.
func (t *receivedNumbers) lost(sent uint32) uint64 {
	lost := uint64(len(t.missing))
	if sent > t.next {
		lost += uint64(sent - t.next)
	}
	return lost
}
