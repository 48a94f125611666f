package storetest

import (
	"errors"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// Verify checks that all a store says of a thread agrees with the thread's log:
// the log has no gap, its ids rise, and every index, list and state is what
// follows from it. It stores nothing. It gives the log.
func Verify(tb TB, s chat.Store, thread chat.ThreadID) []chat.Event {
	tb.Helper()
	f := &fixture{tb: tb, store: s}
	log := f.log(thread)
	var state chat.Thread
	stints := make(map[chat.UserID]chat.UserThread)
	for i, e := range log {
		if e.Seq != chat.Seq(i+1) || i > 0 && e.ID.Compare(log[i-1].ID) <= 0 {
			tb.Fatalf("entry %d of the log has seq %d and id %s", i+1, e.Seq, e.ID)
		}
		next := state.Apply(e)
		follow(stints, state, next)
		state = next
		if at, err := s.SeqAt(tb.Context(), thread, e.ID); err != nil || at != e.Seq {
			tb.Errorf("SeqAt(id of event %d) = %d, %v", e.Seq, at, err)
		}
		want := state.Users()
		slices.Sort(want)
		if got := f.participantsAt(thread, e.Seq); !slices.Equal(got, want) {
			tb.Errorf("participants at event %d: %v, want %v", e.Seq, got, want)
		}
	}
	if got := f.thread(thread); !sameThread(got, state) {
		tb.Errorf("the thread is %+v, its log says %+v", got, state)
	}
	for user, want := range stints {
		want.Head = state.Head
		if got := f.userThread(user, thread); got != want {
			tb.Errorf("the line of %s is %+v, the log says %+v", user, got, want)
		}
	}
	f.verifyMessages(thread, log)
	return log
}

// follow keeps who is and was in the thread, from one state to the next.
func follow(stints map[chat.UserID]chat.UserThread, before, after chat.Thread) {
	for _, p := range before.Participants {
		if _, stays := after.Participant(p.User); !stays {
			line := stints[p.User]
			line.LeftSeq = after.Head.Seq
			stints[p.User] = line
		}
	}
	for _, p := range after.Participants {
		stints[p.User] = chat.UserThread{Thread: after.ID, JoinedSeq: p.JoinedSeq}
	}
}

// verifyMessages checks all ways to a message, and that none can be sent again.
func (f *fixture) verifyMessages(thread chat.ThreadID, log []chat.Event) {
	f.tb.Helper()
	messages := slices.DeleteFunc(slices.Clone(log), func(e chat.Event) bool { return e.Kind != chat.KindMessage })
	got, err := f.store.Messages(f.tb.Context(), thread, 0, 0, false, len(log))
	if err != nil {
		f.tb.Fatalf("Messages: %v", err)
	}
	wantEvents(f.tb, "Messages", got, messages)
	if len(log) == 0 {
		return
	}
	head := chat.Head{Seq: log[len(log)-1].Seq, ID: log[len(log)-1].ID}
	for _, e := range messages {
		if got, err := f.store.Message(f.tb.Context(), e.ID); err != nil || !sameEvent(got, e) {
			f.tb.Errorf("Message(id of event %d) = %+v, %v", e.Seq, got, err)
		}
		again := e
		again.Seq, again.ID = head.Seq+1, mint(head.ID, e.At())
		n, err := f.store.Append(f.tb.Context(), head, []chat.Event{again})
		var dup *chat.DuplicateError
		if n != 0 || !errors.As(err, &dup) {
			f.tb.Errorf("sending event %d again: %d, %v; want a duplicate", e.Seq, n, err)
		}
	}
}
