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
// write and one notice, however many messages and senders. Nothing that can fail comes
// between the two: a retry finds the mark in its place, and tells nobody.
func (s *Service) Acknowledge(ctx context.Context, user UserID, device DeviceID, a Ack) error {
	known, err := s.cache.marks(ctx, a.Thread, user)
	if err != nil {
		return Unavailable("load the receipts", err)
	}
	senders, err := s.newlyCovered(ctx, user, a, max(known.read, known.delivered))
	if err != nil {
		return err
	}
	mark := Mark{Thread: a.Thread, User: user, Kind: Delivered, Seq: a.Seq, Message: a.Message, At: s.markTime(), Beside: known.read}
	prev, moved, err := s.store.PutMark(ctx, mark)
	if err != nil {
		return Unavailable("store the receipt", err)
	}
	if !moved {
		return nil
	}
	s.cache.delivered(a.Thread, user, a.Seq)
	n := Notice{Receipt: &Receipt{Mark: mark, Device: device}}
	for _, sm := range senders {
		if sm.Seq > max(known.read, prev.Seq) { // else another device, or reading them, has told the sender
			n.Receipt.Senders = append(n.Receipt.Senders, SenderMark{sm.User, sm.Message})
			n.Audience = append(n.Audience, sm.User)
		}
	}
	if len(n.Audience) > 0 {
		s.bus.Publish(n)
	}
	return nil
}

// maxGap bounds how many messages newlyCovered reads to find the senders of what a
// device had received before it connected.
const maxGap = 256

// newlyCovered lists the senders who see what they sent, and whose newest message
// lies above received, as far as the user's marks are known to reach before this ack.
func (s *Service) newlyCovered(ctx context.Context, user UserID, a Ack, received Seq) ([]AckedSender, error) {
	if a.Seq <= received {
		return nil, nil
	}
	var covered []AckedSender
	participants, err := s.cache.participants(ctx, a.Thread)
	if err != nil {
		return nil, Unavailable("look up the senders", err)
	}
	add := func(sm AckedSender) {
		known := slices.ContainsFunc(covered, func(m AckedSender) bool { return m.User == sm.User })
		if sm.User == user || known {
			return
		}
		// A service, and a sender who has left since, are not told.
		if slices.ContainsFunc(participants, func(p Participant) bool { return p.User == sm.User && p.JoinedSeq < sm.Seq }) {
			covered = append(covered, sm)
		}
	}
	for _, sm := range a.Senders {
		if sm.Seq > received {
			add(sm)
		}
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
		add(AckedSender{User: e.By, Message: e.ID, Seq: e.Seq})
	}
	return covered, nil
}
