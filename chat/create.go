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

// CreateOutcome says in which of several ways a creation succeeded.
type CreateOutcome int

// The outcomes of docs/contract.md#threads.
const (
	Created       CreateOutcome = iota // the thread is new
	Recreated                          // the same key and values created it before
	AlreadyExists                      // these two people have a 1:1 already
)

// CreateThread makes a thread. For a 1:1 of two people who have one it gives that one, as
// the store decides (each store's CreateThread, which makes a pair's thread only once),
// and for a retry the thread that the first try made (docs/contract.md#threads).
func (s *Service) CreateThread(ctx context.Context, c Caller, req CreateThread) (v ThreadView, outcome CreateOutcome, err error) {
	if err := c.need(ScopeWrite); err != nil {
		return ThreadView{}, 0, err
	}
	change, err := s.creation(c, req)
	if err != nil {
		return ThreadView{}, 0, err
	}
	ids := s.queues.mints.begin()
	defer s.queues.mints.end(ids)
	e := Event{Seq: 1, ID: nextEventID(EventID{}, s.clock.Now()), At: s.markTime(), Kind: KindThread, By: c.User, Device: c.Device, Change: change}
	if e.Thread, err = newThreadID(e.ID); err != nil {
		return ThreadView{}, 0, Unavailable("mint a thread id", err)
	}
	cost := costOfThread(len(change.Members))
	if limited := s.rates.writes.spend(string(c.User), cost, s.now()); limited != nil {
		switch known, err := isDuplicate(s.store.SentBefore(ctx, e)); {
		case err != nil:
			return ThreadView{}, 0, err
		case !known:
			return ThreadView{}, 0, limited
		}
		cost = 0 // it is a retry, and is about to be answered as one
	}
	if err := s.meet(ctx, e); err != nil {
		s.noteStrangers(err)
		return ThreadView{}, 0, err
	}
	v, outcome, err = s.createThread(ctx, c, e)
	if err == nil && outcome != Created {
		s.rates.writes.giveBack(string(c.User), cost)
	}
	return v, outcome, err
}

// costOfThread is what it costs to make a thread of so many people.
func costOfThread(people int) int { return (people + peoplePerOne - 1) / peoplePerOne }

func (s *Service) createThread(ctx context.Context, c Caller, e Event) (v ThreadView, outcome CreateOutcome, err error) {
	var pair *PairExistsError
	var dup *DuplicateError
	switch err := s.store.CreateThread(ctx, e); {
	case errors.As(err, &pair):
		if begun := pair.Begun; begun != nil {
			s.bus.Publish(Notice{Audience: Thread{}.Apply(*begun).Users(), Event: begun})
		}
		v, err := s.viewWithParticipants(ctx, c, pair.Thread)
		return v, AlreadyExists, err
	case errors.As(err, &dup):
		v, err := s.createdBefore(ctx, c, *e.Change, dup.Existing)
		return v, Recreated, err
	case errors.Is(err, ErrClockWrong): // so it was not stored
		return ThreadView{}, 0, Unavailable("store the thread", err)
	case err != nil:
		s.queues.beginDoubtOfCreation(e.Thread, e.ID)
		return ThreadView{}, 0, Unavailable("store the thread", err)
	}
	t := Thread{}.Apply(e)
	s.bus.Publish(Notice{Audience: t.Users(), Event: &e})
	v = ThreadView{Thread: t, Views: make([]ParticipantView, len(t.Participants)), Me: Me{Accepted: true}}
	for i, p := range t.Participants {
		v.Views[i].Participant = p
	}
	return v, Created, nil
}

// createdBefore gives the thread that an earlier try made, and publishes its creation
// again, in case that try crashed before it did.
func (s *Service) createdBefore(ctx context.Context, c Caller, change ThreadChange, created Event) (ThreadView, error) {
	if _, hash := created.Retry(); hash != change.BodyHash {
		return ThreadView{}, keyReused()
	}
	if err := s.spendRead(c); err != nil {
		return ThreadView{}, err
	}
	v, err := s.viewWithParticipants(ctx, c, created.Thread)
	if err == nil {
		s.bus.Publish(Notice{Audience: v.Users(), Event: &created})
	}
	return v, err
}

// creation checks a request and turns it into the first event's change.
func (s *Service) creation(c Caller, req CreateThread) (*ThreadChange, error) {
	var users []UserID // in the order of the request; see [Thread.successor]
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
		change.Members = append(change.Members, InitialMember{User: u, Role: role})
	}
	return change, nil
}

// creationHash covers every value of the request but the key. Its first part tells it
// from the hash of a send.
func creationHash(req CreateThread, users []UserID) [32]byte {
	parts := [][]byte{[]byte("thread"), []byte(req.Type), []byte(req.Title)}
	for _, u := range users {
		parts = append(parts, []byte(u))
	}
	return hashOf(parts...)
}
