package session

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

// silentNode is another node on the same store, whose notices are all lost.
func silentNode(n *node) *chat.Service {
	bus := local.New()
	svc := chat.New(chat.Config{Store: n.store, Bus: bus, Now: n.now, Newest: n.chat.NewestID()})
	n.t.Cleanup(func() { svc.Close(context.Background()); _ = bus.Close() })
	return svc
}

// A wake brings what no notice brought: a device gets the events up to there, and those that
// are loaded or cached as the missed events left them.
func TestWakeBringsWhatWasMissed(t *testing.T) {
	n := newNode(t, Limits{})
	other := silentNode(n)
	group := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	first := n.send(as("alice", "web"), group, "first")
	bob.awaitSeq(group, 2)
	if err := other.Delete(t.Context(), as("alice", "web"), first.ID); err != nil {
		t.Fatal(err)
	}
	sent, err := other.Send(t.Context(), as("alice", "web"), chat.SendRequest{
		Thread: group, IdempotencyKey: "missed", ClientSeq: 1000, Ciphertext: []byte("missed"),
	})
	if err != nil {
		t.Fatal(err)
	}
	missed := sent.Event
	n.bus.Publish(chat.Notice{Audience: []chat.UserID{"alice", "bob"}, Wake: &chat.Wake{Thread: group, Seq: missed.Seq, ID: missed.ID}})
	bob.awaitSeq(group, missed.Seq)
	n.truth.erase(first.ID.String()) // from here on no frame may carry it
	late := n.connect(as("bob", "tablet"), lastSeen(first.ID))
	late.awaitSeq(group, missed.Seq)
	if got := n.chat.NewestID(); got != missed.ID {
		t.Errorf("ids go on from %v, want %v", got, missed.ID)
	}
}

// Whoever is removed by an event that no notice brought is told, and of nothing behind it.
func TestWakeBringsARemoval(t *testing.T) {
	n := newNode(t, Limits{})
	other := silentNode(n)
	group := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	bob.awaitSeq(group, 1)
	if err := other.RemoveParticipant(t.Context(), as("alice", "web"), group, "bob"); err != nil {
		t.Fatal(err)
	}
	n.bus.Publish(chat.Notice{Audience: []chat.UserID{"alice", "bob"}, Wake: &chat.Wake{Thread: group, Seq: 2}})
	bob.awaitSeq(group, 2)
	if _, err := n.chat.Thread(t.Context(), as("bob", "phone"), group); err == nil {
		t.Error("the removed user sees the thread")
	}
}

// A repair of 200 threads wakes the sessions of their people, and no others.
func TestWakesWakeNobodyElse(t *testing.T) {
	const users, threads = 500, 200
	n := newNode(t, Limits{})
	woken := make([]*wakes, users)
	for i := range woken {
		woken[i] = new(wakes)
		s, err := n.sessions.Open(Params{
			Caller: as(chat.UserID(fmt.Sprint("u", i)), "phone"), Expires: time.Now().Add(time.Hour), Transport: woken[i], SubscribesAll: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.End)
		s.Start()
		woken[i].n.Store(0)
	}
	for i := range threads {
		audience := []chat.UserID{chat.UserID(fmt.Sprint("u", i)), chat.UserID(fmt.Sprint("u", threads+i))}
		n.bus.Publish(chat.Notice{Audience: audience, Wake: &chat.Wake{Thread: chat.ThreadID{14: byte(i >> 8), 15: byte(i)}, Seq: 7}})
	}
	for i, w := range woken {
		want := int32(0)
		if i < 2*threads {
			want = 1
		}
		if got := w.n.Load(); got != want {
			t.Errorf("the session of user %d was woken %d times, want %d", i, got, want)
		}
	}
}
