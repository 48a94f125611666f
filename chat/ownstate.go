package chat

import (
	"context"
	"errors"
	"slices"
	"time"
)

// OwnState is what a user keeps of a thread for itself, as a store has it
// (docs/contract.md#own-state). It is of one stint; who joins again begins afresh.
type OwnState struct {
	Joined   Seq    // of the stint that it is of
	Revision uint64 // counts its changes, over all stints; zero: there was none

	Accepted     bool
	MutedUntil   time.Time // zero: not muted; it may be past
	ArchivedAt   Seq       // where the log ended when the user archived the thread; zero: it is not
	Pinned       bool
	MarkedUnread bool
	Custom       Custom
}

// Custom is what a client keeps with a thread, of which the server knows nothing. The zero
// Custom is none, and not the same as one of no bytes.
type Custom struct {
	Set   bool
	Bytes string
}

// FreshState is the state of a stint in which the user has changed nothing. Who was put into
// the thread by somebody else has to accept it first.
func FreshState(joined Seq, pending bool, revision uint64) OwnState {
	return OwnState{Joined: joined, Accepted: !pending, Revision: revision}
}

// Me is an OwnState as its user is shown it at a moment.
type Me struct {
	Accepted     bool
	MutedUntil   time.Time // zero: not muted
	Archived     bool
	Pinned       bool
	MarkedUnread bool
	Custom       Custom
	// LastClientSeq is the largest client_seq of the asking device in the thread. It is nil
	// if there is none, and in what other devices are told.
	LastClientSeq *int64
}

// MaxCustomBytes bounds [OwnState.Custom].
const MaxCustomBytes = 4 << 10

// shown is the state as the user is shown it.
func (st OwnState) shown(user UserID, head Head, now time.Time) Me {
	me := Me{Accepted: st.Accepted, Archived: st.archived(head.For(user)), Pinned: st.Pinned, MarkedUnread: st.MarkedUnread, Custom: st.Custom}
	if st.MutedUntil.After(now) {
		me.MutedUntil = st.MutedUntil
	}
	return me
}

// archived reports whether the thread is archived while its log ends with that head, which
// is as the user sees it. A newer message ends that, unless it came while the user had the
// thread muted.
func (st OwnState) archived(h Head) bool {
	ended := h.LastMessageSeq > st.ArchivedAt && h.LastMessageAt.After(st.MutedUntil)
	return st.ArchivedAt > 0 && !ended
}

// sameAs compares what the user's devices are shown.
func (m Me) sameAs(n Me) bool {
	return m.Accepted == n.Accepted && m.MutedUntil.Equal(n.MutedUntil) && m.Archived == n.Archived && m.Pinned == n.Pinned &&
		m.MarkedUnread == n.MarkedUnread && m.Custom == n.Custom
}

// ThreadState tells a user's devices what the user keeps of a thread
// (docs/contract.md#frames, frame `thread_state`). The user is all of the audience.
type ThreadState struct {
	Thread ThreadID
	// Revision is that of the [OwnState]. Notices of two nodes may come in any order, and one
	// may come twice: who has heard of this revision, or of a higher one, drops it. Zero: an
	// earlier build does not say it.
	Revision uint64
	Me       Me
}

// StateChange is what a user changes of its state; a field that is nil stays.
type StateChange struct {
	Accepted     *bool
	MutedUntil   *time.Time // the zero time unmutes
	Archived     *bool
	Pinned       *bool
	MarkedUnread *bool
	Custom       *Custom
}

// SetOwnState changes what the caller keeps of a thread.
func (s *Service) SetOwnState(ctx context.Context, c Caller, id ThreadID, change StateChange) (me Me, err error) {
	if err := c.need(ScopeWrite); err != nil {
		return Me{}, err
	}
	if change.Custom != nil && len(change.Custom.Bytes) > MaxCustomBytes {
		return Me{}, Invalid("custom", "is larger than 4 KiB")
	}
	err = s.writing(c, costWrite, func() (changed bool, err error) {
		me, changed, err = s.changeOwnState(ctx, c.User, id, change)
		return changed, err
	})
	if err != nil {
		return Me{}, err
	}
	me.LastClientSeq, err = s.lastClientSeq(ctx, c, id)
	return me, err
}

// OwnState gives what the caller keeps of a thread.
func (s *Service) OwnState(ctx context.Context, c Caller, id ThreadID) (Me, error) {
	if err := c.need(ScopeRead); err != nil {
		return Me{}, err
	}
	if err := s.spendRead(c); err != nil {
		return Me{}, err
	}
	line, err := s.standing(ctx, c.User, id)
	if err != nil {
		return Me{}, err
	}
	return s.meOf(ctx, c, id, line.State, line.Head)
}

// meOf is the state of a thread as one of the user's devices is shown it.
func (s *Service) meOf(ctx context.Context, c Caller, id ThreadID, st OwnState, head Head) (Me, error) {
	me := st.shown(c.User, head, s.now())
	var err error
	me.LastClientSeq, err = s.lastClientSeq(ctx, c, id)
	return me, err
}

func (s *Service) lastClientSeq(ctx context.Context, c Caller, id ThreadID) (*int64, error) {
	last, err := s.store.LastClientSeqs(ctx, c.User, c.Device, []ThreadID{id})
	if err != nil {
		return nil, Unavailable("look up the last client_seq", err)
	}
	return last[0], nil
}

// stateTries is how often a change is tried that others are faster than.
const stateTries = 20

// changeOwnState changes what a user keeps of a thread that it is in. If that changes what
// the user is shown, all its devices are told.
func (s *Service) changeOwnState(ctx context.Context, user UserID, id ThreadID, change StateChange) (me Me, changed bool, err error) {
	// One after the other, told in the order in which they are stored. Between nodes the revision
	// says which is the last.
	unlock, err := s.ownStates.Lock(ctx, string(user)+"/"+id.String())
	if err != nil {
		return Me{}, false, Unavailable("wait for another change of the state", err)
	}
	defer unlock()
	for range stateTries {
		line, err := s.standing(ctx, user, id)
		if err != nil {
			return Me{}, false, err
		}
		before := line.State.shown(user, line.Head, s.now())
		next := line.State.with(change, before.Archived, line.Head.Seq)
		me = next.shown(user, line.Head, s.now())
		if me.sameAs(before) {
			return me, false, nil
		}
		var meets []UserID
		if me.Accepted && !before.Accepted {
			meets = s.notShownYet(ctx, user, id)
		}
		next.Revision++
		stored, err := s.store.PutOwnState(ctx, user, id, next)
		if stored || err != nil { // an error says that it may be stored
			s.statesAgain.add(stateKey{user, id})
		}
		if err != nil {
			return Me{}, false, Unavailable("store the state of the thread", err)
		}
		if stored {
			s.tellState(stateKey{user, id}, next, me)
			if len(meets) > 0 {
				s.bus.Publish(Notice{Audience: meets, Presence: &Presence{User: user, Online: true, Again: true}})
			}
			return me, true, nil
		}
	}
	return Me{}, false, Unavailable("store the state of the thread", errors.New("others were faster again and again"))
}

// with is the state after a change, where the log ends with end. Whether the thread is
// archived is decided anew by every change: what came while it was muted counts no more.
func (st OwnState) with(change StateChange, archived bool, end Seq) OwnState {
	set(&st.Accepted, change.Accepted)
	set(&st.MutedUntil, change.MutedUntil)
	set(&archived, change.Archived)
	set(&st.Pinned, change.Pinned)
	set(&st.MarkedUnread, change.MarkedUnread)
	set(&st.Custom, change.Custom)
	if st.ArchivedAt = 0; archived {
		st.ArchivedAt = end
	}
	return st
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// hasToAccept reports whether a user who sends or reacts in a thread has not accepted it yet.
func (s *Service) hasToAccept(ctx context.Context, user UserID, t Thread) (bool, error) {
	me, in := t.Participant(user)
	if !in { // a service, or somebody who has left
		return false, nil
	}
	has, err := s.cache.hasAccepted(ctx, t.ID, user, me.JoinedSeq)
	switch {
	case errors.Is(err, ErrNotFound): // who has left meanwhile
		return false, nil
	case err != nil:
		return false, Unavailable("look up whether the thread is accepted", err)
	}
	return !has, nil
}

// accept accepts a thread for a user who has sent or reacted in it.
func (s *Service) accept(ctx context.Context, user UserID, id ThreadID) error {
	_, _, err := s.changeOwnState(ctx, user, id, StateChange{Accepted: new(true)})
	if CodeOf(err) == CodeNotAParticipant {
		return nil
	}
	return err
}

// ThreadFilter says which of a user's threads to list.
type ThreadFilter string

// The filters of docs/contract.md#own-state; "" lists all threads.
const (
	Inbox    ThreadFilter = "inbox"
	Requests ThreadFilter = "requests"
	Archived ThreadFilter = "archived"
)

func (f ThreadFilter) valid() bool { return f == "" || f == Inbox || f == Requests || f == Archived }

// lists reports whether the filter lists a thread that the user has in that state.
func (f ThreadFilter) lists(me Me) bool {
	switch f {
	case Inbox:
		return me.Accepted && !me.Archived
	case Requests:
		return !me.Accepted
	case Archived:
		return me.Accepted && me.Archived
	}
	return true
}

// UnreadCounts are the numbers of a user's badge. MaxUnreadCount means more.
type UnreadCounts struct {
	Threads  int // with unread messages, or marked as unread
	Messages int
}

// Unread counts what the caller has yet to read in the threads of its inbox that it has not
// muted.
func (s *Service) Unread(ctx context.Context, c Caller) (n UnreadCounts, err error) {
	if err := c.need(ScopeRead); err != nil {
		return UnreadCounts{}, err
	}
	if err := s.spendRead(c); err != nil {
		return UnreadCounts{}, err
	}
	lines, err := s.store.UserThreads(ctx, c.User)
	if err != nil {
		return UnreadCounts{}, Unavailable("list the threads", err)
	}
	now := s.now()
	lines = slices.DeleteFunc(lines, func(l UserThread) bool {
		me := l.State.shown(c.User, l.Head, now)
		return l.LeftSeq != 0 || !Inbox.lists(me) || !me.MutedUntil.IsZero()
	})
	for part := range slices.Chunk(lines, unreadAtOnce) {
		if n.Threads == MaxUnreadCount && n.Messages == MaxUnreadCount {
			break
		}
		counts, err := s.unreadOf(ctx, c.User, part, now)
		if err != nil {
			return UnreadCounts{}, err
		}
		for i, unread := range counts {
			n.Messages = min(n.Messages+unread, MaxUnreadCount)
			if unread > 0 || part[i].State.MarkedUnread {
				n.Threads = min(n.Threads+1, MaxUnreadCount)
			}
		}
	}
	return n, nil
}

// unreadOf counts the unread messages of each of a user's threads.
func (s *Service) unreadOf(ctx context.Context, user UserID, lines []UserThread, now time.Time) ([]int, error) {
	ids := make([]ThreadID, len(lines))
	for i, line := range lines {
		ids[i] = line.Thread
	}
	marks, err := s.store.MarksOf(ctx, user, ids)
	if err != nil {
		return nil, Unavailable("load what the user has read", err)
	}
	ranges := make([]UnreadRange, len(lines))
	for i, line := range lines {
		ranges[i] = unreadIn(line.Thread, line.Head, user, line.JoinedSeq, marks[i].Read.Seq)
	}
	counts, err := s.store.CountUnreadIn(ctx, user, ranges, now, MaxUnreadCount)
	if err != nil {
		return nil, Unavailable("count unread messages", err)
	}
	return counts, nil
}

// unreadAtOnce is for how many threads the unread messages are counted before the count is
// looked at.
const unreadAtOnce = 500
