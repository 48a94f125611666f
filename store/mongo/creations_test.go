package mongo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// again is another creation by the same user with the same idempotency key.
func again(e chat.Event) chat.Event {
	other := creationOf(e.Change.Type, e.By, "cid")
	other.At, other.Change.IdempotencyKey = e.At, e.Change.IdempotencyKey
	return other
}

func wantDuplicateOf(t *testing.T, what string, err error, first chat.Event) {
	t.Helper()
	var dup *chat.DuplicateError
	if !errors.As(err, &dup) || dup.By != chat.ByIdempotencyKey || dup.Existing.Thread != first.Thread {
		t.Errorf("%s: %v; want a duplicate of the creation of %s", what, err, first.Thread)
	}
}

// Nodes of format 4 keep the key of a creation in the log alone. Beside them, after the
// upgrade, and after their index is gone, a retry is still recognised.
func TestKeysOfCreationsByNodesOfTheVersionBefore(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{Now: testNow})
	old := mongo.IndexModel{Keys: d("by", 1, "key", 1, "gen", 1), Options: options.Index().SetUnique(true).SetName("sender_key")}
	if _, err := s.log.Indexes().CreateOne(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	created := map[chat.ThreadType]chat.Event{}
	for _, kind := range []chat.ThreadType{chat.Group, chat.OneToOne} {
		e := creationOf(kind, "ann", "bob")
		e.At = testTime
		if _, err := s.log.InsertOne(t.Context(), newEventDoc(e, headState{})); err != nil {
			t.Fatal(err)
		}
		if _, err := s.settle(t.Context(), e.Thread, 1); err != nil {
			t.Fatal(err)
		}
		wantDuplicateOf(t, "beside the old node", s.CreateThread(t.Context(), again(e)), e)
		created[kind] = e
	}
	s.setFormat(t, 4, 0)
	var lines told
	if err := Upgrade(t.Context(), uri, Options{Now: testNow}, lines.add); err != nil || !lines.has("2 idempotency keys") {
		t.Fatalf("Upgrade: %v, %q", err, lines)
	}
	if err := Prepare(t.Context(), uri, Options{Now: testNow}, lines.add); err != nil || !lines.has("dropping the index sender_key") {
		t.Fatalf("Prepare: %v, %q", err, lines)
	}
	for _, e := range created {
		wantDuplicateOf(t, "after the upgrade", s.CreateThread(t.Context(), again(e)), e)
		wantDuplicateOf(t, "asked for", s.SentBefore(t.Context(), again(e)), e)
	}
}

// recording is a bus that keeps what is published.
type recording struct {
	silent

	mu      sync.Mutex
	notices []chat.Notice
}

func (r *recording) Publish(n chat.Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notices = append(r.notices, n)
}

// A node that dies between the two writes of a 1:1 has told nobody of it. Who completes it, by
// asking for the same 1:1, tells both; who asks later tells nobody again.
func TestACompletedOneToOneIsTold(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	net := &network{}
	dying := open(t, server, mongod.With(uri, cutOptions...), Options{Now: testNow, dialer: net})
	created := creationOf(chat.OneToOne, "ann", "bob")
	created.Change.IdempotencyKey = ""
	before := len(net.sent())
	probe := creationOf(chat.OneToOne, "cid", "dan")
	probe.Change.IdempotencyKey = ""
	if err := dying.CreateThread(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	claim := slices.Index(net.sent()[before:], "insert") // into pairs
	net.cutAfter(claim+1, true)
	if err := dying.CreateThread(t.Context(), created); err == nil {
		t.Fatal("nothing was cut")
	}
	bus := &recording{}
	svc := chat.New(chat.Config{Store: open(t, server, uri, Options{Now: testNow}), Bus: bus, Now: testNow})
	t.Cleanup(func() { svc.Close(context.Background()) })
	for range 2 {
		v, outcome, err := svc.CreateThread(t.Context(), user("bob"), chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{"ann"}})
		if err != nil || outcome != chat.AlreadyExists || v.ID != created.Thread {
			t.Fatalf("%v, %v, %v; want the thread that was begun", v.ID, outcome, err)
		}
	}
	if len(bus.notices) != 1 || bus.notices[0].Event == nil || bus.notices[0].Event.ID != created.ID || !slices.Contains(bus.notices[0].Audience, "ann") || !slices.Contains(bus.notices[0].Audience, "bob") {
		t.Errorf("told was %+v; want once the creation, to both", bus.notices)
	}
}
