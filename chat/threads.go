package chat

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ThreadView is a thread as one participant sees it.
type ThreadView struct {
	Thread
	LastMessage MessageID         // zero: none since the viewer joined
	Unread      int               // exact to 99; MaxUnreadCount means more
	Views       []ParticipantView // only where the contract shows them
	Me          Me                // what the viewer keeps of it
}

// ParticipantView is a participant with how far it has received and read.
type ParticipantView struct {
	Participant
	DeliveredUpTo MessageID // zero is none
	ReadUpTo      MessageID
	DevicesAt     time.Time // when its devices with keys changed last; zero is never
}

// ThreadPage is one page of a user's threads.
type ThreadPage struct {
	Threads []ThreadView
	Next    string // "" at the end
}

// Thread gives a thread with its participants to one of them.
func (s *Service) Thread(ctx context.Context, c Caller, id ThreadID) (ThreadView, error) {
	if err := c.need(ScopeRead); err != nil {
		return ThreadView{}, err
	}
	if err := s.spendRead(c); err != nil {
		return ThreadView{}, err
	}
	return s.viewWithParticipants(ctx, c, id)
}

func (s *Service) viewWithParticipants(ctx context.Context, c Caller, id ThreadID) (ThreadView, error) {
	user := c.User
	t, me, err := s.threadFor(ctx, user, id)
	if err != nil {
		return ThreadView{}, err
	}
	marks, err := s.store.Marks(ctx, id, t.Users())
	if err != nil {
		return ThreadView{}, Unavailable("load the receipts", err)
	}
	changed, err := s.store.KeysChangedAt(ctx, t.Users())
	if err != nil {
		return ThreadView{}, Unavailable("look up when devices changed", err)
	}
	views := make([]ParticipantView, len(t.Participants))
	var read Seq
	for i, p := range t.Participants {
		if views[i], err = s.markView(ctx, t, me, p, marks[i]); err != nil {
			return ThreadView{}, err
		}
		views[i].DevicesAt = changed[i]
		if p.User == user {
			read = marks[i].Read.Seq
		}
	}
	own, err := s.ownState(ctx, id, me)
	if err != nil {
		return ThreadView{}, err
	}
	v, err := s.view(ctx, c, t, me, own, read)
	v.Views = views
	return v, err
}

// ownState is what a participant keeps of its thread.
func (s *Service) ownState(ctx context.Context, id ThreadID, me Participant) (OwnState, error) {
	own, err := s.store.OwnState(ctx, me.User, id)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return OwnState{}, Unavailable("look up what the user keeps of the thread", err)
	case own.Joined != me.JoinedSeq: // the user joins or leaves at this moment
		return FreshState(me.JoinedSeq, me.Pending, own.Revision), nil
	}
	return own, nil
}

// view is a thread's present state as one participant sees it.
func (s *Service) view(ctx context.Context, c Caller, t Thread, me Participant, own OwnState, read Seq) (ThreadView, error) {
	v := t.viewFor(me)
	unread, err := s.store.CountUnreadIn(ctx, me.User, []UnreadRange{unreadIn(t.ID, t.Head, me.User, me.JoinedSeq, read)}, s.now(), MaxUnreadCount)
	if err != nil {
		return v, Unavailable("count unread messages", err)
	}
	v.Unread = unread[0]
	v.Me, err = s.meOf(ctx, c, t.ID, own, t.Head)
	return v, err
}

// viewFor is what a participant sees of a thread, without the count of unread messages.
func (t Thread) viewFor(me Participant) ThreadView {
	v := ThreadView{Thread: t, LastMessage: t.Head.LastVisibleTo(me.User, me.JoinedSeq).ID}
	v.Head = t.Head.For(me.User)
	return v
}

// Threads lists those of the caller's threads that the filter lists, latest activity first.
func (s *Service) Threads(ctx context.Context, c Caller, p PageRequest) (ThreadPage, error) {
	if err := c.need(ScopeRead); err != nil {
		return ThreadPage{}, err
	}
	if !p.State.valid() {
		return ThreadPage{}, Invalid("state", "must be inbox, requests or archived")
	}
	size, err := s.pageSize(p)
	if err != nil {
		return ThreadPage{}, err
	}
	var from threadPosition
	if p.Cursor != "" {
		if from, err = decodeThreadCursor(c.User, p.State, p.Cursor); err != nil {
			return ThreadPage{}, err
		}
	}
	if err := s.spendRead(c); err != nil {
		return ThreadPage{}, err
	}
	places, err := s.threadPlaces(ctx, c.User, p.State, from)
	if err != nil {
		return ThreadPage{}, err
	}
	var page ThreadPage
	if len(places) > size {
		places = places[:size]
		page.Next = encodeThreadCursor(c.User, p.State, places[size-1].threadPosition)
	}
	page.Threads, err = s.listed(ctx, c, places)
	return page, err
}

// threadPlace is a thread's place in a list, with the line of the user who lists it.
type threadPlace struct {
	threadPosition

	line UserThread
}

// threadPlaces orders the threads a user is in by activity, those after from; the zero
// position is before all.
func (s *Service) threadPlaces(ctx context.Context, user UserID, filter ThreadFilter, from threadPosition) ([]threadPlace, error) {
	lines, err := s.store.UserThreads(ctx, user)
	if err != nil {
		return nil, Unavailable("list the threads", err)
	}
	now := s.now()
	places := make([]threadPlace, 0, len(lines))
	for _, line := range lines {
		if line.LeftSeq != 0 || !filter.lists(line.State.shown(user, line.Head, now)) {
			continue
		}
		head := line.Head.For(user)
		at := threadPlace{threadPosition{activity: line.Thread.creation(), thread: line.Thread}, line}
		if head.LastMessageSeq > 0 {
			at.activity = head.LastMessage
		}
		if from == (threadPosition{}) || from.before(at.threadPosition) {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, func(a, b threadPlace) int {
		if a.before(b.threadPosition) {
			return -1
		}
		return 1
	})
	return places, nil
}

// listed is what a user is shown of threads in a list, without those that it has left since
// the list was made. It asks the store as often for many threads as for one.
func (s *Service) listed(ctx context.Context, c Caller, places []threadPlace) ([]ThreadView, error) {
	ids, lines := make([]ThreadID, len(places)), make([]UserThread, len(places))
	for i, place := range places {
		ids[i], lines[i] = place.thread, place.line
	}
	threads, err := s.store.Threads(ctx, lines)
	if err != nil {
		return nil, Unavailable("load the threads", err)
	}
	marks, err := s.store.MarksOf(ctx, c.User, ids)
	if err != nil {
		return nil, Unavailable("load the receipts", err)
	}
	last, err := s.store.LastClientSeqs(ctx, c.User, c.Device, ids)
	if err != nil {
		return nil, Unavailable("look up the last client_seqs", err)
	}
	var views []ThreadView
	var unread []UnreadRange
	for i, t := range threads {
		me, in := t.Participant(c.User)
		if !in {
			continue
		}
		unread = append(unread, unreadIn(t.ID, t.Head, me.User, me.JoinedSeq, marks[i].Read.Seq))
		v, own := t.viewFor(me), places[i].line.State
		if own.Joined != me.JoinedSeq { // it has joined anew since the list was made
			own = FreshState(me.JoinedSeq, me.Pending, 0)
		}
		v.Me = own.shown(c.User, t.Head, s.now())
		v.Me.LastClientSeq = last[i]
		views = append(views, v)
	}
	counts, err := s.store.CountUnreadIn(ctx, c.User, unread, s.now(), MaxUnreadCount)
	if err != nil {
		return nil, Unavailable("count unread messages", err)
	}
	for i := range views {
		views[i].Unread = counts[i]
	}
	return views, nil
}

// markView is a participant with its marks, as the viewer sees them.
func (s *Service) markView(ctx context.Context, t Thread, viewer, p Participant, m Marks) (v ParticipantView, err error) {
	v.Participant = p
	if v.DeliveredUpTo, err = s.shownUpTo(ctx, t, viewer, m.Received().Message); err != nil {
		return v, err
	}
	if v.ReadUpTo = v.DeliveredUpTo; m.Read.Message != m.Received().Message {
		v.ReadUpTo, err = s.shownUpTo(ctx, t, viewer, m.Read.Message)
	}
	return v, err
}

// shownUpTo is the newest message that the viewer sees, at or below the marked one; zero
// is none. So no viewer learns the id of a message that it does not see. It seldom has
// to read from the store.
func (s *Service) shownUpTo(ctx context.Context, t Thread, viewer Participant, marked MessageID) (MessageID, error) {
	newest := t.Head.LastVisibleTo(viewer.User, viewer.JoinedSeq)
	switch {
	case marked.IsZero() || marked.Compare(viewer.JoinedID) < 0:
		return MessageID{}, nil
	case marked == newest.ID, t.Type == Group: // in a group no message is hidden
		return marked, nil
	}
	m, err := s.store.MessageIn(ctx, t.ID, marked)
	switch {
	case errors.Is(err, ErrNotFound):
		return MessageID{}, nil
	case err != nil:
		return MessageID{}, Unavailable("look up what was received", err)
	case viewer.Sees(m):
		return marked, nil
	}
	seen, err := s.store.Messages(ctx, t.ID, MessageRange{
		After: viewer.JoinedSeq - 1, Before: m.Seq, Viewer: viewer.User, NewestFirst: true, Count: 1,
	})
	if err != nil {
		return MessageID{}, Unavailable("look up what was received", err)
	}
	if len(seen) == 0 {
		return MessageID{}, nil
	}
	return seen[0].ID, nil
}
