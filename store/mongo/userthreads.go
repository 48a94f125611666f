package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// readsAtOnce is how many reads one call sends at once.
const readsAtOnce = 16

// UserThreads implements [chat.ThreadStore]. It reads the user's stints, and each
// thread's head by one seek in its log. Unless the cache knew before that read that a
// thread's changes are settled, the stints may have been read too early: the thread is
// settled and the stints are read once more.
func (s *Store) UserThreads(ctx context.Context, user chat.UserID) ([]chat.UserThread, error) {
	if err := checkName(user); err != nil {
		return nil, err
	}
	began := s.cache.moment()
	docs, heads, err := s.stintsWithHeads(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("read the threads of %s: %w", user, err)
	}
	unsettled := make(map[chat.ThreadID]chat.Seq)
	for thread, head := range heads {
		if !s.cache.isSettledSince(thread, head.changed, began) {
			unsettled[thread] = head.changed
		}
	}
	if len(unsettled) > 0 {
		// What was not known before may be known by now: the documents of the threads were read.
		maps.DeleteFunc(unsettled, func(thread chat.ThreadID, seq chat.Seq) bool { return s.cache.isSettled(thread, seq) })
		if err := s.settleAll(ctx, unsettled); err != nil {
			return nil, fmt.Errorf("settle the threads of %s: %w", user, err)
		}
		if docs, err = s.stintsOf(ctx, user); err != nil {
			return nil, fmt.Errorf("read the threads of %s: %w", user, err)
		}
	}
	lines := make([]chat.UserThread, 0, len(docs))
	for i := range docs {
		head, found := heads[docs[i].Thread] // it is not for a thread joined meanwhile
		if line, was := docs[i].line(head.Head); found && was {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// prefixed finds the documents whose _id begins with owner and a slash.
func prefixed(owner string) bson.D {
	return d("_id", d("$gt", owner+"/", "$lt", owner+"0")) // 0 comes after /
}

func (s *Store) stintsOf(ctx context.Context, user chat.UserID) ([]stintsDoc, error) {
	return findAll[stintsDoc](ctx, s.stints, prefixed(string(user)), options.Find().SetBatchSize(manyAtOnce))
}

// Peers implements [chat.ThreadStore]: one query, as ShareThread, and no heads; and another if
// it matters what the user has accepted, or the peers have.
func (s *Store) Peers(ctx context.Context, user chat.UserID, shared chat.SharedThreads) ([]chat.UserID, error) {
	var accepted map[chat.ThreadID]bool
	if shared.Accepted {
		var err error
		if accepted, err = s.acceptedOf(ctx, user); err != nil {
			return nil, fmt.Errorf("read what %s has accepted: %w", user, err)
		}
	}
	met := meetings{user: user, in: shared, done: map[chat.UserID]bool{user: true}, stints: make(map[string]chat.UserID)}
	if err := s.meetingsOf(ctx, accepted, &met); err != nil {
		return nil, fmt.Errorf("read who is in a thread with %s: %w", user, err)
	}
	if !shared.AcceptedByPeer {
		return met.peers, nil
	}
	peers, err := s.whoAccepted(ctx, met.stints)
	return peers, wrap("read who has accepted a thread with "+string(user), err)
}

// meetings are with whom a user shares threads.
type meetings struct {
	user   chat.UserID
	in     chat.SharedThreads
	done   map[chat.UserID]bool   // who is listed, or not asked for
	peers  []chat.UserID          // unless it matters what they have accepted
	stints map[string]chat.UserID // if it does: the ids of their stints
}

// meetingsOf collects them from the threads, or from those that the user has accepted.
func (s *Store) meetingsOf(ctx context.Context, accepted map[chat.ThreadID]bool, met *meetings) error {
	with := d("members.user", met.user)
	if met.in.Most > 0 {
		with = append(with, bson.E{Key: "members." + strconv.Itoa(met.in.Most), Value: d("$exists", false)})
	}
	fields := d("members.user", 1, "members.id", 1, "members.at", 1)
	cursor, err := s.threads.Find(ctx, with, options.Find().SetProjection(fields).SetBatchSize(manyAtOnce))
	if err != nil {
		return err
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	for cursor.Next(ctx) {
		var doc threadDoc
		if err := cursor.Decode(&doc); err != nil {
			return err
		}
		if !met.in.Accepted || accepted[doc.ID] {
			met.add(doc.thread())
		}
	}
	return cursor.Err()
}

func (m *meetings) add(t chat.Thread) {
	if me, is := t.Participant(m.user); is && !m.in.CountsFor(me.JoinedID) {
		return
	}
	for _, p := range t.Participants {
		switch {
		case m.done[p.User] || !m.in.CountsFor(p.JoinedID):
		case !m.in.Asks(p.User):
			m.done[p.User] = true
		case m.in.AcceptedByPeer:
			m.stints[stintsID(p.User, t.ID)] = p.User
		default:
			m.done[p.User] = true
			m.peers = append(m.peers, p.User)
		}
	}
}

// ShareThread implements [chat.ThreadStore]. Mostly the 1:1 of the two answers, which one
// look-up finds. Otherwise it is one query, for which the server has the participants of
// threads in an index. A user whose joining or leaving the store has committed, but not
// applied to the thread's document, counts as before: whoever commits it applies it at once,
// so that only a crash between the two leaves it to the next reader of the thread.
func (s *Store) ShareThread(ctx context.Context, a, b chat.UserID) (bool, error) {
	doing := "look for a thread of " + string(a) + " and " + string(b)
	pair := d("_id", string(min(a, b))+"/"+string(max(a, b)))
	if _, found, err := findOne[pairDoc](ctx, s.pairs, pair, options.FindOne().SetProjection(d("_id", 1))); err != nil || found {
		return found, wrap(doing, err)
	}
	both := d("$and", bson.A{d("members.user", a), d("members.user", b)})
	_, found, err := findOne[threadDoc](ctx, s.threads, both, options.FindOne().SetProjection(d("_id", 1)))
	return found, wrap(doing, err)
}

// settleAll settles the changes of threads, each up to the given seq.
func (s *Store) settleAll(ctx context.Context, threads map[chat.ThreadID]chat.Seq) error {
	if len(threads) == 0 {
		return nil
	}
	ids := make([]chat.ThreadID, 0, len(threads))
	for id := range threads {
		ids = append(ids, id)
	}
	if _, err := s.reachedBy(ctx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := s.settle(ctx, id, threads[id]); err != nil {
			return err
		}
	}
	return nil
}

// stintsWithHeads gives a user's stints and the heads of their threads.
func (s *Store) stintsWithHeads(ctx context.Context, user chat.UserID) ([]stintsDoc, map[chat.ThreadID]headState, error) {
	if s.joins {
		return s.joinHeads(ctx, user)
	}
	docs, err := s.stintsOf(ctx, user)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]chat.ThreadID, len(docs))
	for i, doc := range docs {
		ids[i] = doc.Thread
	}
	reached, err := s.reachedBy(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	heads, err := s.headsFrom(ctx, ids, reached)
	return docs, heads, err
}

// lookUpHead adds to each document of an aggregation the last event of the log of the thread
// that a field names.
func lookUpHead(field string) bson.D {
	return d("$lookup", d("from", "log", "localField", field, "foreignField", "thread", "as", "last_event",
		"pipeline", bson.A{d("$sort", d("seq", -1)), d("$limit", 1), d("$project", headFields)}))
}

// joinHeads has the server join stints and heads: one seek in the log for each thread.
func (s *Store) joinHeads(ctx context.Context, user chat.UserID) ([]stintsDoc, map[chat.ThreadID]headState, error) {
	pipeline := bson.A{d("$match", prefixed(string(user))), lookUpHead("thread")}
	cursor, err := s.stints.Aggregate(ctx, pipeline, options.Aggregate().SetBatchSize(manyAtOnce))
	if err != nil {
		return nil, nil, err
	}
	var rows []struct {
		Stints stintsDoc  `bson:",inline"`
		Last   []eventDoc `bson:"last_event"`
	}
	if err := cursor.All(ctx, &rows); err != nil {
		return nil, nil, err
	}
	docs := make([]stintsDoc, len(rows))
	heads := make(map[chat.ThreadID]headState, len(rows))
	for i, row := range rows {
		docs[i] = row.Stints
		for _, last := range row.Last {
			heads[row.Stints.Thread] = last.head()
		}
	}
	return docs, heads, nil
}

// probeJoins finds out whether the server can join stints and heads. A router of a sharded
// cluster could, too, but would ask one shard for each thread, one after another.
func (s *Store) probeJoins(ctx context.Context) error {
	if sharded, err := s.isRouter(ctx); err != nil || sharded {
		return err
	}
	cursor, err := s.stints.Aggregate(ctx, bson.A{d("$match", prefixed("-")), lookUpHead("thread")})
	var refused mongo.CommandError
	switch {
	case errors.As(err, &refused):
		s.logger.Info("the server cannot look up heads together with threads, they are found by hints", "error", refused.Message)
		return nil
	case err != nil:
		return fmt.Errorf("try a lookup: %w", err)
	}
	s.joins = true
	return cursor.Close(ctx)
}

// isRouter reports whether the server is a router of a sharded cluster.
func (s *Store) isRouter(ctx context.Context) (bool, error) {
	var hello struct {
		Message string `bson:"msg"`
	}
	err := s.client.Database("admin").RunCommand(ctx, d("hello", 1)).Decode(&hello)
	return hello.Message == "isdbgrid", wrap("ask what the server is", err)
}
