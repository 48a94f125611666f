package mongo

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// Each reaction has a document of its own, and the message one counter for each emoji: so a
// reaction writes the same few bytes whatever is there. The counter says up to which
// reaction the message names users, so that a page reads no others.

func reactedID(message chat.MessageID, user chat.UserID, emoji string) string {
	return reactedPrefix(message, user) + emoji
}

func reactedPrefix(message chat.MessageID, user chat.UserID) string {
	return message.String() + "/" + string(user) + "/"
}

// emojiField is the name of an emoji's counter.
func emojiField(emoji string) string { return hex.EncodeToString([]byte(emoji)) }

// countFields are the fields of a message's document that its reactions are counted in.
var countFields = d("thread", 1, "seq", 1, "kind", 1, "deleted", 1, "given", 1, "reactions", 1, "overlay", 1, "hidden", 1, "veils", 1)

// foldReaction stores what a reaction event changes: first the document of the reaction,
// then the message's counter. Every step may be repeated, as others are (settle.go): the
// document of the reaction remembers what it was before its newest event, and so what the
// counter has to change by.
func (s *Store) foldReaction(ctx context.Context, e chat.Event) error {
	about := d("_id", e.Target.ID, "thread", e.Thread)
	doc, found, err := findOne[eventDoc](ctx, s.log, about, options.FindOne().SetProjection(countFields))
	if err != nil || !found || doc.Message.Overlay >= e.Seq || doc.Message.Deleted != "" {
		return err
	}
	given, moved := doc.Message.Given, len(doc.Message.Reactions) > 0
	if moved {
		if given, err = s.moveReactions(ctx, doc); err != nil {
			return err
		}
	}
	row, delta, err := s.putReacted(ctx, e)
	if err != nil || delta == 0 && !moved {
		return err
	}
	counter, err := s.counted(ctx, given[emojiField(e.Reaction.Emoji)], row, delta)
	if err != nil {
		return err
	}
	update := countChange(given, moved, e, counter)
	if delta != 0 && (e.HiddenFrom != "" || len(doc.Message.Veils) > 0) {
		update = withVeils(update, doc.veilsAfter(e, row))
	}
	_, err = s.log.UpdateOne(ctx, foldedBefore(e), update)
	return err
}

// veilsAfter are a message's veils after an event that has changed one of its reactions.
func (doc *eventDoc) veilsAfter(e chat.Event, row reactedDoc) []veilDoc {
	m := chat.Message{HiddenFrom: doc.Hidden, Veils: veilsOf(doc.Message.Veils)}
	return newVeilDocs(m.VeilsAfterReaction(e, row.by()))
}

// withVeils is the update of a message's counters that also leaves it with these veils.
func withVeils(update bson.D, veils []veilDoc) bson.D {
	op, field := "$set", bson.E{Key: "veils", Value: veils}
	if len(veils) == 0 {
		op, field.Value = "$unset", ""
	}
	for i := range update {
		if update[i].Key == op {
			update[i].Value = append(update[i].Value.(bson.D), field)
			return update
		}
	}
	return append(update, bson.E{Key: op, Value: bson.D{field}})
}

// countChange is the update of a message's counters by an event that leaves one of them as
// it is given. If the reactions have moved out of the document, it writes all of them.
func countChange(given map[string]givenDoc, moved bool, e chat.Event, counter givenDoc) bson.D {
	field := emojiField(e.Reaction.Emoji)
	switch {
	case moved:
		given = maps.Clone(given)
		if given[field] = counter; counter.Count == 0 {
			delete(given, field)
		}
		return d("$set", d("overlay", bound(e.Seq), "given", given), "$unset", d("reactions", ""))
	case counter.Count == 0:
		return d("$set", d("overlay", bound(e.Seq)), "$unset", d("given."+field, ""))
	}
	return d("$set", d("overlay", bound(e.Seq), "given."+field, counter))
}

// counted is a counter after a reaction that has changed it by delta.
func (s *Store) counted(ctx context.Context, c givenDoc, row reactedDoc, delta int) (givenDoc, error) {
	c.Count += delta
	switch {
	case c.Count <= 0:
		return givenDoc{}, nil
	case delta > 0 && c.Count == 1:
		c.First = row.Seq
	case delta > 0 && c.Count == chat.MaxReactionNames:
		c.Last = row.Seq
	case c.Count < chat.MaxReactionNames:
		c.Last = 0
	case delta < 0 && row.Order <= c.Last: // the next one is named instead
		behind := d("message", row.Message, "emoji", row.Emoji, "order", d("$gt", bound(c.Last)), "on", true)
		next, found, err := findOne[reactedDoc](ctx, s.reactions, behind, options.FindOne().SetSort(d("order", 1)).SetHint(byGiving))
		if err != nil {
			return c, fmt.Errorf("find who is named next: %w", err)
		}
		if found {
			c.Last = next.Order
		}
	}
	return c, nil
}

// putReacted stores what an event makes of a user's reaction, unless it or a later one is
// stored. delta is by how much it changes how many gave it.
func (s *Store) putReacted(ctx context.Context, e chat.Event) (row reactedDoc, delta int, err error) {
	id := reactedID(e.Target.ID, e.By, e.Reaction.Emoji)
	for {
		old, found, err := findOne[reactedDoc](ctx, s.reactions, d("_id", id, "message", e.Target.ID))
		switch {
		case err != nil:
			return old, 0, err
		case found && old.Seq > e.Seq:
			return old, 0, nil
		case found && old.Seq == e.Seq: // it was stored before the counter could be
			return old, change(old), nil
		case !found && e.Reaction.Removed:
			return old, 0, nil
		}
		row := old
		if !old.On {
			row.Order, row.At = e.Seq, e.At
		}
		row.Seq, row.Was, row.On = e.Seq, old.On, !e.Reaction.Removed
		if !found {
			row.ID, row.Message, row.Emoji, row.User = id, e.Target.ID, e.Reaction.Emoji, e.By
			_, err = s.reactions.InsertOne(ctx, row)
			if err == nil {
				return row, change(row), nil
			}
			if !mongo.IsDuplicateKeyError(err) {
				return row, 0, err
			}
			continue // another node was faster
		}
		set := d("$set", d("seq", bound(row.Seq), "on", row.On, "was", row.Was, "order", bound(row.Order), "at", row.At))
		res, err := s.reactions.UpdateOne(ctx, d("_id", id, "message", e.Target.ID, "seq", bound(old.Seq)), set)
		if err != nil || res.MatchedCount == 1 {
			return row, change(row), err
		}
	}
}

// change is by how much the newest event about a reaction changed how many gave it.
func change(row reactedDoc) int {
	switch {
	case row.On && !row.Was:
		return 1
	case row.Was && !row.On:
		return -1
	}
	return 0
}

// moveReactions stores the reactions in a document of format 3 as documents of their own,
// and gives their counters.
func (s *Store) moveReactions(ctx context.Context, doc eventDoc) (map[string]givenDoc, error) {
	given := make(map[string]givenDoc)
	var rows []reactedDoc
	for _, r := range doc.inDocument() {
		c := givenDoc{First: r.By[0].Seq, Count: len(r.By)}
		if c.Count >= chat.MaxReactionNames {
			c.Last = r.By[chat.MaxReactionNames-1].Seq
		}
		given[emojiField(r.Emoji)] = c
		for _, by := range r.By {
			rows = append(rows, reactedDoc{
				ID: reactedID(doc.ID, by.User, r.Emoji), Message: doc.ID, Emoji: r.Emoji, User: by.User,
				Seq: by.Seq, On: true, Order: by.Seq, At: by.At,
			})
		}
	}
	for batch := range slices.Chunk(rows, insertBatch) {
		_, err := s.reactions.InsertMany(ctx, batch, options.InsertMany().SetOrdered(false))
		if err := unlessDuplicate(err); err != nil {
			return nil, fmt.Errorf("move the reactions to message %s: %w", doc.ID, err)
		}
	}
	return given, nil
}

// inDocument are the reactions in a document of format 3.
func (doc *eventDoc) inDocument() (reactions []chat.Reaction) {
	for _, r := range doc.Message.Reactions {
		by := make([]chat.ReactionBy, len(r.By))
		for i, b := range r.By {
			by[i] = chat.ReactionBy{User: b.User, At: b.At.UTC()}
		}
		reactions = append(reactions, chat.Reaction{Emoji: r.Emoji, By: by})
	}
	base.NumberReactions(doc.Seq, reactions)
	return reactions
}

// shown makes events of documents, messages with the reactions that readers are shown.
func (s *Store) shown(ctx context.Context, docs []eventDoc) ([]chat.Event, error) {
	events, err := eventsOf(docs)
	if err != nil {
		return nil, err
	}
	named, err := s.named(ctx, docs)
	if err != nil {
		return nil, err
	}
	for i := range docs {
		switch {
		case len(docs[i].Message.Reactions) > 0:
			events[i] = events[i].ShownTo("")
		case len(docs[i].Message.Given) > 0:
			events[i].Message.Reactions = reactionsOf(docs[i].Message.Given, named[docs[i].ID])
		}
	}
	return events, nil
}

func (s *Store) shownOne(ctx context.Context, doc eventDoc) (chat.Event, error) {
	events, err := s.shown(ctx, []eventDoc{doc})
	if err != nil {
		return chat.Event{}, err
	}
	return events[0], nil
}

// named reads the reactions that messages name. It takes one query for all messages that
// name everybody, and one for each of the others.
func (s *Store) named(ctx context.Context, docs []eventDoc) (map[chat.MessageID][]reactedDoc, error) {
	var whole []chat.MessageID
	var queries []bson.D
	for i := range docs {
		given := docs[i].Message.Given
		if len(given) == 0 || len(docs[i].Message.Reactions) > 0 {
			continue
		}
		if some := namedOf(docs[i].ID, given); some != nil {
			queries = append(queries, some)
			continue
		}
		whole = append(whole, docs[i].ID)
	}
	if len(whole) > 0 {
		queries = append(queries, d("message", d("$in", whole), "on", true))
	}
	named := make(map[chat.MessageID][]reactedDoc)
	for _, query := range queries {
		rows, err := findAll[reactedDoc](ctx, s.reactions, query)
		if err != nil {
			return nil, fmt.Errorf("read reactions: %w", err)
		}
		for _, row := range rows {
			named[row.Message] = append(named[row.Message], row)
		}
	}
	return named, nil
}

// namedOf is the query for the reactions that a message names; nil if it names all.
func namedOf(message chat.MessageID, given map[string]givenDoc) bson.D {
	var parts bson.A
	whole := true
	for field, c := range given {
		emoji, err := hex.DecodeString(field)
		if err != nil {
			continue // no emoji: reactionsOf leaves it out, too
		}
		part := d("message", message, "emoji", string(emoji))
		if c.Last > 0 {
			part, whole = append(part, bson.E{Key: "order", Value: d("$lte", bound(c.Last))}), false
		}
		parts = append(parts, part)
	}
	if whole {
		return nil
	}
	return d("message", message, "$or", parts, "on", true)
}

// reactionsOf makes the reactions to a message of their counters and of those it names.
func reactionsOf(given map[string]givenDoc, named []reactedDoc) (reactions []chat.Reaction) {
	by := make(map[string][]chat.ReactionBy)
	for _, row := range named {
		by[row.Emoji] = append(by[row.Emoji], row.by())
	}
	fields := slices.SortedFunc(maps.Keys(given), func(a, b string) int { return cmp.Compare(given[a].First, given[b].First) })
	for _, field := range fields {
		emoji, _ := hex.DecodeString(field)
		r := chat.Reaction{Emoji: string(emoji), By: by[string(emoji)]}
		slices.SortFunc(r.By, func(a, b chat.ReactionBy) int { return cmp.Compare(a.Seq, b.Seq) })
		r.By = r.By[:min(len(r.By), chat.MaxReactionNames)]
		if given[field].Last > 0 {
			r.More = max(given[field].Count-len(r.By), 0)
		}
		if len(r.By) > 0 { // else it was taken back a moment ago
			reactions = append(reactions, r)
		}
	}
	return reactions
}

func (row *reactedDoc) by() chat.ReactionBy {
	return chat.ReactionBy{User: row.User, At: row.At.UTC(), Seq: row.Order}
}

// counts reads what the documents of messages say of their reactions.
func (s *Store) counts(ctx context.Context, messages ...chat.Event) (map[chat.MessageID]eventDoc, error) {
	ids, threads := make([]chat.MessageID, len(messages)), make([]chat.ThreadID, 0, 1)
	for i, m := range messages {
		if ids[i] = m.ID; !slices.Contains(threads, m.Thread) {
			threads = append(threads, m.Thread)
		}
	}
	docs, err := findAll[eventDoc](ctx, s.log, d("_id", d("$in", ids), "thread", d("$in", threads)), options.Find().SetProjection(countFields))
	if err != nil {
		return nil, fmt.Errorf("read how many reacted: %w", err)
	}
	found := make(map[chat.MessageID]eventDoc, len(docs))
	for _, doc := range docs {
		found[doc.ID] = doc
	}
	return found, nil
}

// Reactors implements [chat.MessageStore].
func (s *Store) Reactors(ctx context.Context, m chat.Event, emoji string, after chat.Seq, count int) ([]chat.ReactionBy, error) {
	docs, err := s.counts(ctx, m)
	if err != nil || count <= 0 {
		return nil, err
	}
	if doc := docs[m.ID]; len(doc.Message.Reactions) > 0 {
		return base.Reactors(doc.inDocument(), emoji, after, count), nil
	}
	behind := d("message", m.ID, "emoji", emoji, "order", d("$gt", bound(after)), "on", true)
	rows, err := findAll[reactedDoc](ctx, s.reactions, behind, options.Find().SetSort(d("order", 1)).SetLimit(int64(count)).SetHint(byGiving))
	if err != nil {
		return nil, fmt.Errorf("read who reacted to message %s: %w", m.ID, err)
	}
	by := make([]chat.ReactionBy, len(rows))
	for i := range rows {
		by[i] = rows[i].by()
	}
	return by, nil
}

// ReactionsOf implements [chat.MessageStore].
func (s *Store) ReactionsOf(ctx context.Context, user chat.UserID, messages []chat.Event) ([][]chat.Reaction, error) {
	ids := make([]chat.MessageID, len(messages))
	ranges := make(bson.A, len(messages))
	for i, m := range messages {
		prefix := reactedPrefix(m.ID, user)
		ids[i] = m.ID
		ranges[i] = d("_id", d("$gte", prefix, "$lt", prefix[:len(prefix)-1]+"0")) // 0 comes after /
	}
	own := make([][]chat.Reaction, len(messages))
	if len(messages) == 0 {
		return own, nil
	}
	docs, err := s.counts(ctx, messages...)
	if err != nil {
		return nil, err
	}
	rows, err := findAll[reactedDoc](ctx, s.reactions, d("message", d("$in", ids), "$or", ranges, "on", true))
	if err != nil {
		return nil, fmt.Errorf("read the reactions of a user: %w", err)
	}
	for i, id := range ids {
		if doc := docs[id]; len(doc.Message.Reactions) > 0 {
			own[i] = base.ReactionsOf(doc.inDocument(), user)
			continue
		}
		for _, row := range rows {
			if row.Message == id {
				own[i] = append(own[i], chat.Reaction{Emoji: row.Emoji, By: []chat.ReactionBy{row.by()}})
			}
		}
	}
	return own, nil
}
