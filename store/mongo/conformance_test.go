package mongo

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongod.Main(m)) }

// reopenable is a store with what opens it again.
type reopenable struct {
	*Store
	server *mongod.Server
	uri    string
	opts   Options
}

// open opens a store that the end of the test closes, with its database dropped
// after that if the server is not ours.
func open(tb storetest.TB, server *mongod.Server, uri string, opts Options) reopenable {
	tb.Helper()
	s, err := Open(tb.Context(), uri, opts)
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
	return reopenable{s, server, uri, opts}
}

// drop drops a database. The store's own client cannot: a test may have cut its network, and
// may look at every command that it sends.
func drop(tb storetest.TB, uri string) {
	tb.Helper()
	ctx := context.Background()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
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

var subject = storetest.Subject{
	Shared: true,
	Open: func(tb storetest.TB, now func() time.Time) chat.Store {
		server := mongod.Shared(tb)
		return open(tb, server, server.URI(), Options{Now: now})
	},
	// The other tests use the server too: only what this process knows is lost.
	Reopen: func(tb storetest.TB, s chat.Store) chat.Store {
		old := s.(reopenable)
		return open(tb, old.server, old.uri, old.opts)
	},
}

// TestConformance is the whole contract of a store. Besides, each query that it makes names
// the shard that has the answer, or is listed; and each command says how long it may take.
func TestConformance(t *testing.T) {
	sent := &sentQueries{seen: make(map[string]bool)}
	bounds := new(bounds)
	watched := subject
	watched.Open = func(tb storetest.TB, now func() time.Time) chat.Store {
		server := mongod.Shared(tb)
		return open(tb, server, server.URI(), Options{Now: now, monitor: both(sent.monitor(), bounds.monitor())})
	}
	storetest.Run(t, watched)
	sent.checkShards(t)
	bounds.check(t, "aggregate", "delete", "find", "findAndModify", "insert", "update")
}

func TestModel(t *testing.T) {
	storetest.RunModel(t, subject, storetest.Effort{Histories: 8, Steps: 100})
}

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, subject) }
