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

// queries keeps one query of each shape that was sent, as a command that servers explain.
type queries struct {
	mu   sync.Mutex
	seen map[string]bson.D
}

func (q *queries) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		for _, query := range queriesOf(e) {
			var parts []string
			for _, part := range query {
				parts = append(parts, strings.TrimSpace(part.Key+" "+partShape(part.Value)))
			}
			shape := strings.Join(parts, ", ")
			q.mu.Lock()
			q.seen[shape] = query
			q.mu.Unlock()
		}
	}}
}

// queriesOf are what a command looks for. What is to be written is left out, as servers explain
// no command with several writes: each is a find of what it writes to.
func queriesOf(e *event.CommandStartedEvent) []bson.D {
	collection := e.Command.Lookup(e.CommandName)
	switch e.CommandName {
	case "find":
		return []bson.D{findOf(collection, e.Command, "filter")}
	case "findAndModify":
		return []bson.D{findOf(collection, e.Command, "query")}
	case "update", "delete":
		var finds []bson.D
		writes, _ := e.Command.Lookup(e.CommandName + "s").Array().Values() // a command that was sent is well-formed
		for _, w := range writes {
			finds = append(finds, findOf(collection, w.Document(), "q"))
		}
		return finds
	case "aggregate":
		return []bson.D{pick(d("aggregate", collection, "cursor", d()), e.Command, "pipeline", "hint")}
	}
	return nil
}

// findOf is a find by the filter of that name in a command.
func findOf(collection bson.RawValue, command bson.Raw, filter string) bson.D {
	find := d("find", collection)
	if value, err := command.LookupErr(filter); err == nil { // an empty one may be left out
		find = append(find, bson.E{Key: "filter", Value: value})
	}
	return pick(find, command, "sort", "projection", "limit", "hint")
}

// pick adds to a query what a command has of those names.
func pick(query bson.D, command bson.Raw, names ...string) bson.D {
	for _, name := range names {
		if value, err := command.LookupErr(name); err == nil {
			query = append(query, bson.E{Key: name, Value: value})
		}
	}
	return query
}

// partShape is what tells a part of a query from another: a name, or the names that are inside.
func partShape(v any) string {
	value, _ := v.(bson.RawValue)
	if text, is := value.StringValueOK(); is {
		return text
	}
	return strings.Join(fieldNames(value), ",")
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

// wholes are the queries that may read a collection from its beginning, with why.
var wholes = map[string]string{
	"find threads, filter, limit": "whether the database is empty: the first document answers it",
}

// TestQueriesAreServedByIndexes has a real server explain every query that the whole conformance
// suite makes: none reads a collection from end to end.
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
	fill(t, s.Store, q)
	for shape, query := range q.seen {
		var plan bson.M
		err := s.db.RunCommand(t.Context(), d("explain", query, "verbosity", "queryPlanner")).Decode(&plan)
		if err != nil {
			t.Errorf("explain %s: %v", shape, err)
			continue
		}
		text, err := bson.MarshalExtJSON(plan, false, false)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "COLLSCAN") && wholes[shape] == "" {
			t.Errorf("%s reads the whole collection: %s", shape, text)
		}
	}
}

// fill puts a document into each collection that queries are about: a server has no plan for one
// that is not there.
func fill(t *testing.T, s *Store, q *queries) {
	t.Helper()
	filled := make(map[string]bool)
	for _, query := range q.seen {
		name := query[0].Value.(bson.RawValue).StringValue()
		if filled[name] || name == s.meta.Name() {
			continue
		}
		filled[name] = true
		if _, err := s.db.Collection(name).InsertOne(t.Context(), d("_id", "-")); err != nil {
			t.Fatalf("put a document into %s: %v", name, err)
		}
	}
}
