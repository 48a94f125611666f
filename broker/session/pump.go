package session

import (
	"container/heap"
	"context"
	"errors"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// pump is the part of a session that only its connection's writer touches.
type pump struct {
	reg     *Registry
	settled bool // origin is known
	origin  origin
	streams map[chat.ThreadID]*stream
	merge   merge
	loaded  int            // bytes of the items of all streams
	newest  chat.MessageID // the newest message there is for the user, or was sent

	// The present catch-up.
	catching bool
	open     int // streams that have not reached their target
	replayed int

	interest interest // what is in force for the present Fill
	receipts []pendingReceipt
	ephemera []ephemeral
	replies  []*Reply
	control  []contracts.Frame
	last     Reason
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
	s.inbox.resync = true // nothing more is sent before what could not be read
	pending := s.retrying
	s.retrying = true
	s.mu.Unlock()
	if !pending {
		s.reg.log.Warn("session cannot read its threads, will retry", "user", s.user, "device", s.device, "error", err)
		time.AfterFunc(storeRetry, s.retry)
	}
}

// retry has the pump try again after a failure.
func (s *Session) retry() {
	s.mu.Lock()
	s.retrying = false
	s.mu.Unlock()
	s.params.Transport.Wake()
}

func (s *Session) fill(b Batch) error {
	p := &s.pump
	wakes, resync, ready := s.takeInbox()
	if !ready {
		return nil
	}
	if resync {
		if err := s.readHeads(); err != nil {
			return err
		}
	}
	for _, w := range wakes {
		if err := s.follow(w); err != nil {
			return err
		}
	}
	p.control = s.sendControl(b, p.control)
	if p.last != 0 && len(p.control) == 0 {
		s.params.Transport.Close(p.last)
		return nil
	}
	p.replies = s.sendReplies(b, p.replies)
	for len(p.merge) > 0 && b.Room() {
		more, err := s.sendNext(b)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	p.receipts = s.sendReceipts(b, p.receipts)
	p.ephemera = s.sendEphemera(b, p.ephemera)
	s.announce(b)
	return nil
}

// takeInbox moves what others have left to the pump's side. It is not ready
// before the client knows that it is connected and what it has subscribed, and between
// a failure to read and the retry.
func (s *Session) takeInbox() (wakes []wake, resync, ready bool) {
	p := &s.pump
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &s.inbox
	if s.ended || !s.begun || s.held > 0 || s.retrying {
		return nil, false, false
	}
	p.interest = s.interest
	if in.subscribed { // only what is sent from here on covers what is subscribed now
		in.subscribed = false
		s.progress.coverage(p.interest.allFrames(), s.frameSeq)
	}
	wakes, resync = in.wakes, in.resync
	in.wakes, in.resync = nil, false
	if in.phase {
		in.phase = false
		p.catching = true
	}
	if len(p.control) == 0 { // else they wait in the inbox, which is bounded
		p.control, in.control = in.control, nil
		p.last = in.last
	}
	if len(p.receipts) == 0 {
		p.receipts = in.receipts.take()
	}
	if len(p.ephemera) == 0 && !s.holdsEphemera() {
		p.ephemera = in.ephemera.take()
	}
	if len(p.replies) == 0 {
		p.replies = in.replies.take()
	}
	return wakes, resync, true
}

// readHeads looks at the heads of all the user's threads and opens a stream for
// each that has news.
func (s *Session) readHeads() (err error) {
	p := &s.pump
	ctx, cancel := p.reg.readContext()
	defer cancel()
	defer func() {
		if err != nil {
			s.mu.Lock()
			s.inbox.resync = true
			s.mu.Unlock()
		}
	}()
	lines, err := s.reg.store.UserThreads(ctx, s.user)
	if err != nil {
		return err
	}
	if !p.settled {
		if p.origin, err = s.reg.settle(ctx, s, lines); err != nil {
			return err
		}
		p.settled = true
		s.mu.Lock()
		s.progress.begin(p.origin)
		s.mu.Unlock()
	}
	for _, line := range lines {
		s.noteNewest(line)
		if !p.interest.frames(line.Thread).ok || !s.mayHaveNews(line) {
			continue
		}
		_, known := p.streams[line.Thread]
		st, err := s.stream(ctx, line)
		if err != nil {
			return err
		}
		if !known {
			st.before = line.Head.Seq
		}
		st.want = max(st.want, lastVisible(line))
		if p.catching && st.cursor < st.end() && st.target == 0 {
			st.target = st.end()
			p.open++
		}
		if err := p.offer(st); err != nil {
			return err
		}
	}
	return nil
}

// noteNewest looks whether a thread has the newest message that the user sees.
func (s *Session) noteNewest(line chat.UserThread) {
	p, head := &s.pump, line.Head.For(s.user)
	if line.LeftSeq == 0 && head.LastMessageSeq >= line.JoinedSeq && head.LastMessage.Compare(p.newest) > 0 {
		p.newest = head.LastMessage
	}
}

// mayHaveNews spares the threads in which nothing happened since the session's
// position the look into their logs.
func (s *Session) mayHaveNews(line chat.UserThread) bool {
	p := &s.pump
	if _, followed := p.streams[line.Thread]; followed {
		return true
	}
	if at, known := p.origin.cursors[line.Thread]; known && !p.origin.claimed {
		return at < lastVisible(line)
	}
	return line.Head.ID.Compare(p.origin.floor) >= 0
}

// stream finds or opens the session's stream of a thread.
func (s *Session) stream(ctx context.Context, line chat.UserThread) (*stream, error) {
	p := &s.pump
	st := p.streams[line.Thread]
	if st == nil {
		cursor, err := s.reg.start(ctx, p.origin, line)
		if err != nil {
			return nil, err
		}
		st = &stream{thread: line.Thread, cursor: cursor, sent: cursor, joined: line.JoinedSeq, until: line.LeftSeq, place: -1}
		if p.streams == nil {
			p.streams = make(map[chat.ThreadID]*stream)
		}
		p.streams[line.Thread] = st
		return st, nil
	}
	if st.until > 0 && line.JoinedSeq > st.until && st.cursor >= st.until {
		st.until, st.cursor = 0, max(st.cursor, line.JoinedSeq-1) // in again
		st.sent, st.joined = st.cursor, line.JoinedSeq
	}
	return st, nil
}

// follow takes up a hint that a thread's log has grown.
func (s *Session) follow(w wake) error {
	p := &s.pump
	if !p.settled {
		return nil // readHeads will find it
	}
	st := p.streams[w.thread]
	if st == nil || st.until > 0 && w.seq > st.until {
		ctx, cancel := p.reg.readContext()
		defer cancel()
		line, err := p.reg.store.UserThread(ctx, s.user, w.thread)
		if errors.Is(err, chat.ErrNotFound) {
			return nil
		}
		if err == nil {
			st, err = s.stream(ctx, line)
		}
		if err != nil {
			s.wake(w.thread, w.seq) // the retry finds it again
			return err
		}
	}
	st.want = max(st.want, w.seq)
	return p.offer(st)
}

// sendNext sends the oldest event of the merge, or passes over it if it is not
// for this device. It reports false if the window has no room.
func (s *Session) sendNext(b Batch) (bool, error) {
	p := &s.pump
	st := p.merge[0]
	p.refresh(st)
	if len(st.items) == 0 {
		return true, p.advance(st)
	}
	g := p.interest.frames(st.thread)
	if !g.ok { // unsubscribed meanwhile: the cursor stays
		p.leave(st)
		return true, nil
	}
	switch it := st.items[0]; {
	case it.hiddenFrom(s.user) || it.about < st.joined:
		s.passUnseen(st, it)
	case s.isOwn(st, it) || s.deliver(b, st, it, g):
		p.pass(st, it, s.user)
	default:
		return false, nil
	}
	if st.until > 0 && st.until < st.want && st.cursor >= st.until {
		s.wake(st.thread, st.want) // the log goes on: is the user in again?
	}
	return true, p.advance(st)
}

// advance sees to it that a stream of the merge is at its next event, or out.
func (p *pump) advance(st *stream) error {
	if st.cursor >= st.end() {
		p.leave(st)
		return nil
	}
	if len(st.items) == 0 {
		p.unload(st)
		ok, err := p.load(st)
		if err != nil || !ok {
			p.leave(st)
			return err
		}
	}
	st.next = st.items[0].id
	heap.Fix(&p.merge, st.place)
	return nil
}

// leave takes a stream out of the merge and out of the present catch-up.
func (p *pump) leave(st *stream) {
	heap.Remove(&p.merge, st.place)
	p.unload(st)
	if st.target > 0 {
		st.target = 0
		p.open--
	}
}

// isOwn reports whether the event was made by this very device while connected:
// it knows already. What it did before is part of its replay. Within the
// millisecond of connecting, what the log held at the first look is "before".
func (s *Session) isOwn(st *stream, it *item) bool {
	if it.by != s.user || it.device != s.device {
		return false
	}
	at, started := int64(it.id.Time()), s.started.UnixMilli()
	return at > started || at == started && it.seq > st.before
}

// deliver puts one event into window and batch.
func (s *Session) deliver(b Batch, st *stream, it *item, g grant) bool {
	entry := sent{
		durable: true, thread: st.thread, joined: st.joined, after: st.sent, seq: it.seq, id: it.id,
		by: it.by, removal: it.removes == s.user,
	}
	if it.counts {
		entry.message = it.shows
	}
	if !s.put(b, it.frameNow(s.reg.now), st.thread, g.qos, entry) {
		return false
	}
	st.sent = it.seq
	if s.pump.catching {
		s.pump.replayed++
	}
	return true
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
	d.PacketID = s.window.add(entry, qos, !s.params.SubscribesAll)
	s.mu.Unlock()
	if !b.Put(d) {
		s.params.Transport.Close(FrameTooLarge)
		return false
	}
	s.reg.stats.frames.Add(1)
	return true
}

// pass moves the cursor over an event.
func (p *pump) pass(st *stream, it *item, user chat.UserID) {
	if it.removes == user {
		st.until = it.seq
	}
	if it.message && it.shows.Compare(p.newest) > 0 {
		p.newest = it.shows
	}
	p.step(st, it)
}

// passUnseen moves the cursor over an event that the user may not see. If
// nothing is in flight the device's position moves too, so that whom the user
// blocks cannot make each of its replays longer.
func (s *Session) passUnseen(st *stream, it *item) {
	s.pump.step(st, it)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.window.entries) == 0 {
		s.progress.advance(&sent{frameSeq: s.frameSeq + 1, thread: st.thread, seq: it.seq, id: it.id})
	}
}

func (p *pump) step(st *stream, it *item) {
	st.cursor = it.seq
	st.items = st.items[1:]
	p.reached(st)
}

// reached notes a stream that has got where the present catch-up wants it.
func (p *pump) reached(st *stream) {
	if st.target > 0 && st.cursor >= min(st.target, st.end()) {
		st.target = 0
		p.open--
	}
}

// sendControl sends frames that wait for no window; it gives back what the batch
// had no room for.
func (s *Session) sendControl(b Batch, frames []contracts.Frame) []contracts.Frame {
	for len(frames) > 0 && b.Room() {
		s.putControl(b, frames[0])
		frames = frames[1:]
	}
	if len(frames) == 0 {
		return nil
	}
	return frames
}

// putControl sends a frame of the device's own, if it is subscribed to those.
func (s *Session) putControl(b Batch, f contracts.Frame) bool {
	if !s.pump.interest.device().ok {
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
	}
}

// sendReceipts sends waiting receipts; it gives back what has to wait on.
func (s *Session) sendReceipts(b Batch, receipts []pendingReceipt) []pendingReceipt {
	for len(receipts) > 0 && b.Room() {
		r := receipts[0]
		if g := s.pump.interest.frames(r.thread); g.ok && !s.put(b, r.frame, r.thread, g.qos, sent{}) {
			break
		}
		receipts = receipts[1:]
	}
	if len(receipts) == 0 {
		return nil
	}
	return receipts
}

// announce ends a catch-up once every stream has reached its target. A client
// that has not subscribed its device topic yet is told when it does.
func (s *Session) announce(b Batch) {
	p := &s.pump
	if !p.settled || !b.Room() {
		return
	}
	s.mu.Lock()
	owed := s.inbox.owed
	s.mu.Unlock()
	done := p.catching && p.open == 0
	if !done && !owed {
		return
	}
	if done {
		p.catching, owed = false, true
	}
	if s.putControl(b, contracts.CaughtUpFrame(p.newest, p.replayed)) {
		owed, p.replayed = false, 0
	}
	s.mu.Lock()
	s.inbox.owed = owed
	s.mu.Unlock()
	if done && s.params.SubscribesAll {
		s.params.Transport.Wake() // for the ephemera that waited for it
	}
}
