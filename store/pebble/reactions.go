package pebble

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// The reactions to a message stand under keys of their own: one for each emoji, with how
// many gave it, and two for each user that gave it (keys.go). So a reaction writes the same few
// bytes whatever is there. That a message ever had one is a flag in its record.

// emojiRecord says of one emoji of a message by which event it first came, and how many
// have given it.
type emojiRecord struct {
	first chat.Seq
	count int
}

func encodeEmoji(r emojiRecord) []byte {
	return binary.AppendUvarint(encodeSeq(r.first), uint64(r.count))
}

func decodeEmoji(value []byte) (emojiRecord, error) {
	d := decode(value)
	r := emojiRecord{d.seq(), int(d.uvarint())}
	return r, d.end()
}

func encodeGiver(by chat.ReactionBy) []byte { return appendTime(appendStr(nil, by.User), by.At) }

func decodeGiver(value []byte) (chat.ReactionBy, error) {
	d := decode(value)
	by := chat.ReactionBy{User: chat.UserID(d.str()), At: d.time()}
	return by, d.end()
}

// reactions reads the reactions to a message, each with at most so many users as a message
// names.
func (v *view) reactions(at place) (reactions []chat.Reaction, err error) {
	it, err := v.iterator(context.Background(), within(reactionsPrefix(at)))
	if err != nil {
		return nil, fmt.Errorf("read the reactions to message %d of %s: %w", at.seq, at.thread, err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	emojis, err := v.emojis(it, at)
	if err != nil {
		return nil, err
	}
	for _, e := range emojis {
		r := chat.Reaction{Emoji: e.emoji}
		if r.By, err = v.givers(it, giversPrefix(at, e.emoji), 0, min(e.count, chat.MaxReactionNames)); err != nil {
			return nil, err
		}
		r.More = e.count - len(r.By)
		reactions = append(reactions, r)
	}
	return reactions, it.Error()
}

type countedEmoji struct {
	emoji string
	emojiRecord
}

// emojis are the emojis of a message in the order in which they first came.
func (v *view) emojis(it *pebble.Iterator, at place) (emojis []countedEmoji, err error) {
	prefix := emojisPrefix(at)
	for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		v.of.costs.step()
		r, err := decodeEmoji(it.Value())
		if err != nil {
			return nil, fmt.Errorf("read key %x: %w", it.Key(), err)
		}
		emojis = append(emojis, countedEmoji{string(it.Key()[len(prefix):]), r})
	}
	slices.SortFunc(emojis, func(a, b countedEmoji) int { return cmp.Compare(a.first, b.first) })
	return emojis, nil
}

// givers are those who gave an emoji, by events after the given one.
func (v *view) givers(it *pebble.Iterator, prefix []byte, after chat.Seq, count int) (givers []chat.ReactionBy, err error) {
	for ok := it.SeekGE(appendSeq(bytes.Clone(prefix), after+1)); ok && len(givers) < count && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		v.of.costs.step()
		by, err := decodeGiver(it.Value())
		if err != nil {
			return nil, fmt.Errorf("read key %x: %w", it.Key(), err)
		}
		by.Seq = seqOf(it.Key())
		givers = append(givers, by)
	}
	return givers, nil
}

// Reactors implements [chat.MessageStore].
func (s *Store) Reactors(ctx context.Context, m chat.Event, emoji string, after chat.Seq, count int) (_ []chat.ReactionBy, err error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	at := place{m.Thread, m.Seq}
	r, err := v.record(at)
	switch {
	case err != nil || r.Message == nil:
		return nil, err
	case !r.reacted:
		return base.Reactors(r.Message.Reactions, emoji, after, count), nil
	}
	it, err := v.iterator(ctx, within(giversPrefix(at, emoji)))
	if err != nil {
		return nil, fmt.Errorf("read who reacted to message %s: %w", m.ID, err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	return v.givers(it, giversPrefix(at, emoji), after, count)
}

// ReactionsOf implements [chat.MessageStore].
func (s *Store) ReactionsOf(ctx context.Context, user chat.UserID, messages []chat.Event) ([][]chat.Reaction, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	own := make([][]chat.Reaction, len(messages))
	for i, m := range messages {
		if own[i], err = v.reactionsOf(ctx, user, place{m.Thread, m.Seq}); err != nil {
			return nil, err
		}
	}
	return own, nil
}

func (v *view) reactionsOf(ctx context.Context, user chat.UserID, at place) (own []chat.Reaction, err error) {
	r, err := v.record(at)
	switch {
	case err != nil || r.Message == nil:
		return nil, err
	case !r.reacted:
		return base.ReactionsOf(r.Message.Reactions, user), nil
	}
	prefix := reactorPrefix(at, user)
	err = v.scan(ctx, within(prefix), false, func(key, value []byte) (bool, error) {
		by, err := decodeGift(value)
		by.User = user
		own = append(own, chat.Reaction{Emoji: string(key[len(prefix):]), By: []chat.ReactionBy{by}})
		return true, err
	})
	return own, err
}

// A gift is what stands under the key of a user and an emoji: event and time.
func encodeGift(by chat.ReactionBy) []byte { return appendTime(encodeSeq(by.Seq), by.At) }

func decodeGift(value []byte) (chat.ReactionBy, error) {
	d := decode(value)
	by := chat.ReactionBy{Seq: d.seq(), At: d.time()}
	return by, d.end()
}

// addReaction adds to the batch what an event does to the reactions of a message that is
// not deleted; changed tells whether it did anything, and given is what it took back.
func (w *logWriter) addReaction(e chat.Event) (given chat.ReactionBy, changed bool, err error) {
	at, emoji := place{e.Thread, e.Target.Seq}, e.Reaction.Emoji
	own := append(reactorPrefix(at, e.By), emoji...)
	given, found, err := lookupRow(w, own, decodeGift)
	if err != nil || found != e.Reaction.Removed {
		return given, false, err
	}
	given.User = e.By
	counter := append(emojisPrefix(at), emoji...)
	counted, _, err := lookupRow(w, counter, decodeEmoji)
	if err != nil {
		return given, false, err
	}
	if e.Reaction.Removed {
		w.setRow(own, nil)
		w.unset(appendSeq(giversPrefix(at, emoji), given.Seq))
		if counted.count--; counted.count == 0 {
			w.setRow(counter, nil)
			return given, true, nil
		}
	} else {
		by := chat.ReactionBy{User: e.By, At: e.At, Seq: e.Seq}
		w.setRow(own, encodeGift(by))
		w.set(appendSeq(giversPrefix(at, emoji), by.Seq), encodeGiver(by))
		if counted.count++; counted.count == 1 {
			counted.first = e.Seq
		}
	}
	w.setRow(counter, encodeEmoji(counted))
	return given, true, nil
}

// moveReactions gives the reactions in a record of format 4 keys of their own.
func (w *logWriter) moveReactions(at place, reactions []chat.Reaction) {
	for _, r := range reactions {
		for _, by := range r.By {
			w.setRow(append(reactorPrefix(at, by.User), r.Emoji...), encodeGift(by))
			w.set(appendSeq(giversPrefix(at, r.Emoji), by.Seq), encodeGiver(by))
		}
		w.setRow(append(emojisPrefix(at), r.Emoji...), encodeEmoji(emojiRecord{r.By[0].Seq, len(r.By)}))
	}
}

// dropReactions removes all reactions to a message.
func (w *logWriter) dropReactions(at place) {
	r := within(reactionsPrefix(at))
	_ = w.batch.DeleteRange(r.lower, r.upper, nil) // a batch fails only when it is committed
}

// setRow writes a key that a later event of the batch may read; nil removes it.
func (w *logWriter) setRow(key, value []byte) {
	if w.rows == nil {
		w.rows = make(map[string][]byte)
	}
	w.rows[string(key)] = value
	if value == nil {
		w.unset(key)
		return
	}
	w.set(key, value)
}

// lookupRow reads a key as the batch leaves it.
func lookupRow[T any](w *logWriter, key []byte, decode func([]byte) (T, error)) (value T, found bool, err error) {
	raw, written := w.rows[string(key)]
	switch {
	case !written:
		return lookup(w.view, key, decode)
	case raw == nil:
		return value, false, nil
	}
	value, err = decode(raw)
	return value, true, err
}
