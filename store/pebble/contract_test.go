package pebble

import (
	"testing"

	"github.com/parleyhq/parley/store/storetest"
)

// TestContract holds the use cases on this store to a model of the contract.
func TestContract(t *testing.T) {
	storetest.RunContract(t, subject, storetest.Effort{Histories: 20, Steps: 2000})
}
