package session

import (
	"context"
	"errors"
	"time"

	"github.com/parleyhq/parley/chat"
)

// AckPackets handles PUBACKs, in the order in which they came. It keeps nothing of ids.
func (s *Session) AckPackets(ids []uint16) {
	s.mu.Lock()
	due := s.acknowledged(s.window.ackPackets(ids, s.acked.add))
	s.mu.Unlock()
	s.follow(due)
}

// RefusePacket handles a PUBACK with which the client refuses a frame: it acknowledges
// nothing and makes room for another frame (docs/contract.md#mqtt).
func (s *Session) RefusePacket(id uint16) {
	s.mu.Lock()
	due := s.acknowledged(s.window.refusePacket(id))
	s.mu.Unlock()
	s.follow(due)
}

// AckThrough handles a client_ack: everything up to frameSeq was received. It
// reports false for a number that was never sent.
func (s *Session) AckThrough(frameSeq uint64) bool {
	s.mu.Lock()
	if frameSeq > s.frameSeq {
		s.mu.Unlock()
		return false
	}
	due := s.acknowledged(s.window.ackThrough(frameSeq, s.acked.add))
	s.mu.Unlock()
	s.follow(due)
	return true
}

// afterAck is what is due after an acknowledgement, once mu is released.
type afterAck struct {
	wake  bool // the writer waited for room in the window
	flush bool // there are receipts to store, and nobody stores any
}

// acknowledged raises the device's position over what the window released. It is
// called with mu held; [Session.follow] does what it says is due.
func (s *Session) acknowledged(released []sent) (due afterAck) {
	if len(released) > 0 && !s.fullSince.IsZero() {
		s.reg.stats.WindowFull.Observe(int64(s.reg.now().Sub(s.fullSince)))
		s.fullSince, due.wake = time.Time{}, true
	}
	for i := range released {
		if e := &released[i]; e.durable && s.window.follows(e) {
			s.progress.Acknowledge(e.thread, e.through)
		}
	}
	s.window.tidy()
	if !s.acked.empty() && !s.flushing {
		s.flushing, due.flush = true, true
	}
	return due
}

// follow does what is due after an acknowledgement.
func (s *Session) follow(due afterAck) {
	if due.wake {
		s.params.Transport.Wake()
	}
	if due.flush {
		s.reg.spawn(s.flush)
	}
}

// positionEvery is the least time between two writes of a device's position. If the
// last seconds of it are lost, the device gets a few frames again.
const positionEvery = 5 * time.Second

// receiptsEvery is the least time between two writes of a session's receipts: the first
// acknowledgement is stored at once, those of the next 200 ms are stored together. So a
// device that reads fast costs few writes, and its senders do not notice.
const receiptsEvery = 200 * time.Millisecond

// flush stores receipts and position until there are none left. There is at most one
// flush per session; the last one, after the session's end, closes done.
//
// The position is stored after the receipts it implies: the other way round, a
// crash in between would leave a message SENT for ever that no device is sent again.
func (s *Session) flush(ctx context.Context) {
	for {
		due, more := s.drainAcks()
		if !more {
			s.tellStored()
			return
		}
		pause := receiptsEvery
		switch err := s.store(ctx, &due); {
		case errors.Is(err, chat.ErrTakenOver): // and it is stored
			s.Close(TakenOver)
		case err != nil:
			s.reg.stats.StoreErrors.Add("receipts", 1)
			s.reg.log.Warn("receipts not stored, will retry", "user", s.user, "device", s.device, "error", err)
			if !s.keepUnstored(due) {
				s.tellStored()
				return
			}
			pause = storeRetry
		}
		s.rest(ctx, pause)
	}
}

// rest pauses a flush. The end of the session ends the pause, so that what is left is
// stored at once.
func (s *Session) rest(ctx context.Context, pause time.Duration) {
	s.mu.Lock()
	if s.removed {
		s.mu.Unlock()
		return
	}
	if s.hurry == nil {
		s.hurry = make(chan struct{})
	}
	hurry := s.hurry
	s.mu.Unlock()
	select {
	case <-time.After(pause):
	case <-hurry:
	case <-ctx.Done():
	}
}

// unstored is what a flush has to store.
type unstored struct {
	acks     pendingAcks
	position chat.Position // how far it has risen; with no entry: it is not stored now
	lastSeen time.Time     // zero: the user has other sessions, or this one goes on
}

// drainAcks gives what is to be stored. With nothing left it ends the flush.
func (s *Session) drainAcks() (due unstored, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due.acks = s.acked.drain()
	due.lastSeen, s.lastSeen = s.lastSeen, time.Time{}
	now := s.reg.now()
	every := positionEvery
	if s.ended {
		every = 0
	}
	if s.progress.Due(now, every) {
		due.position = s.progress.Drain(now)
	}
	if !due.acks.empty() || len(due.position.Through) > 0 || !due.lastSeen.IsZero() {
		return due, true
	}
	s.endFlush()
	return unstored{}, false
}

func (s *Session) endFlush() {
	s.flushing, s.hurry = false, nil
	if s.removed {
		close(s.done)
		s.flushing = true // for good: nobody flushes an ended session again
		s.untold = true
	}
}

// tellStored follows the end of a flush: after the last one, the registry and the other nodes are
// told.
func (s *Session) tellStored() {
	s.mu.Lock()
	last := s.untold
	s.untold = false
	s.mu.Unlock()
	if last {
		s.noteSeen()
		s.reg.noteStored(s)
	}
}

func (s *Session) store(ctx context.Context, due *unstored) error {
	if !due.lastSeen.IsZero() {
		if err := s.reg.store.PutLastSeen(ctx, s.user, due.lastSeen); err != nil {
			s.reg.log.Warn("not stored when a user was last connected", "user", s.user, "error", err)
		}
	}
	for _, a := range due.acks.inOrder() {
		if err := s.reg.chat.Acknowledge(ctx, s.user, s.device, a.Ack); err != nil {
			return err
		}
		due.acks.stored(a)
	}
	if len(due.position.Through) == 0 {
		return nil
	}
	return s.reg.store.RaisePosition(ctx, s.user, s.device, s.conn, due.position)
}

// keepUnstored puts back what could not be stored. A session that has ended gives up
// instead: the device was not recorded as having these frames, so it gets and
// acknowledges them again.
func (s *Session) keepUnstored(due unstored) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		s.acked = pendingAcks{}
		s.endFlush()
		return false
	}
	s.progress.PutBack(due.position)
	s.acked.putBack(due.acks)
	return true
}
