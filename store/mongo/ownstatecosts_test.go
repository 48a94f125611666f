package mongo

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
	"github.com/parleyhq/parley/test/mongod"
)

var ownStateTable = flag.String("ownstate.table", "", "write what TestCostsOfOwnStates counts into this file, as a table in Markdown")

// keepOf has bob keep of its threads what [storetest.KeptOf] says.
func keepOf(t *testing.T, s *Store) {
	t.Helper()
	stints, err := findAll[stintsDoc](t.Context(), s.stints, prefixed("bob"))
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]bson.A, 4)
	for n, doc := range stints {
		ids[n%4] = append(ids[n%4], doc.ID)
	}
	for n, of := range ids {
		kept := newOwnDoc(storetest.KeptOf(n, 4))
		for some := range slices.Chunk(of, insertBatch) {
			if _, err := s.stints.UpdateMany(t.Context(), d("_id", d("$in", some)), d("$set", d("own", kept))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCostsOfOwnStates counts what users with few and with many threads ask for who keep something
// of each: a page of any filter takes the commands of a page of all, and none more for many.
func TestCostsOfOwnStates(t *testing.T) {
	sizes := []int{30, *bigUser}
	if mongod.Shared(t).IsExternal() {
		sizes[1] = 3000
	}
	counts := make(map[string][2]cost)
	for i, threads := range sizes {
		server := mongod.Shared(t)
		uri := server.URI()
		filled := open(t, server, uri, Options{})
		seed(t, filled.Store, threads)
		keepOf(t, filled.Store)
		for _, use := range storetest.OwnStateUses {
			sent := new(commands)
			s := open(t, server, uri, Options{Now: testNow, monitor: sent.monitor(), unbounded: true}) // the test server is slow for many
			service := chat.New(chat.Config{Store: s, Bus: silent{}, Now: testNow})
			sent.take()
			err := use.Do(t.Context(), service, user("bob"), threads)
			got := sent.take()
			service.Close(context.Background())
			if err != nil {
				t.Fatalf("%s, with %d threads: %v", use.Name, threads, err)
			}
			of := counts[use.Name]
			of[i] = got
			counts[use.Name] = of
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| use case | writes, %d threads | reads | writes, %d threads | reads |\n| --- | ---: | ---: | ---: | ---: |\n", sizes[0], sizes[1])
	all := counts[storetest.OwnStateUses[0].Name][0]
	for _, use := range storetest.OwnStateUses {
		few, many := counts[use.Name][0], counts[use.Name][1]
		if few != many || use.Page && many != all || many.Writes > 0 {
			t.Errorf("%s: %+v with %d threads, %+v with %d; a page of all threads costs %+v", use.Name, few, sizes[0], many, sizes[1], all)
		}
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d |\n", use.Name, few.Writes, few.Reads, many.Writes, many.Reads)
	}
	t.Logf("\n%s", &table)
	if *ownStateTable != "" {
		if err := os.WriteFile(*ownStateTable, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A message to people who have archived or muted the thread, or have still to accept it, is the
// one write that any message is.
func TestMessageToThoseWhoKeepSomethingOfItsThread(t *testing.T) {
	for _, people := range []int{30, 250} {
		c := newCosted(t, people)
		for n := range people - 1 {
			change := chat.StateChange{Archived: new(true), Accepted: new(n%3 > 0)}
			if n%2 == 0 {
				change.MutedUntil = &storetest.Forever
			}
			_, err := c.SetOwnState(t.Context(), user(chat.UserID(fmt.Sprintf("u%03d", n))), c.group, change)
			c.must(err)
		}
		c.send() // who is in the group is remembered
		c.sent.take()
		c.send()
		if got := c.sent.take(); got != (cost{Writes: 1}) {
			t.Errorf("a message to %d people costs %+v, want one write", people, got)
		}
	}
}
