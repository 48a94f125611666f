package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// loadedUpTo connects a device that has been sent the first two events of a
// thread of that many messages, has the others loaded, and waits for acks.
func (n *node) loadedUpTo(c chat.Caller, thread chat.ThreadID, last chat.Seq, options ...option) *device {
	n.t.Helper()
	d := n.connect(c, append(options, manualAcks)...)
	d.awaitSeq(thread, 2)
	d.setStall(true)
	d.await("the writer's rest", func([]frame) bool { return !d.filling })
	if got, _ := d.sess.feed.Loaded(thread); got != last { // its writer rests
		n.t.Fatalf("events up to %d are loaded, want %d", got, last)
	}
	return d
}

// A slow session sends nothing that was erased since it read it, and shows what
// was edited as it is now.
func TestSlowSessionSendsNothingOutOfDate(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	g := n.group("alice", "bob")
	var m []chat.Event
	for i := range 8 { // 2 to 9
		m = append(m, n.send(as("alice", "web"), g, fmt.Sprint("old", i)))
	}
	n.edit(as("alice", "web"), m[5].ID, "old edit") // 10
	bob := n.loadedUpTo(as("bob", "phone"), g, 10)
	n.delete(as("alice", "web"), m[3].ID)      // 11
	n.delete(as("alice", "web"), m[5].ID)      // 12, the edit's target
	n.edit(as("alice", "web"), m[6].ID, "new") // 13
	bob.release()
	wantSummary(t, "bob", bob.awaitSeq(g, 13), g, "1 threadcreated", "2 msg old0", "3 msg old1", "4 msg old2",
		"5 msg", "6 msg old4", "7 msg", "8 msg new", "9 msg old7", "10 edit", "11 del", "12 del", "13 edit new")
}

// The same, of what it holds together with the cache.
func TestSlowSessionSendsNothingOutOfDateOfTheCache(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	n.connect(as("carol", "phone")) // reads along
	g := n.group("alice", "bob", "carol")
	var m []chat.Event
	for i := range 6 { // 2 to 7
		m = append(m, n.send(as("alice", "web"), g, fmt.Sprint("old", i)))
	}
	if cached := n.sessions.logs.Tails.After(g, 0, 7); len(cached) != 7 {
		t.Fatalf("%d events are cached, want 7", len(cached))
	}
	bob := n.loadedUpTo(as("bob", "phone"), g, 7)
	n.delete(as("alice", "web"), m[3].ID)      // 8
	n.edit(as("alice", "web"), m[4].ID, "new") // 9
	bob.release()
	wantSummary(t, "bob", bob.awaitSeq(g, 9), g, "1 threadcreated", "2 msg old0", "3 msg old1", "4 msg old2",
		"5 msg", "6 msg new", "7 msg old5", "8 del", "9 edit new")
}

// A reaction changes no frame, so it costs nobody what is loaded.
func TestReactionsLeaveWhatIsLoaded(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	g := n.group("alice", "bob")
	for range 4 {
		n.send(as("alice", "web"), g, "x")
	}
	last := n.send(as("alice", "web"), g, "x") // 6
	bob := n.loadedUpTo(as("bob", "phone"), g, 6)
	reacted, err := n.chat.React(t.Context(), as("alice", "web"), last.ID, "+1")
	must(t, err)
	if string(contracts.EventFrame(last)) != string(contracts.EventFrame(reacted)) {
		t.Error("the frame of a message shows its reactions: they have to count as rewriting it")
	}
	if _, current := bob.sess.feed.Loaded(g); !current {
		t.Error("after a reaction everything is read again")
	}
}

func TestWhoIsRemovedWhileSlowGetsNothingThatIsDeletedAfterThat(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	g := n.group("alice", "bob")
	var m []chat.Event
	for range 4 { // 2 to 5
		m = append(m, n.send(as("alice", "web"), g, "x"))
	}
	bob := n.loadedUpTo(as("bob", "phone"), g, 5)
	must(t, n.chat.RemoveParticipant(t.Context(), as("alice", "web"), g, "bob")) // 6
	n.delete(as("alice", "web"), m[3].ID)                                        // 7, which bob is not told
	bob.release()
	wantSummary(t, "bob", bob.awaitSeq(g, 6), g,
		"1 threadcreated", "2 msg x", "3 msg x", "4 msg x", "5 msg", "6 threadparticipant_removed")
}

func TestWhatIsDeletedWhileUnsubscribedIsNotSentWhenSubscribedAgain(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	g := n.group("alice", "bob")
	var m []chat.Event
	for range 4 { // 2 to 5
		m = append(m, n.send(as("alice", "web"), g, "x"))
	}
	subscribed := func(d *device, _ *Params) { d.filters = []string{"v1/threads/+/frames"} }
	bob := n.loadedUpTo(as("bob", "phone"), g, 5, mqtt, subscribed)
	bob.sess.Unsubscribe("v1/threads/+/frames")
	bob.sess.Subscribed()
	n.delete(as("alice", "web"), m[3].ID) // 6
	bob.subscribe("v1/threads/+/frames")
	bob.release()
	wantSummary(t, "bob", bob.awaitSeq(g, 6), g, "1 threadcreated", "2 msg x", "3 msg x", "4 msg x", "5 msg", "6 del")
}

// After a loss neither the cache nor what is loaded is trusted.
func TestWhatIsDeletedWhileHintsAreLostIsNotSentAfterThat(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	n.connect(as("carol", "phone")) // has the events cached
	g := n.group("alice", "bob", "carol")
	var m []chat.Event
	for range 4 { // 2 to 5
		m = append(m, n.send(as("alice", "web"), g, "x"))
	}
	bob := n.loadedUpTo(as("bob", "phone"), g, 5)
	n.sessions.unsubscribe()
	n.sessions.unsubscribe = func() {}
	n.delete(as("alice", "web"), m[3].ID) // 6
	n.sessions.HandleLoss()
	bob.release()
	wantSummary(t, "bob", bob.awaitSeq(g, 6), g, "1 threadcreated", "2 msg x", "3 msg x", "4 msg x", "5 msg", "6 del")
}

func TestExpiredIsSentAsATombstoneThoughItWasLoadedOrCached(t *testing.T) {
	n := newNode(t, Limits{Window: 2})
	early := n.connect(as("carol", "phone")) // has the events cached
	g := n.group("alice", "bob", "carol", "dave")
	var last chat.Event
	for _, ttl := range []time.Duration{0, time.Minute, time.Hour, time.Minute} { // 2 to 5
		last = n.sendTTL(as("alice", "web"), g, "x", ttl)
	}
	n.edit(as("alice", "web"), last.ID, "y") // 6
	if f := early.awaitFrame("msg", func(f frame) bool { return f.Seq == 3 }); len(f.Ciphertext) == 0 {
		t.Error("who is in time gets a tombstone")
	}
	early.awaitSeq(g, 6)
	loaded := n.loadedUpTo(as("bob", "phone"), g, 6)
	n.pass(time.Minute)
	loaded.release()
	for who, d := range map[string]*device{"who had it loaded": loaded, "who comes later": n.connect(as("dave", "phone"))} {
		wantSummary(t, who, d.awaitSeq(g, 6), g, "1 threadcreated", "2 msg x", "3 msg", "4 msg x", "5 msg", "6 edit")
	}
	must(t, n.chat.ExpireDue(t.Context()))
	for seq := range chat.Seq(2) {
		f := loaded.awaitFrame("del", func(f frame) bool { return f.Seq == int(7+seq) })
		if f.By != "" || f.Reason != "expired" {
			t.Errorf("the expiry is told as %+v", f)
		}
	}
}

// Readers come, go and lag while messages are sent, edited and deleted. Every
// batch is held to what was announced before it (see truth), and each reader gets
// every event.
func TestConcurrentDeletionsAndReaders(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	n := newNode(t, Limits{Window: 8})
	g := n.group("alice", "bob", "carol", "dave")
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writing.Go(func() { n.scribble(rand.New(rand.NewPCG(seed, uint64(w))), as("alice", "web"), g, done) })
	}
	got := make([]map[int]bool, 3)
	readers := []chat.Caller{as("bob", "phone"), as("carol", "phone"), as("dave", "phone")}
	for i, c := range readers {
		got[i] = make(map[int]bool)
		reading.Go(func() { n.readFitfully(rand.New(rand.NewPCG(seed, uint64(100+i))), c, g, got[i]) })
	}
	reading.Wait()
	close(done)
	writing.Wait()
	thread, err := n.store.Thread(t.Context(), g)
	must(t, err)
	for i, c := range readers {
		for _, seq := range seqs(n.connect(c).awaitCaughtUpFrames(), g) {
			got[i][seq] = true
		}
		for seq := range int(thread.Head.Seq) {
			if !got[i][seq+1] {
				t.Errorf("%s never got event %d", c.User, seq+1)
			}
		}
	}
}

// scribble sends messages and edits and deletes some of them until done.
func (n *node) scribble(r *rand.Rand, by chat.Caller, g chat.ThreadID, done <-chan struct{}) {
	var live []chat.MessageID
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		live = append(live, n.send(by, g, fmt.Sprint("secret ", i)).ID)
		at := len(live) - 1 - r.IntN(min(len(live), 10)) // what slow readers have loaded and not sent
		switch r.IntN(3) {
		case 0:
			n.edit(by, live[at], fmt.Sprint("secret edit ", i))
		case 1:
			n.delete(by, live[at])
			live = slices.Delete(live, at, at+1)
		}
	}
}

// readFitfully connects some times, to take a few frames each time, and sees to it
// that meanwhile something is deleted.
func (n *node) readFitfully(r *rand.Rand, c chat.Caller, g chat.ThreadID, got map[int]bool) {
	slow := func(d *device, _ *Params) { d.pause = n.truth.awaitChange }
	for range 10 {
		d := n.connect(c, slow)
		want := 1 + r.IntN(40)
		d.await("some frames", func(frames []frame) bool { return len(frames) >= want })
		d.disconnect()
		for _, seq := range seqs(d.frames, g) {
			got[seq] = true
		}
	}
}
