package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// A copy of a database need not be of one moment: a dump reads one collection after another.
// What follows from a log may then be ahead of it, and would have the events to come, which
// take the same seqs, pass for settled, received or joined. Restored takes all of that back
// to the end of each log.

// Restored makes of a database that was restored from a copy a store of its own: what is
// ahead of the logs is made anew from them, and the store gets another id. No node may serve
// it meanwhile. It may be repeated.
func Restored(ctx context.Context, uri string, opts Options, progress Progress) error {
	return with(ctx, uri, opts, func(s *Store) error {
		format, found, err := s.format(ctx)
		switch {
		case err != nil:
			return err
		case !found:
			return errors.New("there is no store in it")
		}
		if err := format.check(); err != nil {
			return err
		}
		if err := s.checkIndexes(ctx); err != nil {
			return err
		}
		if err := s.checkUnserved(ctx); err != nil {
			return err
		}
		r := &restoring{s, make(map[chat.ThreadID]headState), progress}
		for _, step := range []func(context.Context) error{r.stints, r.hints, r.threads, r.logs, r.marks, r.positions} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		id := chat.NewStoreID()
		_, err = s.meta.ReplaceOne(ctx, d("_id", storeIDName), storeIDDoc{storeIDName, id.String()}, options.Replace().SetUpsert(true))
		if err == nil {
			progress("the store's id is " + id.String())
		}
		return wrap("name the store", err)
	})
}

// checkUnserved refuses a store that a node serves.
func (s *Store) checkUnserved(ctx context.Context) error {
	me := chat.NewNodeID()
	live, err := s.Live(ctx, chat.Standing{Node: me})
	if err != nil {
		return err
	}
	if err := s.Leave(ctx, me); err != nil {
		return err
	}
	if len(live) > 1 {
		return errors.New("a node serves this store: stop all of them first")
	}
	return nil
}

// restoring is one run of Restored.
type restoring struct {
	*Store
	heads    map[chat.ThreadID]headState // of the logs that were looked at; without an event it is zero
	progress Progress
}

func (r *restoring) headOf(ctx context.Context, thread chat.ThreadID) (headState, error) {
	if h, known := r.heads[thread]; known {
		return h, nil
	}
	h, _, err := r.head(ctx, thread)
	if err == nil {
		r.heads[thread] = h
	}
	return h, err
}

// each calls do with every document of a collection.
func each[T any](ctx context.Context, c *collection, filter bson.D, do func(*T) error, opts ...options.Lister[options.FindOptions]) error {
	cursor, err := c.Find(ctx, filter, opts...)
	if err != nil {
		return err
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	for cursor.Next(ctx) {
		var doc T
		if err := cursor.Decode(&doc); err != nil {
			return err
		}
		if err := do(&doc); err != nil {
			return err
		}
	}
	return cursor.Err()
}

// stints ends no stint by an event that is not in its log, and begins none by one.
func (r *restoring) stints(ctx context.Context) error {
	changed := 0
	err := each(ctx, r.Store.stints, d(), func(doc *stintsDoc) error {
		head, err := r.headOf(ctx, doc.Thread)
		if err != nil {
			return err
		}
		last, was := doc.asOf(head.Seq)
		switch {
		case !was:
			changed++
			_, err = r.Store.stints.DeleteOne(ctx, d("_id", doc.ID))
			return err
		case last.Joined == doc.Joined && last.Left == doc.Left:
			return nil
		}
		changed++
		earlier := doc.Earlier
		for len(earlier) > 0 && earlier[len(earlier)-1].Joined >= last.Joined {
			earlier = earlier[:len(earlier)-1]
		}
		_, err = r.Store.stints.UpdateByID(ctx, doc.ID, d("$set", d("joined", bound(last.Joined), "left", bound(last.Left), "earlier", earlier)))
		return err
	})
	r.progress(fmt.Sprintf("%d stints were ahead of their logs", changed))
	return wrap("take back stints", err)
}

// hints forgets which seqs the logs had reached.
func (r *restoring) hints(ctx context.Context) error {
	_, err := r.Store.threads.UpdateMany(ctx, d("reached", d("$exists", true)), d("$unset", d("reached", "")))
	return wrap("forget how far logs had got", err)
}

// threads makes those anew that have more applied than their logs hold.
func (r *restoring) threads(ctx context.Context) error {
	changed := 0
	err := each(ctx, r.Store.threads, d(), func(doc *threadDoc) error {
		head, err := r.headOf(ctx, doc.ID)
		if err != nil || doc.Applied <= head.Seq {
			return err
		}
		changed++
		if _, err := r.Store.threads.DeleteOne(ctx, d("_id", doc.ID)); err != nil {
			return err
		}
		if head.Seq == 0 {
			_, err := r.pairs.DeleteMany(ctx, d("thread", doc.ID))
			return err
		}
		return r.messages(ctx, doc.ID, head.Seq)
	})
	r.progress(fmt.Sprintf("%d threads were ahead of their logs", changed))
	return wrap("make threads anew", err)
}

// messages takes back what events that are not in a log have done to its messages, as far as
// it can be told: reactions are counted anew. An edit or a deletion stays.
func (r *restoring) messages(ctx context.Context, thread chat.ThreadID, through chat.Seq) error {
	ahead := d("thread", thread, "seq", d("$gt", int64(0), "$lte", bound(through)), "overlay", d("$gt", bound(through)))
	docs, err := findAll[eventDoc](ctx, r.log, ahead)
	if err != nil {
		return err
	}
	for i := range docs {
		if err := r.countAnew(ctx, &docs[i], through); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) countAnew(ctx context.Context, message *eventDoc, through chat.Seq) error {
	if _, err := r.reactions.DeleteMany(ctx, d("message", message.ID)); err != nil {
		return err
	}
	if _, err := r.log.UpdateByID(ctx, message.ID, d("$unset", d("given", "", "reactions", "", "overlay", ""))); err != nil {
		return err
	}
	given := d("thread", message.Thread, "seq", d("$gt", bound(message.Seq), "$lte", bound(through)), "kind", chat.KindReaction, "target.id", message.ID)
	docs, err := findAll[eventDoc](ctx, r.log, given, options.Find().SetSort(d("seq", 1)).SetHint(byThreadSeq))
	if err != nil {
		return err
	}
	events, err := eventsOf(docs)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := r.foldReaction(ctx, e); err != nil {
			return err
		}
	}
	_, err = r.log.UpdateByID(ctx, message.ID, d("$set", d("overlay", bound(through))))
	return err
}

// logs settles every log to its end, also those whose threads are missing.
func (r *restoring) logs(ctx context.Context) error {
	n := 0
	err := each(ctx, r.log, d("seq", int64(1)), func(doc *eventDoc) error {
		n++
		head, err := r.headOf(ctx, doc.Thread)
		if err == nil {
			_, err = r.settle(ctx, doc.Thread, head.changed)
		}
		return err
	}, options.Find().SetProjection(d("thread", 1)))
	r.progress(fmt.Sprintf("%d threads are as their logs say", n))
	return wrap("settle the logs", err)
}

// marks takes back to the end of its log what a user has received or read beyond it.
func (r *restoring) marks(ctx context.Context) error {
	changed := 0
	err := each(ctx, r.Store.marks, d(), func(doc *marksDoc) error {
		name, _, _ := strings.Cut(doc.ID, "/")
		thread, err := chat.ParseThreadID(name)
		if err != nil {
			return nil //nolint:nilerr // the marks of a message that was read on its own
		}
		head, err := r.headOf(ctx, thread)
		if err != nil || doc.Seq <= head.Seq {
			return err
		}
		changed++
		run := make([]markDoc, 0, len(doc.Run))
		for _, m := range doc.Run {
			if m.Seq > head.Seq {
				m.Seq, m.Message = head.Seq, head.LastMessage
				run = append(run, m)
				break
			}
			run = append(run, m)
		}
		if _, err := r.oldMarks.DeleteMany(ctx, d("thread", thread, "owner", doc.ID, "to", d("$gt", bound(head.Seq)))); err != nil {
			return err
		}
		set := d("seq", bound(head.Seq), "message", head.LastMessage, "run", run, "n", int64(len(run)))
		if doc.OldSeq > head.Seq {
			set = append(set, d("old_seq", bound(head.Seq), "old_message", head.LastMessage)...)
		}
		_, err = r.Store.marks.UpdateByID(ctx, doc.ID, d("$set", set))
		return err
	})
	r.progress(fmt.Sprintf("%d marks were ahead of their logs", changed))
	return wrap("take back marks", err)
}

// positions takes back to the end of its log what a device has acknowledged beyond it.
func (r *restoring) positions(ctx context.Context) error {
	changed := 0
	err := each(ctx, r.Store.positions, d(), func(doc *positionDoc) error {
		lower := bson.D{}
		for name, seq := range doc.Through {
			thread, err := chat.ParseThreadID(name)
			if err != nil {
				return err
			}
			head, err := r.headOf(ctx, thread)
			if err != nil {
				return err
			}
			if seq > head.Seq {
				lower = append(lower, bson.E{Key: "through." + name, Value: bound(head.Seq)})
			}
		}
		if len(lower) == 0 {
			return nil
		}
		changed++
		_, err := r.Store.positions.UpdateByID(ctx, doc.ID, d("$set", lower))
		return err
	})
	r.progress(fmt.Sprintf("%d positions were ahead of their logs", changed))
	return wrap("take back positions", err)
}
