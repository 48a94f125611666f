package session

import (
	"cmp"
	"context"
	"maps"
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

// stay is one stay of the user in a thread. What was received in a later one says
// nothing about an earlier: each has a receipt of its own.
type stay struct {
	thread chat.ThreadID
	joined chat.Seq
}

// collect adds an acknowledged event to the pending receipt of its stay. The user's
// own removal is no receipt: a device that was away is sent that alone, and not
// what came before it.
func (s *Session) collect(e sent) {
	if e.removal {
		return
	}
	in := stay{e.thread, e.joined}
	a := s.acked[in]
	if a == nil {
		a = &chat.Ack{Thread: e.thread, From: e.after + 1}
		s.keepAck(in, a)
	}
	a.From, a.Seq = min(a.From, e.after+1), max(a.Seq, e.seq)
	if !e.message.IsZero() {
		addMessage(a, chat.AckedSender{User: e.by, Message: e.message, Seq: e.seq})
	}
}

func (s *Session) keepAck(in stay, a *chat.Ack) {
	if s.acked == nil {
		s.acked = make(map[stay]*chat.Ack)
	}
	s.acked[in] = a
}

// addMessage has a receipt cover one more message. A redelivered one is older than
// others that came before it.
func addMessage(a *chat.Ack, m chat.AckedSender) {
	a.Message = later(a.Message, m.Message)
	i := slices.IndexFunc(a.Senders, func(x chat.AckedSender) bool { return x.User == m.User })
	if i < 0 {
		a.Senders = append(a.Senders, m)
		return
	}
	known := &a.Senders[i]
	known.Message, known.Seq = later(known.Message, m.Message), max(known.Seq, m.Seq)
}

func later(a, b chat.MessageID) chat.MessageID {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// positionEvery spaces the writes of a device's position: losing the last seconds
// of it repeats a few frames.
const positionEvery = 5 * time.Second

// receiptsEvery spaces the receipts of one session: the first is stored at once, what
// is acknowledged within that time after it goes into the next. So a device that
// reads fast, or is one of many that get many messages, costs few writes, and its
// senders see nothing of that.
const receiptsEvery = 200 * time.Millisecond

// flush stores receipts until there are none: what is acknowledged meanwhile goes
// into the next. There is at most one flush per session, and after the end it is the
// one that closes done.
//
// The position is stored after the receipts it implies: the other way round, a
// crash in between would leave a message SENT for ever that no device is sent again.
func (s *Session) flush(ctx context.Context) {
	for {
		due, more := s.takeAcks()
		if !more {
			return
		}
		pause := receiptsEvery
		if err := s.store(ctx, due); err != nil {
			s.reg.log.Warn("receipts not stored, will retry", "user", s.user, "device", s.device, "error", err)
			if !s.keepAcks(due.acks) {
				return
			}
			pause = storeRetry
		}
		s.rest(ctx, pause)
	}
}

// rest has a flush pause, until the session ends: what is left is stored at once then.
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
	acks     map[stay]*chat.Ack
	position *chat.Position // nil: not now
	lastSeen time.Time      // zero: the user has other sessions, or this one goes on
}

// takeAcks takes what is to be stored. With nothing left it ends the flush.
func (s *Session) takeAcks() (due unstored, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due.acks, s.acked = s.acked, nil
	due.lastSeen, s.lastSeen = s.lastSeen, time.Time{}
	now := s.reg.now()
	if s.progress.changed && (s.ended || now.Sub(s.progress.storedAt) >= positionEvery) {
		p := s.progress.position()
		due.position, s.progress.changed, s.progress.storedAt = &p, false, now
	}
	if len(due.acks) > 0 || due.position != nil || !due.lastSeen.IsZero() {
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
	}
}

func (s *Session) store(ctx context.Context, due unstored) error {
	if !due.lastSeen.IsZero() {
		if err := s.reg.store.PutLastSeen(ctx, s.user, due.lastSeen); err != nil {
			s.reg.log.Warn("not stored when a user was last connected", "user", s.user, "error", err)
		}
	}
	// Marks only rise: of a thread, the earlier stay comes first.
	inOrder := slices.SortedFunc(maps.Keys(due.acks), func(a, b stay) int { return cmp.Compare(a.joined, b.joined) })
	for _, in := range inOrder {
		if err := s.reg.chat.Acknowledge(ctx, s.user, s.device, *due.acks[in]); err != nil {
			return err
		}
		delete(due.acks, in)
	}
	if due.position == nil {
		return nil
	}
	return s.reg.store.PutPosition(ctx, s.user, s.device, *due.position)
}

// keepAcks puts back what could not be stored. A session that has ended gives up
// instead: the device was not recorded as having these frames, so it gets and
// acknowledges them again.
func (s *Session) keepAcks(acks map[stay]*chat.Ack) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		s.acked = nil
		s.endFlush()
		return false
	}
	s.progress.changed = true
	for in, a := range acks {
		newer := s.acked[in]
		if newer == nil {
			s.keepAck(in, a)
			continue
		}
		newer.From, newer.Seq = min(newer.From, a.From), max(newer.Seq, a.Seq)
		for _, m := range a.Senders {
			addMessage(newer, m)
		}
	}
	return true
}
