package pebble

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// everyEvent is an event of each kind, messages with and without all they can have.
func everyEvent() []chat.Event {
	full, deleted := messageOf(1, 2, "key"), messageOf(1, 3, "")
	full.Message.ReplyTo, full.Message.ExpiresAt, full.Message.AttachmentID = full.ID, testTime, "blob"
	full.Message.EditedAt, full.Message.HiddenFrom, full.Message.RedeliveredSeq = testTime, "bob", 9
	full.Message.Reactions = []chat.Reaction{
		{Emoji: "+1", By: []chat.ReactionBy{{User: "bob", At: testTime, Seq: 3}, {User: "ann", At: testTime, Seq: 4}}}, {Emoji: "-1", By: []chat.ReactionBy{{User: "cid", At: testTime, Seq: 5}}},
	}
	deleted.Message.Ciphertext, deleted.Message.Deleted = nil, chat.DeletedByExpiry
	return []chat.Event{
		full, deleted, messageOf(1, 3, ""), creationOf(chat.Group, 1, "ann", "bob"),
		editOf(full, 4, "new"), deletionOf(full, 5), reactionOf(full, 6, "+1"), aboutOf(full, 7, chat.KindRedelivery), pinOf(full, 8),
	}
}

// FuzzDecodeEvent: no input panics the decoder, and what it accepts is what the
// encoder writes for it.
func FuzzDecodeEvent(f *testing.F) {
	for _, e := range everyEvent() {
		value, err := encodeEvent(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add([]byte{})
	at := place{chat.ThreadID{15: 1}, 2}
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _, _ = peekMessage(value)
		given := bytes.Clone(value)
		e, err := decodeEvent(at, value)
		clear(value) // the event must not point into it
		if err != nil {
			return
		}
		if e.Kind == chat.KindEdit || e.Kind == chat.KindRedelivery {
			e.Message = &chat.Message{} // which is not stored
		}
		again, err := encodeEvent(e)
		if err != nil {
			t.Fatalf("%x is decoded to %+v, which is not encoded: %v", given, e, err)
		}
		twin, err := decodeEvent(at, again)
		if e.Kind == chat.KindEdit || e.Kind == chat.KindRedelivery {
			e.Message = nil
		}
		if err != nil || !reflect.DeepEqual(twin, e) {
			t.Fatalf("%x is decoded to %+v, and encoded and decoded again to %+v, %v", given, e, twin, err)
		}
		checkPeek(t, again, e)
	})
}

// checkPeek fails unless a peek at a value tells of an event what decoding does.
func checkPeek(t *testing.T, value []byte, e chat.Event) {
	t.Helper()
	p, isMessage, err := peekMessage(value)
	if err != nil || isMessage != (e.Kind == chat.KindMessage) {
		t.Fatalf("a peek at %+v: a message is %v, %v", e, isMessage, err)
	}
	if !isMessage {
		return
	}
	expiresAt := int64(neverExpires)
	if !e.Message.ExpiresAt.IsZero() {
		expiresAt = e.Message.ExpiresAt.UnixMilli()
	}
	if string(p.by) != string(e.By) || string(p.hiddenFrom) != string(e.Message.HiddenFrom) ||
		p.deleted != (e.Message.Deleted != "") || p.expiresAt != expiresAt {
		t.Fatalf("a peek at %+v says %+v", e.Message, p)
	}
}

func TestEventsComeBackFromTheirEncoding(t *testing.T) {
	for _, e := range everyEvent() {
		value, err := encodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == chat.KindEdit || e.Kind == chat.KindRedelivery {
			e.Message = nil // its target has it
		}
		got, err := decodeEvent(place{e.Thread, e.Seq}, value)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%+v came back as %+v, %v", e, got, err)
		}
		checkPeek(t, value, e)
	}
}

// A message that nothing happened to bears nothing of what could have.
func TestPlainMessagesStayCompact(t *testing.T) {
	plain := messageOf(1, 2, "0123456789abcdef0123456789abcdef")
	value, err := encodeEvent(plain)
	if err != nil {
		t.Fatal(err)
	}
	names := len(plain.By) + len(plain.Device) + len(plain.Message.IdempotencyKey) + len(plain.Message.ContentType)
	const fixed = eventPrelude + 16 + 32 // the id and the hash
	if overhead := len(value) - names - fixed - len(plain.Message.Ciphertext); overhead > 6 {
		t.Errorf("a plain message has %d bytes besides what it holds; want a length for each of 4 names, a small client_seq and a small drift", overhead)
	}
}

// FuzzDecodeValues: no input panics the decoders of the small values.
func FuzzDecodeValues(f *testing.F) {
	thread := chat.Thread{}.Apply(creationOf(chat.Group, 1, "ann", "bob"))
	f.Add(encodeThread(thread))
	thread.Pins = []chat.Pin{{Message: numberedID(2), Seq: 2, By: "ann", At: testTime}}
	f.Add(encodeThread(thread))
	f.Add(encodeHead(headRecord{thread.Head, false}))
	f.Add(encodeHead(headRecord{chat.Head{Seq: 3, LastHiddenFrom: "bob", LastShown: chat.Target{Seq: 2}}, true}))
	f.Add(encodeReport(chat.Report{Thread: chat.ThreadID{15: 1}, Sender: "ann", By: "bob", Reason: chat.ReportSpam, Note: "note"}))
	signed := chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: []byte("public")}, Signature: []byte("signature")}
	f.Add(encodePrekeys(chat.PrekeyDevice{Identity: []byte("identity"), Signed: signed, LastResort: &signed, UpdatedAt: testTime}))
	f.Add(encodePrekeys(chat.PrekeyDevice{Identity: []byte("identity"), Signed: signed, PQLastResort: &signed, UpdatedAt: testTime, IdentityAt: testTime}))
	f.Add(encodeTime(testTime))
	f.Add(encodePosition(positionRecord{acknowledged: true, used: testTime}))
	f.Add(encodeMembership(membership{joined: 1, left: 2}))
	f.Fuzz(func(t *testing.T, value []byte) {
		roundTrips(t, value, decodeHead, encodeHead)
		roundTrips(t, value, decodePlace, encodePlace)
		roundTrips(t, value, decodeSeq, encodeSeq)
		roundTrips(t, value, decodeThreadID, encodeThreadID)
		roundTrips(t, value, decodeMembership, encodeMembership)
		roundTrips(t, value, decodeNewPosition, encodePosition)
		roundTrips(t, value, decodeTime, encodeTime)
		roundTrips(t, value, decodeCount, encodeCount)
		roundTrips(t, value, func(v []byte) (chat.PrekeyDevice, error) { return decodePrekeys("u", "d", v) }, encodePrekeys)
		roundTrips(t, value, func(v []byte) (chat.Report, error) { return decodeReport(chat.ReportID{}, v) }, encodeReport)
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
		"a message hidden in two places": {Kind: chat.KindMessage, Message: &chat.Message{}, HiddenFrom: "bob"},
		"an edit without content":        {Kind: chat.KindEdit, Target: chat.Target{Seq: 1}},
		"an edit of nothing":             {Kind: chat.KindEdit, Message: &chat.Message{}},
		"a deletion of nothing":          {Kind: chat.KindDelete, Reason: chat.DeletedBySender},
		"a deletion without a reason":    {Kind: chat.KindDelete, Target: chat.Target{Seq: 1}},
		"a reaction without an emoji":    {Kind: chat.KindReaction, Target: chat.Target{Seq: 1}},
		"a redelivery of nothing":        {Kind: chat.KindRedelivery, Message: &chat.Message{}},
		"a redelivery without content":   {Kind: chat.KindRedelivery, Target: chat.Target{Seq: 1}},
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

// What an earlier format wrote is read as it was meant: the time of an event was that in
// its id.
func TestValuesOfFormat3AreRead(t *testing.T) {
	e := messageOf(1, 2, "key")
	value, err := encodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	value[0] = oldestEventVersion
	drift := bytes.Index(value, e.ID[:]) + len(e.ID)
	value = slices.Delete(value, drift, drift+1)
	got, err := decodeEvent(place{e.Thread, e.Seq}, value)
	if at := chat.IDTime(e.ID); err != nil || !got.At.Equal(at) || !got.Message.CreatedAt.Equal(at) || got.Device != e.Device {
		t.Errorf("the event is %+v, %v", got, err)
	}

	head := headRecord{Head: chat.Head{Seq: 3, ID: e.ID, LastMessage: e.ID, LastMessageSeq: 2, LastMessageAt: chat.IDTime(e.ID)}, pinned: true}
	value = encodeHead(head)
	if got, err := decodeHead(value[:len(value)-1]); err != nil || got != head {
		t.Errorf("the head is %+v, %v; want %+v", got, err, head)
	}

	thread := chat.Thread{Type: chat.Group, CreatedAt: testTime, CreatedBy: "ann", Participants: []chat.Participant{
		{User: "ann", Role: chat.Admin, JoinedSeq: 1, JoinedID: e.ID, JoinedAt: testTime},
	}}
	value = encodeThread(thread)
	value[0] = oldestThreadVersion
	id := bytes.Index(value, e.ID[:])
	value = slices.Delete(value, len(value)-2, len(value)-1) // whether she has to accept, before the number of pins
	old, err := decodeThread(chat.ThreadID{}, slices.Delete(value, id, id+len(e.ID)))
	if err != nil || len(old.Participants) != 1 {
		t.Fatalf("the thread is %+v, %v", old, err)
	}
	p := old.Participants[0]
	if !p.JoinedAt.Equal(testTime) || !chat.IDTime(p.JoinedID).Equal(testTime) || p.JoinedID.Compare(chat.EventIDAt(testTime.Add(time.Millisecond))) >= 0 {
		t.Errorf("the participant is %+v", p)
	}
}

// A mark of format 5 did not say how high the one of the other kind was.
func TestMarkOfFormat5IsRead(t *testing.T) {
	want := chat.Mark{Message: chat.MessageID{15: 1}, At: testTime}
	for _, beside := range []chat.Seq{0, 7} {
		want.Beside = beside
		if got, err := decodeMark(chat.Mark{}, encodeMark(want)); err != nil || got != want {
			t.Errorf("the mark is %+v, %v; want %+v", got, err, want)
		}
	}
	value := appendTime(want.Message[:], want.At)
	want.Beside = 0
	if got, err := decodeMark(chat.Mark{}, value); err != nil || got != want {
		t.Errorf("a mark of format 5 is %+v, %v; want %+v", got, err, want)
	}
}

// decodeNewPosition decodes what encodePosition may write.
func decodeNewPosition(value []byte) (positionRecord, error) {
	p, err := decodePosition(value)
	if p.old != nil {
		return positionRecord{}, errors.New("a position of an earlier format")
	}
	return p, err
}

// The first version of a report had no time: its id told it.
func TestReportWithoutATimeHasThatOfItsID(t *testing.T) {
	at := time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)
	want := chat.Report{ID: chat.EventIDAt(at), At: at, Thread: chat.ThreadID{15: 1}, Sender: "ann", By: "bob", Reason: chat.ReportSpam, Note: "note"}
	value := encodeReport(want)
	value = value[:len(value)-len(encodeTime(at))]
	value[0] = oldestReportVersion
	if got, err := decodeReport(want.ID, value); err != nil || got != want {
		t.Errorf("a report of the first version is %+v, %v; want %+v", got, err, want)
	}
}
