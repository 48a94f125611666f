package wire

import (
	"encoding/hex"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var update = flag.Bool("update", false, "write golden vectors that are not there yet")

var (
	thread = chat.ThreadID{1, 0x90, 15: 7}
	at     = time.UnixMilli(1_780_000_000_123).UTC()
)

func id(last byte) chat.EventID { return chat.EventID{1, 0x90, 15: last} }

// notices are one of each kind.
func notices() map[string]chat.Notice {
	both := []chat.UserID{"ann", "bob"}
	event := func(kind chat.EventKind, set func(*chat.Event)) chat.Notice {
		e := &chat.Event{Thread: thread, Seq: 300, ID: id(9), At: at, Kind: kind, By: "ann", Device: "phone"}
		set(e)
		return chat.Notice{Audience: both, Event: e}
	}
	target := chat.Target{ID: id(2), Seq: 2}
	content := func() *chat.Message {
		return &chat.Message{
			CreatedAt: at.Add(-time.Minute), Ciphertext: []byte("sealed"), ContentType: chat.FileRef, ClientSeq: -4,
			AttachmentID: "file-1", AttachmentSHA256: strings.Repeat("ab", 32), ReplyTo: id(1), ExpiresAt: at.Add(time.Hour), EditedAt: at,
			Reactions:  []chat.Reaction{{Emoji: "👍", By: []chat.ReactionBy{{User: "bob", At: at, Seq: 5}, {User: "cyd", At: at, Seq: 6}}, More: 3}},
			HiddenFrom: "dan", RedeliveredSeq: 8, IdempotencyKey: "key", BodyHash: [32]byte{31: 1},
		}
	}
	return map[string]chat.Notice{
		"message":    event(chat.KindMessage, func(e *chat.Event) { e.Message = content() }),
		"tombstone":  event(chat.KindMessage, func(e *chat.Event) { e.Message = &chat.Message{CreatedAt: at, Deleted: chat.DeletedBySender} }),
		"edit":       event(chat.KindEdit, func(e *chat.Event) { e.Target, e.Message, e.HiddenFrom = target, content(), "dan" }),
		"delete":     event(chat.KindDelete, func(e *chat.Event) { e.Target, e.Reason, e.By = target, chat.DeletedByExpiry, "" }),
		"reaction":   event(chat.KindReaction, func(e *chat.Event) { e.Target, e.Reaction = target, &chat.ReactionChange{Emoji: "👍", Removed: true} }),
		"redelivery": event(chat.KindRedelivery, func(e *chat.Event) { e.Target, e.Message = target, content() }),
		"created": event(chat.KindThread, func(e *chat.Event) {
			e.Change = &chat.ThreadChange{
				Event: chat.ThreadCreated, Type: chat.Group, Title: "Tëa", IdempotencyKey: "key", BodyHash: [32]byte{1},
				Members: []chat.InitialMember{{User: "ann", Role: chat.Admin}, {User: "bob", Role: chat.Member}},
			}
		}),
		"veiled": event(chat.KindRedelivery, func(e *chat.Event) {
			e.Target = chat.Target{ID: id(9), Seq: 2}
			e.Message = &chat.Message{CreatedAt: at, Ciphertext: []byte("new"), ContentType: chat.Text, Veils: []chat.Veil{
				{User: "bob", Content: &chat.Content{Ciphertext: []byte("old"), ContentType: chat.Text, EditedAt: at}, Hidden: []string{"a", "b"}},
				{User: "ann", Kept: []chat.VeiledReaction{{Emoji: "c", By: chat.ReactionBy{User: "bob", At: at, Seq: 300}}}},
			}}
		}),
		"role": event(chat.KindThread, func(e *chat.Event) {
			e.Change = &chat.ThreadChange{Event: chat.RoleChanged, User: "bob", Role: chat.Admin}
		}),
		"delivered": {Audience: both, Receipt: &chat.Receipt{
			Mark:   chat.Mark{Thread: thread, User: "bob", Kind: chat.Delivered, Seq: 300, Message: id(9), At: at},
			Device: "tablet", Senders: []chat.SenderMark{{User: "ann", Message: id(9)}, {User: "cyd", Message: id(8)}},
		}},
		"read":           {Audience: both, Receipt: &chat.Receipt{Mark: chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Seq: 3, At: at}, Device: "tablet"}},
		"failed":         {Audience: both[:1], Failure: &chat.Failure{Thread: thread, Message: id(9), Reason: chat.FailedBlocked, Users: []chat.UserID{"bob"}}},
		"prekeys_low":    {Audience: both[:1], PrekeysLow: &chat.PrekeysLow{Device: "phone", Left: 4}},
		"devices":        {Audience: both, Devices: &chat.DeviceNews{User: "ann", Device: "phone", Change: chat.IdentityChanged, At: at}},
		"removed":        {Audience: both[:1], Removed: &chat.Removal{User: "ann", Device: "phone", At: at, Conn: 1_780_000_000_123}},
		"prekeys_low_pq": {Audience: both[:1], PrekeysLow: &chat.PrekeysLow{Device: "phone", Left: 40, PQLeft: new(0)}},
		"typing":         {Audience: both, Typing: &chat.Typing{Thread: thread, User: "ann"}},
		"online":         {Audience: both, Presence: &chat.Presence{User: "ann", Online: true}},
		"online_again":   {Audience: both, Presence: &chat.Presence{User: "ann", Online: true, Again: true}},
		"offline":        {Audience: both, Presence: &chat.Presence{User: "ann", LastSeen: at}},
		"wake":           {Audience: both, Wake: &chat.Wake{Thread: thread, Seq: 300, ID: id(9)}},
		"admitted":       {Node: &chat.NodeNotice{From: 1 << 60, Admitted: &chat.Connection{User: "ann", Device: "phone", Conn: 1_780_000_000_123}}},
		"left":           {Node: &chat.NodeNotice{From: 1 << 60, Left: &chat.Connection{User: "ann", Device: "phone", Conn: 300}}},
		"sums":           {Node: &chat.NodeNotice{From: 1 << 60, Sums: &chat.ConnectionSums{Sums: []uint64{0, 1 << 63, 7}, Asks: true}}},
		"ask":            {Node: &chat.NodeNotice{From: 1 << 60, Ask: &chat.AskShards{Node: 1 << 61, Shards: []int{0, 255}}}},
		"signal":         {Audience: both, Signal: &chat.Signal{Thread: thread, User: "ann", Device: "phone", Name: "call.offer", Data: []byte{0, 1, 255}}},
		"state": {Audience: both[:1], State: &chat.ThreadState{Thread: thread, Revision: 300, Me: chat.Me{
			MutedUntil: at, Archived: true, Pinned: true, MarkedUnread: true, Custom: chat.Custom{Set: true, Bytes: "own"},
		}}},
		"shard": {Node: &chat.NodeNotice{From: 1 << 60, Shard: &chat.ConnectionShard{
			Shard: 255, Part: 1, Parts: 2, Connections: []chat.Connection{{User: "ann", Device: "phone", Conn: 1}, {User: "ann", Device: "web", Conn: 2}},
		}}},
		"closing": {Node: &chat.NodeNotice{From: 1 << 60, Closing: true}},
	}
}

// Older and newer nodes read what is in testdata, so this build must write and read it. A
// file is never changed; what a new version writes gets a file of its own.
func TestGoldenVectors(t *testing.T) {
	for name, n := range notices() {
		file := filepath.Join("testdata", name+".hex")
		if isLive(&n) { // earlier builds did not mark it
			if got, err := Decode(readVector(t, file)); err != nil || !reflect.DeepEqual(got, n) {
				t.Errorf("%s of an earlier build is read as %+v, %v; want %+v", name, got, err, n)
			}
			file = filepath.Join("testdata", name+"_live.hex")
		}
		packed := AppendNotice(nil, &n)
		if _, err := os.Stat(file); *update && errors.Is(err, os.ErrNotExist) {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(packed)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden := readVector(t, file)
		if string(packed) != string(golden) {
			t.Errorf("%s is written as\n%x, want\n%x", name, packed, golden)
		}
		if got, err := Decode(golden); err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("%s is read as %+v, %v; want %+v", name, got, err, n)
		}
	}
}

func readVector(t testing.TB, file string) []byte {
	t.Helper()
	line, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(line)))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return b
}

// A field that somebody adds to the domain must be written and read, too. So every field
// of every kind of notice is set, whatever fields there are.
func TestNoFieldIsForgotten(t *testing.T) {
	kinds := reflect.TypeFor[chat.Notice]()
	for i := range kinds.NumField() {
		if kinds.Field(i).Name == "Audience" {
			continue
		}
		n := chat.Notice{Audience: []chat.UserID{"ann"}}
		fill(t, reflect.ValueOf(&n).Elem().Field(i))
		events := []chat.EventKind{""}
		if n.Event != nil {
			events = []chat.EventKind{chat.KindMessage, chat.KindEdit, chat.KindDelete, chat.KindReaction, chat.KindRedelivery, chat.KindThread}
		}
		for _, kind := range events {
			if n.Event != nil {
				n.Event.Kind = kind
			}
			if n.Receipt != nil {
				n.Receipt.Kind = chat.Delivered
			}
			if n.Devices != nil {
				n.Devices.Change = chat.DeviceRemoved
			}
			if got, err := Decode(AppendNotice(nil, &n)); err != nil || !reflect.DeepEqual(got, n) {
				t.Errorf("%s %s is read as\n%+v, %v; want\n%+v", kinds.Field(i).Name, kind, got, err, n)
			}
		}
	}
}

// fill sets a value, and all in it, to what is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(at))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(7)
	default:
		t.Fatalf("there is no value for a %v", v.Type())
	}
}

// A newer node may add a field anywhere: in the header, in the body, and in what is nested
// there.
func TestFieldsOfNewerVersionsAreSkipped(t *testing.T) {
	const newer = 99
	for name, n := range notices() {
		w := &writer{[]byte{Version}}
		p, err := Open(AppendNotice(nil, &n))
		if err != nil {
			t.Fatal(err)
		}
		w.sized(func() {
			w.item(newer, "to come")
			for _, user := range p.Audience {
				w.item(headAudience, string(user))
			}
			w.id(headMessage, p.Message)
			if p.Live {
				w.uint(headLive, 1)
			}
		})
		r := &reader{rest: p.body}
		field, content, _ := r.next()
		w.item(newer, "")
		w.nest(field, func() {
			w.nest(newer, func() { w.uint(1, 1) })
			w.b = append(w.b, content...)
			w.uint(newer+1, 300)
		})
		if got, err := Decode(w.b); err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("%s with new fields is read as %+v, %v", name, got, err)
		}
	}
}

// What this build does not know is told apart from what is broken.
func TestKindsOfNewerVersions(t *testing.T) {
	typing := chat.Notice{Typing: &chat.Typing{User: "ann"}}
	version := AppendNotice(nil, &typing)
	version[0]++
	unknown := &writer{[]byte{Version, 0}}
	unknown.nest(bodyWake+50, func() {})
	kind := notices()["message"]
	kind.Event.Kind = "poll"
	mark := notices()["read"]
	mark.Receipt.Kind = "heard"
	for name, b := range map[string][]byte{
		"version": version, "notice": unknown.b, "event": AppendNotice(nil, &kind), "receipt": AppendNotice(nil, &mark),
	} {
		if n, err := Decode(b); !errors.Is(err, ErrNewer) {
			t.Errorf("a %s of a newer version is read as %+v, %v", name, n, err)
		}
	}
}

// A notice that lost its end, or had a byte changed, is an error or another notice that is
// fit to be handed on.
func TestBrokenNotices(t *testing.T) {
	for name, n := range notices() {
		whole := AppendNotice(nil, &n)
		for end := range whole {
			if n, err := Decode(whole[:end]); err == nil {
				t.Errorf("%s without its end, %d of %d bytes, is read as %+v", name, end, len(whole), n)
			}
		}
	}
	if _, err := Open(make([]byte, MaxBytes+1)); err == nil {
		t.Error("a notice over the bound is read")
	}
	two := &writer{[]byte{Version, 0}}
	two.nest(bodyTyping, func() {})
	two.nest(bodyTyping, func() {})
	if _, err := Decode(two.b); err == nil {
		t.Error("two notices in one are read")
	}
}

// A node may read no more than the header: to whom a notice goes, and whether it is a
// message.
func TestHeader(t *testing.T) {
	for name, n := range notices() {
		p, err := Open(AppendNotice(nil, &n))
		if err != nil {
			t.Fatal(err)
		}
		var message chat.MessageID
		if name == "message" || name == "tombstone" {
			message = n.Event.ID
		}
		if !reflect.DeepEqual(p.Audience, n.Audience) || p.Message != message {
			t.Errorf("the header of %s says %v, %v", name, p.Audience, p.Message)
		}
	}
}

// A thread of the most people, with the longest names, and the largest message fit; what
// does not is told of without being brought.
func TestLargeNotices(t *testing.T) {
	people := make([]chat.UserID, chat.DefaultLimits.Participants)
	for i := range people {
		people[i] = chat.UserID(strings.Repeat("x", chat.MaxNameChars))
	}
	n := notices()["message"]
	n.Audience = people
	n.Event.Message.Ciphertext = make([]byte, chat.DefaultLimits.CiphertextBytes)
	if size := len(AppendNotice(nil, &n)); size > MaxBytes/4 {
		t.Errorf("the largest message takes %d bytes", size)
	}
	n.Event.Message.Ciphertext = make([]byte, MaxBytes)
	want := chat.Notice{Audience: people, Wake: &chat.Wake{Thread: thread, Seq: 300, ID: id(9)}}
	if got, err := Decode(AppendNotice(nil, Wake(&n))); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the wake is read as %+v, %v", got, err)
	}
}

// Whatever comes over the bus is an error, or a notice that is written and read again as
// itself.
func FuzzDecode(f *testing.F) {
	vectors, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(vectors) == 0 {
		f.Fatal(vectors, err)
	}
	for _, file := range vectors {
		b := readVector(f, file)
		f.Add(b)
		b[rand.N(len(b))]++
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(AppendNotice(nil, &n))
		if err != nil || !reflect.DeepEqual(again, n) {
			t.Errorf("%x is %+v, and read again it is %+v, %v", b, n, again, err)
		}
	})
}

// What a short hostile notice makes a node hold is bounded by its length.
func TestMemoryIsBounded(t *testing.T) {
	w := &writer{[]byte{Version, 0}}
	w.nest(bodyEvent, func() {
		w.uint(eventSeq, 1)
		str(w, eventKind, chat.KindMessage)
		w.nest(eventMessage, func() {
			for range 100_000 {
				w.nest(messageReaction, func() {})
			}
		})
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Decode(w.b); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if times := int(after.TotalAlloc-before.TotalAlloc) / len(w.b); times > 64 {
		t.Errorf("%d bytes take %d times as much", len(w.b), times)
	}
}

func BenchmarkDecode(b *testing.B) {
	n := notices()["message"]
	for i := range 30 {
		n.Audience = append(n.Audience, chat.UserID(strings.Repeat("u", 8)+string(rune('a'+i))))
	}
	packed := AppendNotice(nil, &n)
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Decode(packed)
		}
	})
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Open(packed)
		}
	})
}
