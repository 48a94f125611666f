package pebble

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

func reactionBy(user chat.UserID, message chat.Event, seq chat.Seq, emoji string) chat.Event {
	e := reactionOf(message, seq, emoji)
	e.By = user
	return e
}

func takenBack(e chat.Event) chat.Event {
	e.Reaction = &chat.ReactionChange{Emoji: e.Reaction.Emoji, Removed: true}
	return e
}

// A reaction writes the same whatever is there: the message has 64 KiB, and 5,000 reactions in the
// end. What reading it costs is bounded by the names that a message carries.
func TestAReactionWritesTheSameHoweverManyAreThere(t *testing.T) {
	const people, emojis = 250, 20
	c := newCosted(t, people, 0)
	m := messageOf(1, c.head+1, "key")
	m.Message.Ciphertext = make([]byte, 64<<10)
	c.append(m)
	written := func(e chat.Event) int64 {
		c.costs.bytes.Store(0)
		c.append(e)
		return c.costs.bytes.Load()
	}
	var sizes []int64
	for emoji := range emojis {
		for _, user := range c.users {
			sizes = append(sizes, written(reactionBy(user, m, c.head+1, fmt.Sprintf("emoji%02d", emoji))))
		}
	}
	last := sizes[len(sizes)-1]
	t.Logf("the 1st reaction wrote %d bytes (with the flag in the message of 64 KiB), the 2nd %d, the %dth %d",
		sizes[0], sizes[1], len(sizes), last)
	for i, n := range sizes[1:] {
		if n > 600 {
			t.Fatalf("reaction %d wrote %d bytes", i+2, n)
		}
	}
	if last > sizes[1]+16 { // numbers grow by a few bytes
		t.Errorf("the last one wrote %d bytes, the second %d", last, sizes[1])
	}
	c.costs.take()
	got, err := c.Message(t.Context(), m.ID)
	c.want(len(got.Message.Reactions), emojis, err)
	for _, r := range got.Message.Reactions {
		if len(r.By) != chat.MaxReactionNames || r.More != people-chat.MaxReactionNames {
			t.Errorf("%s names %d and counts %d more", r.Emoji, len(r.By), r.More)
		}
	}
	read := c.costs.take()
	t.Logf("reading it takes %+v", read)
	if read.Steps > emojis*(chat.MaxReactionNames+1) {
		t.Errorf("reading the message went over %d keys", read.Steps)
	}
	if n := written(takenBack(reactionBy(c.users[0], m, c.head+1, "emoji00"))); n > 600 {
		t.Errorf("taking one back wrote %d bytes", n)
	}
	if n := written(deletionOf(m, c.head+1)); n > 1000 {
		t.Errorf("deleting the message wrote %d bytes", n)
	}
	for key := range dump(t, c.Store) {
		if key[0] == prefixReaction {
			t.Fatalf("key %x outlives its message", key)
		}
	}
}

// Up to format 4 a message's record held its reactions. They are read where they are, and
// move to keys of their own with the first event about the message.
func TestReactionsOfFormat4AreMoved(t *testing.T) {
	disk := vfs.NewMem()
	s := open(t, Options{FS: disk, Now: func() time.Time { return testTime }})
	users := []chat.UserID{"ann", "bob"}
	for n := range 150 {
		users = append(users, chat.UserID(fmt.Sprintf("user%03d", n)))
	}
	create(t, s, creationOf(chat.Group, 1, users...))
	var sent []chat.Event
	for seq := chat.Seq(2); seq <= 5; seq++ {
		m := messageOf(1, seq, "")
		mustAppend(t, s, m)
		sent = append(sent, m)
	}
	head := chat.Seq(5)
	want := make([]chat.Message, len(sent))
	for i, m := range sent { // as if each had been reacted to by an older build
		want[i] = *m.Message
		for _, emoji := range []string{"z", "a"} {
			for _, user := range users[:len(users)-1] {
				head++
				e := reactionBy(user, m, head, emoji)
				mustAppend(t, s, e)
				want[i] = want[i].Apply(e)
			}
		}
		asOf4(t, s, m, &want[i])
	}
	if err := s.db.Set(formatKey(), binary.AppendUvarint(nil, 4), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	check := func(when string, i int) {
		t.Helper()
		got, err := s.Message(t.Context(), sent[i].ID)
		shown := chat.Event{Message: &want[i]}.ShownTo("")
		if err != nil {
			t.Fatalf("%s, message %d: %v", when, i, err)
		}
		if !reflect.DeepEqual(got.Message.Reactions, shown.Message.Reactions) {
			t.Fatalf("%s, message %d has %+v; want %+v", when, i, got.Message.Reactions, shown.Message.Reactions)
		}
		for _, r := range want[i].Reactions {
			all, err := s.Reactors(t.Context(), sent[i], r.Emoji, 0, 1000)
			if err != nil || !reflect.DeepEqual(all, r.By) {
				t.Fatalf("%s, %s of message %d is by %v, %v; want %v", when, r.Emoji, i, all, err, r.By)
			}
			some, err := s.Reactors(t.Context(), sent[i], r.Emoji, r.By[119].Seq, 2)
			if err != nil || !reflect.DeepEqual(some, r.By[120:122]) {
				t.Fatalf("%s, %s of message %d goes on by %v, %v; want %v", when, r.Emoji, i, some, err, r.By[120:122])
			}
		}
		own, err := s.ReactionsOf(t.Context(), users[120], []chat.Event{sent[i]})
		if err != nil || len(own) != 1 || len(own[0]) != 2 || own[0][0].By[0].User != users[120] {
			t.Fatalf("%s, %s has given message %d %+v, %v", when, users[120], i, own, err)
		}
	}
	for i := range sent {
		check("as of format 4", i)
	}
	for i, about := range []func(chat.Seq) chat.Event{
		func(seq chat.Seq) chat.Event { return reactionBy(users[len(users)-1], sent[0], seq, "a") },
		func(seq chat.Seq) chat.Event { return takenBack(reactionBy(users[3], sent[1], seq, "a")) },
		func(seq chat.Seq) chat.Event { return editOf(sent[2], seq, "edited") },
	} {
		head++
		e := about(head)
		mustAppend(t, s, e)
		want[i] = want[i].Apply(e)
		check("moved", i)
	}
	head++
	mustAppend(t, s, deletionOf(sent[3], head))
	if got, err := s.Message(t.Context(), sent[3].ID); err != nil || got.Message.Reactions != nil {
		t.Errorf("the deleted message has %+v, %v", got.Message.Reactions, err)
	}
	if err := checkFormat(s.db); err != nil {
		t.Fatal(err)
	}
	if raw, closer, err := s.db.Get(formatKey()); err != nil || raw[0] != formatVersion || closer.Close() != nil {
		t.Errorf("the format is %v, %v", raw, err)
	}
}

// asOf4 puts the reactions of a message where a build of format 4 has them, and numbers
// them as they are numbered when they are read from there.
func asOf4(t *testing.T, s *Store, m chat.Event, now *chat.Message) {
	t.Helper()
	m.Message = now
	value, err := encodeEvent(m)
	if err != nil {
		t.Fatal(err)
	}
	all := within(reactionsPrefix(place{m.Thread, m.Seq}))
	b := s.db.NewBatch()
	for _, err := range []error{b.Set(eventKey(m.Thread, m.Seq), value, nil), b.DeleteRange(all.lower, all.upper, nil), s.state.commit(t.Context(), b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	base.NumberReactions(m.Seq, now.Reactions)
}
