package mongo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// Threads implements [chat.ListStore]: the documents of the threads first, so that the heads
// are not behind them. The heads of the lines are good enough, unless a document is ahead.
func (s *Store) Threads(ctx context.Context, lines []chat.UserThread) ([]chat.Thread, error) {
	threads := make([]chat.Thread, len(lines))
	known := make(map[chat.ThreadID]headState, len(lines))
	ids := make([]chat.ThreadID, len(lines))
	for i, line := range lines {
		ids[i] = line.Thread
		if head, found := s.cache.head(line.Thread, line.Head.Seq); found {
			known[line.Thread] = head
		}
	}
	docs, heads, err := s.threadsWithHeads(ctx, ids, known)
	if err != nil {
		return nil, fmt.Errorf("read threads: %w", err)
	}
	for i, id := range ids {
		doc, stored := docs[id]
		head, found := heads[id]
		switch {
		case found && (!stored || head.changed > doc.Applied): // its changes are not settled yet
			if threads[i], err = s.Thread(ctx, id); err != nil {
				return nil, err
			}
		case found:
			threads[i] = doc.thread()
			threads[i].Head = head.Head
		}
	}
	return threads, nil
}

// threadsWithHeads reads the documents of threads, and the heads of those whose known one is
// missing or behind its document.
func (s *Store) threadsWithHeads(ctx context.Context, ids []chat.ThreadID, known map[chat.ThreadID]headState) (map[chat.ThreadID]threadDoc, map[chat.ThreadID]headState, error) {
	docs, heads := make(map[chat.ThreadID]threadDoc, len(ids)), make(map[chat.ThreadID]headState, len(ids))
	if len(ids) == 0 {
		return docs, heads, nil
	}
	var rows []struct {
		Thread threadDoc  `bson:",inline"`
		Last   []eventDoc `bson:"last_event"`
	}
	pipeline := bson.A{d("$match", d("_id", d("$in", ids)))}
	joins := s.joins && len(known) < len(ids)
	if joins {
		pipeline = append(pipeline, lookUpHead("_id"))
	}
	cursor, err := s.threads.Aggregate(ctx, pipeline, options.Aggregate().SetBatchSize(manyAtOnce))
	if err != nil {
		return nil, nil, err
	}
	if err := cursor.All(ctx, &rows); err != nil {
		return nil, nil, err
	}
	reached := make(map[chat.ThreadID]chat.Seq, len(rows))
	for _, row := range rows {
		docs[row.Thread.ID] = row.Thread
		reached[row.Thread.ID] = max(row.Thread.Applied, row.Thread.Reached)
		s.cache.addSettled(row.Thread.ID, row.Thread.Applied)
		if head, isKnown := known[row.Thread.ID]; isKnown && head.Seq >= row.Thread.Applied {
			heads[row.Thread.ID] = head
		}
		for _, last := range row.Last {
			heads[row.Thread.ID] = last.head()
		}
	}
	if ids = slices.DeleteFunc(slices.Clone(ids), func(id chat.ThreadID) bool { return heads[id].Seq > 0 }); len(ids) == 0 {
		return docs, heads, nil
	}
	found, err := s.headsFrom(ctx, ids, reached)
	maps.Copy(heads, found)
	return docs, heads, err
}

// MarksOf implements [chat.ListStore].
func (s *Store) MarksOf(ctx context.Context, user chat.UserID, threads []chat.ThreadID) ([]chat.Marks, error) {
	found := make([]chat.Marks, len(threads))
	wanted := make([]markOf, 0, 2*len(threads))
	for i, thread := range threads {
		found[i].User = user
		for kind, to := range map[chat.MarkKind]*chat.Mark{chat.Delivered: &found[i].Delivered, chat.Read: &found[i].Read} {
			wanted = append(wanted, markOf{marksID(thread, kind, user), chat.Mark{Thread: thread, User: user, Kind: kind}, to})
		}
	}
	for some := range slices.Chunk(wanted, 2*manyAtOnce) {
		docs, err := s.presentMarks(ctx, some, options.Find().SetProjection(d("run", 0)).SetBatchSize(2*manyAtOnce))
		if err != nil {
			return nil, fmt.Errorf("read the marks of %s: %w", user, err)
		}
		for _, w := range some {
			doc := docs[w.id]
			*w.to = doc.present(w.mark)
		}
	}
	return found, nil
}

// firstUnread is in how many events behind the read mark unread messages are first counted.
// Few threads need more: the rest takes another command, over four times as many.
const firstUnread = 256

// CountUnreadIn implements [chat.ListStore]. It looks at the events after each read mark in
// growing steps, in all threads at once, until each is counted to max or to its end.
func (s *Store) CountUnreadIn(ctx context.Context, user chat.UserID, in []chat.UnreadRange, now time.Time, max int) ([]int, error) {
	counts := make([]int, len(in))
	if max <= 0 {
		return counts, nil
	}
	places := make(map[chat.ThreadID]int, len(in))
	left := slices.Clone(in)
	for i, r := range in {
		places[r.Thread] = i
	}
	for step := chat.Seq(firstUnread); ; step *= 4 {
		left = slices.DeleteFunc(left, func(r chat.UnreadRange) bool { return r.After >= r.Through || counts[places[r.Thread]] >= max })
		if len(left) == 0 {
			break
		}
		if err := s.countStep(ctx, left, step, unreadBy(user, now), func(thread chat.ThreadID, n int) { counts[places[thread]] += n }); err != nil {
			return nil, fmt.Errorf("count the unread messages of %s: %w", user, err)
		}
	}
	for i := range counts {
		counts[i] = min(counts[i], max)
	}
	return counts, nil
}

// countStep counts in the next so many events of each range, and moves the ranges behind them.
func (s *Store) countStep(ctx context.Context, ranges []chat.UnreadRange, step chat.Seq, unread bson.D, count func(chat.ThreadID, int)) error {
	for some := range slices.Chunk(ranges, manyAtOnce) {
		parts := make(bson.A, len(some))
		for i, r := range some {
			to := min(r.Through, r.After+step)
			parts[i] = d("thread", r.Thread, "seq", d("$gt", bound(r.After), "$lte", bound(to)))
			some[i].After = to
		}
		var rows []struct {
			Thread chat.ThreadID `bson:"_id"`
			N      int           `bson:"n"`
		}
		counted := bson.A{d("$match", append(d("$or", parts), unread...)), d("$group", d("_id", "$thread", "n", d("$sum", 1)))}
		cursor, err := s.log.Aggregate(ctx, counted, options.Aggregate().SetHint(byThreadSeq).SetBatchSize(manyAtOnce))
		if err != nil {
			return err
		}
		if err := cursor.All(ctx, &rows); err != nil {
			return err
		}
		for _, row := range rows {
			count(row.Thread, row.N)
		}
	}
	return nil
}

// seqsAtOnce is how many events SeqsAt reads at most before it looks into each thread.
const seqsAtOnce = 10_000

// SeqsAt implements [chat.ListStore]. It reads the ids of the events from id on in their order,
// from the index alone: what a server sorts is small, of however many threads. The first one of
// each thread is the one whose seq is wanted. In threads of which none comes among seqsAtOnce it
// looks one by one, several at the same time.
func (s *Store) SeqsAt(ctx context.Context, threads []chat.ThreadID, id chat.EventID) ([]chat.Seq, error) {
	first, err := s.seqsOf(ctx, threads, id)
	if err != nil {
		return nil, fmt.Errorf("find the places of %s: %w", id, err)
	}
	seqs := make([]chat.Seq, len(threads))
	var missing []int
	for i, thread := range threads {
		if seqs[i] = first[thread]; seqs[i] == 0 {
			missing = append(missing, i)
		}
	}
	err = atOnce(ctx, missing, func(ctx context.Context, i int) (err error) {
		seqs[i], err = s.SeqAt(ctx, threads[i], id)
		return err
	})
	return seqs, err
}

// seqsOf finds the first events from id on of threads that have one among the next seqsAtOnce.
func (s *Store) seqsOf(ctx context.Context, threads []chat.ThreadID, id chat.EventID) (map[chat.ThreadID]chat.Seq, error) {
	first := make(map[chat.ThreadID]chat.Seq, len(threads))
	ids := options.Find().SetSort(d("_id", 1)).SetProjection(d("thread", 1, "_id", 1)).SetLimit(seqsAtOnce).SetBatchSize(seqsAtOnce).SetHint(byThreadID)
	seqs := options.Find().SetProjection(d("thread", 1, "seq", 1)).SetBatchSize(manyAtOnce).SetHint(byThreadID)
	for some := range slices.Chunk(threads, manyAtOnce) {
		docs, err := findAll[eventDoc](ctx, s.log, d("thread", d("$in", some), "_id", d("$gte", id)), ids)
		if err != nil {
			return nil, err
		}
		var events bson.A
		for _, doc := range docs {
			if _, found := first[doc.Thread]; !found {
				first[doc.Thread] = 0
				events = append(events, d("thread", doc.Thread, "_id", doc.ID))
			}
		}
		if len(events) == 0 {
			continue
		}
		if docs, err = findAll[eventDoc](ctx, s.log, d("$or", events), seqs); err != nil {
			return nil, err
		}
		for _, doc := range docs {
			first[doc.Thread] = doc.Seq
		}
	}
	return first, nil
}
