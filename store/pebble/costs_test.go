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
)

var costsTable = flag.String("costs.table", "", "write what TestCosts measures into this file, as a table in Markdown")

// cost is what one call asks of the database.
type cost struct{ Commits, Unsynced, Keys, Gets, Ranges, Steps int64 }

func (c *costs) take() cost {
	return cost{
		c.commits.Swap(0), c.unsynced.Swap(0), c.keys.Swap(0), c.gets.Swap(0), c.ranges.Swap(0), c.steps.Swap(0),
	}
}

// costed is a store with one group of people and its messages.
type costed struct {
	*Store
	t     *testing.T
	costs *costs
	users []chat.UserID
	head  chat.Seq
	sent  []chat.Event
}

// newCosted makes a store in which nothing but the test reads and writes.
func newCosted(t *testing.T, people, messages int) *costed {
	c := &costed{t: t, costs: new(costs), users: make([]chat.UserID, people), head: 1}
	c.Store = open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime }, costs: c.costs})
	c.stopSweeping()
	c.sweeping.Wait()
	c.keyDays.add(dayOf(testTime) - 1) // as if requests had come yesterday, too
	for i := range c.users {
		c.users[i] = chat.UserID(fmt.Sprintf("user%03d", i))
	}
	create(t, c.Store, creationOf(chat.Group, 1, c.users...))
	if _, err := c.BeginPosition(t.Context(), "user001", "d", chat.Position{}); err != nil {
		t.Fatal(err)
	}
	for range messages {
		c.sent = append(c.sent, messageOf(1, c.head+1, fmt.Sprintf("key%d", c.head+1)))
		c.append(c.sent[len(c.sent)-1])
	}
	return c
}

func (c *costed) append(events ...chat.Event) {
	c.t.Helper()
	mustAppend(c.t, c.Store, events...)
	c.head += chat.Seq(len(events))
}

func (c *costed) must(errs ...error) {
	c.t.Helper()
	for _, err := range errs {
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// The operations of the port and their costs, asserted to the last key. What a
// call does must not depend on the number of people, but for the answers that
// are about each of them.
var operations = []struct {
	name string
	do   func(ctx context.Context, c *costed)
	want [2]cost // in a group of 2, and of 250
}{
	{"send a message", func(_ context.Context, c *costed) {
		c.append(messageOf(1, c.head+1, "new"))
	}, same(cost{Commits: 1, Keys: 6, Gets: 2})},
	{"send one that expires", func(_ context.Context, c *costed) {
		e := messageOf(1, c.head+1, "new")
		e.Message.ExpiresAt = testTime.Add(time.Hour)
		c.append(e)
	}, same(cost{Commits: 1, Keys: 7, Gets: 2})},
	{"send 100 messages in one append", func(_ context.Context, c *costed) {
		var batch []chat.Event
		for seq := c.head + 1; seq <= c.head+100; seq++ {
			batch = append(batch, messageOf(1, seq, fmt.Sprintf("key%d", seq)))
		}
		c.append(batch...)
	}, same(cost{Commits: 1, Keys: 501, Gets: 200})},
	{"edit", func(_ context.Context, c *costed) {
		c.append(editOf(c.sent[0], c.head+1, "new"))
	}, same(cost{Commits: 1, Keys: 4, Gets: 1})},
	{"delete", func(_ context.Context, c *costed) {
		c.append(deletionOf(c.sent[0], c.head+1))
	}, same(cost{Commits: 1, Keys: 4, Gets: 1})},
	{"react", func(_ context.Context, c *costed) {
		c.append(reactionOf(c.sent[0], c.head+1, "+1"))
	}, same(cost{Commits: 1, Keys: 7, Gets: 3})},
	{"react to what has a reaction", func(_ context.Context, c *costed) {
		c.append(reactionOf(c.sent[0], c.head+1, "-1"))
		c.costs.take()
		c.append(reactionOf(c.sent[0], c.head+1, "+1"))
	}, same(cost{Commits: 1, Keys: 6, Gets: 3})},
	{"redeliver", func(_ context.Context, c *costed) {
		c.append(aboutOf(c.sent[0], c.head+1, chat.KindRedelivery))
	}, same(cost{Commits: 1, Keys: 4, Gets: 1})},
	{"pin", func(_ context.Context, c *costed) {
		c.append(pinOf(c.sent[0], c.head+1))
	}, same(cost{Commits: 1, Keys: 4, Gets: 2})},
	{"add a participant", func(_ context.Context, c *costed) {
		e := pinOf(c.sent[0], c.head+1)
		e.Target, e.Change = chat.Target{}, &chat.ThreadChange{Event: chat.ParticipantAdded, User: "new", Role: chat.Member}
		c.append(e)
	}, same(cost{Commits: 1, Keys: 6, Gets: 3})},
	{"put a receipt", func(ctx context.Context, c *costed) {
		_, _, err := c.PutMark(ctx, chat.Mark{Thread: chat.ThreadID{15: 1}, User: "user001", Kind: chat.Read, Seq: 2, At: testTime})
		c.must(err)
	}, same(cost{Commits: 1, Keys: 1, Ranges: 1, Steps: 1})},
	{"read a page of 50", func(ctx context.Context, c *costed) {
		page, err := c.Messages(ctx, chat.ThreadID{15: 1}, chat.MessageRange{Viewer: "user001", NewestFirst: true, Count: 50})
		c.want(len(page), 50, err)
	}, same(cost{Ranges: 1, Steps: 50})},
	{"replay 64 events", func(ctx context.Context, c *costed) {
		events, err := c.Events(ctx, chat.ThreadID{15: 1}, 1, lastSeq, chat.Limit{Count: 64, Bytes: 64 << 10})
		c.want(len(events), 64, err)
	}, same(cost{Ranges: 1, Steps: 64})},
	{"find a message", func(ctx context.Context, c *costed) {
		_, err := c.Message(ctx, c.sent[7].ID)
		c.must(err)
	}, same(cost{Gets: 2})},
	{"load a thread", func(ctx context.Context, c *costed) {
		_, err := c.Thread(ctx, chat.ThreadID{15: 1})
		c.must(err)
	}, same(cost{Gets: 2})},
	{"count 100 unread", func(ctx context.Context, c *costed) {
		n, err := c.countUnread(ctx, "user001", chat.UnreadRange{Thread: chat.ThreadID{15: 1}, After: 1, Through: lastSeq}, testTime, 100)
		c.want(n, 100, err)
	}, same(cost{Ranges: 1, Steps: 100})},
	{"receipts of a message", func(ctx context.Context, c *costed) {
		stints, err := c.ParticipantsAt(ctx, chat.ThreadID{15: 1}, 2)
		c.want(len(stints), len(c.users), err)
		marks, err := c.MarksAt(ctx, chat.ThreadID{15: 1}, 2, c.users)
		c.want(len(marks), len(c.users), err)
	}, [2]cost{{Ranges: 3, Steps: 2 + 2*2}, {Ranges: 3, Steps: 250 + 2*250}}},
	{"look for what has expired", func(ctx context.Context, c *costed) {
		_, err := c.Expired(ctx, testTime, 100)
		c.must(err)
	}, same(cost{Ranges: 1})},
	{"raise a device's position in one thread", func(ctx context.Context, c *costed) {
		c.must(c.RaisePosition(ctx, "user001", "d", 0, chat.Position{Through: map[chat.ThreadID]chat.Seq{{15: 1}: c.head}}))
	}, same(cost{Unsynced: 1, Keys: 2, Gets: 2})},
	{"store when a user was seen", func(ctx context.Context, c *costed) {
		c.must(c.PutLastSeen(ctx, "user001", testTime))
	}, same(cost{Unsynced: 1, Keys: 1, Gets: 1})},
	{"block", func(ctx context.Context, c *costed) {
		c.must(c.PutBlock(ctx, chat.Block{User: "user000", Blocked: "user001", At: testTime}))
	}, same(cost{Commits: 1, Keys: 1, Gets: 1})},
	{"ask for a block", func(ctx context.Context, c *costed) {
		_, err := c.HasBlocked(ctx, "user000", "user001")
		c.must(err)
	}, same(cost{Ranges: 1})},
	{"ask for a block of who is known to block nobody", func(ctx context.Context, c *costed) {
		for range 2 {
			c.costs.take()
			_, err := c.HasBlocked(ctx, "user000", "user001")
			c.must(err)
		}
	}, same(cost{})},
	{"ask for a block of who is known to block somebody", func(ctx context.Context, c *costed) {
		c.must(c.PutBlock(ctx, chat.Block{User: "user000", Blocked: "user001", At: testTime}))
		for range 2 {
			c.costs.take()
			_, err := c.HasBlocked(ctx, "user000", "user002")
			c.must(err)
		}
	}, same(cost{Gets: 1})},
	{"report", func(ctx context.Context, c *costed) {
		_, _, err := c.PutReport(ctx, chat.Report{ID: numberedID(1)})
		c.must(err)
	}, same(cost{Commits: 1, Keys: 2, Gets: 1})},
	{"ask for a denied attachment", func(ctx context.Context, c *costed) {
		_, err := c.AttachmentDenied(ctx, strings.Repeat("0f", 32))
		c.must(err)
	}, same(cost{Gets: 1})},
}

func same(c cost) [2]cost { return [2]cost{c, c} }

func (c *costed) want(got, want int, err error) {
	c.t.Helper()
	if got != want || err != nil {
		c.t.Fatalf("%d answers, %v; want %d", got, err, want)
	}
}

// What stands here needs more than one group.
func rarerOperations(t *testing.T) (names []string, got, want []cost) {
	ctx := t.Context()
	measure := func(name string, c *costed, expected cost, do func()) {
		c.costs.take()
		do()
		names, got, want = append(names, name), append(got, c.costs.take()), append(want, expected)
	}
	c := newCosted(t, 2, 3)
	c.append(pinOf(c.sent[0], c.head+1), pinOf(c.sent[1], c.head+2))
	measure("delete a message, another being pinned", c, cost{Commits: 1, Keys: 4, Gets: 3}, func() {
		c.append(deletionOf(c.sent[2], c.head+1))
	})
	measure("delete a pinned message", c, cost{Commits: 1, Keys: 5, Gets: 3}, func() {
		c.append(deletionOf(c.sent[0], c.head+1))
	})
	unpinning := pinOf(c.sent[1], c.head+1)
	unpinning.Change = &chat.ThreadChange{Event: chat.Unpinned}
	c.append(unpinning)
	measure("delete a message, none being pinned any more", c, cost{Commits: 1, Keys: 4, Gets: 1}, func() {
		c.append(deletionOf(c.sent[1], c.head+1))
	})
	for thread := range byte(199) {
		create(t, c.Store, creationOf(chat.Group, 2+thread, c.users...))
	}
	measure("list a user's 200 threads", c, cost{Gets: 200, Ranges: 1, Steps: 200}, func() {
		lines, err := c.UserThreads(ctx, c.users[0])
		c.want(len(lines), 200, err)
	})
	measure("list who is in 200 threads with a user", c, cost{Gets: 200, Ranges: 1, Steps: 200}, func() {
		peers, err := c.Peers(ctx, c.users[0], chat.SharedThreads{})
		c.want(len(peers), 1, err)
	})
	upload := chat.PrekeyUpload{At: testTime}
	for id := range uint32(100) {
		upload.OneTime = append(upload.OneTime, chat.Prekey{ID: id, Public: []byte("public")})
	}
	measure("upload 100 prekeys", c, cost{Commits: 1, Keys: 104, Gets: 1, Ranges: 1}, func() {
		_, err := c.PutPrekeys(ctx, "ann", "phone", upload)
		c.must(err)
	})
	measure("upload 100 prekeys more", c, cost{Commits: 1, Keys: 103, Gets: 202, Ranges: 1, Steps: 1}, func() {
		_, err := c.PutPrekeys(ctx, "ann", "phone", upload)
		c.must(err)
	})
	measure("take a prekey", c, cost{Commits: 1, Keys: 3, Gets: 2, Ranges: 1, Steps: 1}, func() {
		_, err := c.TakePrekey(ctx, chat.PrekeyDevice{User: "ann", Device: "phone"})
		c.must(err)
	})
	measure("list a user's prekeys, 1 device", c, cost{Ranges: 1, Steps: 1}, func() {
		devices, err := c.PrekeyDevices(ctx, []chat.UserID{"ann"})
		c.want(len(devices), 1, err)
	})
	measure("count a device's prekeys", c, cost{Gets: 1}, func() {
		left, err := c.CountPrekeys(ctx, []chat.PrekeyDevice{{User: "ann", Device: "phone"}})
		c.want(left[0][chat.PlainPrekeys], 99, err)
	})
	measure("refuse a message sent before", c, cost{Gets: 2}, func() {
		again := messageOf(1, c.head+1, "key2")
		n, _ := c.Append(ctx, chat.Head{Seq: c.head}, []chat.Event{again})
		c.want(n, 0, nil)
	})
	another := messageOf(1, c.head+1, "another device")
	another.Device = "another"
	measure("send a device's first message of a thread since the start", c, cost{Commits: 1, Keys: 6, Gets: 2, Ranges: 1}, func() { c.append(another) })
	return names, got, want
}

func TestCosts(t *testing.T) {
	table := new(strings.Builder)
	fmt.Fprintln(table, "| operation | people | synced commits | unsynced writes | keys written | point reads | range reads | keys stepped to |")
	fmt.Fprintln(table, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	check := func(name, people string, got, want cost) {
		if got != want {
			t.Errorf("%s, %s people: %+v, want %+v", name, people, got, want)
		}
		fmt.Fprintf(table, "| %s | %s | %d | %d | %d | %d | %d | %d |\n", name, people, got.Commits, got.Unsynced, got.Keys, got.Gets, got.Ranges, got.Steps)
	}
	for _, op := range operations {
		var got [2]cost
		for i, people := range []int{2, 250} {
			c := newCosted(t, people, 120)
			c.costs.take()
			op.do(t.Context(), c)
			got[i] = c.costs.take()
		}
		if got[0] == got[1] {
			check(op.name, "2 or 250", got[0], op.want[0])
		} else {
			check(op.name, "2", got[0], op.want[0])
		}
		if got[0] != got[1] || op.want[0] != op.want[1] {
			check(op.name, "250", got[1], op.want[1])
		}
	}
	names, got, want := rarerOperations(t)
	for i, name := range names {
		check(name, "any", got[i], want[i])
	}
	if *costsTable != "" {
		if err := os.WriteFile(*costsTable, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
