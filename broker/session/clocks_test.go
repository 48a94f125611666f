package session

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// The clock is set, by seconds or by a month, forward or back, while the server runs or
// while it is down. Whatever a device was doing then, it gets what was sent before and
// after, once each and in order, and nothing is DELIVERED before a device has
// acknowledged it.
func TestSteppedClocksLoseNothing(t *testing.T) {
	t.Parallel()
	for i, step := range []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, time.Hour, 30 * 24 * time.Hour} {
		for j, by := range []time.Duration{step, -step} {
			for k, restart := range []bool{false, true} {
				for _, store := range stores {
					// The test server of MongoDB runs one command at a time: half of the table is for it.
					if store.name == "mongodb" && (i+j+k)%2 == 1 {
						continue
					}
					t.Run(fmt.Sprintf("%s, by %v, restart %v", store.name, by, restart), func(t *testing.T) {
						t.Parallel()
						steppedClock(t, store.url(t), by, restart)
					})
				}
			}
		}
	}
}

func steppedClock(t *testing.T, url string, by time.Duration, restart bool) {
	n := newNodeOn(t, url, Limits{}, -by) // so that the step is to the true time
	people := []chat.UserID{"connected", "away", "fresh", "named", "renamed"}
	before, after := n.group("alice", people...), n.group("alice", people...)
	first := n.send(as("alice", "web"), before, "before the step")
	for _, user := range people { // each has one device that has everything
		d := n.connect(as(user, "phone"))
		d.awaitSeq(before, first.Seq)
		d.awaitSeq(after, 1)
		d.disconnect()
	}
	var connected *device
	if !restart {
		connected = n.connect(as("connected", "phone"), manualAcks)
		connected.awaitCaughtUp()
		n.pass(by)
	} else {
		n.stop()
		n = newNodeOn(t, url, Limits{}, 0)
		connected = n.connect(as("connected", "phone"), manualAcks)
		connected.awaitCaughtUp()
	}

	var sent []chat.Event
	var texts []string
	for _, thread := range []chat.ThreadID{after, after, before, after} {
		text := fmt.Sprint("after the step ", len(sent))
		sent, texts = append(sent, n.send(as("alice", "web"), thread, text)), append(texts, text)
	}
	for _, m := range sent {
		for _, user := range people {
			if got := n.stateFor(m, user); got != chat.StateSent {
				t.Errorf("%s is %s to %s before a device has it", m.Message.Ciphertext, got, user)
			}
		}
	}
	devices := map[chat.UserID]*device{
		"connected": connected,
		"away":      n.connect(as("away", "phone"), manualAcks),
		"fresh":     n.connect(as("fresh", "tablet"), manualAcks),
		// What the client names cannot take it past what it has not acknowledged.
		"named":   n.connect(as("named", "phone"), manualAcks, lastSeen(first.ID)),
		"renamed": n.connect(as("renamed", "phone"), manualAcks, lastSeen(sent[len(sent)-1].ID)),
	}
	for user, d := range devices {
		frames := d.await("the last message to "+string(user), func(frames []frame) bool { return len(newTexts(frames)) >= len(texts) })
		if got := newTexts(frames); !slices.Equal(sortedTexts(got), texts) {
			t.Errorf("%s got %q, want %q", user, got, texts)
		}
		for _, thread := range []chat.ThreadID{before, after} {
			if got := seqs(frames, thread); !slices.IsSorted(got) {
				t.Errorf("%s got events %v of a thread, which are not in order", user, got)
			}
		}
		d.release()
		for _, m := range sent {
			n.eventually(fmt.Sprintf("DELIVERED of %s to %s", m.Message.Ciphertext, user), func() bool { return n.stateFor(m, user) == chat.StateDelivered })
		}
		d.disconnect()
	}
	for user := range devices { // all of it is behind the positions
		device := chat.DeviceID("phone")
		if user == "fresh" {
			device = "tablet"
		}
		d := n.connect(as(user, device))
		if c := d.awaitCaughtUp(); c.Replayed != 0 {
			t.Errorf("%s is told %d events again", user, c.Replayed)
		}
		d.disconnect()
	}
}

// Two nodes of one store have clocks that differ by nearly ten seconds. A device that comes
// and goes between their messages gets all of them, whichever node has stored them.
func TestSkewedNodesLoseNothing(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			skewedNodes(t, store.url(t))
		})
	}
}

func skewedNodes(t *testing.T, url string) {
	n := newNodeOn(t, url, Limits{}, 4900*time.Millisecond)
	behind := &node{t: t, store: n.store, bus: n.bus}
	behind.pass(-4900 * time.Millisecond)
	behind.chat = chat.New(chat.Config{Store: n.store, Bus: n.bus, Now: behind.now})
	t.Cleanup(func() { behind.chat.Close(context.Background()) })
	behind.keys = 1_000_000 // its own

	threads := []chat.ThreadID{n.group("alice", "bob"), n.group("alice", "bob"), n.group("alice", "bob")}
	var texts, got []string
	for round := range 12 {
		for i, by := range []*node{n, behind, n, behind} {
			text := fmt.Sprintf("%02d-%d", round, i)
			by.send(as("alice", "web"), threads[(round+i)%len(threads)], text)
			texts = append(texts, text)
		}
		d := n.connect(as("bob", "phone"))
		d.awaitCaughtUp()
		got = append(got, newTexts(d.await("caught_up", func([]frame) bool { return true }))...)
		d.disconnect()
	}
	if !slices.Equal(sortedTexts(got), texts) {
		t.Errorf("bob got %q, want %q", sortedTexts(got), texts)
	}
}

// newTexts are the messages of frames that were sent after the step.
func newTexts(frames []frame) (texts []string) {
	for _, f := range frames {
		if text := string(f.Ciphertext); f.T == "msg" && text != "before the step" {
			texts = append(texts, text)
		}
	}
	return texts
}

func sortedTexts(texts []string) []string {
	texts = slices.Clone(texts)
	slices.Sort(texts)
	return texts
}

// stateFor is where a user stands with a message.
func (n *node) stateFor(m chat.Event, user chat.UserID) chat.RecipientState {
	n.t.Helper()
	receipts, err := n.chat.Receipts(n.t.Context(), as("alice", "web"), m.ID)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, r := range receipts {
		if r.User == user {
			return r.State
		}
	}
	n.t.Fatalf("%s is no recipient of %s", user, m.ID)
	return ""
}
