package session

import (
	"context"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// AckPacket takes a PUBACK.
func (s *Session) AckPacket(id uint16) {
	s.mu.Lock()
	received, released := s.window.ackPacket(id)
	s.acknowledged(received, released)
}

// AckThrough takes a client_ack: everything up to frameSeq was received. It
// reports false for a number that was never sent.
func (s *Session) AckThrough(frameSeq uint64) bool {
	s.mu.Lock()
	if frameSeq > s.frameSeq {
		s.mu.Unlock()
		return false
	}
	received, released := s.window.ackThrough(frameSeq)
	s.acknowledged(received, released)
	return true
}

// acknowledged makes receipts of what the client has received, moves the device's
// position over what the window released, and lets the pump go on if it waited for
// room. It is entered with mu held and leaves it released.
func (s *Session) acknowledged(received, released []sent) {
	waited := len(released) > 0 && !s.fullSince.IsZero()
	if waited {
		s.fullSince = time.Time{}
	}
	for _, e := range released {
		if e.durable {
			s.progress.advance(e)
		}
	}
	for _, e := range received {
		s.collect(e)
	}
	flush := len(s.acked) > 0 && !s.flushing
	if flush {
		s.flushing = true
	}
	s.mu.Unlock()
	if waited {
		s.params.Transport.Wake()
	}
	if flush {
		s.reg.spawn(s.flush)
	}
}

// collect adds an acknowledged event to its thread's pending receipt.
func (s *Session) collect(e sent) {
	a := s.acked[e.thread]
	if a == nil {
		if s.acked == nil {
			s.acked = make(map[chat.ThreadID]*chat.Ack)
		}
		a = &chat.Ack{Thread: e.thread, From: e.after + 1}
		s.acked[e.thread] = a
	}
	a.Seq = max(a.Seq, e.seq)
	if !e.message {
		return
	}
	a.Message = e.id
	newest := chat.AckedSender{User: e.by, Message: e.id, Seq: e.seq}
	if i := slices.IndexFunc(a.Senders, func(x chat.AckedSender) bool { return x.User == e.by }); i >= 0 {
		a.Senders[i] = newest
	} else {
		a.Senders = append(a.Senders, newest)
	}
}

// positionEvery spaces the writes of a device's position: losing the last second
// of it repeats a few frames.
const positionEvery = time.Second

// flush stores receipts until there are none: what is acknowledged while one is
// being stored goes into the next, so a fast reader costs few writes. There is at
// most one flush per session, and after the end it is the one that closes done.
//
// The position is stored after the receipts it implies: the other way round, a
// crash in between would leave a message SENT for ever that no device is sent again.
func (s *Session) flush(ctx context.Context) {
	for {
		acks, position, more := s.takeAcks()
		if !more {
			return
		}
		if err := s.store(ctx, acks, position); err != nil {
			s.reg.log.Warn("receipts not stored, will retry", "user", s.user, "device", s.device, "error", err)
			if !s.keepAcks(acks) {
				return
			}
			select {
			case <-time.After(storeRetry):
			case <-ctx.Done():
			}
		}
	}
}

// takeAcks takes what is to be stored. With nothing left it ends the flush.
func (s *Session) takeAcks() (acks map[chat.ThreadID]*chat.Ack, position *chat.Position, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	acks, s.acked = s.acked, nil
	now := s.reg.now()
	if s.progress.changed && (s.ended || now.Sub(s.progress.storedAt) >= positionEvery) {
		p := s.progress.position()
		position, s.progress.changed, s.progress.storedAt = &p, false, now
	}
	if len(acks) > 0 || position != nil {
		return acks, position, true
	}
	s.endFlush()
	return nil, nil, false
}

func (s *Session) endFlush() {
	s.flushing = false
	if s.ended {
		close(s.done)
		s.flushing = true // for good: nobody flushes an ended session again
	}
}

func (s *Session) store(ctx context.Context, acks map[chat.ThreadID]*chat.Ack, position *chat.Position) error {
	for thread, a := range acks {
		if err := s.reg.receipts.Acknowledge(ctx, s.user, s.device, *a); err != nil {
			return err
		}
		delete(acks, thread)
	}
	if position == nil {
		return nil
	}
	return s.reg.store.PutPosition(ctx, s.user, s.device, *position)
}

// keepAcks puts back what could not be stored. A session that has ended gives up
// instead: the device was not recorded as having these frames, so it gets and
// acknowledges them again.
func (s *Session) keepAcks(acks map[chat.ThreadID]*chat.Ack) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		s.acked = nil
		s.endFlush()
		return false
	}
	s.progress.changed = true
	for thread, a := range acks {
		newer := s.acked[thread]
		if newer == nil {
			if s.acked == nil {
				s.acked = make(map[chat.ThreadID]*chat.Ack)
			}
			s.acked[thread] = a
			continue
		}
		newer.From = a.From
		if newer.Message.IsZero() {
			newer.Message = a.Message
		}
		for _, sender := range a.Senders {
			if !slices.ContainsFunc(newer.Senders, func(x chat.AckedSender) bool { return x.User == sender.User }) {
				newer.Senders = append(newer.Senders, sender)
			}
		}
	}
	return true
}
