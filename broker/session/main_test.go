package session

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/parleyhq/parley/test/mongod"
)

func TestMain(m *testing.M) {
	// Pebble's cleanup of its own goroutines ends shortly after Close.
	goleak.VerifyTestMain(mongod.Main(m))
}
