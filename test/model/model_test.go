package model

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/mongo"
	"github.com/parleyhq/parley/store/pebble"
	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongod.Main(m)) }

// TestPebble runs histories on the embedded store.
func TestPebble(t *testing.T) {
	t.Parallel()
	Run(t, storetest.Subject{Open: openPebble}, Effort{Histories: 6, Operations: 2000})
}

func openPebble(tb storetest.TB, now func() time.Time) chat.Store {
	s, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem(), Now: now})
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

// TestMongoDB runs histories on the MongoDB store. They are few and short: the test
// server takes a third of a millisecond for whatever it is asked. So there are fewer
// looks, too. Longer ones are a matter of flags: see Effort.
func TestMongoDB(t *testing.T) {
	t.Parallel()
	effort := Effort{Histories: 2, Operations: 200}
	if !mongod.Shared(t).IsExternal() {
		effort.LookEvery = 8
	}
	Run(t, storetest.Subject{Open: openMongoDB}, effort)
}

// openMongoDB opens a store in a database of its own, which the end of the test
// drops if the server is not ours.
func openMongoDB(tb storetest.TB, now func() time.Time) chat.Store {
	server := mongod.Shared(tb)
	uri := server.URI()
	s, err := mongo.Open(tb.Context(), uri, mongo.Options{Now: now})
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
		if server.IsExternal() {
			drop(tb, uri)
		}
	})
	return s
}

func drop(tb storetest.TB, uri string) {
	ctx := context.Background()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	if err := client.Database(mongod.Database(uri)).Drop(ctx); err != nil {
		tb.Errorf("drop the database: %v", err)
	}
	if err := client.Disconnect(ctx); err != nil {
		tb.Errorf("disconnect: %v", err)
	}
}
