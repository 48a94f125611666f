package mongo

import (
	"testing"

	"github.com/parleyhq/parley/store/mongo/mongotest"
	"github.com/parleyhq/parley/store/storetest"
)

// TestContract holds the use cases on this store to a model of the contract. On
// the test server the histories are short: it reads whole collections to find
// anything.
func TestContract(t *testing.T) {
	effort := storetest.Effort{Histories: 20, Steps: 60}
	if mongotest.Shared(t).IsExternal() {
		effort.Steps = 2000
	}
	storetest.RunContract(t, subject, effort)
}
