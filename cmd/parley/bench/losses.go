package bench

import "sync/atomic"

// stream is a row of numbered messages in one thread by one sender: whoever
// receives it must get 0, 1, 2 … in this order.
type stream struct {
	sent atomic.Uint32 // the server has acknowledged numbers below it
}

// tracker is what one receiver got of one stream.
type tracker struct {
	next    uint32              // the highest number received, plus one
	missing map[uint32]struct{} // below next; made when a gap shows
}

// verdict is what a number means for the stream so far.
type verdict int

const (
	inOrder   verdict = iota
	early             // it left a gap behind
	late              // it fills a gap: out of order
	duplicate         // it was there before
)

func (t *tracker) take(number uint32) verdict {
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

// lost is how many of that many sent it has not got.
func (t *tracker) lost(sent uint32) uint64 {
	lost := uint64(len(t.missing))
	if sent > t.next {
		lost += uint64(sent - t.next)
	}
	return lost
}
