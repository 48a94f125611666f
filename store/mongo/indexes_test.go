package mongo

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

// queries keeps one command of each shape that was sent.
type queries struct {
	mu   sync.Mutex
	seen map[string]bson.D
}

// explained are the commands that look for something, and what of them a server
// explains.
var explained = map[string][]string{
	"find":          {"filter", "sort", "projection", "limit", "hint"},
	"aggregate":     {"pipeline", "cursor", "hint"},
	"update":        {"updates"},
	"delete":        {"deletes"},
	"findAndModify": {"query", "sort", "update", "hint"},
}

func (q *queries) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		members, looks := explained[e.CommandName]
		if !looks {
			return
		}
		command := bson.D{{Key: e.CommandName, Value: e.Command.Lookup(e.CommandName)}}
		shape := e.CommandName + " " + e.Command.Lookup(e.CommandName).String()
		for _, name := range members {
			if value, err := e.Command.LookupErr(name); err == nil {
				command = append(command, bson.E{Key: name, Value: value})
				shape += " " + name + ":" + strings.Join(fieldNames(value), ",")
			}
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.seen[shape] = command
	}}
}

// fieldNames are the names in a value, at every depth, which is what tells the
// shapes of queries apart.
func fieldNames(v bson.RawValue) (names []string) {
	var inside bson.Raw
	if doc, ok := v.DocumentOK(); ok {
		inside = doc
	} else if list, ok := v.ArrayOK(); ok {
		inside = bson.Raw(list)
	}
	elements, _ := inside.Elements() // a command that was sent is well-formed
	for _, e := range elements {
		names = append(append(names, e.Key()), fieldNames(e.Value())...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestQueriesAreServedByIndexes has a real server explain every query that the
// whole conformance suite makes: none reads a collection from end to end.
func TestQueriesAreServedByIndexes(t *testing.T) {
	server := mongod.Shared(t)
	if !server.IsExternal() {
		t.Skip("the test server finds nothing by an index: PARLEY_TEST_MONGO_URI names a real one")
	}
	q := &queries{seen: make(map[string]bson.D)}
	storetest.Run(t, storetest.Subject{Open: func(tb storetest.TB, now func() time.Time) chat.Store {
		return open(tb, server, server.URI(), Options{Now: now, monitor: q.monitor()})
	}})
	s := open(t, server, server.URI(), Options{})
	for shape, command := range q.seen {
		var plan bson.M
		err := s.db.RunCommand(t.Context(), d("explain", command, "verbosity", "queryPlanner")).Decode(&plan)
		if err != nil {
			t.Errorf("explain %s: %v", shape, err)
			continue
		}
		text, err := bson.MarshalExtJSON(plan, false, false)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "COLLSCAN") {
			t.Errorf("%s reads the whole collection: %s", shape, text)
		}
	}
}
