package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/test/mongod"
)

// serveOnce starts a server and stops it again.
func serveOnce(t *testing.T, store string) error {
	t.Helper()
	set, err := parseServe([]string{"--listen", "127.0.0.1:0", "--store", store, "--drain-delay", "0s", "--jwt-secret", testSecret}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n, err := start(t.Context(), set, slog.New(slog.DiscardHandler))
	if err == nil {
		n.stop()
	}
	return err
}

// setFormat makes a store one of another format.
func setFormat(t *testing.T, uri string, format int64) {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	meta := client.Database(mongod.Database(uri)).Collection("meta")
	if _, err := meta.UpdateByID(t.Context(), "format", bson.M{"$set": bson.M{"version": format}}); err != nil {
		t.Error(err)
	}
	if err := client.Disconnect(t.Context()); err != nil {
		t.Error(err)
	}
}

// serve makes a store in an empty database. It says what to run on one of an earlier
// version, and does not do that by itself.
func TestAStoreIsUpgradedByItsOwnCommand(t *testing.T) {
	server := mongod.Start(t)
	uri := server.URI()
	if err := serveOnce(t, uri); err != nil {
		t.Fatalf("on an empty database: %v", err)
	}
	setFormat(t, uri, 4)
	err := serveOnce(t, uri)
	if err == nil || !strings.Contains(err.Error(), "run parley store upgrade") || strings.Contains(err.Error(), "\n") {
		t.Errorf("on an earlier format: %v; want one line that names the command", err)
	}
	says := func(store, command, want string) {
		t.Helper()
		var out bytes.Buffer
		if err := run(t.Context(), []string{"store", command, "--store", store}, &out, io.Discard); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("store %s: %v, it says\n%swant\n%s", command, err, out.String(), want)
		}
	}
	says(uri, "upgrade", "from format 4 to 5\n0 idempotency keys of new threads are kept\nthe store has format 5\n")
	says(uri, "prepare", "every index is there\n")
	if err := serveOnce(t, uri); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}
	says(server.URI(), "prepare", "collection log: making the indexes")
}

func TestWrongStoreCommands(t *testing.T) {
	for want, args := range map[string][]string{
		"no command given":                       {},
		`unknown command "repair"`:               {"repair"},
		"no store: set --store":                  {"upgrade"},
		"the embedded store prepares":            {"prepare", "--store", "pebble:data"},
		"no mongodb://":                          {"upgrade", "--store", "carrier-pigeon://hq"},
		"no MongoDB connection":                  {"upgrade", "--store", "mongodb:hq"},
		"flag provided but not defined: -colour": {"upgrade", "--colour", "red"},
	} {
		if err := storeCommand(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("store %v: %v; want %q", args, err, want)
		}
	}
}

func TestStoreListsItsCommands(t *testing.T) {
	for _, ask := range []string{"help", "-h", "--help"} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"store", ask}, &out, io.Discard); err != nil {
			t.Errorf("store %s: %v", ask, err)
		}
		for command := range storeCommands {
			if !strings.Contains(out.String(), "parley store "+command) {
				t.Errorf("store %s does not list %s", ask, command)
			}
		}
	}
}
