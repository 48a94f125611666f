package mongo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// acceptanceFields are what a document of stints needs to tell whether its user has accepted the
// thread.
var acceptanceFields = d("user", 1, "thread", 1, "joined", 1, "left", 1, "pending", 1, "own.joined", 1, "own.accepted", 1)

// accepts reports whether the user is in the thread and has accepted it.
func (doc *stintsDoc) accepts() bool { return doc.Left == 0 && doc.state(doc.Joined).Accepted }

// AcceptedBy implements [chat.AcceptanceStore].
func (s *Store) AcceptedBy(ctx context.Context, thread chat.ThreadID, users []chat.UserID) ([]chat.UserID, error) {
	ids := make([]string, len(users))
	for i, user := range users {
		ids[i] = stintsID(user, thread)
	}
	has, err := s.accepted(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read who has accepted thread %s: %w", thread, err)
	}
	var accepted []chat.UserID
	for i, user := range users {
		if has[ids[i]] {
			accepted = append(accepted, user)
		}
	}
	return accepted, nil
}

// accepted tells of which stints, by their ids, the users have accepted the threads.
func (s *Store) accepted(ctx context.Context, ids []string) (map[string]bool, error) {
	has := make(map[string]bool, len(ids))
	for part := range slices.Chunk(ids, manyAtOnce) {
		docs, err := findAll[stintsDoc](ctx, s.stints, d("_id", d("$in", part)), options.Find().SetProjection(acceptanceFields).SetBatchSize(manyAtOnce))
		if err != nil {
			return nil, err
		}
		for i := range docs {
			has[docs[i].ID] = docs[i].accepts()
		}
	}
	return has, nil
}

// acceptedOf is the threads that a user is in and has accepted.
func (s *Store) acceptedOf(ctx context.Context, user chat.UserID) (map[chat.ThreadID]bool, error) {
	docs, err := findAll[stintsDoc](ctx, s.stints, prefixed(string(user)), options.Find().SetProjection(acceptanceFields).SetBatchSize(manyAtOnce))
	if err != nil {
		return nil, err
	}
	has := make(map[chat.ThreadID]bool, len(docs))
	for i := range docs {
		has[docs[i].Thread] = docs[i].accepts()
	}
	return has, nil
}

// fewPeers is of how many peers at most the 1:1s are looked at first.
const fewPeers = 16

// findStints finds threads that a user shares with peers: the ids of the peers' stints in them.
type findStints func(ctx context.Context, user chat.UserID, peers []chat.UserID, in chat.SharedThreads) (map[string]chat.UserID, error)

// PeersWhoAccepted implements [chat.AcceptanceStore]. Of few peers it asks for the 1:1s, and
// then for all threads with those who have not accepted theirs; for each of both it takes one
// read to find the threads, and another for who has accepted them.
func (s *Store) PeersWhoAccepted(ctx context.Context, user chat.UserID, peers []chat.UserID, in chat.SharedThreads) ([]chat.UserID, error) {
	found := make(map[chat.UserID]bool, len(peers))
	finds := []findStints{s.pairsWith, s.threadsWith}
	if len(peers) > fewPeers {
		finds = finds[1:]
	}
	for _, find := range finds {
		rest := slices.DeleteFunc(slices.Clone(peers), func(u chat.UserID) bool { return found[u] })
		if len(rest) == 0 {
			break
		}
		stints, err := find(ctx, user, rest, in)
		if err != nil {
			return nil, fmt.Errorf("read the threads that %s shares: %w", user, err)
		}
		accepted, err := s.whoAccepted(ctx, stints)
		if err != nil {
			return nil, fmt.Errorf("read who has accepted a thread with %s: %w", user, err)
		}
		for _, peer := range accepted {
			found[peer] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(peers), func(u chat.UserID) bool { return !found[u] }), nil
}

// whoAccepted lists, each once, those of the users who have accepted the thread of one of
// their stints.
func (s *Store) whoAccepted(ctx context.Context, stints map[string]chat.UserID) ([]chat.UserID, error) {
	has, err := s.accepted(ctx, slices.Collect(maps.Keys(stints)))
	if err != nil {
		return nil, err
	}
	accepted := make(map[chat.UserID]bool)
	for id, user := range stints {
		if has[id] {
			accepted[user] = true
		}
	}
	return slices.Collect(maps.Keys(accepted)), nil
}

// pairsWith finds the 1:1s.
func (s *Store) pairsWith(ctx context.Context, user chat.UserID, peers []chat.UserID, in chat.SharedThreads) (map[string]chat.UserID, error) {
	if !in.Counts(2) {
		return nil, nil
	}
	ids := make([]string, len(peers))
	of := make(map[string]chat.UserID, len(peers))
	for i, peer := range peers {
		ids[i] = orderedPair(user, peer)
		of[ids[i]] = peer
	}
	stints := make(map[string]chat.UserID, len(peers))
	for part := range slices.Chunk(ids, manyAtOnce) {
		docs, err := findAll[pairDoc](ctx, s.pairs, d("_id", d("$in", part)), options.Find().SetProjection(d("thread", 1, "created._id", 1)).SetBatchSize(manyAtOnce))
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			if in.CountsFor(doc.Created.ID) {
				stints[stintsID(of[doc.ID], doc.Thread)] = of[doc.ID]
			}
		}
	}
	return stints, nil
}

// threadsWith finds all of them.
func (s *Store) threadsWith(ctx context.Context, user chat.UserID, peers []chat.UserID, in chat.SharedThreads) (map[string]chat.UserID, error) {
	both := d("$and", bson.A{d("members.user", user), d("members.user", d("$in", peers))})
	if in.Most > 0 {
		both = append(both, bson.E{Key: "members." + strconv.Itoa(in.Most), Value: d("$exists", false)})
	}
	fields := d("members.user", 1, "members.id", 1, "members.at", 1)
	docs, err := findAll[threadDoc](ctx, s.threads, both, options.Find().SetProjection(fields).SetBatchSize(manyAtOnce))
	if err != nil {
		return nil, err
	}
	wanted := make(map[chat.UserID]bool, len(peers))
	for _, peer := range peers {
		wanted[peer] = true
	}
	stints := make(map[string]chat.UserID)
	for _, doc := range docs {
		t := doc.thread()
		if me, is := t.Participant(user); is && !in.CountsFor(me.JoinedID) {
			continue
		}
		for _, p := range t.Participants {
			if wanted[p.User] && in.CountsFor(p.JoinedID) {
				stints[stintsID(p.User, doc.ID)] = p.User
			}
		}
	}
	return stints, nil
}
