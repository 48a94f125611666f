package session

import (
	"context"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/test/mongod"
)

// stores are those of tests that go over each of them: url names an empty one.
var stores = []struct {
	name string
	url  func(testing.TB) string
}{
	{"pebble", func(t testing.TB) string { return "pebble:" + t.TempDir() }},
	{"mongodb", newDatabase},
}

// newDatabase names a database of the test server. One of a server that is not ours is
// dropped in the end.
func newDatabase(t testing.TB) string {
	t.Helper()
	server := mongod.Shared(t)
	uri := server.URI()
	if server.IsExternal() {
		t.Cleanup(func() { drop(t, uri) })
	}
	return uri
}

func drop(t testing.TB, uri string) {
	t.Helper()
	ctx := context.Background()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Database(mongod.Database(uri)).Drop(ctx); err != nil {
		t.Error(err)
	}
	if err := client.Disconnect(ctx); err != nil {
		t.Error(err)
	}
}
