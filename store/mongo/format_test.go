package mongo

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// told keeps what a command tells.
type told []string

func (l *told) add(line string) { *l = append(*l, line) }

func (l *told) has(part string) bool {
	return slices.ContainsFunc(*l, func(line string) bool { return strings.Contains(line, part) })
}

func (s *Store) setFormat(t *testing.T, version, buildsFrom int64) {
	t.Helper()
	if _, err := s.meta.UpdateByID(t.Context(), "format", d("$set", d("version", version, "builds_from", buildsFrom))); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesOtherFormats(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{})
	for version, want := range map[int64]string{
		formatVersion + 1: "written by a newer version", oldestFormat - 1: "written by a build before the first release", 0: "unreadable",
		formatVersion - 1: "run parley store upgrade", oldestFormat: "run parley store upgrade",
	} {
		s.setFormat(t, version, version)
		wantRefused(t.Context(), t, uri, want)
	}
	s.setFormat(t, formatVersion+1, 0)
	wantRefused(t.Context(), t, uri, "written by a newer version")
}

// Where a newer version has upgraded the store, this one runs on while nodes are replaced.
func TestOpenRunsBesideTheNextVersion(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	open(t, server, uri, Options{}).setFormat(t, formatVersion+1, formatVersion)
	open(t, server, uri, Options{})
	var lines told
	if err := Upgrade(t.Context(), uri, Options{}, lines.add); err != nil || !lines.has("has format 6 already") {
		t.Errorf("Upgrade: %v, %q", err, lines)
	}
}

// Every format from the oldest on is upgraded, once; what was interrupted is repeated.
func TestUpgrade(t *testing.T) {
	server := mongod.Shared(t)
	for format := int64(oldestFormat); format < formatVersion; format++ {
		uri := server.URI()
		s := open(t, server, uri, Options{})
		thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
		s.setFormat(t, format, 0)
		ended, cancel := context.WithCancel(t.Context())
		stopped := Upgrade(ended, uri, Options{}, func(line string) {
			if strings.HasPrefix(line, "from format") {
				cancel()
			}
		})
		if stopped == nil {
			t.Errorf("from format %d: an upgrade whose context ended has no error", format)
		}
		wantRefused(t.Context(), t, uri, "run parley store upgrade")
		for _, want := range []string{"the store has format 5", "the store has format 5 already"} {
			var lines told
			if err := Upgrade(t.Context(), uri, Options{}, lines.add); err != nil || !lines.has(want) {
				t.Errorf("from format %d: %v, %q; want %q", format, err, lines, want)
			}
		}
		headOf(t, open(t, server, uri, Options{}), thread)
		cancel()
	}
	var lines told
	err := Upgrade(t.Context(), server.URI(), Options{}, lines.add)
	if err == nil || !strings.Contains(err.Error(), "no store to upgrade") {
		t.Errorf("of an empty database: %v", err)
	}
}

// serve makes no index in a store that is used; prepare does, and refuses a different one.
func TestPrepare(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	var lines told
	if err := Prepare(t.Context(), uri, Options{}, lines.add); err != nil || !lines.has("collection log: making the indexes") {
		t.Fatalf("in an empty database: %v, %q", err, lines)
	}
	s := open(t, server, uri, Options{})
	for want, other := range map[string]mongo.IndexModel{
		"is missing: run parley store prepare": {},
		"should be on [thread seq]":            {Keys: d("thread", 1), Options: options.Index().SetUnique(true).SetName(byThreadSeq)},
		"unique is false":                      {Keys: d("thread", 1, "seq", 1), Options: options.Index().SetName(byThreadSeq)},
		"index thread_seq of collection log":   {Keys: d("thread", 1, "seq", -1), Options: options.Index().SetUnique(true).SetName(byThreadSeq)},
	} {
		if err := s.log.Indexes().DropOne(t.Context(), byThreadSeq); err != nil {
			t.Fatal(err)
		}
		if other.Keys != nil {
			if _, err := s.log.Indexes().CreateOne(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			if err := Prepare(t.Context(), uri, Options{}, lines.add); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Prepare: %v; want %q", err, want)
			}
			wantRefused(t.Context(), t, uri, want)
			if err := s.log.Indexes().DropOne(t.Context(), byThreadSeq); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t.Context(), t, uri, "is missing: run parley store prepare")
		lines = nil
		if err := Prepare(t.Context(), uri, Options{}, lines.add); err != nil || !lines.has("making the indexes [thread_seq]") {
			t.Errorf("Prepare: %v, %q", err, lines)
		}
		open(t, server, uri, Options{})
	}
	s.setFormat(t, formatVersion-1, 0)
	if err := Prepare(t.Context(), uri, Options{}, lines.add); err == nil || !strings.Contains(err.Error(), "run parley store upgrade") {
		t.Errorf("of an earlier format: %v", err)
	}
}

// A database that holds threads and has lost its format is not taken for an empty one.
func TestOpenRefusesAStoreWithoutAFormat(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{})
	mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
	if _, err := s.meta.DeleteOne(t.Context(), d("_id", "format")); err != nil {
		t.Fatal(err)
	}
	wantRefused(t.Context(), t, uri, "no whole store")
}

// Nodes that start at once in an empty database all start.
func TestNodesBuildTogether(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	var starting sync.WaitGroup
	for range 3 {
		starting.Go(func() {
			s, err := Open(t.Context(), uri, Options{})
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	starting.Wait()
	open(t, server, uri, Options{})
}

// What a server says of the making of an index is told.
func TestHowFarAnIndexIs(t *testing.T) {
	for want, reply := range map[string]bson.D{
		"5 of 20":  d("msg", "Index Build: scanning collection", "progress", d("done", int64(5), "total", int64(20))),
		"draining": d("msg", "draining"),
	} {
		raw, err := bson.Marshal(reply)
		if err != nil {
			t.Fatal(err)
		}
		var op buildOp
		if err := bson.Unmarshal(raw, &op); err != nil || op.String() != want {
			t.Errorf("%v is %q, %v; want %q", reply, op, err, want)
		}
	}
	s := open(t, mongod.Shared(t), mongod.Shared(t).URI(), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if far := s.howFar(ctx, "log"); far != "" {
		t.Errorf("of no index: %q", far)
	}
}

// While builds that know no epochs may run, none is begun, and other messages are sent. Nodes
// that run learn that the store was prepared.
func TestEpochsWaitForPrepare(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	open(t, server, uri, Options{}).setFormat(t, formatVersion, buildsFrom)
	s := open(t, server, uri, Options{})
	svc := chat.New(chat.Config{Store: s, Bus: silent{}})
	t.Cleanup(func() { svc.Close(context.Background()) })
	group, _, err := svc.CreateThread(t.Context(), user("ann"), chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	send := func(n int64, epoch chat.Epoch) error {
		_, err := svc.Send(t.Context(), user("ann"), chat.SendRequest{
			Thread: group.ID, IdempotencyKey: string(rune('a' + n)), ClientSeq: n, Ciphertext: []byte("x"), ContentType: chat.Control, Epoch: epoch,
		})
		return err
	}
	if err := send(1, 1); chat.CodeOf(err) != chat.CodeUnavailable || !strings.Contains(err.Error(), "run parley store prepare") {
		t.Errorf("before: %v", err)
	}
	if err := send(2, 0); err != nil {
		t.Errorf("a message without an epoch: %v", err)
	}
	if err := Prepare(t.Context(), uri, Options{}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := send(1, 1); err != nil {
		t.Errorf("after: %v", err)
	}
}
