package mongo

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

func reactionBy(user chat.UserID, target chat.Event, emoji string, removed bool) chat.Event {
	e := about(target, chat.KindReaction, user)
	e.Reaction = &chat.ReactionChange{Emoji: emoji, Removed: removed}
	return e
}

// A reaction writes the same whatever is there: the message has 64 KiB, and in the end 4,999
// reactions of before.
func TestAReactionWritesTheSameHoweverManyAreThere(t *testing.T) {
	var written atomic.Int64
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{monitor: &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		switch e.CommandName {
		case "insert", "update", "delete", "findAndModify":
			written.Add(int64(len(e.Command)))
		}
	}}})
	const people, emojis = 250, 20
	users := make([]chat.UserID, people)
	for i := range users {
		users[i] = chat.UserID(fmt.Sprintf("user%03d", i))
	}
	thread := mustCreate(t, s, creationOf(chat.Group, users...))
	m := messageFrom("user000", "")
	m.Message.Ciphertext = make([]byte, 64<<10)
	m = mustAppend(t, s, thread, m)[0]
	react := func(user chat.UserID, emoji string, removed bool) int64 {
		before := written.Load()
		mustAppend(t, s, thread, reactionBy(user, m, emoji, removed))
		return written.Load() - before
	}
	first, second := react(users[0], "emoji00", false), react(users[1], "emoji00", false)

	given := make(map[string]givenDoc)
	var rows []reactedDoc
	for emoji := range emojis {
		name := fmt.Sprintf("emoji%02d", emoji)
		c := givenDoc{First: m.Seq + 1 + chat.Seq(emoji*people), Count: people}
		for i, user := range users {
			seq := c.First + chat.Seq(i)
			if i == chat.MaxReactionNames-1 {
				c.Last = seq
			}
			if emoji == 0 && i < 2 {
				continue // who has reacted above
			}
			if emoji == emojis-1 && i == people-1 {
				c.Count-- // who is to react below
				continue
			}
			rows = append(rows, reactedDoc{
				ID: reactedID(m.ID, user, name), Message: m.ID, Emoji: name, User: user, Seq: seq, On: true, Order: seq, At: testTime,
			})
		}
		given[emojiField(name)] = c
	}
	for from := 0; from < len(rows); from += insertBatch {
		if _, err := s.reactions.InsertMany(t.Context(), rows[from:min(from+insertBatch, len(rows))]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.log.UpdateByID(t.Context(), m.ID, d("$set", d("given", given))); err != nil {
		t.Fatal(err)
	}
	last := react(users[people-1], fmt.Sprintf("emoji%02d", emojis-1), false)
	t.Logf("the 1st reaction sent %d bytes of writes, the 2nd %d, the 5000th %d", first, second, last)
	if last > second+64 {
		t.Errorf("the 5000th reaction sent %d bytes of writes, the second %d", last, second)
	}
	got, err := s.Message(t.Context(), m.ID)
	if err != nil || len(got.Message.Reactions) != emojis {
		t.Fatalf("the message has %d reactions, %v", len(got.Message.Reactions), err)
	}
	for _, r := range got.Message.Reactions {
		if len(r.By) != chat.MaxReactionNames || r.More != people-chat.MaxReactionNames {
			t.Errorf("%s names %d and counts %d more", r.Emoji, len(r.By), r.More)
		}
	}
	if n := react(users[0], "emoji00", true); n > second+64 {
		t.Errorf("taking one back sent %d bytes of writes", n)
	}
}

// Up to format 3 a message's document held its reactions. They are read where they are, and
// move to documents of their own with the first reaction after.
func TestReactionsOfFormat3AreMoved(t *testing.T) {
	ctx := t.Context()
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{})
	users := []chat.UserID{"ann", "bob"}
	for n := range 110 {
		users = append(users, chat.UserID(fmt.Sprintf("user%03d", n)))
	}
	late := users[len(users)-1]
	thread := mustCreate(t, s, creationOf(chat.Group, users...))
	sent := mustAppend(t, s, thread, messageFrom("ann", "1"), messageFrom("ann", "2"), messageFrom("ann", "3"), messageFrom("ann", "4"))
	want := make([]chat.Message, len(sent))
	for range 2 * len(users) { // so that the log is as long as it was with those reactions
		mustAppend(t, s, thread, messageFrom("ann", "later"))
	}
	for i, m := range sent {
		var old bson.A
		want[i] = *m.Message
		seq := m.Seq
		for _, emoji := range []string{"z", "a"} {
			r, by := chat.Reaction{Emoji: emoji}, bson.A{}
			for n, user := range users[:len(users)-1] {
				seq++
				at := testTime.Add(time.Duration(n) * time.Second)
				r.By = append(r.By, chat.ReactionBy{User: user, At: at, Seq: seq})
				by = append(by, d("user", user, "at", at))
			}
			want[i].Reactions = append(want[i].Reactions, r)
			old = append(old, d("emoji", emoji, "by", by))
		}
		if _, err := s.log.UpdateByID(ctx, m.ID, d("$set", d("reactions", old, "overlay", bound(seq)))); err != nil {
			t.Fatal(err)
		}
	}
	s.setFormat(t, 3, 0)
	if err := Upgrade(ctx, uri, Options{}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := Upgrade(ctx, uri, Options{}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	s = open(t, server, uri, Options{})
	check := func(when string, i int) {
		t.Helper()
		got, err := s.Message(ctx, sent[i].ID)
		shown := chat.Event{Message: &want[i]}.ShownTo("")
		if err != nil {
			t.Fatalf("%s, message %d: %v", when, i, err)
		}
		if !reflect.DeepEqual(got.Message.Reactions, shown.Message.Reactions) {
			t.Fatalf("%s, message %d has %+v; want %+v", when, i, got.Message.Reactions, shown.Message.Reactions)
		}
		for _, r := range want[i].Reactions {
			all, err := s.Reactors(ctx, sent[i], r.Emoji, 0, 1000)
			if err != nil || !reflect.DeepEqual(all, r.By) {
				t.Fatalf("%s, %s of message %d is by %v, %v; want %v", when, r.Emoji, i, all, err, r.By)
			}
		}
		own, err := s.ReactionsOf(ctx, users[105], []chat.Event{sent[i]})
		if err != nil || len(own) != 1 || len(own[0]) != 2 || own[0][0].By[0].User != users[105] {
			t.Fatalf("%s, %s has given message %d %+v, %v", when, users[105], i, own, err)
		}
	}
	for i := range sent {
		check("as of format 3", i)
	}
	half, _, err := findOne[eventDoc](ctx, s.log, d("_id", sent[1].ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.moveReactions(ctx, half); err != nil { // and then the server died
		t.Fatal(err)
	}
	edit := about(sent[2], chat.KindEdit, "ann")
	edit.Message = &chat.Message{Ciphertext: []byte("edited"), ContentType: chat.Text}
	for i, e := range []chat.Event{reactionBy(late, sent[0], "a", false), reactionBy(users[3], sent[1], "a", true), edit} {
		e = mustAppend(t, s, thread, e)[0]
		want[i] = want[i].Apply(e)
		check("moved", i)
	}
	mustAppend(t, s, thread, reactionBy(late, sent[3], "a", false))
	deletion := about(sent[3], chat.KindDelete, "ann")
	deletion.Reason = chat.DeletedBySender
	mustAppend(t, s, thread, deletion)
	if got, err := s.Message(ctx, sent[3].ID); err != nil || got.Message.Reactions != nil {
		t.Errorf("the deleted message has %+v, %v", got.Message.Reactions, err)
	}
	if n, err := s.reactions.CountDocuments(ctx, d("message", sent[3].ID)); n != 0 || err != nil {
		t.Errorf("%d reactions outlive their message, %v", n, err)
	}
	var format struct{ Version int64 }
	if err := s.meta.FindOne(ctx, d("_id", "format")).Decode(&format); err != nil || format.Version != formatVersion {
		t.Errorf("the format is %d, %v; want %d", format.Version, err, formatVersion)
	}
}
