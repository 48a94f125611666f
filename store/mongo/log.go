package mongo

import (
	"context"
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// Events implements [chat.LogStore]. It settles the changes among the events before it
// gives them; if there were any to settle, it reads the events again.
func (s *Store) Events(ctx context.Context, thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) ([]chat.Event, error) {
	if limit.Count <= 0 || bound(after) >= bound(through) {
		return nil, nil
	}
	for {
		docs, err := s.eventDocs(ctx, thread, after, through, limit)
		if err != nil || len(docs) == 0 {
			return nil, wrap("read the log of thread "+thread.String(), err)
		}
		changed, err := s.settle(ctx, thread, docs[len(docs)-1].Changed)
		if err != nil {
			return nil, err
		}
		if !changed {
			return s.withTargets(ctx, thread, docs, limit.Bytes)
		}
	}
}

// eventDocs reads a run of the log up to a limit. The content of targets is not counted
// yet, and may exceed it.
func (s *Store) eventDocs(ctx context.Context, thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) ([]eventDoc, error) {
	run := d("thread", thread, "seq", d("$gt", bound(after), "$lte", bound(through)))
	// A batch is sized as if each message had 1 KB. Typical ones are smaller, so that one
	// batch holds a page; of larger ones not much more is read than is used.
	batch := int32(min(max(limit.Bytes>>10, 1), limit.Count, 1000))
	opts := options.Find().SetSort(d("seq", 1)).SetLimit(int64(limit.Count)).SetBatchSize(batch).SetHint(byThreadSeq)
	cursor, err := s.log.Find(ctx, run, opts)
	if err != nil {
		return nil, err
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	var docs []eventDoc
	for bytes := 0; cursor.Next(ctx); {
		var doc eventDoc
		if err := cursor.Decode(&doc); err != nil {
			return nil, err
		}
		doc.brief()
		if doc.Kind == chat.KindMessage {
			bytes += len(doc.Message.Body)
		}
		if len(docs) > 0 && bytes > limit.Bytes {
			return docs, nil
		}
		docs = append(docs, doc)
	}
	return docs, cursor.Err()
}

// withTargets makes events of documents, as many as the bytes allow. Edits and
// redeliveries come with their targets as these are now.
func (s *Store) withTargets(ctx context.Context, thread chat.ThreadID, docs []eventDoc, bytes int) ([]chat.Event, error) {
	var wanted []chat.MessageID
	for i := range docs {
		if showsTarget(&docs[i]) {
			wanted = append(wanted, docs[i].Target.ID)
		}
	}
	targets, err := s.targets(ctx, thread, wanted)
	if err != nil {
		return nil, fmt.Errorf("read what was changed in thread %s: %w", thread, err)
	}
	all, err := s.shown(ctx, docs)
	if err != nil {
		return nil, err
	}
	events := make([]chat.Event, 0, len(docs))
	for i, e := range all {
		if showsTarget(&docs[i]) {
			target := *targets[docs[i].Target.ID].Message
			e.Message = &target
		}
		e = e.Brief()
		if e.HasContent() {
			bytes -= len(e.Message.Ciphertext)
		}
		if len(events) > 0 && bytes < 0 {
			break
		}
		events = append(events, e)
	}
	return events, nil
}

// brief is [chat.Event.Brief], as soon as a message of a list is read.
func (doc *eventDoc) brief() {
	if doc.Kind == chat.KindMessage && doc.Message.Type == chat.Control && len(doc.Message.Body) > chat.MaxShownBytes {
		doc.Message.Body, doc.Message.Omitted = nil, true
	}
}

func showsTarget(doc *eventDoc) bool {
	return doc.Kind == chat.KindEdit || doc.Kind == chat.KindRedelivery
}

// targets finds messages by their ids. It fails if one is missing.
func (s *Store) targets(ctx context.Context, thread chat.ThreadID, ids []chat.MessageID) (map[chat.MessageID]chat.Event, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	docs, err := findAll[eventDoc](ctx, s.log, d("_id", d("$in", ids), "thread", thread, "kind", chat.KindMessage))
	if err != nil {
		return nil, err
	}
	events, err := s.shown(ctx, docs)
	if err != nil {
		return nil, err
	}
	found := make(map[chat.MessageID]chat.Event, len(docs))
	for _, e := range events {
		found[e.ID] = e
	}
	for _, id := range ids {
		if found[id].Message == nil {
			return nil, fmt.Errorf("message %s is missing", id)
		}
	}
	return found, nil
}

// Messages implements [chat.MessageStore].
func (s *Store) Messages(ctx context.Context, thread chat.ThreadID, r chat.MessageRange) ([]chat.Event, error) {
	if r.Count <= 0 {
		return nil, nil
	}
	between := d("$gt", bound(r.After))
	if r.Before != 0 {
		between = d("$gt", bound(r.After), "$lt", bound(r.Before))
	}
	filter := d("thread", thread, "seq", between, "kind", chat.KindMessage)
	if r.Viewer != "" {
		filter = append(filter, visibleTo(r.Viewer))
	}
	if r.ContentType != "" {
		filter = append(filter, bson.E{Key: "type", Value: r.ContentType})
	}
	order := 1
	if r.NewestFirst {
		order = -1
	}
	opts := options.Find().SetSort(d("seq", order)).SetLimit(int64(r.Count)).SetHint(byThreadSeq)
	var events []chat.Event
	var err error
	if r.Bytes == 0 {
		events, err = s.events(ctx, filter, opts)
		for i := range events {
			events[i] = events[i].Brief()
		}
	} else {
		events, err = s.eventsWithin(ctx, filter, opts.SetBatchSize(messagesAtOnce), r)
	}
	return events, wrap("read the messages of thread "+thread.String(), err)
}

// messagesAtOnce is how many messages are read at once where their bytes are bounded: a
// page of usual size takes one read, and of the largest messages 4 MiB are read at most.
const messagesAtOnce = 64

// eventsWithin decodes the messages that a query finds, as many as the range holds. It
// reads reactions only of as many messages as their counters tell it to: the counter of a
// reaction that was just taken back may be too high, and then it reads on.
func (s *Store) eventsWithin(ctx context.Context, filter bson.D, opts options.Lister[options.FindOptions], r chat.MessageRange) ([]chat.Event, error) {
	cursor, err := s.log.Find(ctx, filter, opts)
	if err != nil {
		return nil, err
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	var events []chat.Event
	for bytes := 0; !r.Full(len(events), bytes); {
		var docs []eventDoc
		for expected := bytes; !r.Full(len(events)+len(docs), expected) && cursor.Next(ctx); {
			var doc eventDoc
			if err := cursor.Decode(&doc); err != nil {
				return nil, err
			}
			doc.brief()
			expected += doc.Message.size()
			docs = append(docs, doc)
		}
		if err := cursor.Err(); err != nil || len(docs) == 0 {
			return events, err
		}
		more, err := s.shown(ctx, docs)
		if err != nil {
			return nil, err
		}
		for _, e := range more {
			bytes += e.Message.Size()
		}
		events = append(events, more...)
	}
	return events, nil
}

// size is [chat.Message.Size], of all users whom the counters count.
func (m *messageDoc) size() int {
	names := 0
	for _, c := range m.Given {
		names += min(c.Count, chat.MaxReactionNames)
	}
	for _, r := range m.Reactions {
		names += min(len(r.By), chat.MaxReactionNames)
	}
	return len(m.Body) + names*chat.ReactionNameBytes
}

// visibleTo is [chat.Visibility.To] as a condition of a query for messages that were
// sent since the user joined.
func visibleTo(user chat.UserID) bson.E { return bson.E{Key: "hidden", Value: d("$ne", user)} }

// events decodes all messages that a query finds.
func (s *Store) events(ctx context.Context, filter bson.D, opts options.Lister[options.FindOptions]) ([]chat.Event, error) {
	docs, err := findAll[eventDoc](ctx, s.log, filter, opts)
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, docs)
}

// Message implements [chat.MessageStore]. In a sharded cluster it asks all shards.
func (s *Store) Message(ctx context.Context, id chat.MessageID) (chat.Event, error) {
	return s.message(ctx, id, d("_id", id, "kind", chat.KindMessage))
}

// MessageIn implements [chat.MessageStore].
func (s *Store) MessageIn(ctx context.Context, thread chat.ThreadID, id chat.MessageID) (chat.Event, error) {
	return s.message(ctx, id, d("_id", id, "thread", thread, "kind", chat.KindMessage))
}

func (s *Store) message(ctx context.Context, id chat.MessageID, filter bson.D) (chat.Event, error) {
	doc, found, err := findOne[eventDoc](ctx, s.log, filter)
	switch {
	case err != nil:
		return chat.Event{}, fmt.Errorf("read message %s: %w", id, err)
	case !found:
		return chat.Event{}, fmt.Errorf("message %s: %w", id, chat.ErrNotFound)
	}
	return s.shownOne(ctx, doc)
}

// SeqAt implements [chat.LogStore]. Of a thread without a log it is 1.
func (s *Store) SeqAt(ctx context.Context, thread chat.ThreadID, id chat.EventID) (chat.Seq, error) {
	first := options.FindOne().SetSort(d("_id", 1)).SetProjection(d("seq", 1)).SetHint(byThreadID)
	doc, found, err := findOne[eventDoc](ctx, s.log, d("thread", thread, "_id", d("$gte", id)), first)
	if err != nil {
		return 0, fmt.Errorf("find the place of %s in thread %s: %w", id, thread, err)
	}
	if found {
		return doc.Seq, nil
	}
	head, _, err := s.head(ctx, thread)
	return head.Seq + 1, err
}

// NewestID implements [chat.LogStore].
func (s *Store) NewestID(ctx context.Context) (chat.EventID, error) {
	last := options.FindOne().SetSort(d("_id", -1)).SetProjection(d("_id", 1)).SetHint(d("_id", 1))
	event, _, err := findOne[eventDoc](ctx, s.log, d(), last)
	if err != nil {
		return chat.EventID{}, fmt.Errorf("find the newest event: %w", err)
	}
	report, _, err := findOne[reportDoc](ctx, s.reports, d(), last)
	if event.ID.Compare(report.ID) > 0 {
		return event.ID, wrap("find the newest report", err)
	}
	return report.ID, wrap("find the newest report", err)
}

// clientSeqsAtOnce is how many client_seqs LastClientSeqs reads at most before it looks into
// each thread.
const clientSeqsAtOnce = 1000

// LastClientSeqs implements [chat.MessageStore]. It reads what the device has sent backwards
// through the index, of all the threads at once: the first one of each is the largest. In
// threads of which none comes among clientSeqsAtOnce it looks one by one, several at the same
// time.
func (s *Store) LastClientSeqs(ctx context.Context, user chat.UserID, device chat.DeviceID, threads []chat.ThreadID) ([]*int64, error) {
	lasts := make([]*int64, len(threads))
	if len(threads) == 0 {
		return lasts, nil
	}
	backwards := options.Find().SetSort(d("thread", -1, "by", -1, "device", -1, "client_seq", -1)).
		SetProjection(d("_id", 0, "thread", 1, "client_seq", 1)).SetLimit(clientSeqsAtOnce).SetBatchSize(clientSeqsAtOnce).SetHint(byClientSeq)
	docs, err := findAll[eventDoc](ctx, s.log, sentBy(d("$in", threads), user, device), backwards)
	if err != nil {
		return nil, fmt.Errorf("find the last client_seqs of %s/%s: %w", user, device, err)
	}
	largest := make(map[chat.ThreadID]*int64)
	var last string // the thread that was read last: all above it were read, and its first one
	for _, doc := range docs {
		last = doc.Thread.String()
		if n, isNumber := doc.ClientSeq.(int64); isNumber && largest[doc.Thread] == nil {
			largest[doc.Thread] = &n
		}
	}
	var further []int
	for i, thread := range threads {
		if lasts[i] = largest[thread]; len(docs) == clientSeqsAtOnce && thread.String() < last {
			further = append(further, i)
		}
	}
	err = atOnce(ctx, further, func(ctx context.Context, i int) (err error) {
		lasts[i], err = s.lastClientSeq(ctx, threads[i], user, device)
		return err
	})
	return lasts, err
}

// sentBy finds the messages of a device. Events that are no messages have a text as their
// client_seq, which is no number.
func sentBy(thread any, user chat.UserID, device chat.DeviceID) bson.D {
	return d("thread", thread, "by", user, "device", device, "client_seq", d("$gte", int64(0), "$lte", int64(math.MaxInt64)))
}

func (s *Store) lastClientSeq(ctx context.Context, thread chat.ThreadID, user chat.UserID, device chat.DeviceID) (*int64, error) {
	last := options.FindOne().SetSort(d("client_seq", -1)).SetProjection(d("client_seq", 1)).SetHint(byClientSeq)
	doc, found, err := findOne[eventDoc](ctx, s.log, sentBy(thread, user, device), last)
	if err != nil || !found {
		return nil, wrap("find the last client_seq in thread "+thread.String(), err)
	}
	n, isNumber := doc.ClientSeq.(int64)
	if !isNumber {
		return nil, nil
	}
	return &n, nil
}

// unreadBy finds the messages that count as unread if the user has not read them.
func unreadBy(user chat.UserID, now time.Time) bson.D {
	return append(d("kind", chat.KindMessage, "by", d("$ne", user), "type", d("$ne", chat.Control),
		"deleted", nil, "due", d("$not", d("$lte", now))), visibleTo(user))
}

// Expired implements [chat.MessageStore].
func (s *Store) Expired(ctx context.Context, now time.Time, count int) ([]chat.Event, error) {
	if count <= 0 {
		return nil, nil
	}
	events, err := s.events(ctx, d("due", d("$lte", now)), options.Find().SetSort(d("due", 1)).SetLimit(int64(count)).SetHint(byDue))
	return events, wrap("find what has expired", err)
}
