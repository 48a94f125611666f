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

// A change is an event that is no message. To settle it is to make the writes that
// follow from its insert, in this order:
//
//	its target's document        the event is folded into the message; before that a
//	                             reaction is stored in a document of its own
//	the stints' documents        of the users who joined or left
//	the thread's document        title, participants, pins; applied is raised to the seq
//
// Changes are settled in the order of the log. A thread's Applied is raised last and
// says that all changes up to there are settled. Each write may be repeated, also by
// several nodes at the same time: it is worked out from the log alone, and its
// condition is that neither it nor a later one has happened.

// settleInserted settles the changes among documents just inserted. changed is the seq
// of the newest change before them.
func (s *Store) settleInserted(ctx context.Context, thread chat.ThreadID, changed chat.Seq, docs []eventDoc) error {
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
	if applied < changed { // the changes before these are not settled yet
		if t, err = s.rollForward(ctx, thread, t, applied, changed); err != nil {
			return err
		}
		applied = changed
	}
	for len(events) > 0 && events[0].Seq <= applied { // a reader has settled these meanwhile
		events = events[1:]
	}
	_, err = s.apply(ctx, thread, t, applied, events)
	return err
}

// changesThread reports whether an event may change the thread's document. A deletion
// may remove the message's pin.
func changesThread(e chat.Event) bool { return e.Kind == chat.KindThread || e.Kind == chat.KindDelete }

// settle settles the changes of a thread up to the one at seq, if they are not settled.
// wrote tells whether any was not.
func (s *Store) settle(ctx context.Context, thread chat.ThreadID, seq chat.Seq) (wrote bool, err error) {
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

// storedThread reads a thread's document: the thread, and the seq up to which its
// changes are applied. Without a document both are zero.
func (s *Store) storedThread(ctx context.Context, id chat.ThreadID) (chat.Thread, chat.Seq, error) {
	doc, found, err := findOne[threadDoc](ctx, s.threads, d("_id", id))
	if err != nil || !found {
		return chat.Thread{}, 0, wrap("read thread "+id.String(), err)
	}
	s.cache.addSettled(id, doc.Applied)
	return doc.thread(), doc.Applied, nil
}

// rollForward settles the changes after applied, up to the one at seq, and gives the
// thread they lead to.
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
	if n := len(events); n == 0 || events[n-1].Seq != seq { // this server is behind the one that gave the head
		return t, fmt.Errorf("read the changes of thread %s: event %d is missing", id, seq)
	}
	return s.apply(ctx, id, t, applied, events)
}

// apply settles events, which are all changes of the thread t after applied.
func (s *Store) apply(ctx context.Context, id chat.ThreadID, t chat.Thread, applied chat.Seq, events []chat.Event) (chat.Thread, error) {
	if len(events) == 0 {
		return t, nil
	}
	touched := false
	for _, e := range events {
		if e.ChangesMessage() {
			if err := s.fold(ctx, e); err != nil {
				return t, fmt.Errorf("fold event %s into message %s: %w", e.ID, e.Target.ID, err)
			}
		}
		next := t.Apply(e)
		if e.Kind == chat.KindThread {
			if err := s.moveStints(ctx, id, t, next); err != nil {
				return t, fmt.Errorf("move the stints by event %s: %w", e.ID, err)
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

// fold folds an event into the document of its target.
func (s *Store) fold(ctx context.Context, e chat.Event) error {
	if e.Kind == chat.KindReaction {
		return s.foldReaction(ctx, e)
	}
	doc, found, err := findOne[eventDoc](ctx, s.log, d("_id", e.Target.ID, "thread", e.Thread))
	if err != nil {
		return err
	}
	if found && doc.Message.Overlay < e.Seq {
		if err := s.foldInto(ctx, doc, e); err != nil {
			return err
		}
	}
	if e.Kind == chat.KindEdit { // its content is in the message now, and must be erasable there
		_, err = s.log.UpdateOne(ctx, d("_id", e.ID, "thread", e.Thread), d("$unset", d("body", "", "type", "")))
	}
	return err
}

func (s *Store) foldInto(ctx context.Context, doc eventDoc, e chat.Event) error {
	before, err := doc.event()
	if err != nil {
		return err
	}
	after := before.Message.Apply(e)
	set, unset := newMessageDoc(after).folded(e.Seq, after.HiddenFrom)
	if after.Deleted != "" && (doc.Message.Given != nil || len(doc.Message.Reactions) > 0) {
		if _, err := s.reactions.DeleteMany(ctx, d("message", e.Target.ID)); err != nil {
			return err
		}
	}
	_, err = s.log.UpdateOne(ctx, foldedBefore(e), d("$set", set, "$unset", unset))
	return err
}

// foldedBefore finds the target of an event while only earlier ones are folded into it.
func foldedBefore(e chat.Event) bson.D {
	return d("_id", e.Target.ID, "thread", e.Thread, "overlay", d("$not", d("$gte", bound(e.Seq))))
}

// folded gives the fields to set and to remove in a message's document when the event
// with that seq is folded into it: all fields that events can change.
func (doc messageDoc) folded(seq chat.Seq, hidden chat.UserID) (set, unset bson.D) {
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
	if doc.Deleted != "" {
		unset = append(unset, d("reactions", "", "given", "")...)
	}
	put("redelivered", bound(doc.Redelivered), doc.Redelivered == 0)
	put("hidden", hidden, hidden == "")
	put("veils", doc.Veils, len(doc.Veils) == 0)
	return set, unset
}

// moveStints ends the stints of the users who left, and begins those of the users who
// joined, from one state of a thread to the next.
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
			joined = append(joined, stintsDoc{ID: stintsID(p.User, id), User: p.User, Thread: id, Joined: p.JoinedSeq, Earlier: []stintDoc{}, Pending: p.Pending})
		}
	}
	return s.putJoined(ctx, joined)
}

// putJoined begins stints. Some of the users may have been in the thread before.
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

// rejoin begins a stint of a user who may have been in the thread before.
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
		"$set", d("joined", bound(doc.Joined), "left", int64(0), "pending", doc.Pending),
		"$push", d("earlier", stintDoc{Joined: old.Joined, Left: old.Left}),
	))
	return err
}

// putThread stores a thread as the changes up to last left it, unless later ones are
// applied already. If none of them touched the thread, only applied is raised.
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
