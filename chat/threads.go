package chat

import (
	"context"
	"errors"
	"slices"
	"unicode/utf8"
)

// CreateThread asks for a new thread. The caller is always a participant.
type CreateThread struct {
	Type         ThreadType
	Participants []UserID // duplicates are merged
	Title        string   // at most 256 characters; "" is none

	// IdempotencyKey recognises a retry, as for a send; "" is none.
	IdempotencyKey string
}

// CreateOutcome is how a creation ended well.
type CreateOutcome int

// The outcomes of contract 3.
const (
	Created       CreateOutcome = iota // the thread is new
	Recreated                          // the same key and values created it before
	AlreadyExists                      // the 1:1 of these two people was there
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
}

// ThreadPage is one page of a user's threads.
type ThreadPage struct {
	Threads []ThreadView
	Next    string // "" at the end
}

// CreateThread makes a thread; for a 1:1 that exists it gives that one, and for a
// retry the thread it made before (contract 3).
func (s *Service) CreateThread(ctx context.Context, c Caller, req CreateThread) (v ThreadView, outcome CreateOutcome, err error) {
	if err := c.need(ScopeWrite); err != nil {
		return ThreadView{}, 0, err
	}
	change, err := s.creation(c, req)
	if err != nil {
		return ThreadView{}, 0, err
	}
	e := Event{Seq: 1, ID: nextEventID(EventID{}, s.now()), Kind: KindThread, By: c.User, Device: c.Device, Change: change}
	if e.Thread, err = newThreadID(e.At()); err != nil {
		return ThreadView{}, 0, Unavailable("mint a thread id", err)
	}
	var pair *PairExistsError
	var dup *DuplicateError
	switch err := s.store.CreateThread(ctx, e); {
	case errors.As(err, &pair):
		v, err := s.viewWithParticipants(ctx, c.User, pair.Thread)
		return v, AlreadyExists, err
	case errors.As(err, &dup):
		v, err := s.createdBefore(ctx, c, *change, dup.Existing)
		return v, Recreated, err
	case err != nil:
		return ThreadView{}, 0, Unavailable("store the thread", err)
	}
	t := Thread{}.Apply(e)
	s.bus.Publish(Notice{Audience: t.Users(), Event: &e})
	v = ThreadView{Thread: t, Views: make([]ParticipantView, len(t.Participants))}
	for i, p := range t.Participants {
		v.Views[i].Participant = p
	}
	return v, Created, nil
}

// createdBefore gives the thread that an earlier try made, and hints at it again:
// that try may have crashed before it did.
func (s *Service) createdBefore(ctx context.Context, c Caller, change ThreadChange, created Event) (ThreadView, error) {
	if _, hash := created.Retry(); hash != change.BodyHash {
		return ThreadView{}, keyReused()
	}
	v, err := s.viewWithParticipants(ctx, c.User, created.Thread)
	if err == nil {
		s.bus.Publish(Notice{Audience: v.Users(), Event: &created})
	}
	return v, err
}

// creation checks a request and turns it into the first event's change.
func (s *Service) creation(c Caller, req CreateThread) (*ThreadChange, error) {
	var users []UserID // in the order of the request, in which they inherit
	if !slices.Contains(req.Participants, c.User) {
		users = append(users, c.User)
	}
	for _, u := range req.Participants {
		if _, err := ParseUserID(string(u)); err != nil {
			return nil, Invalid("participants", "has a bad user id: it "+nameRule)
		}
		if !slices.Contains(users, u) {
			if len(users) == s.limits.Participants {
				return nil, Invalid("participants", "are more than a group may have")
			}
			users = append(users, u)
		}
	}
	change := &ThreadChange{Event: ThreadCreated, Type: req.Type, Title: req.Title}
	switch {
	case req.Type != OneToOne && req.Type != Group:
		return nil, Invalid("type", "must be 1_TO_1 or GROUP")
	case req.Type == OneToOne && len(users) != 2:
		return nil, Invalid("participants", "of a 1:1 must be exactly two people")
	case utf8.RuneCountInString(req.Title) > MaxTitleChars:
		return nil, Invalid("title", "is longer than 256 characters")
	}
	if req.IdempotencyKey != "" {
		if !validIdempotencyKey(req.IdempotencyKey) {
			return nil, Invalid("Idempotency-Key", "must be 1 to 64 visible ASCII characters")
		}
		change.IdempotencyKey, change.BodyHash = req.IdempotencyKey, creationHash(req, users)
	}
	for _, u := range users {
		role := Member
		if u == c.User && req.Type == Group {
			role = Admin
		}
		change.Members = append(change.Members, InitialMember{u, role})
	}
	return change, nil
}

// creationHash covers every value of the request but the key. Its first part
// tells it from a send's.
func creationHash(req CreateThread, users []UserID) [32]byte {
	parts := [][]byte{[]byte("thread"), []byte(req.Type), []byte(req.Title)}
	for _, u := range users {
		parts = append(parts, []byte(u))
	}
	return hashOf(parts...)
}

// Thread gives a thread with its participants to one of them.
func (s *Service) Thread(ctx context.Context, c Caller, id ThreadID) (ThreadView, error) {
	if err := c.need(ScopeRead); err != nil {
		return ThreadView{}, err
	}
	return s.viewWithParticipants(ctx, c.User, id)
}

func (s *Service) viewWithParticipants(ctx context.Context, user UserID, id ThreadID) (ThreadView, error) {
	t, err := s.thread(ctx, id)
	if err != nil {
		return ThreadView{}, err
	}
	me, in := t.Participant(user)
	if !in {
		return ThreadView{}, notAParticipant()
	}
	marks, err := s.store.Marks(ctx, id, t.Users())
	if err != nil {
		return ThreadView{}, Unavailable("load the receipts", err)
	}
	views := make([]ParticipantView, len(t.Participants))
	var read Seq
	for i, p := range t.Participants {
		if views[i], err = s.markView(ctx, t, me, p, marks[i]); err != nil {
			return ThreadView{}, err
		}
		if p.User == user {
			read = marks[i].Read.Seq
		}
	}
	v, err := s.view(ctx, t, me, read)
	v.Views = views
	return v, err
}

// view is what of a thread's present state one participant sees.
func (s *Service) view(ctx context.Context, t Thread, me Participant, read Seq) (ThreadView, error) {
	v := ThreadView{Thread: t, LastMessage: t.Head.LastVisibleTo(me.User, me.JoinedSeq).ID}
	v.Head = t.Head.For(me.User)
	var err error
	v.Unread, err = s.store.CountUnread(ctx, t.ID, me.User, max(read, me.JoinedSeq), s.now(), MaxUnreadCount)
	if err != nil {
		return v, Unavailable("count unread messages", err)
	}
	return v, nil
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
	places, err := s.threadPlaces(ctx, c.User, p.Cursor)
	if err != nil {
		return ThreadPage{}, err
	}
	var page ThreadPage
	for i, place := range places {
		if i == size {
			page.Next = encodeThreadCursor(c.User, places[i-1])
			break
		}
		v, err := s.listed(ctx, c.User, place.thread)
		switch {
		case CodeOf(err) == CodeNotAParticipant: // left since the list was made
		case err != nil:
			return ThreadPage{}, err
		default:
			page.Threads = append(page.Threads, v)
		}
	}
	return page, nil
}

// threadPlaces orders the threads a user is in by activity, from the cursor on.
func (s *Service) threadPlaces(ctx context.Context, user UserID, cursor string) ([]threadPosition, error) {
	var from threadPosition
	if cursor != "" {
		var err error
		if from, err = decodeThreadCursor(user, cursor); err != nil {
			return nil, err
		}
	}
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
			at.activity = ulidTime(head.LastMessage)
		}
		if cursor == "" || from.before(at) {
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

func (s *Service) listed(ctx context.Context, user UserID, id ThreadID) (ThreadView, error) {
	t, err := s.thread(ctx, id)
	if err != nil {
		return ThreadView{}, err
	}
	me, in := t.Participant(user)
	if !in {
		return ThreadView{}, notAParticipant()
	}
	marks, err := s.store.Marks(ctx, id, []UserID{user})
	if err != nil {
		return ThreadView{}, Unavailable("load the receipts", err)
	}
	return s.view(ctx, t, me, marks[0].Read.Seq)
}

// thread loads a thread's present state.
func (s *Service) thread(ctx context.Context, id ThreadID) (Thread, error) {
	t, err := s.store.Thread(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Thread{}, Refuse(CodeThreadNotFound, "no such thread")
	case err != nil:
		return Thread{}, Unavailable("load the thread", err)
	}
	return t, nil
}
