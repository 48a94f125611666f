package mongod

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Main(m)) }

func connect(t *testing.T, uri string) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	return client.Database(Database(uri)).Collection("things")
}

func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	s := Start(t)
	things := connect(t, s.URI())
	for round := range 3 {
		if _, err := things.InsertOne(t.Context(), bson.D{{Key: "round", Value: round}}); err != nil {
			t.Fatalf("insert: %v", err)
		}
		s.Kill(t)
		s.Restart(t)
		n, err := things.CountDocuments(t.Context(), bson.D{})
		for attempt := 0; err != nil && attempt < 5; attempt++ { // a connection of before the crash may be tried first
			n, err = things.CountDocuments(t.Context(), bson.D{})
		}
		if err != nil || n != int64(round+1) {
			t.Fatalf("after crash %d there are %d, %v; want %d", round+1, n, err, round+1)
		}
	}
}

// FerretDB alone loses about half of these.
func TestConcurrentUpdatesAreAllKept(t *testing.T) {
	const writers, each = 8, 20
	things := connect(t, Shared(t).URI())
	if _, err := things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "counter"}}); err != nil {
		t.Fatalf("insert: %v", err)
	}
	done := make(chan error)
	for range writers {
		go func() {
			var err error
			for range each {
				_, e := things.UpdateByID(t.Context(), "counter", bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}})
				if e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var counter struct{ N int }
	if err := things.FindOne(t.Context(), bson.D{}).Decode(&counter); err != nil || counter.N != writers*each {
		t.Errorf("counted to %d, %v; want %d", counter.N, err, writers*each)
	}
}

func TestURIs(t *testing.T) {
	for uri, want := range map[string]struct{ with, database string }{
		"mongodb://a":                 {"mongodb://a/?x=1&y=2", "mongodb://a/NAME"},
		"mongodb://a:1,b:2/":          {"mongodb://a:1,b:2/?x=1&y=2", "mongodb://a:1,b:2/NAME"},
		"mongodb://u:p@a/db?w=1":      {"mongodb://u:p@a/db?w=1&x=1&y=2", "mongodb://u:p@a/NAME?w=1"},
		"mongodb+srv://a.example?w=1": {"mongodb+srv://a.example/?w=1&x=1&y=2", "mongodb+srv://a.example/NAME?w=1"},
	} {
		if got := With(uri, "x=1", "y=2"); got != want.with {
			t.Errorf("With(%s) = %s, want %s", uri, got, want.with)
		}
		s := Server{uri: uri}
		one, two := s.URI(), s.URI()
		if one == two || strings.Replace(one, Database(one), "NAME", 1) != want.database {
			t.Errorf("of %s come %s and %s, want %s", uri, one, two, want.database)
		}
	}
}
