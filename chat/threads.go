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
	return s.viewWithParticipants(ctx, c.User, id)
}

func (s *Service) viewWithParticipants(ctx context.Context, user UserID, id ThreadID) (ThreadView, error) {
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
	v, err := s.view(ctx, t, me, read)
	v.Views = views
	return v, err
}

// view is a thread's present state as one participant sees it.
func (s *Service) view(ctx context.Context, t Thread, me Participant, read Seq) (ThreadView, error) {
	v := t.viewFor(me)
	var err error
	v.Unread, err = s.store.CountUnread(ctx, t.ID, me.User, max(read, me.JoinedSeq), s.now(), MaxUnreadCount)
	if err != nil {
		return v, Unavailable("count unread messages", err)
	}
	return v, nil
}

// viewFor is what a participant sees of a thread, without the count of unread messages.
func (t Thread) viewFor(me Participant) ThreadView {
	v := ThreadView{Thread: t, LastMessage: t.Head.LastVisibleTo(me.User, me.JoinedSeq).ID}
	v.Head = t.Head.For(me.User)
	return v
}

// Threads lists the caller's threads, latest activity first.
func (s *Service) Threads(ctx context.Context, c Caller, p PageRequest) (ThreadPage, error) {
	if err := c.need(ScopeRead); err != nil {
		return ThreadPage{}, err
	}
	size, err := s.pageSize(p)
	if err != nil {
		return ThreadPage{}, err
	}
	var from threadPosition
	if p.Cursor != "" {
		if from, err = decodeThreadCursor(c.User, p.Cursor); err != nil {
			return ThreadPage{}, err
		}
	}
	if err := s.spendRead(c); err != nil {
		return ThreadPage{}, err
	}
	places, err := s.threadPlaces(ctx, c.User, from)
	if err != nil {
		return ThreadPage{}, err
	}
	var page ThreadPage
	if len(places) > size {
		places = places[:size]
		page.Next = encodeThreadCursor(c.User, places[size-1])
	}
	page.Threads, err = s.listed(ctx, c.User, places)
	return page, err
}

// threadPlaces orders the threads a user is in by activity, those after from; the zero
// position is before all.
func (s *Service) threadPlaces(ctx context.Context, user UserID, from threadPosition) ([]threadPosition, error) {
	lines, err := s.store.UserThreads(ctx, user)
	if err != nil {
		return nil, Unavailable("list the threads", err)
	}
	places := make([]threadPosition, 0, len(lines))
	for _, line := range lines {
		if line.LeftSeq != 0 {
			continue
		}
		head := line.Head.For(user)
		at := threadPosition{activity: line.Thread.createdAt(), thread: line.Thread}
		if head.LastMessageSeq > 0 {
			at.activity = IDTime(head.LastMessage)
		}
		if from == (threadPosition{}) || from.before(at) {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, func(a, b threadPosition) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return places, nil
}

// listed is what a user is shown of threads in a list, without those that it has left since
// the list was made. It asks the store as often for many threads as for one.
func (s *Service) listed(ctx context.Context, user UserID, places []threadPosition) ([]ThreadView, error) {
	ids := make([]ThreadID, len(places))
	for i, place := range places {
		ids[i] = place.thread
	}
	threads, err := s.store.Threads(ctx, ids)
	if err != nil {
		return nil, Unavailable("load the threads", err)
	}
	marks, err := s.store.MarksOf(ctx, user, ids)
	if err != nil {
		return nil, Unavailable("load the receipts", err)
	}
	var views []ThreadView
	var unread []UnreadRange
	for i, t := range threads {
		me, in := t.Participant(user)
		if !in {
			continue
		}
		unread = append(unread, UnreadRange{Thread: t.ID, After: max(marks[i].Read.Seq, me.JoinedSeq), Through: t.Head.Seq})
		views = append(views, t.viewFor(me))
	}
	counts, err := s.store.CountUnreadIn(ctx, user, unread, s.now(), MaxUnreadCount)
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
