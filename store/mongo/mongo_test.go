package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// wantRefused opens a store that cannot be opened.
func wantRefused(ctx context.Context, t *testing.T, uri, want string) {
	t.Helper()
	s, err := Open(ctx, uri, Options{})
	if s != nil || err == nil {
		t.Fatalf("Open(%s) = %v, %v; want an error with %q", uri, s, err, want)
	}
	if text := err.Error(); !strings.Contains(text, want) || strings.Contains(text, "\n") || strings.Contains(text, "hush") {
		t.Errorf("Open: %q; want one line with %q, without the password", text, want)
	}
}

func TestOpenRefusesBadStrings(t *testing.T) {
	for uri, want := range map[string]string{
		"http://host/":                               "no MongoDB connection string",
		"mongodb:host":                               "no MongoDB connection string",
		"mongodb://ann:hush@host/a.b":                "names a database",
		"mongodb://ann:hush@host/a%2Fb":              "names a database",
		"mongodb://ann:hush@host:port/a":             "MongoDB at host:port",
		"mongodb://ann:hush@host/a?ssl=hush":         "MongoDB at host",
		"mongodb://ann:h%75sh@host/a?maxPoolSize=%z": "database a of MongoDB at host",
	} {
		wantRefused(t.Context(), t, uri, want)
	}
}

func TestTargetOfAString(t *testing.T) {
	for uri, want := range map[string]target{
		"mongodb://a":                          {hosts: "a", database: "parley"},
		"mongodb://a:1,b:2/?replicaSet=x":      {hosts: "a:1,b:2", database: "parley"},
		"mongodb+srv://u:p@a.example/chat?w=1": {hosts: "a.example", database: "chat"},
		"mongodb://a?x=y/z":                    {hosts: "a", database: "parley"},
	} {
		got, err := parseTarget(uri)
		if err != nil || got.hosts != want.hosts || got.database != want.database {
			t.Errorf("%s is %+v, %v; want %+v", uri, got, err, want)
		}
	}
}

// Nobody listens, or nobody answers: both end with the context.
func TestOpenWithoutAServer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []net.Addr{silent.Addr(), closed.Addr()} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		wantRefused(ctx, t, fmt.Sprintf("mongodb://ann:hush@%s/chat", addr), fmt.Sprintf("database chat of MongoDB at %s: ", addr))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("Open took %v", took)
		}
		cancel()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantRefused(ended, t, "mongodb://127.0.0.1:1/", "context canceled")
}

// A server that hangs holds nobody longer than its context, and is used again
// once it answers.
func TestSilentServer(t *testing.T) {
	server := mongod.Start(t)
	s := open(t, server, server.URI(), Options{Now: testNow})
	thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
	head := headOf(t, s, thread)
	server.Pause(t)
	for what, call := range map[string]func(context.Context) error{
		"Ping":   s.Ping,
		"Thread": func(ctx context.Context) error { _, err := s.Thread(ctx, thread); return err },
		"Append": func(ctx context.Context) error {
			_, err := s.Append(ctx, head, stamped(thread, head, messageFrom("ann", "lost?")))
			return err
		},
		"UserThreads": func(ctx context.Context) error { _, err := s.UserThreads(ctx, "ann"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		err := call(ctx)
		if took := time.Since(began); err == nil || took > 5*time.Second {
			t.Errorf("%s: %v after %v; want an error soon", what, err, took)
		}
		cancel()
	}
	server.Resume(t)
	mustAppend(t, s, thread, messageFrom("ann", "found"))
}

// A lost answer is an unknown outcome: the retry finds out.
func TestLostAnswerOfASend(t *testing.T) {
	server := mongod.Shared(t)
	net := &network{}
	uri := server.URI()
	s := open(t, server, mongod.With(uri, cutOptions...), Options{Now: testNow, dialer: net})
	thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
	head := headOf(t, s, thread)
	sent := stamped(thread, head, messageFrom("ann", "hello"))
	net.cutAfter(1, false)
	n, err := s.Append(t.Context(), head, sent)
	var dup *chat.DuplicateError
	if n != 0 || err == nil || errors.Is(err, chat.ErrStaleHead) || errors.As(err, &dup) {
		t.Fatalf("Append = %d, %v; want an unknown outcome", n, err)
	}
	again := open(t, server, uri, Options{Now: testNow})
	head = headOf(t, again, thread)
	retry := stamped(thread, head, sent...)
	if n, err := again.Append(t.Context(), head, retry); n != 0 || !errors.As(err, &dup) || dup.Existing.Seq != 2 {
		t.Errorf("the retry: %d, %v; want a duplicate of event 2", n, err)
	}
}

// Heads that come together with a user's threads are those read one by one.
func TestHeadsReadTogether(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{Now: testNow})
	if !s.joins {
		t.Skip("not run: this server cannot look up heads together with threads; " + mongod.External + " names one that can")
	}
	for n := range 5 {
		thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
		for range n {
			mustAppend(t, s, thread, messageFrom("ann", "hello"))
		}
	}
	docs, together, err := s.joinHeads(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]chat.ThreadID, len(docs))
	for i, doc := range docs {
		ids[i] = doc.Thread
	}
	oneByOne := make(map[chat.ThreadID]headState)
	err = s.readHeads(t.Context(), ids, oneByOne)
	if err != nil || len(docs) != 5 || fmt.Sprint(together) != fmt.Sprint(oneByOne) {
		t.Errorf("together %v, one by one %v, %v", together, oneByOne, err)
	}
}

// The time of the server is that of this machine, on which it runs.
func TestTimeIsTheServers(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{})
	before := time.Now().Truncate(time.Millisecond)
	at, err := s.Time(t.Context())
	if err != nil || !server.IsExternal() && (at.Before(before) || at.After(time.Now())) {
		t.Errorf("Time = %v, %v; want one from %v to %v", at, err, before, time.Now())
	}
}
