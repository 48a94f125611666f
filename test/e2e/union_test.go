package e2e

import (
	"iter"
	"math"
	"testing"
)

// union is all that one receiver has got over many connections. As the contract asks of
// clients, an event that came twice, with the same thread and seq, counts once. A history
// compares it with the log and with what others have got.
type union struct {
	name  string
	user  string                       // whose device it is
	seen  map[string]map[uint64]string // thread → seq → message id, or the kind of a thread event
	lines [][]frame                    // its connections, one after the other
	acks  []ack
}

func (u *union) add(frames []frame) {
	if u.seen == nil {
		u.seen = map[string]map[uint64]string{}
	}
	for _, f := range frames {
		if !f.durable() {
			continue
		}
		if u.seen[f.ThreadID] == nil {
			u.seen[f.ThreadID] = map[uint64]string{}
		}
		u.seen[f.ThreadID][f.Seq] = f.ID + f.Event
	}
}

// with adds the frames of a connection that is still open, and returns u.
func (u *union) with(frames []frame) *union {
	u.add(frames)
	return u
}

// take adds a connection that has ended, and checks its order and its frames.
func (u *union) take(t testing.TB, r *record) {
	t.Helper()
	r.checkOrder(t)
	r.checkContract(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	u.add(r.frames)
	u.lines = append(u.lines, r.frames[:len(r.frames):len(r.frames)])
	u.acks = append(u.acks, r.acks...)
}

// receipts are the delivered and read frames, in the order in which they came.
func (u *union) receipts() iter.Seq[frame] {
	return func(yield func(frame) bool) {
		for _, line := range u.lines {
			for _, f := range line {
				if (f.T == "delivered" || f.T == "read") && !yield(f) {
					return
				}
			}
		}
	}
}

// first is the lowest seq of a thread that the receiver has got.
func (u *union) first(thread string) uint64 {
	first := uint64(math.MaxUint64)
	for seq := range u.seen[thread] {
		first = min(first, seq)
	}
	return first
}

// complete reports whether n different events of the thread have come.
func (u *union) complete(thread string, n int) bool { return len(u.seen[thread]) >= n }

func (u *union) checkComplete(t testing.TB, thread string, n int) {
	t.Helper()
	for seq := uint64(1); seq <= uint64(n); seq++ {
		if _, ok := u.seen[thread][seq]; !ok {
			t.Errorf("%s: thread %s: seq %d of %d never came (%d did)", u.name, thread, seq, n, len(u.seen[thread]))
			return
		}
	}
	if got := len(u.seen[thread]); got != n {
		t.Errorf("%s: thread %s: %d different events came, want %d", u.name, thread, got, n)
	}
}

// checkMessages checks that each accepted message has come with its seq.
func (u *union) checkMessages(t testing.TB, accepted []message) {
	t.Helper()
	for _, m := range accepted {
		if got := u.seen[m.ThreadID][m.Seq]; got != m.ID {
			t.Errorf("%s: thread %s: seq %d came as %q, 202 said %s", u.name, m.ThreadID, m.Seq, got, m.ID)
			return
		}
	}
}
