package mongo

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// both tells two monitors of what starts.
func both(one, other *event.CommandMonitor) *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(ctx context.Context, e *event.CommandStartedEvent) {
		one.Started(ctx, e)
		other.Started(ctx, e)
	}}
}

// bounds keeps the names of the commands that said how long they may take, and of those that
// did not.
type bounds struct {
	mu      sync.Mutex
	bounded map[string]int64 // the longest time, in milliseconds
	without map[string]bool
}

// unbounded are the commands that need no bound: a cursor's next batch has that of the cursor,
// and the others are the driver's, which waits for none of them.
var unbounded = []string{"getMore", "endSessions", "killCursors"}

func (b *bounds) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bounded, b.without = make(map[string]int64), make(map[string]bool)
}

func (b *bounds) monitor() *event.CommandMonitor {
	b.forget()
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		most, bounded := e.Command.Lookup(maxTime).AsInt64OK()
		b.mu.Lock()
		defer b.mu.Unlock()
		switch {
		case slices.Contains(unbounded, e.CommandName):
		case bounded && most > 0:
			b.bounded[e.CommandName] = max(b.bounded[e.CommandName], most)
		default:
			b.without[e.CommandName] = true
		}
	}}
}

// check fails if a command was not bounded, or one of those that are expected was not sent.
func (b *bounds) check(t *testing.T, expected ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.without) > 0 {
		t.Errorf("these commands do not say how long they may take: %v", slices.Sorted(maps.Keys(b.without)))
	}
	for _, name := range expected {
		if b.bounded[name] == 0 {
			t.Errorf("no %s was sent with a bound", name)
		}
	}
}

// A command may take what is left of its context's deadline, and without one the timeout of
// the options, of the connection string or the default.
func TestHowLongACommandMayTake(t *testing.T) {
	server := mongod.Shared(t)
	for name, at := range map[string]struct {
		uri     string
		client  ClientOptions
		context time.Duration
		most    time.Duration
	}{
		"the default":                   {most: DefaultClientOptions.Timeout},
		"the connection string's":       {uri: "timeoutMS=7000", most: 7 * time.Second},
		"the options'":                  {uri: "timeoutMS=7000", client: ClientOptions{Timeout: 20 * time.Second}, most: 20 * time.Second},
		"what is left of the context's": {context: 40 * time.Second, most: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			uri := server.URI()
			if at.uri != "" {
				uri = mongod.With(uri, at.uri)
			}
			sent := new(bounds)
			s := open(t, server, uri, Options{Client: at.client, monitor: sent.monitor()})
			sent.forget() // what opening sent
			ctx := t.Context()
			if at.context > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, at.context)
				defer cancel()
			}
			if _, err := s.Blocks(ctx, "ann", "", 1); err != nil {
				t.Fatal(err)
			}
			if err := s.PutBlock(ctx, chat.Block{User: "ann", Blocked: "bob", At: testTime}); err != nil {
				t.Fatal(err)
			}
			sent.check(t, "find", "insert")
			for command, ms := range sent.bounded {
				if most := at.most.Milliseconds(); ms > most || ms <= most/2 {
					t.Errorf("%s may take %d ms, want up to %d", command, ms, most)
				}
			}
		})
	}
}

// The making of indexes takes as long as it needs.
func TestPrepareHasNoDeadline(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	sent := new(bounds)
	opts := Options{Client: ClientOptions{Timeout: time.Minute}, monitor: sent.monitor()}
	if err := Prepare(t.Context(), mongod.With(uri, "timeoutMS=60000"), opts, func(string) {}); err != nil {
		t.Fatal(err)
	}
	open(t, server, uri, Options{}) // its end drops the database
	if !sent.without["createIndexes"] || len(sent.bounded) > 0 {
		t.Errorf("bounded were %v, and not %v", sent.bounded, sent.without)
	}
}
