package mongo

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
)

// shardKeys are the fields by which collections are sharded, with those that every query of one
// shard names; the others are sharded by _id (docs/operations.md#sharding). With a range of an _id
// that begins with its owner a query names the shard, too, where _id is sharded in order.
var shardKeys = map[string]string{"log": "thread", "old_marks": "thread", "reactions": "message", "one_time_prekeys": "owner"}

var inOrder = []string{"stints", "subscriptions", "prekeys", "blocks", "removed_devices", "positions"}

// scattered are the queries that all shards are asked for, with what they are for. None is
// one of a request that users make often.
var scattered = map[string]string{
	"log find _id,kind":          "a message by its id, without the hint of its thread",
	"log find due":               "messages whose time is up, for the sweep",
	"log find ":                  "the newest event, at the start",
	"reports find ":              "the newest report at the start; the newest reports, for moderators",
	"reports find _id":           "the next page of reports",
	"threads find members.user":  "who shares a thread with a user, for presence",
	"threads find $and":          "whether two users who have no 1:1 share a thread",
	"threads find ":              "whether the database is empty, at the start",
	"stints find thread":         "who was in a thread, for the receipts of a message",
	"positions find used":        "positions that are not used any more, for the sweep",
	"subscriptions delete until": "what is kept no longer, for the sweep",
	"removed_devices find at":    "which devices were removed lately, for every node",
	"spans delete until":         "what limits nothing any more, for the sweep",
	"strangers delete until":     "who counts no more, for the sweep",
	"creations delete until":     "keys that may be used again, for the sweep",
}

// sentQueries keeps the queries that ask all shards, each once.
type sentQueries struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (q *sentQueries) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		filter, looks := filterOf(e)
		collection, _ := e.Command.Lookup(e.CommandName).StringValueOK()
		if !looks || collection == "meta" || collection == "nodes" || namesShard(collection, filter) {
			return
		}
		var fields []string
		elements, _ := filter.Elements()
		for _, f := range elements {
			if !strings.HasPrefix(f.Key(), "members.") || f.Key() == "members.user" { // the others say how many there are at most
				fields = append(fields, f.Key())
			}
		}
		slices.Sort(fields)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.seen[collection+" "+e.CommandName+" "+strings.Join(fields, ",")] = true
	}}
}

// filterOf is what a command looks for.
func filterOf(e *event.CommandStartedEvent) (bson.Raw, bool) {
	path := map[string][]string{
		"find": {"filter"}, "count": {"query"}, "findAndModify": {"query"}, "update": {"updates", "0", "q"},
		"delete": {"deletes", "0", "q"}, "aggregate": {"pipeline", "0", "$match"},
	}[e.CommandName]
	if path == nil {
		return nil, false
	}
	value, err := e.Command.LookupErr(path...)
	if err != nil {
		return nil, true // an empty filter is left out
	}
	filter, _ := value.DocumentOK()
	return filter, true
}

// namesShard reports whether a filter names the shards that have what it looks for.
func namesShard(collection string, filter bson.Raw) bool {
	key := shardKeys[collection]
	if key == "" {
		key = "_id"
	}
	if either, err := filter.LookupErr("$or"); err == nil {
		parts, _ := either.Array().Values()
		all := len(parts) > 0
		for _, part := range parts {
			all = all && namesShard(collection, part.Document())
		}
		if all {
			return true
		}
	}
	value, err := filter.LookupErr(key)
	if err != nil {
		return false
	}
	operators, ok := value.DocumentOK()
	if !ok {
		return true
	}
	_, in := operators.LookupErr("$in")
	_, above := operators.LookupErr("$gt")
	_, below := operators.LookupErr("$lt")
	return in == nil || slices.Contains(inOrder, collection) && above == nil && below == nil
}

// checkShards fails a test unless the queries that ask all shards are those that are listed.
func (q *sentQueries) checkShards(t *testing.T) {
	for _, query := range slices.Sorted(maps.Keys(q.seen)) {
		if scattered[query] == "" {
			t.Errorf("%q asks all shards, and is not listed", query)
		}
	}
	t.Logf("asked of all shards: %q", slices.Sorted(maps.Keys(q.seen)))
}
