package mongo

import (
	"context"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// A store of format 2 is upgraded, and its positions are converted once, when they are read
// first: a cursor says what the device has acknowledged in its thread, the time less the
// window says it for all others.
func TestPositionsOfFormat2AreConverted(t *testing.T) {
	ctx := t.Context()
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{})
	byCursor, byTime := mustCreate(t, s, creationOf(chat.Group, "ann", "bob")), mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
	mustAppend(t, s, byCursor, messageFrom("ann", "2"), messageFrom("ann", "3"))
	sent := mustAppend(t, s, byTime, messageFrom("ann", "2"), messageFrom("ann", "3"))
	at := chat.EventIDAt(chat.IDTime(sent[0].ID).Add(time.Hour)) // all of byTime is older than the window
	old := d("_id", "bob/phone", "time", at, "cursors", bson.A{d("t", byCursor, "s", chat.Seq(2))})
	if _, err := s.positions.InsertOne(ctx, old); err != nil {
		t.Fatal(err)
	}
	s.setFormat(t, 2, 0)
	if err := Upgrade(ctx, uri, Options{}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	upgraded := open(t, server, uri, Options{})
	want := map[chat.ThreadID]chat.Seq{byCursor: 2, byTime: 3}
	for range 2 {
		p, found, err := upgraded.Position(ctx, "bob", "phone")
		if err != nil || !found || !p.Acknowledged || !maps.Equal(p.Through, want) {
			t.Fatalf("the position is %+v, %v, %v; want %v", p, found, err, want)
		}
	}
	if err := upgraded.RaisePosition(ctx, "bob", "phone", 0, chat.Position{Through: map[chat.ThreadID]chat.Seq{byCursor: 3}}); err != nil {
		t.Fatal(err)
	}
	if p, _, err := upgraded.Position(ctx, "bob", "phone"); err != nil || p.Through[byCursor] != 3 {
		t.Errorf("raised it is %+v, %v", p, err)
	}
}

// An acknowledgement in one thread is one command, and as long in a position of many threads
// as in one of few.
func TestAnAcknowledgementWritesTheSameHoweverManyThreads(t *testing.T) {
	var updates, bytes atomic.Int64
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName == "update" {
			updates.Add(1)
			bytes.Add(int64(len(e.Command)))
		}
	}}
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{monitor: monitor})
	var wrote [2]int64
	for i, threads := range []int{1, 3000} {
		user := chat.UserID([]string{"ann", "bob"}[i])
		p := chat.Position{Through: map[chat.ThreadID]chat.Seq{}}
		for n := range threads {
			p.Through[chat.ThreadID{byte(n >> 8), byte(n), 15: 1}] = 1_000_000
		}
		if _, err := s.BeginPosition(t.Context(), user, "phone", p); err != nil {
			t.Fatal(err)
		}
		updates.Store(0)
		bytes.Store(0)
		to := chat.Position{Through: map[chat.ThreadID]chat.Seq{{15: 1}: 1_000_001}, Acknowledged: true}
		if err := s.RaisePosition(t.Context(), user, "phone", 0, to); err != nil {
			t.Fatal(err)
		}
		if wrote[i] = bytes.Load(); updates.Load() != 1 {
			t.Errorf("with %d threads it is %d commands", threads, updates.Load())
		}
		stored, err := s.positions.FindOne(t.Context(), d("_id", deviceKey(user, "phone"))).Raw()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("an acknowledgement in a position of %d threads, of %d bytes, is one command of %d bytes", threads, len(stored), wrote[i])
	}
	if wrote[0] != wrote[1] || wrote[0] == 0 {
		t.Errorf("%d bytes with 1 thread, %d with 3,000", wrote[0], wrote[1])
	}
}
