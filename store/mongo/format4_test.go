package mongo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// load puts the indexes and documents of a file, a line of JSON each, into an empty database.
func load(t *testing.T, uri, file string) {
	t.Helper()
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	target, err := parseTarget(uri)
	if err != nil {
		t.Fatal(err)
	}
	client, _, err := connect(t.Context(), uri, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.Background()) }()
	for line := range strings.Lines(string(lines)) {
		name, rest, _ := strings.Cut(line, " ")
		kind, content, _ := strings.Cut(rest, " ")
		var err error
		into := client.Database(target.database).Collection(name)
		switch kind {
		case "document":
			var doc bson.Raw
			if err = bson.UnmarshalExtJSON([]byte(content), true, &doc); err == nil {
				_, err = into.InsertOne(t.Context(), doc)
			}
		case "index":
			var spec struct {
				Name   string `bson:"name"`
				Keys   bson.D `bson:"keys"`
				Unique bool   `bson:"unique"`
				Sparse bool   `bson:"sparse"`
			}
			if err = bson.UnmarshalExtJSON([]byte(content), false, &spec); err == nil {
				i := index{name: spec.Name, unique: spec.Unique, sparse: spec.Sparse}
				for _, key := range spec.Keys {
					i.keys = append(i.keys, key.Key)
				}
				_, err = into.Indexes().CreateOne(t.Context(), i.model())
			}
		}
		if err != nil {
			t.Fatalf("load %s: %v", line, err)
		}
	}
}

// The threads of testdata/format4.txt: a group, a 1:1, and a group with more receipts than a run has.
var (
	group4 = chat.ThreadID{0x01, 0x9e, 0x79, 0xfa, 0xaa, 0x22, 0x77, 0x0a, 0xbc, 0x13, 0xdb, 0x8c, 0x49, 0xd4, 0x1a, 0x27}
	pair4  = chat.ThreadID{0x01, 0x9e, 0x79, 0xfa, 0xf8, 0x42, 0x7d, 0x25, 0xa2, 0x88, 0xb1, 0xf9, 0xad, 0xb3, 0x02, 0xce}
	long4  = chat.ThreadID{0x01, 0x9e, 0x79, 0xfb, 0x13, 0x9a, 0x7b, 0x04, 0x8e, 0x14, 0xd1, 0x8e, 0xed, 0x75, 0x31, 0xb3}
)

// A store of format 4, as the last build that wrote it has left it in testdata, keeps every
// message, receipt and position when it is upgraded, and when it is prepared after that. A file
// is never changed; each format gets one of its own.
func TestStoreOfFormat4(t *testing.T) {
	server := mongod.Shared(t)
	uri, opts := server.URI(), Options{Now: func() time.Time { return testTime.Add(5 * time.Minute) }}
	load(t, uri, "testdata/format4.txt")
	wantRefused(t.Context(), t, uri, "run parley store upgrade")
	for i, next := range []func(context.Context, string, Options, Progress) error{Upgrade, Upgrade, Prepare} {
		if err := next(t.Context(), uri, opts, func(line string) { t.Log(line) }); err != nil {
			t.Fatal(err)
		}
		s := open(t, server, uri, opts)
		checkFormat4(t, s)
		mustAppend(t, s, group4, messageFrom("ann", fmt.Sprint("after ", i)))
		if s.ID() == (chat.StoreID{}) {
			t.Error("the store has got no id")
		}
	}
	s := open(t, server, uri, opts)
	keys, err := s.PrekeyDevices(t.Context(), []chat.UserID{"bob"})
	if err != nil || len(keys) != 3 {
		t.Fatalf("the prekeys are %+v, %v", keys, err)
	}
	phone, tablet := keys[1], keys[2]
	for i, id := range []uint32{2, 3} { // 1 and 4 were given before
		if got, err := s.TakePrekey(t.Context(), phone); err != nil || got.OneTime == nil || got.OneTime.ID != id {
			t.Errorf("key %d that is given is %+v, %v", i, got, err)
		}
	}
	if got, err := s.TakePrekey(t.Context(), tablet); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("of a device without keys is given %+v, %v", got, err)
	}
	again := chat.PrekeyUpload{Identity: phone.Identity, Signed: phone.Signed, OneTime: []chat.Prekey{{ID: 1, Public: []byte("new")}, {ID: 9, Public: []byte("new")}}, At: testTime}
	if stored, err := s.PutPrekeys(t.Context(), "bob", "phone", again); err != nil || !slices.Equal(stored.Ignored, []uint32{1}) || stored.Left[0] != 1 {
		t.Errorf("the next upload is %+v, %v", stored, err)
	}
}

func checkFormat4(t *testing.T, s reopenable) {
	t.Helper()
	checkThreadsOfFormat4(t, s)
	checkLogsOfFormat4(t, s)
	checkReceiptsOfFormat4(t, s)
	checkUsersOfFormat4(t, s)
}

func checkThreadsOfFormat4(t *testing.T, s reopenable) {
	t.Helper()
	ctx := t.Context()
	got, err := s.Thread(ctx, group4)
	if err != nil || got.Head.Seq < 16 || got.Title != "Tea" || !slices.Equal(got.Users(), []chat.UserID{"ann", "bob"}) || len(got.Pins) != 1 || got.Pins[0].Seq != 3 {
		t.Errorf("the thread is %+v, %v", got, err)
	}
	if bob, in := got.Participant("bob"); !in || bob.Role != chat.Admin {
		t.Errorf("bob is %+v", bob)
	}
	if line, err := s.UserThread(ctx, "cid", group4); err != nil || line.LeftSeq != 15 {
		t.Errorf("who left has %+v, %v", line, err)
	}
	if lines, err := s.UserThreads(ctx, "bob"); err != nil || len(lines) != 2 || !lines[0].State.Accepted || !lines[1].State.Accepted {
		t.Errorf("bob is in %+v, %v", lines, err)
	}
	if at, err := s.ParticipantsAt(ctx, group4, 5); err != nil || len(at) != 3 {
		t.Errorf("there were %+v, %v", at, err)
	}
	var exists *chat.PairExistsError
	if err := s.CreateThread(ctx, creationOf(chat.OneToOne, "bob", "ann")); !errors.As(err, &exists) || exists.Thread != pair4 {
		t.Errorf("the pair has %v", err)
	}
	for key, thread := range map[string]chat.ThreadID{"create-1": group4, "create-2": pair4} {
		again := creationOf(chat.Group, "ann", "bob")
		again.Change.IdempotencyKey, again.At = key, s.now()
		var dup *chat.DuplicateError
		if err := s.CreateThread(ctx, again); !errors.As(err, &dup) || dup.Existing.Thread != thread {
			t.Errorf("creating with the key %s is %v", key, err)
		}
	}
}

func checkLogsOfFormat4(t *testing.T, s reopenable) {
	t.Helper()
	ctx := t.Context()
	all := chat.Limit{Count: 100, Bytes: 1 << 20}
	events, err := s.Events(ctx, group4, 0, 16, all)
	if err != nil || len(events) != 16 {
		t.Fatalf("the log is %+v, %v", events, err)
	}
	for seq, want := range map[chat.Seq]string{2: "edited", 3: "two", 4: "", 5: "four", 12: "file"} {
		m := events[seq-1].Message
		if m == nil || string(m.Ciphertext) != want || (m.Deleted != "") != (want == "") || !events[seq-1].At.Equal(testTime.Add(time.Duration(seq-1)*time.Second)) {
			t.Errorf("message %d is %+v, want %q", seq, m, want)
		}
	}
	if r := events[2].Message.Reactions; len(r) != 1 || r[0].Emoji != "+1" || len(r[0].By) != 1 || r[0].By[0].User != "ann" {
		t.Errorf("the reactions are %+v", r)
	}
	if m := events[11].Message; m.AttachmentID != "file-1" || m.ReplyTo != events[2].ID || m.ContentType != chat.FileRef {
		t.Errorf("the file is %+v", m)
	}
	var dup *chat.DuplicateError
	again := chat.Event{Kind: chat.KindMessage, Thread: group4, By: "ann", Device: "phone", At: s.now(), Message: &chat.Message{IdempotencyKey: "key-1", ClientSeq: 1 << 40}}
	if err := s.SentBefore(ctx, again); !errors.As(err, &dup) || dup.Existing.Seq != 2 || dup.By != chat.ByIdempotencyKey {
		t.Errorf("a retry is %v", err)
	}
	again.Message = &chat.Message{IdempotencyKey: "another", ClientSeq: 1}
	if err := s.SentBefore(ctx, again); !errors.As(err, &dup) || dup.Existing.Seq != 2 || dup.By != chat.ByClientSeq {
		t.Errorf("a retry with another key is %v", err)
	}
	if due, err := s.Expired(ctx, testTime.Add(2*time.Hour), 10); err != nil || len(due) != 1 || due[0].Seq != 5 {
		t.Errorf("due are %+v, %v", due, err)
	}
	shown, err := s.Messages(ctx, pair4, chat.MessageRange{Viewer: "bob", Count: 10})
	if err != nil || len(shown) != 1 || shown[0].Seq != 3 || shown[0].Message.RedeliveredSeq != 4 {
		t.Errorf("who blocked sees %+v, %v", shown, err)
	}
	if sent, err := s.Messages(ctx, pair4, chat.MessageRange{Viewer: "ann", Count: 10}); err != nil || len(sent) != 2 || string(sent[0].Message.Ciphertext) != "hidden" {
		t.Errorf("who was blocked sees %+v, %v", sent, err)
	}
	if many, err := s.Messages(ctx, long4, chat.MessageRange{Count: 100}); err != nil || len(many) != 70 {
		t.Errorf("the long thread has %d messages, %v", len(many), err)
	}
	if n, err := s.CountUnreadIn(ctx, "eve", []chat.UnreadRange{{Thread: long4, After: 1, Through: 71}}, s.now(), chat.MaxUnreadCount); err != nil || n[0] != 70 {
		t.Errorf("eve has %v to read, %v", n, err)
	}
}

func checkReceiptsOfFormat4(t *testing.T, s reopenable) {
	t.Helper()
	ctx := t.Context()
	at := func(seconds int) time.Time { return testTime.Add(time.Duration(seconds) * time.Second) }
	marks, err := s.MarksAt(ctx, group4, 2, []chat.UserID{"bob"})
	if err != nil || marks[0].Delivered.Seq != 2 || !marks[0].Delivered.At.Equal(at(16)) || marks[0].Read.Seq != 2 || !marks[0].Read.At.Equal(at(17)) {
		t.Errorf("the first marks are %+v, %v", marks, err)
	}
	if marks, err = s.Marks(ctx, group4, []chat.UserID{"bob"}); err != nil || marks[0].Delivered.Seq != 4 || !marks[0].Delivered.At.Equal(at(18)) || marks[0].Read.Seq != 4 {
		t.Errorf("the present marks are %+v, %v", marks, err)
	}
	for seq := chat.Seq(2); seq <= 71; seq++ {
		marks, err := s.MarksAt(ctx, long4, seq, []chat.UserID{"eve"})
		if err != nil || marks[0].Delivered.Seq != seq || !marks[0].Delivered.At.Equal(at(29+2*int(seq-2))) {
			t.Errorf("message %d was delivered %+v, %v", seq, marks, err)
		}
	}
}

func checkUsersOfFormat4(t *testing.T, s reopenable) {
	t.Helper()
	ctx := t.Context()
	p, found, err := s.Position(ctx, "bob", "phone")
	if err != nil || !found || !p.Acknowledged || len(p.Through) != 2 || p.Through[group4] != 4 || p.Through[pair4] != 1 {
		t.Errorf("the position is %+v, %v, %v", p, found, err)
	}
	if p, found, err := s.Position(ctx, "bob", "tablet"); err != nil || !found || p.Acknowledged || len(p.Through) > 0 {
		t.Errorf("the position of a device that acknowledged nothing is %+v, %v, %v", p, found, err)
	}
	if kept, err := s.Subscriptions(ctx, "bob", "tablet"); err != nil || len(kept.Filters) != 1 || kept.Filters[0].Name != "v1/threads/+/frames" {
		t.Errorf("kept is %+v, %v", kept, err)
	}
	devices, err := s.Devices(ctx, "bob")
	names := make([]string, len(devices))
	for i, d := range devices {
		if names[i] = string(d.Device); d.FirstSeen.Before(testTime) || d.LastSeen.Before(testTime) {
			t.Errorf("%s was seen from %v to %v", d.Device, d.FirstSeen, d.LastSeen)
		}
	}
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"laptop", "phone", "tablet"}) { // the laptop has never connected
		t.Errorf("bob's devices are %v, %v", names, err)
	}
	if at, err := s.LastSeen(ctx, "bob"); err != nil || !at.Equal(testTime) {
		t.Errorf("bob was seen at %v, %v", at, err)
	}
	keys, err := s.PrekeyDevices(ctx, []chat.UserID{"bob"})
	if err != nil || len(keys) != 3 || string(keys[1].Identity) != "identity of phone" || keys[1].LastResort == nil || keys[2].LastResort != nil {
		t.Fatalf("the prekeys are %+v, %v", keys, err)
	}
	if left, err := s.CountPrekeys(ctx, keys); err != nil || left[1][0] != 2 || left[2][0] != 0 {
		t.Errorf("of the one-time prekeys are left %v, %v", left, err)
	}
	if blocked, err := s.Blocks(ctx, "bob", "", 10); err != nil || len(blocked) != 1 || blocked[0].Blocked != "eve" {
		t.Errorf("bob blocks %+v, %v", blocked, err)
	}
	if reports, err := s.Reports(ctx, chat.ReportID{}, 10); err != nil || len(reports) != 1 || reports[0].By != "bob" || reports[0].Note != "note" {
		t.Errorf("reports: %+v, %v", reports, err)
	}
	if denied, err := s.AttachmentDenied(ctx, strings.Repeat("0f", 32)); err != nil || !denied {
		t.Errorf("the attachment is denied: %v, %v", denied, err)
	}
}
