package chat

import (
	"context"
	"errors"
	"slices"
)

// This file has the rules for putting people into threads: who may not be put in, and who has
// to accept the thread first (docs/contract.md#threads, docs/contract.md#own-state).

// cannotAdd refuses to put people into a group and names them. It does not say why, so that
// nobody can tell who blocks them.
func cannotAdd(field string, people []UserID) error {
	refusal := Refuse(CodeCannotAdd, "some people cannot be added to the group by you")
	for _, u := range people {
		refusal.Fields = append(refusal.Fields, FieldError{field, string(u)})
	}
	return refusal
}

// unlessTheyBlock refuses to put people into a group if any of them blocks the user who
// adds them.
func (s *Service) unlessTheyBlock(ctx context.Context, by UserID, field string, people []UserID) error {
	blockers, err := s.store.WhoBlocks(ctx, by, people)
	switch {
	case err != nil:
		return Unavailable("look up the blocks", err)
	case len(blockers) == 0:
		return nil
	}
	return cannotAdd(field, slices.DeleteFunc(slices.Clone(people), func(u UserID) bool { return !slices.Contains(blockers, u) }))
}

// mayReturn refuses to add a user who has left the group or was removed, unless an admin does.
func (s *Service) mayReturn(ctx context.Context, t Thread, by, user UserID) error {
	if me, _ := t.Participant(by); me.Role == Admin {
		return nil
	}
	switch line, err := s.store.UserThread(ctx, user, t.ID); {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return Unavailable("look up whether the user has left", err)
	case line.LeftSeq == 0: // another node has added it since the thread was loaded, as the append will tell
		return nil
	}
	return cannotAdd("user_id", []UserID{user})
}

// strangersAmong lists those of the people who have no 1:1 with the user that they have
// accepted, and all 1:1s that the user has with any of them.
func (s *Service) strangersAmong(ctx context.Context, user UserID, people []UserID) (strangers []UserID, pairs []Pair, err error) {
	if pairs, err = s.store.Pairs(ctx, user, people); err != nil {
		return nil, nil, Unavailable("look up the 1:1s", err)
	}
	for _, u := range people {
		known := slices.ContainsFunc(pairs, func(p Pair) bool { return p.Other == u && p.Accepted })
		if !known {
			strangers = append(strangers, u)
		}
	}
	return strangers, pairs, nil
}

// meetMembers decides who of a new thread's members has to accept it, and refuses those who
// cannot be put into it. It lists the strangers among them, unless it is a 1:1 that is there.
func (s *Service) meetMembers(ctx context.Context, by UserID, change *ThreadChange) (strangers []UserID, err error) {
	others := make([]UserID, 0, len(change.Members))
	for _, m := range change.Members {
		if m.User != by {
			others = append(others, m.User)
		}
	}
	if len(others) == 0 {
		return nil, nil
	}
	if change.Type == Group {
		if err := s.unlessTheyBlock(ctx, by, "participants", others); err != nil {
			return nil, err
		}
	}
	strangers, pairs, err := s.strangersAmong(ctx, by, others)
	if err != nil {
		return nil, err
	}
	for i, m := range change.Members {
		change.Members[i].Pending = slices.Contains(strangers, m.User)
	}
	if change.Type == OneToOne && len(pairs) > 0 {
		return nil, nil
	}
	return strangers, nil
}

// meet has people meet in a thread that is about to be created: it decides who has to accept it,
// counts the strangers, and refuses what may not be. A retry it lets through, and counts nobody:
// it is about to be answered as one.
func (s *Service) meet(ctx context.Context, created Event) error {
	strangers, refusal := s.meetMembers(ctx, created.By, created.Change)
	if refusal == nil && len(strangers) == 0 {
		return nil
	}
	if created.Change.IdempotencyKey != "" {
		if known, err := isDuplicate(s.store.SentBefore(ctx, created)); err != nil || known {
			return err
		}
	}
	if refusal != nil {
		return refusal
	}
	return s.countStrangers(ctx, created.By, strangers)
}
