package mongo

import (
	"context"
	"slices"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/parleyhq/parley/chat"
)

// The heads of many threads are read together, and the log alone says where they are. A
// thread's document has a seq that the log is known to have reached. One query asks for the
// few events from there on, of all the threads:
//
//	log        … 41 42 43 44 45            head: 45, as 46 is not there
//	reached ────────┘  └───────┘ what the query finds, up to reached + headWindow
//
// The seqs of a log have no gap, so a thread of which fewer come has ended. One of which all
// come may go on, and one of which none comes may have lost its end, in a restored database or
// to a new primary: its head is read on its own. Who finds a log well past the hint raises it,
// so the next reader finds it near. A lost hint costs reads and nothing else.
//
// A server that is no router of a sharded cluster looks up heads by itself (Store.joins).

const (
	// manyAtOnce is how many threads, users or documents one command asks for: a command of a
	// user with so many threads has 400 KB.
	manyAtOnce = 5000
	// headWindow is how far behind its hint a head is found together with others.
	headWindow = 16
	// raiseFrom is how far behind the head a hint is raised.
	raiseFrom = headWindow / 2
)

// reachedBy reads, for each thread that has a document, a seq that its log has reached.
func (s *Store) reachedBy(ctx context.Context, threads []chat.ThreadID) (map[chat.ThreadID]chat.Seq, error) {
	reached := make(map[chat.ThreadID]chat.Seq, len(threads))
	fields := options.Find().SetProjection(d("applied", 1, "reached", 1)).SetBatchSize(manyAtOnce)
	for some := range slices.Chunk(threads, manyAtOnce) {
		docs, err := findAll[threadDoc](ctx, s.threads, d("_id", d("$in", some)), fields)
		if err != nil {
			return nil, wrap("read how far threads have got", err)
		}
		for _, doc := range docs {
			s.cache.addSettled(doc.ID, doc.Applied)
			reached[doc.ID] = max(doc.Applied, doc.Reached)
		}
	}
	return reached, nil
}

// headsFrom finds the heads of threads, each from a seq that its log has reached; without
// one it is looked for from the log's first event on. A thread without a log has no head.
func (s *Store) headsFrom(ctx context.Context, threads []chat.ThreadID, reached map[chat.ThreadID]chat.Seq) (map[chat.ThreadID]headState, error) {
	heads := make(map[chat.ThreadID]headState, len(threads))
	opts := options.Find().SetProjection(headFields).SetHint(byThreadSeq).SetBatchSize(manyAtOnce * (headWindow + 1))
	for some := range slices.Chunk(threads, manyAtOnce) {
		near := make(bson.A, len(some))
		for i, id := range some {
			from := max(reached[id], 1)
			near[i] = d("thread", id, "seq", d("$gte", bound(from), "$lte", bound(from+headWindow)))
		}
		docs, err := findAll[eventDoc](ctx, s.log, d("$or", near), opts)
		if err != nil {
			return nil, wrap("read the heads of threads", err)
		}
		for i := range docs {
			if last, found := heads[docs[i].Thread]; !found || last.Seq < docs[i].Seq {
				heads[docs[i].Thread] = docs[i].head()
			}
		}
	}
	var further []chat.ThreadID
	for _, id := range threads {
		if _, found := heads[id]; !found && reached[id] > 0 { // the hint is ahead of the log
			further = append(further, id)
		}
	}
	for id, head := range heads {
		if head.Seq >= max(reached[id], 1)+headWindow {
			further = append(further, id)
			continue
		}
		s.cache.addHead(id, head)
	}
	if err := s.readHeads(ctx, further, heads); err != nil {
		return nil, err
	}
	s.raiseReached(ctx, reached, heads)
	return heads, nil
}

// readHeads reads the heads of threads one by one, several at the same time.
func (s *Store) readHeads(ctx context.Context, threads []chat.ThreadID, heads map[chat.ThreadID]headState) error {
	var mu sync.Mutex
	return atOnce(ctx, threads, func(ctx context.Context, id chat.ThreadID) error {
		head, found, err := s.head(ctx, id)
		if found {
			mu.Lock()
			defer mu.Unlock()
			heads[id] = head
		}
		return err
	})
}

// atOnce reads something for each key, several at the same time.
func atOnce[K any](ctx context.Context, keys []K, read func(context.Context, K) error) error {
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsAtOnce)
	for _, key := range keys {
		reads.Go(func() error { return read(ctx, key) })
	}
	return reads.Wait()
}

// raiseReached raises the hints that are well behind the heads. It is no failure if it cannot.
func (s *Store) raiseReached(ctx context.Context, reached map[chat.ThreadID]chat.Seq, heads map[chat.ThreadID]headState) {
	var raised []mongo.WriteModel
	for id, head := range heads {
		if from, known := reached[id]; known && head.Seq >= from+raiseFrom {
			raised = append(raised, mongo.NewUpdateOneModel().SetFilter(d("_id", id)).SetUpdate(d("$max", d("reached", bound(head.Seq)))))
		}
	}
	for some := range slices.Chunk(raised, manyAtOnce) {
		if _, err := s.quickThreads.BulkWrite(ctx, some, options.BulkWrite().SetOrdered(false)); err != nil {
			s.logger.Debug("the hints to heads could not be raised", "error", err)
			return
		}
	}
}
