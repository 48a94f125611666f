package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/parleyhq/parley/test/mongod"
)

// storeVariable names the store under test: pebble, or mongodb for one on a
// MongoDB-compatible test server (see mongod).
const storeVariable = "PARLEY_E2E_STORE"

// onMongo says whether each server has a database of a MongoDB instead of a directory.
var onMongo = os.Getenv(storeVariable) == "mongodb"

func checkStoreVariable() error {
	switch name := os.Getenv(storeVariable); name {
	case "", "pebble", "mongodb":
		return nil
	default:
		return fmt.Errorf("%s is %q, want pebble or mongodb", storeVariable, name)
	}
}

// longRun says whether the largest tests are to be as large as they can be.
var longRun = os.Getenv("PARLEY_E2E_LONG") != ""

// mongoShare divides the load of a large test on mongodb: the test server, unlike a
// MongoDB, runs one command at a time.
const mongoShare = 10

// bulk is the size of a large test on the store under test.
func bulk(n int) int {
	if onMongo {
		return n / mongoShare
	}
	return n
}

// beforeTheStore is called by tests of what is decided before a store is asked, or without
// one: it is the same whatever the store, so one run tests it.
func beforeTheStore(t *testing.T) {
	t.Helper()
	if onMongo {
		t.Skip("no store is asked: the run on the embedded store tests it")
	}
}

// newStore is the URL of an empty store.
func newStore(t testing.TB, dir string) string {
	t.Helper()
	if onMongo {
		return mongod.Shared(t).URI()
	}
	return "pebble:" + filepath.Join(dir, "store")
}
