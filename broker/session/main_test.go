package session

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Pebble's cleanup of its own goroutines ends shortly after Close.
	goleak.VerifyTestMain(m)
}
