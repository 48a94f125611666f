package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// appendedFields are all in the index by via, so that no event's document is read.
var appendedFields = d("_id", 1, "thread", 1, "seq", 1, "kind", 1)

const (
	appendedBatch = 2000 // index entries in one answer
	audienceBatch = 500  // threads whose participants one command reads
)

// appendedDoc is what of an event's document is in the index by via.
type appendedDoc struct {
	ID     chat.EventID   `bson:"_id"`
	Thread chat.ThreadID  `bson:"thread"`
	Seq    chat.Seq       `bson:"seq"`
	Kind   chat.EventKind `bson:"kind"`
}

// AppendedBy implements [chat.Register]. It takes a command for each few thousand events, one
// for each few hundred threads, and two for each thread with a change of who is in it.
//
// Who is in a thread is read as the changes before the found events left it: whoever made
// an event had settled them. A change that is itself among the events may not be settled
// yet, by a node that has died; so it is settled here.
func (s *Store) AppendedBy(ctx context.Context, n chat.NodeID, from chat.EventID, most int) (found []chat.Appended, next chat.EventID, err error) {
	const doing = "find what a node appended"
	opts := options.Find().SetSort(d("_id", 1)).SetLimit(int64(most) + 1).SetBatchSize(appendedBatch).
		SetProjection(appendedFields).SetHint(byVia)
	docs, err := findAll[appendedDoc](ctx, s.log, d("via", int64(n), "_id", d("$gte", from)), opts)
	if err != nil {
		return nil, next, wrap(doing, err)
	}
	if len(docs) > most {
		docs, next = docs[:most], docs[most].ID
	}
	at := make(map[chat.ThreadID]int, len(docs))
	changed := make(map[chat.ThreadID][]int64) // the seqs of changes of the thread itself
	for _, doc := range docs {
		i, listed := at[doc.Thread]
		if !listed {
			i = len(found)
			at[doc.Thread] = i
			found = append(found, chat.Appended{})
		}
		if doc.Seq > found[i].Seq {
			found[i].Wake = chat.Wake{Thread: doc.Thread, Seq: doc.Seq, ID: doc.ID}
		}
		if doc.Kind == chat.KindThread {
			changed[doc.Thread] = append(changed[doc.Thread], bound(doc.Seq))
		}
	}
	for thread, seqs := range changed {
		if found[at[thread]].Users, err = s.removedBy(ctx, thread, seqs); err != nil {
			return nil, next, wrap(doing, err)
		}
	}
	return found, next, wrap(doing, s.addParticipants(ctx, found))
}

// removedBy gives the users whom changes of a thread remove. It settles the changes.
func (s *Store) removedBy(ctx context.Context, thread chat.ThreadID, seqs []int64) (users []chat.UserID, err error) {
	if _, err := s.settle(ctx, thread, chat.Seq(slices.Max(seqs))); err != nil {
		return nil, err
	}
	docs, err := findAll[eventDoc](ctx, s.log, d("thread", thread, "seq", d("$in", seqs)), options.Find().SetHint(byThreadSeq))
	for _, doc := range docs {
		if doc.Change != nil && doc.Change.Event == chat.ParticipantRemoved {
			users = append(users, doc.Change.User)
		}
	}
	return users, err
}

// addParticipants adds the present participants of each thread to its users.
func (s *Store) addParticipants(ctx context.Context, found []chat.Appended) error {
	for batch := range slices.Chunk(found, audienceBatch) {
		ids := make(bson.A, len(batch))
		for i := range batch {
			ids[i] = batch[i].Thread
		}
		opts := options.Find().SetProjection(d("members.user", 1)).SetBatchSize(audienceBatch)
		docs, err := findAll[threadDoc](ctx, s.threads, d("_id", d("$in", ids)), opts)
		if err != nil {
			return err
		}
		in := make(map[chat.ThreadID][]memberDoc, len(docs))
		for i := range docs {
			in[docs[i].ID] = docs[i].Members
		}
		for i := range batch {
			for _, m := range in[batch[i].Thread] {
				if !slices.Contains(batch[i].Users, m.User) {
					batch[i].Users = append(batch[i].Users, m.User)
				}
			}
		}
	}
	return nil
}
