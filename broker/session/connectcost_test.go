package session

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store"
)

// counted is a store that counts reads of a user's threads.
type counted struct {
	chat.Store
	heads, peers, lines, marks, events atomic.Int64
}

func (c *counted) UserThreads(ctx context.Context, user chat.UserID) ([]chat.UserThread, error) {
	c.heads.Add(1)
	return c.Store.UserThreads(ctx, user)
}

func (c *counted) Peers(ctx context.Context, user chat.UserID, in chat.SharedThreads) ([]chat.UserID, error) {
	c.peers.Add(1)
	return c.Store.Peers(ctx, user, in)
}

func (c *counted) UserThread(ctx context.Context, user chat.UserID, thread chat.ThreadID) (chat.UserThread, error) {
	c.lines.Add(1)
	return c.Store.UserThread(ctx, user, thread)
}

func (c *counted) MarksOf(ctx context.Context, user chat.UserID, threads []chat.ThreadID) ([]chat.Marks, error) {
	c.marks.Add(1)
	return c.Store.MarksOf(ctx, user, threads)
}

func (c *counted) Events(ctx context.Context, thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) ([]chat.Event, error) {
	c.events.Add(1)
	return c.Store.Events(ctx, thread, after, through, limit)
}

// take gives the counts since the last time: passes over heads, over participants, and reads
// of single threads.
func (c *counted) take() []int64 {
	return []int64{c.heads.Swap(0), c.peers.Swap(0), c.lines.Swap(0), c.marks.Swap(0), c.events.Swap(0)}
}

// A connection of a user with 3,000 threads reads their heads once. Presence reads who is in
// them, and no heads: once to tell them that the user came, unless another device is there, and
// once for whom the device is told of.
func TestConnectingReadsTheHeadsOnce(t *testing.T) {
	const threads = 3000
	st, err := store.Open(t.Context(), "pebble:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reads := &counted{Store: st}
	bus := local.New()
	n := &node{t: t, store: reads, bus: bus}
	n.chat = chat.New(chat.Config{Store: reads, Bus: bus, Now: n.now, Online: func(ctx context.Context, u chat.UserID) (bool, error) {
		return n.sessions.Online(ctx, u)
	}})
	n.sessions = NewRegistry(Config{Store: reads, Bus: bus, Chat: n.chat, Now: n.now})
	t.Cleanup(func() {
		n.chat.Close(context.Background())
		n.sessions.Close(context.Background())
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	createGroups(t, st, threads, time.Now())

	connect := func(what string, device chat.DeviceID, want ...int64) *device {
		reads.take()
		c := n.connect(as("alice", device))
		c.awaitCaughtUp()
		n.eventually("its presence", func() bool { return reads.peers.Load() >= want[1] })
		n.awaitAnnounced()
		got := reads.take()
		t.Logf("%s with %d threads: %d passes over heads, %d over participants, %d lines, %d marks, %d reads of logs",
			what, threads, got[0], got[1], got[2], got[3], got[4])
		if !slices.Equal(got[:3], want) {
			t.Errorf("%s: %v passes over heads, passes over participants, and lines; want %v", what, got[:3], want)
		}
		return c
	}
	first := connect("the first connect ever of a device", "web", 1, 2, 0)
	connect("that of a second device", "phone", 1, 1, 0)
	first.disconnect()
	connect("coming again", "web", 1, 1, 0)
}
