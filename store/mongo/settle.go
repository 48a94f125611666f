package mongo

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// What follows from an event that is no message: its target's document, the
// stints of who came and went, the thread's document, in this order and that of
// the log. The thread's Applied is raised last and says that all up to there is
// done. Each step may be repeated, also by several at once: it is worked out from
// the log alone, and its condition is that it, or a later one, has not happened.

// follow does what follows from events just inserted. changed is the newest
// change before them.
func (s *Store) follow(ctx context.Context, thread chat.ThreadID, changed chat.Seq, docs []eventDoc) error {
	var events []chat.Event
	for i := range docs {
		if docs[i].Kind == chat.KindMessage {
			continue
		}
		e, err := docs[i].event()
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	if s.cache.isSettled(thread, changed) && !slices.ContainsFunc(events, changesThread) {
		_, err := s.apply(ctx, thread, chat.Thread{}, changed, events)
		return err
	}
	t, applied, err := s.storedThread(ctx, thread)
	if err != nil {
		return err
	}
	if applied < changed { // somebody did not come to the end
		if t, err = s.rollForward(ctx, thread, t, applied, changed); err != nil {
			return err
		}
		applied = changed
	}
	for len(events) > 0 && events[0].Seq <= applied { // somebody has read these already
		events = events[1:]
	}
	_, err = s.apply(ctx, thread, t, applied, events)
	return err
}

// changesThread reports whether an event may change more than a message. A deletion
// takes the pin away, too.
func changesThread(e chat.Event) bool { return e.Kind == chat.KindThread || e.Kind == chat.KindDelete }

// settle sees to it that the changes of a thread up to seq are done. It reports
// whether there was something to do.
func (s *Store) settle(ctx context.Context, thread chat.ThreadID, seq chat.Seq) (bool, error) {
	if s.cache.isSettled(thread, seq) {
		return false, nil
	}
	t, applied, err := s.storedThread(ctx, thread)
	if err != nil || applied >= seq {
		return false, err
	}
	_, err = s.rollForward(ctx, thread, t, applied, seq)
	return true, err
}

// storedThread is a thread as its document has it, and up to where that is; the
// zero thread if there is none.
func (s *Store) storedThread(ctx context.Context, id chat.ThreadID) (chat.Thread, chat.Seq, error) {
	doc, found, err := findOne[threadDoc](ctx, s.threads, d("_id", id))
	if err != nil || !found {
		return chat.Thread{}, 0, wrap("read thread "+id.String(), err)
	}
	s.cache.addSettled(id, doc.Applied)
	return doc.thread(), doc.Applied, nil
}

// rollForward does what follows from the changes after applied, up to the one at
// seq, and gives the thread they lead to.
func (s *Store) rollForward(ctx context.Context, id chat.ThreadID, t chat.Thread, applied, seq chat.Seq) (chat.Thread, error) {
	changes := d("thread", id, "seq", d("$gt", bound(applied), "$lte", bound(seq)), "kind", d("$ne", chat.KindMessage))
	docs, err := findAll[eventDoc](ctx, s.log, changes, options.Find().SetSort(d("seq", 1)).SetHint(byThreadSeq))
	if err != nil {
		return t, fmt.Errorf("read the changes of thread %s: %w", id, err)
	}
	events, err := eventsOf(docs)
	if err != nil {
		return t, err
	}
	if n := len(events); n == 0 || events[n-1].Seq != seq { // of a server that is behind the one asked before
		return t, fmt.Errorf("read the changes of thread %s: event %d is missing", id, seq)
	}
	return s.apply(ctx, id, t, applied, events)
}

// apply does what follows from events, which are all changes after applied.
func (s *Store) apply(ctx context.Context, id chat.ThreadID, t chat.Thread, applied chat.Seq, events []chat.Event) (chat.Thread, error) {
	if len(events) == 0 {
		return t, nil
	}
	touched := false
	for _, e := range events {
		if e.ChangesMessage() {
			if err := s.overlay(ctx, e); err != nil {
				return t, fmt.Errorf("apply event %s to message %s: %w", e.ID, e.Target.ID, err)
			}
		}
		next := t.Apply(e)
		if e.Kind == chat.KindThread {
			if err := s.moveStints(ctx, id, t, next); err != nil {
				return t, fmt.Errorf("note who came and went with event %s: %w", e.ID, err)
			}
		}
		touched = touched || e.Kind == chat.KindThread || len(next.Pins) != len(t.Pins)
		t = next
	}
	last := events[len(events)-1].Seq
	if err := s.putThread(ctx, t, id, applied, last, touched); err != nil {
		return t, fmt.Errorf("store thread %s: %w", id, err)
	}
	s.cache.addSettled(id, last)
	return t, nil
}

// overlay folds an event into the document of its target.
func (s *Store) overlay(ctx context.Context, e chat.Event) error {
	doc, found, err := findOne[eventDoc](ctx, s.log, d("_id", e.Target.ID, "thread", e.Thread))
	if err != nil {
		return err
	}
	if found && doc.Message.Overlay < e.Seq {
		before, err := doc.event()
		if err != nil {
			return err
		}
		after := before.Message.Apply(e)
		set, unset := newMessageDoc(after).overlaid(e.Seq, after.HiddenFrom)
		older := d("_id", e.Target.ID, "thread", e.Thread, "overlay", d("$not", d("$gte", bound(e.Seq))))
		if _, err := s.log.UpdateOne(ctx, older, d("$set", set, "$unset", unset)); err != nil {
			return err
		}
	}
	if e.Kind == chat.KindEdit { // a log keeps each content once, so that it can be erased
		_, err = s.log.UpdateByID(ctx, e.ID, d("$unset", d("body", "", "type", "")))
	}
	return err
}

// overlaid is what is set in a message's document, and what is taken away, when
// the event seq is folded into it. Only what events can change is named.
func (doc messageDoc) overlaid(seq chat.Seq, hidden chat.UserID) (set, unset bson.D) {
	set = d("overlay", bound(seq))
	put := func(name string, value any, empty bool) {
		if empty {
			unset = append(unset, bson.E{Key: name, Value: ""})
			return
		}
		set = append(set, bson.E{Key: name, Value: value})
	}
	put("body", doc.Body, len(doc.Body) == 0)
	put("type", doc.Type, doc.Type == "")
	put("attachment", doc.Attachment, doc.Attachment == "")
	put("attachment_sha256", doc.SHA256, doc.SHA256 == "")
	put("due", doc.Due, doc.Due.IsZero())
	put("edited", doc.Edited, doc.Edited.IsZero())
	put("deleted", doc.Deleted, doc.Deleted == "")
	put("reactions", doc.Reactions, len(doc.Reactions) == 0)
	put("redelivered", bound(doc.Redelivered), doc.Redelivered == 0)
	put("hidden", hidden, hidden == "")
	return set, unset
}

// moveStints writes down who left and who joined from one state of a thread to
// the next.
func (s *Store) moveStints(ctx context.Context, id chat.ThreadID, before, after chat.Thread) error {
	for _, p := range before.Participants {
		if _, stays := after.Participant(p.User); stays {
			continue
		}
		in := d("_id", stintsID(p.User, id), "joined", bound(p.JoinedSeq), "left", int64(0))
		if _, err := s.stints.UpdateOne(ctx, in, d("$set", d("left", bound(after.Head.Seq)))); err != nil {
			return err
		}
	}
	var joined []stintsDoc
	for _, p := range after.Participants {
		if p.JoinedSeq == after.Head.Seq {
			joined = append(joined, stintsDoc{ID: stintsID(p.User, id), User: p.User, Thread: id, Joined: p.JoinedSeq, Earlier: []stintDoc{}})
		}
	}
	return s.putJoined(ctx, joined)
}

// putJoined writes down who joined, some of them not for the first time.
func (s *Store) putJoined(ctx context.Context, joined []stintsDoc) error {
	for len(joined) > 0 {
		batch := joined[:min(len(joined), insertBatch)]
		joined = joined[len(batch):]
		_, err := s.stints.InsertMany(ctx, batch, options.InsertMany().SetOrdered(false))
		if err == nil {
			continue
		}
		if !isDuplicate(err) {
			return err
		}
		for _, doc := range batch {
			if err := s.rejoin(ctx, doc); err != nil {
				return err
			}
		}
	}
	return nil
}

// rejoin begins another stint of somebody who was in before.
func (s *Store) rejoin(ctx context.Context, doc stintsDoc) error {
	old, found, err := findOne[stintsDoc](ctx, s.stints, d("_id", doc.ID))
	if err != nil {
		return err
	}
	if !found {
		_, err = s.stints.InsertOne(ctx, doc)
		return unlessDuplicate(err)
	}
	if old.Joined >= doc.Joined {
		return nil
	}
	ended := d("_id", doc.ID, "joined", bound(old.Joined), "left", bound(old.Left))
	_, err = s.stints.UpdateOne(ctx, ended, d(
		"$set", d("joined", bound(doc.Joined), "left", int64(0)),
		"$push", d("earlier", stintDoc{Joined: old.Joined, Left: old.Left}),
	))
	return err
}

// putThread stores a thread as the changes up to last left it, unless somebody
// has come further. If none of them touched it, only that is stored.
func (s *Store) putThread(ctx context.Context, t chat.Thread, id chat.ThreadID, applied, last chat.Seq, touched bool) error {
	doc := newThreadDoc(t, last)
	if applied == 0 {
		_, err := s.threads.InsertOne(ctx, doc)
		if err == nil || !mongo.IsDuplicateKeyError(err) {
			return err
		}
	}
	set := d("applied", bound(last))
	if touched {
		set = d("title", doc.Title, "members", doc.Members, "pins", doc.Pins, "applied", bound(last))
	}
	_, err := s.threads.UpdateOne(ctx, d("_id", id, "applied", d("$lt", bound(last))), d("$set", set))
	return err
}

func stintsID(user chat.UserID, thread chat.ThreadID) string {
	return string(user) + "/" + thread.String()
}
