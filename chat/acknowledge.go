package chat

import (
	"context"
	"slices"
)

// Ack says that a device has received all that it was sent of a thread, up to Seq.
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

// Acknowledge records one delivered mark, and tells the senders of the messages that
// it newly covers (docs/contract.md#frames, frame `delivered`). It costs one
// write and one notice, however many messages and senders.
func (s *Service) Acknowledge(ctx context.Context, user UserID, device DeviceID, a Ack) error {
	known, err := s.cache.marks(ctx, a.Thread, user)
	if err != nil {
		return Unavailable("load the receipts", err)
	}
	mark := Mark{Thread: a.Thread, User: user, Kind: Delivered, Seq: a.Seq, Message: a.Message, At: s.markTime(), Beside: known.read}
	prev, moved, err := s.store.PutMark(ctx, mark)
	if err != nil {
		return Unavailable("store the receipt", err)
	}
	if moved {
		s.cache.delivered(a.Thread, user, a.Seq)
	}
	received := max(known.read, prev.Seq)
	if !moved || a.Seq <= received { // reading them has told the senders already
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

// maxGap bounds how many messages newlyCovered reads to find the senders of what a
// device had received before it connected.
const maxGap = 256

// newlyCovered lists the senders who are in the thread now and whose newest message
// lies above received, the user's mark before this ack.
func (s *Service) newlyCovered(ctx context.Context, user UserID, a Ack, received Seq) ([]SenderMark, error) {
	var covered []SenderMark
	participants, err := s.cache.participants(ctx, a.Thread)
	if err != nil {
		return nil, Unavailable("look up the senders", err)
	}
	add := func(sender UserID, id MessageID) {
		known := slices.ContainsFunc(covered, func(m SenderMark) bool { return m.User == sender })
		if sender == user || known {
			return
		}
		// A service, and a sender who has left, are not told.
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
	// When it connected, the device named a message that is newer than all that was ever
	// acknowledged. The senders of those in between have not been told. What came before
	// the user joined is none of them.
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
