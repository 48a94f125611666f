package session

import (
	"reflect"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// However they come together, receipts name each sender's newest message, reach as
// far as the farthest and begin where the first does.
func TestReceiptsAddUp(t *testing.T) {
	thread, older, newer := chat.ThreadID{1}, chat.MessageID{1}, chat.MessageID{2}
	events := []sent{
		{thread: thread, after: 3, seq: 5, id: newer, message: newer, by: "alice"},
		{thread: thread, after: 5, seq: 6, id: chat.EventID{3}, message: older, by: "alice"}, // again
		{thread: thread, after: 2, seq: 3, id: chat.EventID{1}},                              // out of order, and no message
		{thread: thread, after: 6, seq: 7, id: chat.EventID{4}, message: chat.MessageID{4}, by: "carol"},
		{thread: thread, after: 7, seq: 8, id: chat.EventID{5}, removal: true},
	}
	want := &chat.Ack{
		Thread: thread, From: 3, Seq: 7, Message: chat.MessageID{4},
		Senders: []chat.AckedSender{{User: "alice", Message: newer, Seq: 6}, {User: "carol", Message: chat.MessageID{4}, Seq: 7}},
	}
	var s Session
	for _, e := range events {
		s.collect(e)
	}
	if got := s.acked[thread]; !reflect.DeepEqual(got, want) {
		t.Errorf("acknowledged in one go: %+v, want %+v", got, want)
	}
	for split := 1; split < len(events); split++ {
		var s Session
		for _, e := range events[:split] {
			s.collect(e)
		}
		failed := s.acked
		s.acked = nil
		for _, e := range events[split:] {
			s.collect(e)
		}
		s.keepAcks(failed)
		got := s.acked[thread]
		for _, sender := range want.Senders { // in either order
			found := false
			for _, x := range got.Senders {
				found = found || x == sender
			}
			if !found {
				t.Errorf("put back after %d: %+v, want %+v among the senders", split, got.Senders, sender)
			}
		}
		if got.From != want.From || got.Seq != want.Seq || got.Message != want.Message || len(got.Senders) != 2 {
			t.Errorf("put back after %d: %+v, want %+v", split, got, want)
		}
	}
}
