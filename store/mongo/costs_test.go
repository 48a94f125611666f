package mongo

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

var costsTable = flag.String("costs.table", "", "write what TestCosts measures into this file, as a table in Markdown")

// cost is how many commands one call of a use case sends.
type cost struct{ Writes, Reads int64 }

// commands counts them as they are sent.
type commands struct{ writes, reads atomic.Int64 }

func (c *commands) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		switch e.CommandName {
		case "insert", "update", "delete", "findAndModify":
			c.writes.Add(1)
		case "find", "getMore", "aggregate", "count":
			c.reads.Add(1)
		}
	}}
}

func (c *commands) take() cost { return cost{c.writes.Swap(0), c.reads.Swap(0)} }

// silent is a bus that carries nothing.
type silent struct{ chat.Bus }

func (silent) Publish(chat.Notice) {}

func (silent) Subscribe(chat.BusHandler) (stop func()) { return func() {} }

// costed is the use cases over a store, with a group and 60 messages in it.
type costed struct {
	*chat.Service
	t     *testing.T
	sent  *commands
	group chat.ThreadID
	first chat.MessageID
	last  chat.MessageID
	keys  int
}

func user(name chat.UserID) chat.Caller {
	return chat.Caller{User: name, Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
}

func newCosted(t *testing.T, people int) *costed {
	c := &costed{t: t, sent: new(commands)}
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{monitor: c.sent.monitor()})
	// A clock of its own: what the service remembers, it does so for seconds.
	start := time.Now()
	now := func() time.Time { return start.Add(time.Duration(c.keys) * 50 * time.Millisecond) }
	c.Service = chat.New(chat.Config{Store: s, Bus: silent{}, Now: now})
	t.Cleanup(func() { c.Close(context.Background()) })
	req := chat.CreateThread{Type: chat.Group}
	for i := range people - 1 {
		req.Participants = append(req.Participants, chat.UserID(fmt.Sprintf("u%03d", i)))
	}
	v, _, err := c.CreateThread(t.Context(), user("ann"), req)
	c.must(err)
	c.group = v.ID
	for range 30 {
		c.send()
	}
	c.first = c.last
	c.must(c.MarkRead(t.Context(), user("u000"), c.group, c.first))                                   // one's first in a thread costs a write more
	_, err = c.SetOwnState(t.Context(), user("u000"), c.group, chat.StateChange{Accepted: new(true)}) // or its first reaction does so
	c.must(err)
	for range 30 {
		c.send()
	}
	return c
}

func (c *costed) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *costed) send() {
	c.t.Helper()
	c.keys++
	res, err := c.Send(c.t.Context(), user("ann"), chat.SendRequest{
		Thread: c.group, IdempotencyKey: strconv.Itoa(c.keys), ClientSeq: int64(c.keys), Ciphertext: []byte("x"),
	})
	c.must(err)
	c.last = res.Event.ID
}

// uses are the use cases whose cost is promised, one after another. None depends
// on the number of people, but that the stints of 250 come in two batches.
var uses = []struct {
	name string
	do   func(ctx context.Context, c *costed) error
	want cost
}{
	{"send", func(_ context.Context, c *costed) error { c.send(); return nil }, cost{Writes: 1}},
	{"read receipt", func(ctx context.Context, c *costed) error {
		return c.MarkRead(ctx, user("u000"), c.group, c.last)
	}, cost{Writes: 1, Reads: 3}}, // who is in the group is remembered
	{"history page of 50", func(ctx context.Context, c *costed) error {
		page, err := c.History(ctx, user("u000"), c.group, chat.PageRequest{Size: 50})
		if err == nil && len(page.Messages) != 50 {
			err = fmt.Errorf("the page has %d messages", len(page.Messages))
		}
		return err
	}, cost{Reads: 3}},
	{"one message", func(ctx context.Context, c *costed) error {
		_, err := c.Message(ctx, user("u000"), c.last)
		return err
	}, cost{Reads: 3}},
	{receiptsOfAMessage, func(ctx context.Context, c *costed) error {
		_, err := c.Receipts(ctx, user("ann"), c.last)
		return err
	}, cost{Reads: 6}},
	{"react", func(ctx context.Context, c *costed) error {
		_, err := c.React(ctx, user("u000"), c.first, "+1")
		return err
	}, cost{Writes: 4, Reads: 7}},
	{"one message with a reaction", func(ctx context.Context, c *costed) error {
		_, err := c.Message(ctx, user("u000"), c.first)
		return err
	}, cost{Reads: 4}},
	{"edit", func(ctx context.Context, c *costed) error {
		_, err := c.Edit(ctx, user("ann"), c.last, chat.EditRequest{Ciphertext: []byte("y")})
		return err
	}, cost{Writes: 4, Reads: 5}},
	{"pin", func(ctx context.Context, c *costed) error {
		_, _, err := c.Pin(ctx, user("u000"), c.group, c.last)
		return err
	}, cost{Writes: 2, Reads: 7}},
	{"delete", func(ctx context.Context, c *costed) error { return c.Delete(ctx, user("ann"), c.last) }, cost{Writes: 3, Reads: 6}},
}

const receiptsOfAMessage = "receipts of a message"

// TestCosts counts the commands of each use case in a group of 2 and of 250. With
// -costs.table it writes them down.
func TestCosts(t *testing.T) {
	var table strings.Builder
	table.WriteString("| use case | writes | reads |\n| --- | ---: | ---: |\n")
	for _, people := range []int{2, 250} {
		t.Run(fmt.Sprintf("in a group of %d", people), func(t *testing.T) {
			c := newCosted(t, people)
			for _, use := range uses {
				c.sent.take()
				if err := use.do(t.Context(), c); err != nil {
					t.Fatalf("%s: %v", use.name, err)
				}
				got := c.sent.take()
				want := use.want
				if use.name == receiptsOfAMessage && people > 101 {
					want.Reads++
				}
				if got != want {
					t.Errorf("%s: %+v, want %+v", use.name, got, want)
				}
				if people == 2 {
					fmt.Fprintf(&table, "| %s | %d | %d |\n", use.name, got.Writes, got.Reads)
				}
			}
		})
	}
	if *costsTable != "" {
		if err := os.WriteFile(*costsTable, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
