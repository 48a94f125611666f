package pebble

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// FuzzDecodeEvent: no input panics the decoder, and what it accepts is what the
// encoder writes for it.
func FuzzDecodeEvent(f *testing.F) {
	full := messageOf(1, 2, "key")
	full.Message.ReplyTo, full.Message.ExpiresAt, full.Message.AttachmentID = full.ID, testTime, "blob"
	for _, e := range []chat.Event{full, messageOf(1, 3, ""), creationOf(chat.Group, 1, "ann", "bob")} {
		value, err := encodeEvent(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add([]byte{})
	at := place{chat.ThreadID{15: 1}, 2}
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _, _ = messageBy(value, "ann")
		given := bytes.Clone(value)
		e, err := decodeEvent(at, value)
		clear(value) // the event must not point into it
		if err != nil {
			return
		}
		again, err := encodeEvent(e)
		if err != nil {
			t.Fatalf("%x is decoded to %+v, which is not encoded: %v", given, e, err)
		}
		twin, err := decodeEvent(at, again)
		if err != nil || !reflect.DeepEqual(twin, e) {
			t.Fatalf("%x is decoded to %+v, and encoded and decoded again to %+v, %v", given, e, twin, err)
		}
		message, own, err := messageBy(again, e.By)
		if err != nil || message != (e.Kind == chat.KindMessage) || !own {
			t.Fatalf("messageBy says message %v, own %v, %v of %+v", message, own, err, e)
		}
	})
}

// FuzzDecodeValues: no input panics the decoders of the small values.
func FuzzDecodeValues(f *testing.F) {
	thread := chat.Thread{}.Apply(creationOf(chat.Group, 1, "ann", "bob"))
	f.Add(encodeThread(thread))
	f.Add(encodeHead(thread.Head))
	f.Add(encodePosition(chat.Position{Cursors: map[chat.ThreadID]chat.Seq{{15: 1}: 7}}))
	f.Add(encodeMembership(membership{1, 2}))
	f.Fuzz(func(t *testing.T, value []byte) {
		roundTrips(t, value, decodeHead, encodeHead)
		roundTrips(t, value, decodePlace, encodePlace)
		roundTrips(t, value, decodeSeq, encodeSeq)
		roundTrips(t, value, decodeThreadID, encodeThreadID)
		roundTrips(t, value, decodeMembership, encodeMembership)
		roundTrips(t, value, decodePosition, encodePosition)
		roundTrips(t, value, func(v []byte) (chat.Mark, error) { return decodeMark(chat.Mark{}, v) }, encodeMark)
		roundTrips(t, value, func(v []byte) (chat.Thread, error) { return decodeThread(chat.ThreadID{}, v) }, encodeThread)
	})
}

func roundTrips[T any](t *testing.T, value []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	t.Helper()
	v, err := decode(value)
	if err != nil {
		return
	}
	twin, err := decode(encode(v))
	if err != nil || !reflect.DeepEqual(twin, v) {
		t.Fatalf("%x is decoded to %+v, and encoded and decoded again to %+v, %v", value, v, twin, err)
	}
}

func TestEncodeEventRefusesWhatItCannotKeep(t *testing.T) {
	for name, e := range map[string]chat.Event{
		"an unknown kind":                {Kind: "pin"},
		"a message event without one":    {Kind: chat.KindMessage},
		"a thread event without change":  {Kind: chat.KindThread},
		"a message under another's kind": {Kind: chat.KindThread, Message: &chat.Message{}},
	} {
		if _, err := encodeEvent(e); err == nil {
			t.Errorf("%s is encoded", name)
		}
	}
}

func TestEventFromANewerBuildIsRefused(t *testing.T) {
	value, err := encodeEvent(messageOf(1, 2, "key"))
	if err != nil {
		t.Fatal(err)
	}
	value[0]++
	if _, err := decodeEvent(place{}, value); err == nil {
		t.Error("an event of a newer encoding is decoded")
	}
}
