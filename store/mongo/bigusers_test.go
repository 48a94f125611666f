package mongo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/broker/feed"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

var (
	usersTable = flag.String("users.table", "", "write what TestCommandsOfBigUsers counts into this file, as a table in Markdown")
	// The test server compares each document with each thread that is asked for. A real one,
	// and make test-long, ask for 3,000 threads.
	bigUser = flag.Int("users.threads", 200, "how many threads the user with many of them has, on the test server")
)

// seed stores threads of bob's with one other each, with the fewest commands: three messages
// in each, which a device of bob's has received. The first one is a 1:1 with ann.
func seed(t *testing.T, s *Store, threads int) {
	t.Helper()
	docs := make(map[string][]any)
	for n := range threads {
		created := creationOf(chat.Group, chat.UserID(fmt.Sprintf("u%05d", n)), "bob")
		if n == 0 {
			created = creationOf(chat.OneToOne, "ann", "bob")
			docs["pairs"] = []any{pairDoc{ID: "ann/bob", Thread: created.Thread, Created: newEventDoc(created, headState{})}}
		}
		thread := chat.Thread{ID: created.Thread}.Apply(created)
		sent := stamped(created.Thread, thread.Head, messageFrom(created.By, "1"), messageFrom(created.By, "2"), messageFrom(created.By, "3"))
		head := headState{}
		for _, e := range append([]chat.Event{created}, sent...) {
			docs["log"] = append(docs["log"], newEventDoc(e, head))
			head = head.next(e)
		}
		docs["threads"] = append(docs["threads"], newThreadDoc(thread, 1))
		for _, p := range thread.Participants {
			docs["stints"] = append(docs["stints"], stintsDoc{ID: stintsID(p.User, created.Thread), User: p.User, Thread: created.Thread, Joined: 1, Earlier: []stintDoc{}})
		}
		docs["marks"] = append(docs["marks"], marksDoc{ID: marksID(created.Thread, chat.Delivered, "bob"), Seq: 4, Message: sent[2].ID, At: testTime, N: 1, Run: []markDoc{}})
	}
	for name, all := range docs {
		for some := range slices.Chunk(all, insertBatch) {
			if _, err := s.db.Collection(name).InsertMany(t.Context(), some); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// freshNode is a node that has not seen any thread yet, with everybody online.
type freshNode struct {
	*chat.Service
	store *Store
}

// connect does what a node does before it tells a device of bob's that it has caught up, when nothing
// is new.
func (n freshNode) connect(ctx context.Context, device chat.DeviceID, lastSeen *chat.MessageID) error {
	admitted, err := n.store.AdmitDevice(ctx, "bob", device)
	if err != nil {
		return err
	}
	logs := &feed.Logs{Store: n.store, Tails: feed.NewTailCache(), Newest: n.NewestID}
	f := feed.New(logs, feed.Reader{User: "bob", Device: device, LastSeen: lastSeen, Stored: admitted.Stored})
	return f.Resync(ctx, func(chat.ThreadID) bool { return true })
}

// bigUses are what a user with many threads does, one after another, each on a node that has
// not seen any of the threads unless it says so, and how many commands that may take.
var bigUses = []struct {
	name string
	most int64
	do   func(ctx context.Context, n freshNode) error
}{
	{"the first connect of a device", 9, func(ctx context.Context, n freshNode) error { return n.connect(ctx, "phone", nil) }},
	{"connect with nothing new", 5, func(ctx context.Context, n freshNode) error { return n.connect(ctx, "phone", nil) }},
	{warm + "connect with nothing new, on a node that knows the threads", 4, func(ctx context.Context, n freshNode) error { return n.connect(ctx, "phone", nil) }},
	{"connect with a `last_seen_id`", 5, func(ctx context.Context, n freshNode) error {
		seen := chat.EventIDAt(testTime.Add(time.Second))
		return n.connect(ctx, "phone", &seen)
	}},
	{"tell that a user is online, at its first connection", 3, func(ctx context.Context, n freshNode) error {
		return n.AnnouncePresence(ctx, chat.Presence{User: "bob", Online: true})
	}},
	{"tell a device who is online, with everybody there", 3, func(ctx context.Context, n freshNode) error {
		peers, err := n.OnlinePeers(ctx, "bob")
		if err == nil && len(peers) == 0 {
			err = errors.New("nobody is online")
		}
		return err
	}},
	{"page of 50 threads, with unread counts", 8, func(ctx context.Context, n freshNode) error {
		page, err := n.Threads(ctx, user("bob"), chat.PageRequest{Size: 50})
		for _, v := range page.Threads {
			if v.Unread != 3 {
				return fmt.Errorf("of a thread with 3 unread messages, %d are counted", v.Unread)
			}
		}
		return err
	}},
	{"presence of somebody in a 1:1", 3, func(ctx context.Context, n freshNode) error {
		_, err := n.Presence(ctx, user("bob"), "ann")
		return err
	}},
	{"presence of somebody in a group", 4, func(ctx context.Context, n freshNode) error {
		_, err := n.Presence(ctx, user("bob"), "u00001")
		return err
	}},
}

// warm marks a use case that is counted the second time.
const warm = "!"

// TestCommandsOfBigUsers counts the commands of each use case for a user with few threads and with
// many: none has one for each thread but a page, for those it shows. With -users.table it writes
// them down.
func TestCommandsOfBigUsers(t *testing.T) {
	sizes := []int{30, *bigUser}
	if mongod.Shared(t).IsExternal() {
		sizes[1] = 3000
	}
	t.Logf("users with %d threads", sizes)
	counts := make(map[string][]string)
	for _, threads := range sizes {
		server := mongod.Shared(t)
		uri := server.URI()
		seed(t, open(t, server, uri, Options{}).Store, threads)
		for _, use := range bigUses {
			sent := new(commands)
			s := open(t, server, uri, Options{monitor: sent.monitor()})
			n := freshNode{store: s.Store, Service: chat.New(chat.Config{
				Store: s, Bus: silent{}, Online: func(context.Context, chat.UserID) (bool, error) { return true, nil },
			})}
			var err error
			if strings.HasPrefix(use.name, warm) {
				err = use.do(t.Context(), n)
			}
			sent.take()
			if err == nil {
				err = use.do(t.Context(), n)
			}
			got := sent.take()
			n.Close(context.Background())
			if err != nil {
				t.Fatalf("%s, with %d threads: %v", use.name, threads, err)
			}
			if all := got.Writes + got.Reads; all > use.most {
				t.Errorf("%s, with %d threads: %d commands, want at most %d", use.name, threads, all, use.most)
			}
			counts[use.name] = append(counts[use.name], strconv.FormatInt(got.Writes, 10), strconv.FormatInt(got.Reads, 10))
			t.Logf("%s, with %d threads: %+v", use.name, threads, got)
		}
	}
	if *usersTable == "" {
		return
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| use case | writes, %d threads | reads | writes, %d threads | reads |\n| --- | ---: | ---: | ---: | ---: |\n", sizes[0], sizes[1])
	for _, use := range bigUses {
		fmt.Fprintf(&table, "| %s | %s |\n", strings.TrimPrefix(use.name, warm), strings.Join(counts[use.name], " | "))
	}
	if err := os.WriteFile(*usersTable, []byte(table.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A head that is far behind its hint is found as well, and the hint is raised then.
func TestHeadsFarFromTheirHints(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{Now: testNow})
	lengths := []int{0, raiseFrom - 1, headWindow - 1, headWindow, headWindow + 1, 3 * headWindow}
	want := make(map[chat.ThreadID]chat.Seq)
	var ids []chat.ThreadID
	for _, n := range lengths {
		thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
		var sent []chat.Event
		for range n {
			sent = append(sent, messageFrom("ann", "x"))
		}
		if n > 0 {
			mustAppend(t, s, thread, sent...)
		}
		want[thread], ids = chat.Seq(n+1), append(ids, thread)
	}
	nowhere := newThreadID()
	for round := range 2 {
		reached, err := s.reachedBy(t.Context(), append(ids, nowhere))
		if err != nil {
			t.Fatal(err)
		}
		heads, err := s.headsFrom(t.Context(), append(ids, nowhere), reached)
		if err != nil || len(heads) != len(ids) {
			t.Fatalf("%d heads of %d threads, %v", len(heads), len(ids), err)
		}
		for i, id := range ids {
			if heads[id].Seq != want[id] {
				t.Errorf("round %d: the head of a log of %d is found at %d", round, want[id], heads[id].Seq)
			}
			if round == 1 && want[id]-reached[id] >= raiseFrom {
				t.Errorf("the hint of a log of %d is still %d (%d messages)", want[id], reached[id], lengths[i])
			}
		}
		var lines []chat.UserThread
		for _, id := range append(ids, nowhere) {
			lines = append(lines, chat.UserThread{Thread: id})
		}
		threads, err := s.Threads(t.Context(), lines)
		if err != nil || threads[len(ids)].ID != (chat.ThreadID{}) {
			t.Fatalf("the threads: %v, and one that is not there is %v", err, threads[len(ids)].ID)
		}
		for i, id := range ids {
			if threads[i].ID != id || threads[i].Head.Seq != want[id] {
				t.Errorf("thread %d of the list is %v at %d", i, threads[i].ID, threads[i].Head.Seq)
			}
		}
	}
}
