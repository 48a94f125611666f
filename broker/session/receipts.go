package session

import (
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// receiptQueue holds receipts a session has still to be told of. A newer receipt
// of the same kind, thread and person replaces the older one that waits: it says
// all that the older said. A failure is of one message and replaces none but its like.
type receiptQueue struct {
	index   map[receiptKey]int
	waiting []pendingReceipt
}

type receiptKey struct {
	thread  chat.ThreadID
	by      chat.UserID
	kind    string         // the frame's type
	message chat.MessageID // of a failure; zero: whatever the receipt reaches
}

type pendingReceipt struct {
	thread chat.ThreadID
	frame  contracts.Frame
}

// maxReceipts bounds how many wait. Beyond it new ones are dropped: receipts are
// not durable frames, the present marks are in the thread
// (docs/contract.md#resuming).
const maxReceipts = 4096

// put queues a receipt; it reports false if it was dropped.
func (q *receiptQueue) put(key receiptKey, frame contracts.Frame) bool {
	if i, waits := q.index[key]; waits {
		q.waiting[i].frame = frame
		return true
	}
	if len(q.waiting) >= maxReceipts {
		return false
	}
	if q.index == nil {
		q.index = make(map[receiptKey]int)
	}
	q.index[key] = len(q.waiting)
	q.waiting = append(q.waiting, pendingReceipt{key.thread, frame})
	return true
}

// drain empties the queue.
func (q *receiptQueue) drain() []pendingReceipt {
	drained := q.waiting
	*q = receiptQueue{}
	return drained
}

// receiptWakes is the least time between two wakes of a connection for receipts alone:
// the first receipt goes out at once, those of the next 25 ms go out together. The
// sender of a message to a large group gets a receipt from each of its people, and a
// write for each would cost two system calls here and two at the client.
const receiptWakes = 25 * time.Millisecond

// nudge reports whether the caller is to wake the connection for a receipt now. If not,
// a timer does it later. It is called with mu held.
func (s *Session) nudge() bool {
	if s.nudging {
		return false
	}
	now := time.Now()
	if early := s.nudged.Add(receiptWakes).Sub(now); early > 0 {
		s.nudging = true
		time.AfterFunc(early, s.nudgeLate)
		return false
	}
	s.nudged = now
	return true
}

func (s *Session) nudgeLate() {
	s.mu.Lock()
	s.nudging, s.nudged = false, time.Now()
	s.mu.Unlock()
	s.params.Transport.Wake()
}
