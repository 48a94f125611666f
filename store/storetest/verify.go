package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Verify fails the test unless all that a store says of a thread follows from the
// thread's log: the log has no gap and its ids rise, the thread and the users' lines are
// the fold of it, and every message has all later changes folded in. It stores nothing.
// It returns the log.
func Verify(tb TB, s chat.Store, thread chat.ThreadID) []chat.Event {
	tb.Helper()
	f := &fixture{tb: tb, store: s}
	log := f.log(thread)
	stints := stintsOf(log)
	var state chat.Thread
	for i, e := range log {
		if e.Seq != chat.Seq(i+1) || i > 0 && e.ID.Compare(log[i-1].ID) <= 0 {
			tb.Fatalf("entry %d of the log has seq %d and id %s", i+1, e.Seq, e.ID)
		}
		state = state.Apply(e)
		if at, err := s.SeqAt(tb.Context(), thread, e.ID); err != nil || at != e.Seq {
			tb.Errorf("SeqAt(id of event %d) = %d, %v", e.Seq, at, err)
		}
		if got, want := f.participantsAt(thread, e.Seq), covering(stints, e.Seq); !slices.Equal(got, want) {
			tb.Errorf("participants at event %d: %+v, want %+v", e.Seq, got, want)
		}
	}
	if got := f.thread(thread); !sameThread(got, state) {
		tb.Errorf("the thread is %+v, its log says %+v", got, state)
	}
	for user, want := range linesOf(stints) {
		got := f.userThread(user, thread)
		want.Thread, want.Head, want.State = thread, state.Head, chat.FreshState(want.JoinedSeq, hadToAccept(log, user), got.State.Revision)
		if got.State.Revision > 0 { // what the user keeps of it is in no log
			want.State = got.State
		}
		if canonicalLine(got) != canonicalLine(want) {
			tb.Errorf("the line of %s is %+v, the log says %+v", user, got, want)
		}
	}
	f.verifyMessages(thread, log)
	return log
}

// stintsOf lists every stint that a log tells of, in order of joining.
func stintsOf(log []chat.Event) (stints []chat.Stint) {
	var before chat.Thread
	for _, e := range log {
		after := before.Apply(e)
		for _, p := range before.Participants {
			if _, stays := after.Participant(p.User); !stays {
				i := slices.IndexFunc(stints, func(s chat.Stint) bool { return s.User == p.User && s.LeftSeq == 0 })
				stints[i].LeftSeq = e.Seq
			}
		}
		for _, p := range after.Participants {
			if p.JoinedSeq == e.Seq {
				stints = append(stints, chat.Stint{User: p.User, JoinedSeq: e.Seq})
			}
		}
		before = after
	}
	return stints
}

// covering are the stints that an event falls into, in order of their users.
func covering(stints []chat.Stint, seq chat.Seq) []chat.Stint {
	return sortedStints(slices.DeleteFunc(slices.Clone(stints), func(s chat.Stint) bool {
		return seq < s.JoinedSeq || s.LeftSeq > 0 && seq >= s.LeftSeq
	}))
}

// linesOf are the users' lines: the last stint of each.
func linesOf(stints []chat.Stint) map[chat.UserID]chat.UserThread {
	lines := make(map[chat.UserID]chat.UserThread)
	for _, s := range stints {
		lines[s.User] = chat.UserThread{JoinedSeq: s.JoinedSeq, LeftSeq: s.LeftSeq}
	}
	return lines
}

// verifyMessages checks every way to read a message, that its changes are folded in,
// and that no message can be sent again.
func (f *fixture) verifyMessages(thread chat.ThreadID, log []chat.Event) {
	f.tb.Helper()
	messages := messagesOf(log)
	wantEvents(f.tb, "Messages", f.messages(thread, chat.MessageRange{Count: len(log)}), messages)
	if len(log) == 0 {
		return
	}
	head := chat.Head{Seq: log[len(log)-1].Seq, ID: log[len(log)-1].ID}
	for _, e := range messages {
		if got := f.message(e.ID); !sameEvent(got, e) {
			f.tb.Errorf("Message(id of event %d) = %s, the log has %s", e.Seq, describe(got), describe(e))
		}
		f.verifyChanges(e, log)
		again := e
		again.Seq, again.ID = head.Seq+1, mint(head.ID, e.At)
		n, err := f.store.Append(f.tb.Context(), head, []chat.Event{again})
		var dup *chat.DuplicateError
		if n != 0 || !errors.As(err, &dup) {
			f.tb.Errorf("sending event %d again: %d, %v; want a duplicate", e.Seq, n, err)
			continue
		}
		if now := f.message(dup.Existing.ID); !sameEvent(dup.Existing, now) { // its key may have been used again since
			f.tb.Errorf("sending event %d again: a duplicate of %s, which is %s", e.Seq, describe(dup.Existing), describe(now))
		}
	}
}

func messagesOf(log []chat.Event) []chat.Event {
	return slices.DeleteFunc(slices.Clone(log), func(e chat.Event) bool { return e.Kind != chat.KindMessage })
}

// verifyChanges checks that a message has exactly the changes of the events about it,
// and that the events which show the message show it like that.
func (f *fixture) verifyChanges(message chat.Event, log []chat.Event) {
	f.tb.Helper()
	// The message as it was appended, but for its content, which an edit replaced.
	folded := *message.Message
	folded.EditedAt, folded.Deleted, folded.Reactions, folded.RedeliveredSeq = time.Time{}, "", nil, 0
	for _, e := range log {
		if !e.ChangesMessage() || e.Target.Seq != message.Seq {
			continue
		}
		folded = folded.Apply(e)
		if shown := message; e.HasContent() {
			shown.Message = e.Message
			if !sameEvent(shown, message) {
				f.tb.Errorf("event %d shows %s, which is %s now", e.Seq, describe(shown), describe(message))
			}
		}
	}
	folded.Veils = message.Message.Veils // which the log does not tell: it has the present content alone
	want := message
	want.Message = &folded
	want = want.ShownTo("")
	if !sameEvent(message, want) {
		f.tb.Errorf("a message is %s, the log says %s", describe(message), describe(want))
	}
}
