package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// CreateThread implements [chat.ThreadStore]. Repeating a creation that was
// stored (the same thread and event id) succeeds and changes nothing.
func (s *Store) CreateThread(ctx context.Context, created chat.Event) error {
	doing := "create thread " + created.Thread.String()
	if created.Kind != chat.KindThread || created.Change == nil || created.Seq != 1 {
		return fmt.Errorf("%s: event %d of kind %q begins no log", doing, created.Seq, created.Kind)
	}
	if err := checkNames(created); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	causal, end, err := s.causally(ctx)
	if err != nil {
		return wrap(doing, err)
	}
	defer end()
	doc := s.newEventDoc(created, headState{})
	begin := s.beginGroup
	if created.Change.Type == chat.OneToOne {
		begin = s.beginPair
	}
	if err := s.claimKey(causal, doc); err != nil {
		return wrap(doing, err)
	}
	if err := begin(causal, doc); err != nil {
		if isRefusal(err) {
			err = errors.Join(err, s.releaseKey(causal, doc))
		}
		return wrap(doing, err)
	}
	if _, err := s.settle(ctx, created.Thread, created.Seq); err != nil {
		return fmt.Errorf("settle the creation of thread %s: %w", created.Thread, err)
	}
	return nil
}

// beginGroup inserts the first event of a group's log.
func (s *Store) beginGroup(ctx context.Context, doc eventDoc) error {
	_, err := s.insert(ctx, []eventDoc{doc})
	if !errors.Is(err, chat.ErrStaleHead) {
		return err
	}
	same, _, err := s.begun(ctx, doc)
	if err == nil && !same {
		err = errExists
	}
	return err
}

var errExists = errors.New("it exists, created by another event")

// Thread implements [chat.ThreadStore].
func (s *Store) Thread(ctx context.Context, id chat.ThreadID) (chat.Thread, error) {
	t, applied, err := s.storedThread(ctx, id) // first, so that the head is not behind it
	if err != nil {
		return chat.Thread{}, err
	}
	head, found, err := s.head(ctx, id)
	switch {
	case err != nil:
		return chat.Thread{}, err
	case !found:
		return chat.Thread{}, fmt.Errorf("thread %s: %w", id, chat.ErrNotFound)
	case head.changed > applied:
		if t, err = s.rollForward(ctx, id, t, applied, head.changed); err != nil {
			return chat.Thread{}, err
		}
	}
	t.Head = head.Head
	return t, nil
}

// UserThread implements [chat.ThreadStore].
func (s *Store) UserThread(ctx context.Context, user chat.UserID, thread chat.ThreadID) (chat.UserThread, error) {
	absent := fmt.Errorf("user %s in thread %s: %w", user, thread, chat.ErrNotFound)
	head, found, err := s.head(ctx, thread)
	if err != nil {
		return chat.UserThread{}, err
	}
	if !found {
		return chat.UserThread{}, absent
	}
	if _, err := s.settle(ctx, thread, head.changed); err != nil {
		return chat.UserThread{}, err
	}
	doc, found, err := findOne[stintsDoc](ctx, s.stints, d("_id", stintsID(user, thread)))
	if err != nil {
		return chat.UserThread{}, fmt.Errorf("read when %s was in thread %s: %w", user, thread, err)
	}
	line, was := doc.line(head.Head)
	if !found || !was {
		return chat.UserThread{}, absent
	}
	return line, nil
}

// line is the user's line when the log ended with head. The stints may have been read
// after it, and hold later joinings and leavings.
func (doc *stintsDoc) line(head chat.Head) (chat.UserThread, bool) {
	last, was := doc.asOf(head.Seq)
	return chat.UserThread{Thread: doc.Thread, JoinedSeq: last.Joined, LeftSeq: last.Left, Head: head, State: doc.state(last.Joined)}, was
}

// OwnState implements [chat.ThreadStore]. It settles nothing: of a joining that is not settled
// yet the thread says whether the user has accepted it.
func (s *Store) OwnState(ctx context.Context, user chat.UserID, thread chat.ThreadID) (chat.OwnState, error) {
	doc, found, err := findOne[stintsDoc](ctx, s.stints, d("_id", stintsID(user, thread)))
	switch {
	case err != nil:
		return chat.OwnState{}, fmt.Errorf("read what %s keeps of thread %s: %w", user, thread, err)
	case !found || doc.Left != 0:
		return chat.OwnState{}, fmt.Errorf("user %s in thread %s: %w", user, thread, chat.ErrNotFound)
	}
	return doc.state(doc.Joined), nil
}

// PutOwnState implements [chat.ThreadStore].
func (s *Store) PutOwnState(ctx context.Context, user chat.UserID, thread chat.ThreadID, st chat.OwnState) (bool, error) {
	if err := checkName(user); err != nil {
		return false, err
	}
	before := d("_id", stintsID(user, thread), "joined", bound(st.Joined), "left", int64(0))
	if st.Revision > 1 {
		before = append(before, d("own.rev", int64(st.Revision-1))...)
	} else {
		before = append(before, d("own", nil)...) // missing
	}
	res, err := s.stints.UpdateOne(ctx, before, d("$set", d("own", newOwnDoc(st))))
	if err != nil {
		return false, fmt.Errorf("put what %s keeps of thread %s: %w", user, thread, err)
	}
	return res.MatchedCount > 0, nil
}

// Pairs implements [chat.ThreadStore]: two reads. A 1:1 whose creation is not settled yet is
// accepted by nobody but who made it.
func (s *Store) Pairs(ctx context.Context, user chat.UserID, others []chat.UserID) ([]chat.Pair, error) {
	if len(others) == 0 {
		return nil, nil
	}
	ids := make([]string, len(others))
	for i, other := range others {
		ids[i] = orderedPair(user, other)
	}
	docs, err := findAll[pairDoc](ctx, s.pairs, d("_id", d("$in", ids)))
	if err != nil || len(docs) == 0 {
		return nil, wrap("read the 1:1s of "+string(user), err)
	}
	pairs, stints := make([]chat.Pair, len(docs)), make([]string, len(docs))
	for i, doc := range docs {
		other := doc.Created.Change.Members[0].User
		if other == user {
			other = doc.Created.Change.Members[1].User
		}
		pairs[i] = chat.Pair{Other: other, Thread: doc.Thread, Accepted: doc.Created.By == other}
		stints[i] = stintsID(other, doc.Thread)
	}
	states, err := findAll[stintsDoc](ctx, s.stints, d("_id", d("$in", stints)))
	if err != nil {
		return nil, fmt.Errorf("read who has accepted the 1:1s of %s: %w", user, err)
	}
	for _, doc := range states {
		i := slices.Index(stints, doc.ID)
		pairs[i].Accepted = doc.state(doc.Joined).Accepted
	}
	return pairs, nil
}

// ParticipantsAt implements [chat.ThreadStore]. It reads the stints of all users who ever
// were in the thread.
func (s *Store) ParticipantsAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq) ([]chat.Stint, error) {
	head, found, err := s.head(ctx, thread)
	if err != nil || !found {
		return nil, err
	}
	if _, err := s.settle(ctx, thread, head.changed); err != nil {
		return nil, err
	}
	docs, err := findAll[stintsDoc](ctx, s.stints, d("thread", thread))
	if err != nil {
		return nil, fmt.Errorf("read who was in thread %s: %w", thread, err)
	}
	var stints []chat.Stint
	for i := range docs {
		if stint, in := docs[i].at(seq); in {
			stints = append(stints, stint)
		}
	}
	return stints, nil
}
