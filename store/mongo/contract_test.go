package mongo

import (
	"testing"

	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

// TestContract holds the use cases on this store to a model of the contract. On
// the test server, which takes a third of a millisecond for whatever it is asked, fewer
// steps are followed by a look.
func TestContract(t *testing.T) {
	effort := storetest.Effort{Histories: 20, Steps: 2000}
	if !mongod.Shared(t).IsExternal() {
		effort.LookEvery = 8
	}
	storetest.RunContract(t, subject, effort)
}
