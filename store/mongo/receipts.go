package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/parleyhq/parley/chat"
)

// The marks of a user of one kind in one thread are a document in marks: the present
// mark, and a run of the marks before it. A new mark is one write of that document, which
// decides all races. A full run is copied to a document of its own in old_marks, which
// never changes, and a new run begins:
//
//	old_marks    [64 marks] [64 marks] [64 marks]            full runs, found by their last seq
//	marks                                         [7 marks]  the present run, which ends with
//	                                                         the present mark

// runLength is how many marks a full run has: few, so that adding a mark stays cheap, and
// enough that old marks are found in few documents.
const runLength = 64

// marksDoc is the present mark and the run that ends with it.
type marksDoc struct {
	ID      string         `bson:"_id"` // thread/kind/user
	Seq     chat.Seq       `bson:"seq"`
	Message chat.MessageID `bson:"message"`
	At      time.Time      `bson:"at"`
	Beside  chat.Seq       `bson:"beside"`

	Run []markDoc `bson:"run"`
	N   int64     `bson:"n"` // how many marks the run has
	// OldSeq and OldMessage are the seq and message of the last mark before the run.
	OldSeq     chat.Seq       `bson:"old_seq"`
	OldMessage chat.MessageID `bson:"old_message"`
}

// markDoc is a mark as it was handed in. A reader gives it the newest message of the run
// up to it (firstAt), which need not be its own.
type markDoc struct {
	Seq     chat.Seq       `bson:"s"`
	Message chat.MessageID `bson:"m"`
	At      time.Time      `bson:"a"`
	Beside  chat.Seq       `bson:"b"` // absent in format 4
}

func newMarkDoc(m chat.Mark) markDoc {
	return markDoc{Seq: m.Seq, Message: m.Message, At: m.At, Beside: m.Beside}
}

// oldMarksDoc is a full run.
type oldMarksDoc struct {
	ID     string        `bson:"_id"` // thread/kind/user/seq of the last mark, in 16 hex digits
	Thread chat.ThreadID `bson:"thread"`
	Owner  string        `bson:"owner"` // the _id of the present marks
	To     chat.Seq      `bson:"to"`
	Run    []markDoc     `bson:"run,omitempty"`
	Packed []byte        `bson:"packed,omitempty"` // the run, in place of Run (packedmarks.go)
	// OldMessage is the newest message of the marks before the run.
	OldMessage chat.MessageID `bson:"old_message"`
}

// firstAt is the first mark of the run at or above seq, zero if there is none.
func (doc *oldMarksDoc) firstAt(seq chat.Seq, m chat.Mark) (chat.Mark, error) {
	run := doc.Run
	if len(doc.Packed) > 0 {
		var err error
		if run, err = unpackMarks(doc.Packed); err != nil {
			return chat.Mark{}, fmt.Errorf("%s: %w", doc.ID, err)
		}
	}
	return firstAt(run, doc.OldMessage, seq, m), nil
}

func marksID(thread chat.ThreadID, kind chat.MarkKind, user chat.UserID) string {
	return thread.String() + "/" + string(kind) + "/" + string(user)
}

func oldMarksID(owner string, seq chat.Seq) string { return fmt.Sprintf("%s/%016x", owner, bound(seq)) }

// PutMark implements [chat.ReceiptStore].
func (s *Store) PutMark(ctx context.Context, m chat.Mark) (prev chat.Mark, moved bool, err error) {
	if err := checkName(m.User); err != nil {
		return chat.Mark{}, false, err
	}
	prev, moved, err = s.putMark(ctx, m)
	return prev, moved, wrap("put a mark in thread "+m.Thread.String(), err)
}

func (s *Store) putMark(ctx context.Context, m chat.Mark) (prev chat.Mark, moved bool, err error) {
	ctx, end, err := s.causally(ctx)
	if err != nil {
		return chat.Mark{}, false, err
	}
	defer end()
	id := marksID(m.Thread, m.Kind, m.User)
	added := d("$set", d("seq", bound(m.Seq), "at", m.At, "beside", bound(m.Beside)), "$max", d("message", m.Message),
		"$push", d("run", newMarkDoc(m)), "$inc", d("n", int64(1)))
	for {
		var before marksDoc
		below := d("_id", id, "seq", d("$lt", bound(m.Seq)), "n", d("$lt", int64(runLength)))
		err := s.marks.FindOneAndUpdate(ctx, below, added).Decode(&before)
		if err == nil {
			return before.present(m), true, nil
		}
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return chat.Mark{}, false, err
		}
		doc, found, err := findOne[marksDoc](ctx, s.marks, d("_id", id))
		switch {
		case err != nil:
			return chat.Mark{}, false, err
		case found && doc.Seq >= m.Seq:
			return doc.present(m), false, nil
		case found:
			if err := s.endRun(ctx, m.Thread, doc); err != nil {
				return chat.Mark{}, false, err
			}
			continue
		}
		first := marksDoc{ID: id, Seq: m.Seq, Message: m.Message, At: m.At, Beside: m.Beside, Run: []markDoc{newMarkDoc(m)}, N: 1}
		_, err = s.marks.InsertOne(ctx, first)
		if err == nil {
			return chat.Mark{}, true, nil
		}
		if !isDuplicate(err) {
			return chat.Mark{}, false, err
		}
	}
}

// endRun copies a full run to old_marks and begins an empty one. It may be repeated, as a
// full run does not change.
func (s *Store) endRun(ctx context.Context, thread chat.ThreadID, doc marksDoc) error {
	if doc.N < runLength {
		return nil // the run has room: another mark was added between the write and the read
	}
	old := oldMarksDoc{ID: oldMarksID(doc.ID, doc.Seq), Thread: thread, Owner: doc.ID, To: doc.Seq, OldMessage: doc.OldMessage}
	if s.onlyNew.Load() {
		old.Packed = packMarks(doc.Run)
	} else {
		old.Run = doc.Run
	}
	_, err := s.oldMarks.InsertOne(ctx, old)
	if err := unlessDuplicate(err); err != nil {
		return err
	}
	_, err = s.marks.UpdateOne(ctx, d("_id", doc.ID, "seq", bound(doc.Seq), "n", doc.N),
		d("$set", d("run", []markDoc{}, "n", int64(0), "old_seq", bound(doc.Seq), "old_message", doc.Message)))
	return err
}

// present is the present mark of m's user and kind, zero if there is none.
func (doc *marksDoc) present(m chat.Mark) chat.Mark {
	if doc.Seq == 0 {
		return chat.Mark{}
	}
	m.Seq, m.Message, m.At, m.Beside = doc.Seq, doc.Message, doc.At.UTC(), doc.Beside
	return m
}

// firstAt is the first mark of a run at or above seq, zero if there is none.
func firstAt(run []markDoc, newest chat.MessageID, seq chat.Seq, m chat.Mark) chat.Mark {
	for _, mark := range run {
		if mark.Message.Compare(newest) > 0 {
			newest = mark.Message
		}
		if mark.Seq >= seq {
			m.Seq, m.Message, m.At, m.Beside = mark.Seq, newest, mark.At.UTC(), mark.Beside
			return m
		}
	}
	return chat.Mark{}
}

// markOf is one mark to look for, and where to put it in the answer.
type markOf struct {
	id   string // of the document in marks
	mark chat.Mark
	to   *chat.Mark
}

// newMarks makes the answer for users, without any marks, and the list of the marks to
// look for.
func newMarks(thread chat.ThreadID, users []chat.UserID) ([]chat.Marks, []markOf) {
	found := make([]chat.Marks, len(users))
	wanted := make([]markOf, 0, 2*len(users))
	for i, u := range users {
		found[i].User = u
		for kind, to := range map[chat.MarkKind]*chat.Mark{chat.Delivered: &found[i].Delivered, chat.Read: &found[i].Read} {
			wanted = append(wanted, markOf{marksID(thread, kind, u), chat.Mark{Thread: thread, User: u, Kind: kind}, to})
		}
	}
	return found, wanted
}

// presentMarks reads the documents in marks, by their ids.
func (s *Store) presentMarks(ctx context.Context, wanted []markOf, opts ...options.Lister[options.FindOptions]) (map[string]marksDoc, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	ids := make([]string, len(wanted))
	for i, w := range wanted {
		ids[i] = w.id
	}
	docs, err := findAll[marksDoc](ctx, s.marks, d("_id", d("$in", ids)), opts...)
	if err != nil {
		return nil, err
	}
	found := make(map[string]marksDoc, len(docs))
	for _, doc := range docs {
		found[doc.ID] = doc
	}
	return found, nil
}

// Marks implements [chat.ReceiptStore].
func (s *Store) Marks(ctx context.Context, thread chat.ThreadID, users []chat.UserID) ([]chat.Marks, error) {
	found, wanted := newMarks(thread, users)
	docs, err := s.presentMarks(ctx, wanted, options.Find().SetProjection(d("run", 0)))
	if err != nil {
		return nil, fmt.Errorf("read the marks of thread %s: %w", thread, err)
	}
	for _, w := range wanted {
		doc := docs[w.id]
		*w.to = doc.present(w.mark)
	}
	return found, nil
}

// MarksAt implements [chat.ReceiptStore]. For a new message the answer is in the present
// runs; for an older one, one read of the full runs that end soon after seq finds most
// marks. For each user who left no mark for long after seq it takes one seek.
func (s *Store) MarksAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq, users []chat.UserID) ([]chat.Marks, error) {
	found, wanted := newMarks(thread, users)
	docs, err := s.presentMarks(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("read the marks of thread %s: %w", thread, err)
	}
	var old []markOf
	for _, w := range wanted {
		doc := docs[w.id]
		if doc.OldSeq >= max(seq, 1) {
			old = append(old, w)
			continue
		}
		*w.to = firstAt(doc.Run, doc.OldMessage, seq, w.mark)
	}
	if err := s.oldMarksAt(ctx, thread, seq, old); err != nil {
		return nil, fmt.Errorf("read the old marks of thread %s: %w", thread, err)
	}
	return found, nil
}

// oldMarksAt finds marks that are in full runs.
func (s *Store) oldMarksAt(ctx context.Context, thread chat.ThreadID, seq chat.Seq, wanted []markOf) error {
	if len(wanted) == 0 {
		return nil
	}
	near := d("thread", thread, "to", d("$gte", bound(seq), "$lt", bound(seq)+4*runLength))
	runs, err := findAll[oldMarksDoc](ctx, s.oldMarks, near, options.Find().SetSort(d("to", 1)).SetHint(byThreadTo))
	if err != nil {
		return err
	}
	first := make(map[string]oldMarksDoc, len(runs))
	for _, run := range runs {
		if _, found := first[run.Owner]; !found {
			first[run.Owner] = run
		}
	}
	var far []markOf
	for _, w := range wanted {
		if run, found := first[w.id]; found {
			if *w.to, err = run.firstAt(seq, w.mark); err != nil {
				return err
			}
		} else {
			far = append(far, w)
		}
	}
	return s.seekOldMarks(ctx, thread, seq, far)
}

// seekOldMarks finds marks in full runs by one seek each, several at the same time.
func (s *Store) seekOldMarks(ctx context.Context, thread chat.ThreadID, seq chat.Seq, wanted []markOf) error {
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsAtOnce)
	for _, w := range wanted {
		reads.Go(func() error {
			from := d("thread", thread, "_id", d("$gte", oldMarksID(w.id, seq), "$lt", w.id+"0")) // 0 comes after /
			run, found, err := findOne[oldMarksDoc](ctx, s.oldMarks, from, options.FindOne().SetSort(d("_id", 1)))
			if err == nil && found {
				*w.to, err = run.firstAt(seq, w.mark)
			}
			return err
		})
	}
	return reads.Wait()
}
