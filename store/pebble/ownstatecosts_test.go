package pebble

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

var ownStateTable = flag.String("ownstate.table", "", "write what TestCostsOfOwnStates counts into this file, as a table in Markdown")

// ofMany is the use cases over a store in which bob is in many threads.
type ofMany struct {
	*chat.Service
	t     *testing.T
	costs *costs
	sent  int64
}

func userOf(name chat.UserID) chat.Caller {
	return chat.Caller{User: name, Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
}

// newOfMany has everybody of some people put bob into a thread with one other each. bob keeps of
// them what [storetest.KeptOf] says, and has three messages to read in each.
func newOfMany(t *testing.T, threads int) *ofMany {
	m := &ofMany{t: t, costs: new(costs)}
	now := func() time.Time { return testTime }
	s := open(t, Options{FS: vfs.NewMem(), Now: now, costs: m.costs})
	s.stopSweeping()
	s.sweeping.Wait()
	m.Service = chat.New(chat.Config{Store: s, Bus: silent{}, Now: now})
	t.Cleanup(func() { m.Close(context.Background()) })
	for n := range threads {
		id := m.group(chat.UserID(fmt.Sprintf("u%05d", n)), "bob")
		for range 3 {
			m.send(chat.UserID(fmt.Sprintf("u%05d", n)), id)
		}
		kept := storetest.KeptOf(n, 4)
		m.keep("bob", id, chat.StateChange{Accepted: &kept.Accepted, Archived: new(kept.ArchivedAt > 0), MutedUntil: &kept.MutedUntil})
	}
	return m
}

func (m *ofMany) group(by chat.UserID, others ...chat.UserID) chat.ThreadID {
	m.t.Helper()
	v, _, err := m.CreateThread(m.t.Context(), userOf(by), chat.CreateThread{Type: chat.Group, Participants: others})
	if err != nil {
		m.t.Fatal(err)
	}
	return v.ID
}

func (m *ofMany) send(by chat.UserID, thread chat.ThreadID) {
	m.t.Helper()
	m.sent++
	req := chat.SendRequest{Thread: thread, IdempotencyKey: fmt.Sprint("key", m.sent), ClientSeq: m.sent, Ciphertext: []byte("x")}
	if _, err := m.Send(m.t.Context(), userOf(by), req); err != nil {
		m.t.Fatal(err)
	}
}

func (m *ofMany) keep(user chat.UserID, thread chat.ThreadID, change chat.StateChange) {
	m.t.Helper()
	if _, err := m.SetOwnState(m.t.Context(), userOf(user), thread, change); err != nil {
		m.t.Fatal(err)
	}
}

// TestCostsOfOwnStates counts what users with few and with many threads ask for who keep something
// of each: a page of any filter costs no more than a page of all.
func TestCostsOfOwnStates(t *testing.T) {
	table := new(strings.Builder)
	fmt.Fprint(table, "| use case | threads | keys written | point reads | range reads | keys stepped to |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, threads := range []int{30, 3000} {
		m := newOfMany(t, threads)
		var all cost
		for i, use := range storetest.OwnStateUses {
			m.costs.take()
			if err := use.Do(t.Context(), m.Service, userOf("bob"), threads); err != nil {
				t.Fatalf("%s, with %d threads: %v", use.Name, threads, err)
			}
			got := m.costs.take()
			if i == 0 {
				all = got
			}
			if more := got.Gets > all.Gets || got.Ranges > all.Ranges || got.Steps > all.Steps; use.Page && more || got.Keys > 0 {
				t.Errorf("%s, with %d threads: %+v, and a page of all threads %+v", use.Name, threads, got, all)
			}
			fmt.Fprintf(table, "| %s | %d | %d | %d | %d | %d |\n", use.Name, threads, got.Keys, got.Gets, got.Ranges, got.Steps)
		}
	}
	t.Logf("\n%s", table)
	if *ownStateTable != "" {
		if err := os.WriteFile(*ownStateTable, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A message to people who have archived or muted the thread, or have still to accept it, costs
// what any message costs.
func TestMessageToThoseWhoKeepSomethingOfItsThread(t *testing.T) {
	for _, people := range []int{30, 250} {
		m := newOfMany(t, 0)
		var others []chat.UserID
		for n := range people - 1 {
			others = append(others, chat.UserID(fmt.Sprintf("v%05d", n)))
		}
		id := m.group("ann", others...)
		for n, user := range others {
			change := chat.StateChange{Archived: new(true), Accepted: new(n%3 > 0)}
			if n%2 == 0 {
				change.MutedUntil = &storetest.Forever
			}
			m.keep(user, id, change)
		}
		m.send("ann", id) // who is in the group is remembered
		m.costs.take()
		m.send("ann", id)
		if got := m.costs.take(); got.Commits != 1 || got.Keys != 6 {
			t.Errorf("a message to %d people costs %+v, want 1 commit of 6 keys", people, got)
		}
	}
}
