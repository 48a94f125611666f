package mongo

import (
	"maps"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

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
