package store_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/parleyhq/parley/store"
	"github.com/parleyhq/parley/test/mongod"
)

func TestMain(m *testing.M) { os.Exit(mongod.Main(m).Run()) }

func TestOpen(t *testing.T) {
	for _, url := range []string{"pebble:" + t.TempDir(), mongod.Shared(t).URI()} {
		s, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("a store just opened does not answer: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefusesBadURLs(t *testing.T) {
	for url, want := range map[string]string{
		"":                              "no scheme",
		"data":                          "no scheme",
		"pebble:":                       "names no directory",
		"carrier-pigeon://user:pass@hq": `unknown scheme "carrier-pigeon"`,
		"mongodb:somewhere":             "no MongoDB connection string",
		"mongodb://user:pass@hq/a.b":    "names a database that MongoDB cannot have",
		"mongodb://user:pass@:1:2/":     "MongoDB at :1:2",
	} {
		s, err := store.Open(t.Context(), url, store.Options{})
		if s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) = %v, %v; want an error with %q", url, s, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pass") {
			t.Errorf("Open(%q) tells the password: %v", url, err)
		}
	}
}

func TestOpenWithEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := store.Open(ctx, "pebble:"+t.TempDir(), store.Options{}); s != nil || err == nil {
		t.Errorf("Open = %v, %v; want an error", s, err)
	}
}
