package chat

import (
	"context"
	"slices"
	"time"
)

// MarkRead records that the caller has read a thread up to a message and tells
// the other participants who see that message. It never moves backwards: an older message is accepted
// and changes nothing (contract 3.2).
func (s *Service) MarkRead(ctx context.Context, c Caller, id ThreadID, upTo MessageID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	line, err := s.standing(ctx, c.User, id)
	if err != nil {
		return err
	}
	message, err := s.anyMessage(ctx, upTo)
	if err != nil {
		return err
	}
	if message.Thread != id || !message.VisibleTo(c.User, line.JoinedSeq) {
		return Refuse(CodeMessageNotFound, "no such message in this thread")
	}
	mark := Mark{Thread: id, User: c.User, Kind: Read, Seq: message.Seq, Message: upTo, At: s.markTime()}
	moved, err := s.putRead(ctx, &mark, message)
	switch {
	case err != nil:
		return Unavailable("store the receipt", err)
	case !moved:
		return nil
	}
	participants, err := s.memory.participants(ctx, id)
	if err != nil {
		// The receipt is stored; those who miss the frame find the mark in the thread.
		s.log.Warn("read receipt stored but not announced", "thread", id.String(), "error", err)
		return nil
	}
	s.bus.Publish(Notice{Audience: whoSee(message, participants), Receipt: &Receipt{Mark: mark, Device: c.Device}})
	return nil
}

// Receipts lists where each recipient of a message stands, in no particular
// order: everyone who was in the thread when it was sent, but the sender.
func (s *Service) Receipts(ctx context.Context, c Caller, id MessageID) ([]RecipientReceipt, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	message, err := s.messageFor(ctx, c.User, id)
	if err != nil {
		return nil, err
	}
	return s.receiptsOf(ctx, message)
}

// receiptsOf finds where each recipient of a message stands.
func (s *Service) receiptsOf(ctx context.Context, message Event) ([]RecipientReceipt, error) {
	stints, err := s.store.ParticipantsAt(ctx, message.Thread, message.Seq)
	if err != nil {
		return nil, Unavailable("list the recipients", err)
	}
	stints = slices.DeleteFunc(stints, func(st Stint) bool { return st.User == message.By })
	users := make([]UserID, len(stints))
	for i, st := range stints {
		users[i] = st.User
	}
	from := max(message.Seq, message.Message.RedeliveredSeq)
	marks, err := s.store.MarksAt(ctx, message.Thread, from, users)
	if err != nil {
		return nil, Unavailable("load the receipts", err)
	}
	if err := s.addReadAlone(ctx, message, marks); err != nil {
		return nil, err
	}
	now := s.now()
	receipts := make([]RecipientReceipt, len(marks))
	for i, m := range marks {
		// What it received in a later stint says nothing about what it sees no more.
		receipts[i] = receiptFrom(message, m.before(stints[i].LeftSeq), now)
	}
	return receipts, nil
}

// receivedSeq is the event by which a recipient got a message.
func (e Event) receivedSeq(by UserID) Seq {
	if by == e.By {
		return e.Seq
	}
	return max(e.Seq, e.Message.RedeliveredSeq)
}

// Ack says that a device holds everything of a thread that it was sent, up to Seq.
type Ack struct {
	Thread  ThreadID
	From    Seq       // the first event it covers
	Seq     Seq       // the last
	Message MessageID // the newest message among them; zero is none
	Senders []AckedSender
}

// AckedSender is the newest message of one sender that an Ack covers.
type AckedSender struct {
	User    UserID
	Message MessageID
	Seq     Seq
}

// Acknowledge records one delivered mark and tells the senders it newly covers
// (contract 4.1, frame `delivered`). One write and one bus event, however many
// messages and senders.
func (s *Service) Acknowledge(ctx context.Context, user UserID, device DeviceID, a Ack) error {
	read, err := s.memory.readMark(ctx, a.Thread, user)
	if err != nil {
		return Unavailable("load the receipts", err)
	}
	mark := Mark{Thread: a.Thread, User: user, Kind: Delivered, Seq: a.Seq, Message: a.Message, At: s.markTime()}
	prev, moved, err := s.store.PutMark(ctx, mark)
	if err != nil {
		return Unavailable("store the receipt", err)
	}
	received := max(read, prev.Seq)
	if !moved || a.Seq <= received { // read already, which told the senders
		return nil
	}
	senders, err := s.newlyCovered(ctx, user, a, received)
	if err != nil {
		return err
	}
	if len(senders) == 0 {
		return nil
	}
	n := Notice{Receipt: &Receipt{Mark: mark, Device: device, Senders: senders}}
	for _, sm := range senders {
		n.Audience = append(n.Audience, sm.User)
	}
	s.bus.Publish(n)
	return nil
}

// maxGap bounds how many messages are read to find the senders of what a device
// held already when it connected.
const maxGap = 256

// newlyCovered lists the senders still in the thread whose newest message lies
// above received, the user's mark before this ack.
func (s *Service) newlyCovered(ctx context.Context, user UserID, a Ack, received Seq) ([]SenderMark, error) {
	var covered []SenderMark
	participants, err := s.memory.participants(ctx, a.Thread)
	if err != nil {
		return nil, Unavailable("look up the senders", err)
	}
	add := func(sender UserID, id MessageID) {
		known := slices.ContainsFunc(covered, func(m SenderMark) bool { return m.User == sender })
		if sender == user || known {
			return
		}
		// No system sender, and none who has left.
		if slices.ContainsFunc(participants, func(p Participant) bool { return p.User == sender }) {
			covered = append(covered, SenderMark{sender, id})
		}
	}
	for _, sender := range a.Senders {
		if sender.Seq <= received {
			continue
		}
		add(sender.User, sender.Message)
	}
	if a.From <= received+1 {
		return covered, nil
	}
	// The device said it holds newer messages than were ever acknowledged: their
	// senders have not been told. Nobody receives what came before its joining.
	line, err := s.store.UserThread(ctx, user, a.Thread)
	if err != nil {
		return nil, Unavailable("look up the recipient", err)
	}
	received = max(received, line.JoinedSeq-1)
	if a.From <= received+1 {
		return covered, nil
	}
	held, err := s.store.Messages(ctx, a.Thread, MessageRange{After: received, Before: a.From, Viewer: user, NewestFirst: true, Count: maxGap})
	if err != nil {
		return nil, Unavailable("read the history", err)
	}
	for _, e := range held {
		add(e.By, e.ID)
	}
	return covered, nil
}

func (s *Service) markTime() time.Time { return s.now().UTC().Truncate(time.Millisecond) }
