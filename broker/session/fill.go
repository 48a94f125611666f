package session

import (
	"context"
	"time"

	"github.com/parleyhq/parley/broker/feed"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// outbox is what only the connection's writer touches, inside Fill: what it has
// drained from the inbox and not sent yet, and what the client has subscribed.
type outbox struct {
	interest interest // what is in force for the present Fill
	receipts []pendingReceipt
	ephemera []ephemeral
	replies  []*Reply
	control  []control
	last     Reason
	replayed int  // events sent in the present catch-up
	behind   bool // the window was full, and not all that waited then is sent yet
}

// storeRetry is the pause after a failure to read.
const storeRetry = time.Second

// Fill puts what is due into the batch, as far as the window and the batch have
// room. A batch left empty means that there is nothing to send until the next
// [Transport.Wake].
func (s *Session) Fill(b Batch) {
	err := s.fill(b)
	if err == nil || s.reg.ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	s.reg.stats.StoreErrors.Add("read", 1)
	s.inbox.resync = true // nothing more is sent before what could not be read
	pending := s.retrying
	s.retrying = true
	s.mu.Unlock()
	if !pending {
		s.reg.log.Warn("session cannot read its threads, will retry", "user", s.user, "device", s.device, "error", err)
		time.AfterFunc(storeRetry, s.retry)
	}
}

// beginLater stores the device's first position once the disk has room again. Without it
// another device's acknowledgements would move where this one starts next time. If the session
// ends before that, the next one finds its start anew.
func (s *Session) beginLater(ctx context.Context, p chat.Position) {
	for {
		select {
		case <-time.After(storeRetry):
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
		if _, err := s.reg.store.BeginPosition(ctx, s.user, s.device, p); err == nil {
			return
		}
	}
}

// retry has the session read again after a failure.
func (s *Session) retry() {
	s.mu.Lock()
	s.retrying = false
	s.mu.Unlock()
	s.params.Transport.Wake()
}

func (s *Session) fill(b Batch) error {
	out := &s.out
	wakes, resync, ready := s.drainInbox()
	if !ready {
		return nil
	}
	if resync {
		err := s.feed.Resync(s.reg.ctx, s.wantsFrames)
		if p := s.feed.Unbegun(); p != nil {
			s.reg.log.Warn("a device's first position is not stored while the disk is full, will retry", "user", s.user, "device", s.device)
			s.reg.spawn(func(ctx context.Context) { s.beginLater(ctx, *p) })
		}
		if err != nil {
			return err
		}
	}
	for _, w := range wakes {
		if err := s.feed.Wake(s.reg.ctx, w.thread, w.seq); err != nil {
			return err
		}
	}
	out.control = s.sendControl(b, out.control)
	if out.last != 0 && len(out.control) == 0 {
		s.params.Transport.Close(out.last)
		return nil
	}
	out.replies = s.sendReplies(b, out.replies)
	if err := s.sendEvents(b); err != nil {
		return err
	}
	out.receipts = s.sendReceipts(b, out.receipts)
	out.ephemera = s.sendEphemera(b, out.ephemera)
	s.announce(b)
	return nil
}

// drainInbox moves what others have left into the outbox. It is not ready before
// the client knows that it is connected and what it has subscribed, and between a
// failure to read and the retry.
func (s *Session) drainInbox() (wakes []wake, resync, ready bool) {
	out := &s.out
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &s.inbox
	if s.ended || !s.begun || s.held > 0 || s.retrying {
		return nil, false, false
	}
	out.interest = s.interest
	wakes, resync = in.wakes, in.resync
	in.wakes, in.resync = nil, false
	if in.catchUp {
		in.catchUp = false
		s.feed.CatchUp()
	}
	if len(out.control) == 0 { // else they wait in the inbox, which is bounded
		out.control, in.control = in.control, nil
		out.last = in.last
	}
	if len(out.receipts) == 0 {
		out.receipts = in.receipts.drain()
	}
	if len(out.ephemera) == 0 && !s.holdsEphemera() {
		out.ephemera = in.ephemera.drain()
	}
	if len(out.replies) == 0 {
		out.replies = in.replies.drain()
	}
	return wakes, resync, true
}

// wantsFrames reports whether the client has subscribed the frames of a thread.
func (s *Session) wantsFrames(thread chat.ThreadID) bool { return s.out.interest.frames(thread).ok }

// sendEvents sends what the feed gives, as long as window and batch have room.
func (s *Session) sendEvents(b Batch) error {
	var g grant // of the thread that Next asks for last, which is that of its event
	wanted := func(thread chat.ThreadID) bool {
		g = s.out.interest.frames(thread)
		return g.ok
	}
	var next feed.Next
	var late delays
	defer late.add(s.reg.stats)
	for b.Room() {
		ok, err := s.feed.Next(s.reg.ctx, wanted, &next)
		if err == nil && !ok {
			s.out.behind = false
		}
		if err != nil || !ok {
			return err
		}
		if !next.ForReader() {
			s.skip(&next)
		} else {
			if !s.deliver(b, &next, g) {
				s.out.behind = true
				return nil
			}
			if next.Counts && !s.out.behind && !s.feed.CatchingUp() {
				late.note(s.reg, next.At)
			}
		}
		if err := s.feed.Pass(s.reg.ctx, &next); err != nil {
			return err
		}
	}
	return nil
}

// deliver puts one event into window and batch. It reports false if it has to wait.
func (s *Session) deliver(b Batch, next *feed.Next, g grant) bool {
	entry := sent{
		durable: true, thread: next.Thread, joined: next.Joined, after: next.After, seq: next.Seq, through: next.Seq,
		by: next.By, removal: next.Removes == s.user,
	}
	if next.Counts {
		entry.message = next.Shows
	}
	if !s.put(b, next.Frame(s.user, s.reg.now), next.Thread, g.qos, entry) {
		return false
	}
	if s.feed.CatchingUp() {
		s.out.replayed++
	}
	return true
}

// skip has the device's position rise over an event that is not for it, once what was
// sent of the thread before is acknowledged. Otherwise a device's own messages, and the
// people whom the user blocks, would make each of its replays longer.
func (s *Session) skip(next *feed.Next) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, refused := s.window.refused[next.Thread]; !s.window.extend(next.Thread, next.Seq) && !refused {
		s.progress.Pass(next.Thread, next.Seq)
	}
}

// put gives a frame its number, a place in the window and a packet id, and hands
// it to the batch. It reports false if it has to wait.
func (s *Session) put(b Batch, f contracts.Frame, thread chat.ThreadID, qos byte, entry sent) bool {
	s.mu.Lock()
	if s.ended || s.window.full(qos) {
		s.blocked()
		s.mu.Unlock()
		return false
	}
	s.frameSeq++
	entry.frameSeq = s.frameSeq
	d := Delivery{Frame: f, FrameSeq: s.frameSeq, Topic: contracts.Topic{Kind: contracts.TopicThreadFrames, Thread: thread}, QoS: qos}
	if before := s.sentBefore(&entry); before != 0 && qos > 0 {
		d.Again, d.PacketID = true, s.window.addAgain(entry, before)
	} else {
		d.PacketID = s.window.add(entry, qos, !s.params.SubscribesAll)
	}
	s.mu.Unlock()
	if !b.Put(d) && !putOmitted(b, d) {
		s.params.Transport.Close(FrameTooLarge)
		return false
	}
	s.reg.stats.countFrame(f)
	return true
}

// putOmitted adds a frame that is too large for the client without its ciphertext. It reports
// false if that is too large as well.
func putOmitted(b Batch, d Delivery) bool {
	small, ok := d.Frame.Omitted()
	d.Frame = small
	return ok && b.Put(d)
}

// sendControl sends frames that wait for no window; it gives back what the batch
// had no room for.
func (s *Session) sendControl(b Batch, frames []control) []control {
	for len(frames) > 0 && b.Room() {
		if !s.putControl(b, frames[0].frame) && string(frames[0].frame.Type()) == contracts.FrameExpiring {
			s.oweWarning()
		}
		if frames[0].told != nil {
			close(frames[0].told)
		}
		frames = frames[1:]
	}
	if len(frames) == 0 {
		return nil
	}
	return frames
}

// putControl sends a frame of the device's own, if it is subscribed to those.
func (s *Session) putControl(b Batch, f contracts.Frame) bool {
	if !s.out.interest.device().ok {
		return false
	}
	s.putUnacknowledged(b, f, contracts.Topic{Kind: contracts.TopicDeviceFrames, Device: s.device})
	return true
}

// putUnacknowledged sends a frame that waits for no window and is in none.
func (s *Session) putUnacknowledged(b Batch, f contracts.Frame, topic contracts.Topic) {
	s.mu.Lock()
	s.frameSeq++
	d := Delivery{Frame: f, FrameSeq: s.frameSeq, Topic: topic}
	s.mu.Unlock()
	if !b.Put(d) {
		s.params.Transport.Close(FrameTooLarge)
		return
	}
	s.reg.stats.countFrame(f)
}

// sendReceipts sends waiting receipts; it gives back what has to wait on.
func (s *Session) sendReceipts(b Batch, receipts []pendingReceipt) []pendingReceipt {
	for len(receipts) > 0 && b.Room() {
		r := receipts[0]
		if g := s.out.interest.frames(r.thread); g.ok && !s.put(b, r.frame, r.thread, g.qos, sent{}) {
			break
		}
		receipts = receipts[1:]
	}
	if len(receipts) == 0 {
		return nil
	}
	return receipts
}

// announce sends caught_up once the feed has caught up. A client that has not
// subscribed its device topic yet is told when it does.
func (s *Session) announce(b Batch) {
	if !b.Room() {
		return
	}
	s.mu.Lock()
	owed := s.inbox.owed
	s.mu.Unlock()
	done := s.feed.CaughtUp()
	if !done && !owed {
		return
	}
	if done {
		s.reg.stats.Replays.Observe(int64(s.out.replayed))
	}
	owed = !s.putControl(b, contracts.CaughtUpFrame(s.feed.Newest(), s.out.replayed, s.reg.store.ID()))
	if !owed {
		s.out.replayed = 0
	}
	s.mu.Lock()
	s.inbox.owed = owed
	s.mu.Unlock()
	if done && s.params.SubscribesAll {
		s.params.Transport.Wake() // for the ephemera that waited for it
	}
}
