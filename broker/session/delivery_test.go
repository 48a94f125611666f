package session

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func oneTo(n int) []int {
	run := make([]int, n)
	for i := range run {
		run[i] = i + 1
	}
	return run
}

func TestReplayThenLiveWithoutGapOrDouble(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	for range 100 {
		n.send(as("alice", "web"), g, "before")
	}
	bob := n.connect(as("bob", "phone"))
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 50 {
				n.send(as("alice", "web"), g, "during")
			}
		})
	}
	senders.Wait()
	frames := bob.awaitSeq(g, 301)
	if got := seqs(frames, g); !slices.Equal(got, oneTo(301)) {
		t.Fatalf("bob got %v, want 1 to 301 in order", got)
	}
	if c := bob.awaitCaughtUp(); c.Replayed < 101 {
		t.Errorf("caught_up says %d replayed, want at least the 101 there were", c.Replayed)
	}
}

func TestCaughtUpComesAfterTheReplayAndBeforeLaterEvents(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	last := n.send(as("alice", "web"), g, "one")
	bob := n.connect(as("bob", "phone"))
	c := bob.awaitCaughtUp()
	if c.Replayed != 2 || c.LastID != last.ID.String() {
		t.Errorf("caught_up = %+v, want 2 replayed up to %s", c, last.ID)
	}
	n.send(as("alice", "web"), g, "two")
	frames := bob.awaitSeq(g, 3)
	kinds := make([]string, len(frames))
	for i, f := range frames {
		kinds[i] = f.T
		if f.FrameSeq != uint64(i+2) { // the hello is frame 1
			t.Errorf("frame %d has frame_seq %d", i+2, f.FrameSeq)
		}
	}
	if want := []string{"thread", "msg", contracts.FrameCaughtUp, "msg"}; !slices.Equal(kinds, want) {
		t.Errorf("frames came as %v, want %v", kinds, want)
	}
}

func TestNothingThereIsCaughtUpAtOnce(t *testing.T) {
	n := newNode(t, Limits{})
	if c := n.connect(as("carol", "phone")).awaitCaughtUp(); c.Replayed != 0 || c.LastID != "" {
		t.Errorf("caught_up = %+v, want nothing replayed and no id", c)
	}
}

func TestResumeWhereTheDeviceAcknowledged(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	n.send(as("alice", "web"), g, "2")
	phone := n.connect(as("bob", "phone"), manualAcks)
	frames := phone.awaitSeq(g, 2)
	phone.ack(frames[0])
	phone.disconnect()
	n.send(as("alice", "web"), g, "3")

	again := n.connect(as("bob", "phone"))
	if got := seqs(again.awaitSeq(g, 3), g); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("resumed with %v, want what was not acknowledged: 2 and 3", got)
	}
}

func TestFirstConnectEverStartsBehindWhatAnotherDeviceAcknowledged(t *testing.T) {
	n := newNode(t, Limits{})
	read := n.group("alice", "bob")
	n.send(as("alice", "web"), read, "2")
	phone := n.connect(as("bob", "phone"))
	phone.awaitSeq(read, 2)
	phone.disconnect()
	unread := n.group("alice", "bob")

	tablet := n.connect(as("bob", "tablet"), manualAcks)
	tablet.awaitCaughtUp()
	if got := seqs(tablet.frames, read); len(got) != 0 {
		t.Errorf("the tablet got %v of the acknowledged thread", got)
	}
	if got := seqs(tablet.frames, unread); !slices.Equal(got, []int{1}) {
		t.Errorf("the tablet got %v of the other, want 1", got)
	}
	tablet.disconnect()

	// That fixed its position: what the phone acknowledges now does not move it.
	phone = n.connect(as("bob", "phone"))
	phone.awaitCaughtUp()
	phone.disconnect()
	tablet = n.connect(as("bob", "tablet"))
	tablet.awaitCaughtUp()
	if got := seqs(tablet.frames, unread); !slices.Equal(got, []int{1}) {
		t.Errorf("at its second connect the tablet got %v, want 1 again", got)
	}
}

func (d *device) awaitCaughtUpFrames() []frame {
	d.n.t.Helper()
	d.awaitCaughtUp()
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.frames)
}

func TestLastSeenRewindsBehindWhatWasAcknowledged(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	n.send(as("alice", "web"), g, "2")
	phone := n.connect(as("bob", "phone"))
	phone.awaitCaughtUp()
	phone.disconnect()

	past := chat.EventIDAt(time.Now().Add(-time.Hour))
	restored := n.connect(as("bob", "phone"), lastSeen(past))
	if got := seqs(restored.awaitCaughtUpFrames(), g); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("a device restored from a backup got %v, want 1 and 2", got)
	}
	future := chat.EventIDAt(time.Now().Add(time.Hour))
	restored.disconnect()
	ahead := n.connect(as("bob", "phone"), lastSeen(future))
	ahead.awaitCaughtUp()
	n.send(as("alice", "web"), g, "3")
	ahead.awaitSeq(g, 3) // a position in the future hides nothing new
}

func TestReplayMergesThreadsByEventTime(t *testing.T) {
	n := newNode(t, Limits{})
	threads := []chat.ThreadID{n.group("alice", "bob"), n.group("alice", "bob"), n.group("alice", "bob")}
	for i := range 90 {
		n.send(as("alice", "web"), threads[i%3], "x")
	}
	bob := n.connect(as("bob", "phone"))
	last := ""
	for _, f := range bob.awaitCaughtUpFrames() {
		if f.T != "msg" {
			continue
		}
		if f.ID[:10] < last { // the time part
			t.Fatalf("a message of %s came after one of %s", f.ID[:10], last)
		}
		last = f.ID[:10]
	}
}

func TestFullWindowWaitsForAcksAndLosesNothing(t *testing.T) {
	n := newNode(t, Limits{Window: 4})
	g := n.group("alice", "bob")
	for range 20 {
		n.send(as("alice", "web"), g, "x")
	}
	bob := n.connect(as("bob", "phone"), manualAcks)
	frames := bob.awaitSeq(g, 4)
	if len(frames) != 4 {
		t.Fatalf("%d frames are out, above a window of 4", len(frames))
	}
	for next := range 21 {
		frames = bob.awaitSeq(g, chat.Seq(next+1))
		bob.ack(frames[next])
	}
	if got := seqs(frames, g); !slices.Equal(got, oneTo(21)) {
		t.Errorf("got %v, want 1 to 21", got)
	}
}

func TestReceiveMaximumOfOneKeepsOrder(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"), mqtt, receiveMaximum(1))
	bob.subscribe("v1/threads/+/frames")
	for range 500 {
		n.send(as("alice", "web"), g, "x")
	}
	if got := seqs(bob.awaitSeq(g, 501), g); !slices.Equal(got, oneTo(501)) {
		t.Errorf("got %v, want 1 to 501 in order", got)
	}
}

func TestStalledReaderHoldsNobodyUp(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob", "carol")
	stuck := n.connect(as("bob", "phone"), stalled)
	healthy := n.connect(as("carol", "phone"))
	for range 600 {
		n.send(as("alice", "web"), g, "x")
	}
	healthy.awaitSeq(g, 601)
	stuck.sess.mu.Lock()
	held := len(stuck.sess.window.entries) + len(stuck.sess.inbox.wakes) + len(stuck.sess.inbox.receipts.waiting)
	stuck.sess.mu.Unlock()
	if held > 8 {
		t.Errorf("the stalled session holds %d things, want a handful however much was sent", held)
	}
	stuck.resume()
	if got := seqs(stuck.awaitSeq(g, 601), g); !slices.Equal(got, oneTo(601)) {
		t.Errorf("resumed, it got %d events, want 1 to 601", len(got))
	}
}

func TestMembershipIsFollowedByItself(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "carol")
	bob := n.connect(as("bob", "phone"))
	n.send(as("alice", "web"), g, "2: before bob")
	must(t, add(n, g, "bob")) // 3
	n.send(as("alice", "web"), g, "4")
	bob.awaitSeq(g, 4)
	must(t, n.chat.RemoveParticipant(t.Context(), as("alice", "web"), g, "bob")) // 5
	n.send(as("alice", "web"), g, "6: without bob")
	must(t, add(n, g, "bob")) // 7
	n.send(as("alice", "web"), g, "8")
	if got := seqs(bob.awaitSeq(g, 8), g); !slices.Equal(got, []int{3, 4, 5, 7, 8}) {
		t.Errorf("bob got %v, want 3 4 5 7 8: joining to removal, and from the next joining on", got)
	}
}

func TestRemovedAndAddedWhileStalled(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	bob.awaitCaughtUp()
	bob.mu.Lock()
	bob.stall = true
	bob.mu.Unlock()
	n.send(as("alice", "web"), g, "2")
	must(t, n.chat.RemoveParticipant(t.Context(), as("alice", "web"), g, "bob")) // 3
	n.send(as("alice", "web"), g, "4: hidden")
	must(t, add(n, g, "bob")) // 5
	bob.resume()
	if got := seqs(bob.awaitSeq(g, 5), g); !slices.Equal(got, []int{1, 2, 3, 5}) {
		t.Errorf("bob got %v, want 1 2 3 5", got)
	}
}

func TestRemovedWhileAwayGetsThatAndNothingLater(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	bob.awaitCaughtUp()
	bob.disconnect()
	must(t, n.chat.RemoveParticipant(t.Context(), as("alice", "web"), g, "bob"))
	n.send(as("alice", "web"), g, "3: hidden")
	back := n.connect(as("bob", "phone"))
	frames := back.awaitCaughtUpFrames()
	if got := seqs(frames, g); !slices.Equal(got, []int{2}) {
		t.Errorf("bob got %v, want his removal alone", got)
	}
}

func TestLostHintsDelayFramesAndLoseNone(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	bob.awaitCaughtUp()
	n.sessions.unsubscribe() // the bus goes deaf
	n.sessions.unsubscribe = func() {}
	for range 10 {
		n.send(as("alice", "web"), g, "x")
	}
	n.sessions.HandleLoss()
	if got := seqs(bob.awaitSeq(g, 11), g); !slices.Equal(got, oneTo(11)) {
		t.Errorf("got %v, want 1 to 11", got)
	}
}

func TestDeliveredComesAfterTheAckAndCoversAllBelow(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	alice := n.connect(as("alice", "laptop"))
	alice.awaitCaughtUp()
	bob := n.connect(as("bob", "phone"), manualAcks)
	bob.awaitCaughtUp()
	first := n.send(as("alice", "web"), g, "2")
	second := n.send(as("alice", "web"), g, "3")
	frames := bob.awaitSeq(g, 3)
	alice.awaitSeq(g, 3)
	for _, f := range alice.awaitSeq(g, 3) {
		if f.T == contracts.FrameDelivered {
			t.Fatalf("delivered came before any ack: %+v", f)
		}
	}
	bob.sess.AckThrough(frames[len(frames)-1].FrameSeq)
	got := alice.awaitFrame(contracts.FrameDelivered, func(f frame) bool { return f.ID == second.ID.String() })
	if got.By != "bob" {
		t.Errorf("delivered by %q", got.By)
	}
	receipts, err := n.chat.Receipts(t.Context(), as("alice", "web"), first.ID)
	must(t, err)
	if len(receipts) != 1 || receipts[0].State != chat.StateDelivered {
		t.Errorf("the first message is %+v, want DELIVERED to bob", receipts)
	}
}

func TestReadGoesToOthersAndTheReadersOtherDevices(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	m := n.send(as("alice", "web"), g, "2")
	alice, phone, tablet := n.connect(as("alice", "laptop")), n.connect(as("bob", "phone")), n.connect(as("bob", "tablet"))
	for _, d := range []*device{alice, phone, tablet} {
		d.awaitCaughtUp()
	}
	must(t, n.chat.MarkRead(t.Context(), as("bob", "phone"), g, m.ID))
	isIt := func(f frame) bool { return f.By == "bob" && f.UpTo == m.ID.String() }
	alice.awaitFrame(contracts.FrameRead, isIt)
	tablet.awaitFrame(contracts.FrameRead, isIt)
	must(t, n.chat.MarkRead(t.Context(), as("bob", "phone"), g, m.ID)) // moves nothing
	n.send(as("alice", "web"), g, "3")
	for _, f := range phone.awaitSeq(g, 3) {
		if f.T == contracts.FrameRead {
			t.Errorf("the reading device was told of its own read: %+v", f)
		}
	}
	reads := 0
	for _, f := range tablet.awaitSeq(g, 3) {
		if f.T == contracts.FrameRead {
			reads++
		}
	}
	if reads != 1 {
		t.Errorf("the tablet got %d read frames, want 1", reads)
	}
}

func TestSendingDeviceGetsNoCopyWhileConnectedButInReplay(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	laptop := n.connect(as("alice", "laptop"))
	laptop.awaitCaughtUp() // first: it starts where no device has acknowledged anything
	phone := n.connect(as("alice", "phone"))
	phone.awaitCaughtUp()
	n.send(as("alice", "laptop"), g, "2")
	n.send(as("bob", "phone"), g, "3")
	if got := seqs(laptop.awaitSeq(g, 3), g); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("the sending device got %v, want 1 and 3", got)
	}
	if got := seqs(phone.awaitSeq(g, 3), g); !slices.Contains(got, 2) {
		t.Errorf("the sender's other device got %v, want 2 among them", got)
	}
	laptop.disconnect()
	n.send(as("alice", "laptop"), g, "4") // by REST, while its connection is gone
	laptop = n.connect(as("alice", "laptop"))
	if got := seqs(laptop.awaitSeq(g, 4), g); !slices.Contains(got, 4) {
		t.Errorf("replayed %v, want its own message 4 among them", got)
	}
}

func TestSubscriptionToOneThreadAcknowledgesNothingOfAnother(t *testing.T) {
	n := newNode(t, Limits{})
	a, b := n.group("alice", "bob"), n.group("alice", "bob")
	n.send(as("alice", "web"), b, "2")
	n.send(as("alice", "web"), a, "2")
	phone := n.connect(as("bob", "phone"), mqtt)
	phone.subscribe("v1/threads/" + a.String() + "/frames")
	phone.awaitSeq(a, 2)
	phone.disconnect()

	phone = n.connect(as("bob", "phone"), mqtt)
	phone.subscribe("v1/devices/phone/frames")
	phone.subscribe("v1/threads/+/frames")
	frames := phone.awaitCaughtUpFrames()
	if got := seqs(frames, b); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("of the thread it had not subscribed it got %v, want 1 and 2", got)
	}
	if got := seqs(frames, a); len(got) != 0 {
		t.Errorf("of the acknowledged thread it got %v again", got)
	}
}

func TestUnsubscribedThreadWaitsAtItsPosition(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	phone := n.connect(as("bob", "phone"), mqtt)
	phone.subscribe("v1/threads/+/frames")
	phone.awaitSeq(g, 1)
	phone.sess.Unsubscribe("v1/threads/+/frames")
	phone.sess.Subscribed()
	for range 5 {
		n.send(as("alice", "web"), g, "x")
	}
	phone.subscribe("v1/threads/" + g.String() + "/#")
	if got := seqs(phone.awaitSeq(g, 6), g); !slices.Equal(got, oneTo(6)) {
		t.Errorf("got %v, want 1 to 6", got)
	}
}

func TestTakeoverEndsTheOldConnectionAndGoesOn(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	old := n.connect(as("bob", "phone"))
	old.awaitCaughtUp()
	other := n.connect(as("carol", "phone")) // another user's device of the same name
	var sender sync.WaitGroup
	sender.Go(func() {
		for range 200 {
			n.send(as("alice", "web"), g, "x")
		}
	})
	got := map[int]bool{}
	for range 5 {
		next := n.connect(as("bob", "phone"))
		next.awaitCaughtUp()
		old.mu.Lock()
		if old.closed != TakenOver {
			t.Errorf("the old connection ended for %v, want TakenOver", old.closed)
		}
		for _, seq := range seqs(old.frames, g) {
			got[seq] = true
		}
		old.mu.Unlock()
		old = next
	}
	sender.Wait()
	for _, seq := range seqs(old.awaitSeq(g, 201), g) {
		got[seq] = true
	}
	for seq := 1; seq <= 201; seq++ {
		if !got[seq] {
			t.Fatalf("event %d reached none of the connections", seq)
		}
	}
	if other.closed != 0 {
		t.Error("another user's device was taken over")
	}
}

func TestConnectionsPerUserAreBoundedButADeviceGetsBackIn(t *testing.T) {
	n := newNode(t, Limits{ConnectionsPerUser: 2})
	n.connect(as("bob", "one"))
	n.connect(as("bob", "two"))
	_, err := n.sessions.Open(Params{Caller: as("bob", "three"), Transport: &device{}, SubscribesAll: true})
	if chat.CodeOf(err) != chat.CodeRateLimited {
		t.Errorf("a third device: %v, want %s", err, chat.CodeRateLimited)
	}
	n.connect(as("bob", "two")).awaitCaughtUp()
	n.connect(as("carol", "three")).awaitCaughtUp()
}

func TestWindowFullForTooLongEndsTheConnection(t *testing.T) {
	n := newNode(t, Limits{Window: 1, AckTimeout: 50 * time.Millisecond})
	g := n.group("alice", "bob")
	n.send(as("alice", "web"), g, "x")
	silent := n.connect(as("bob", "phone"), manualAcks)
	silent.awaitClosed(Unresponsive)
}

func TestSilentJSONConnectionEnds(t *testing.T) {
	n := newNode(t, Limits{PingInterval: 60 * time.Millisecond})
	silent := n.connect(as("bob", "phone"), func(_ *device, p *Params) { p.Pings = true })
	silent.awaitFrame(contracts.FramePing, func(frame) bool { return true })
	silent.awaitClosed(Unresponsive)
}

func TestTokenExpiryEndsTheConnection(t *testing.T) {
	n := newNode(t, Limits{PingInterval: 60 * time.Millisecond})
	d := n.connect(as("bob", "phone"), func(_ *device, p *Params) { p.Expires = time.Now().Add(50 * time.Millisecond) })
	d.awaitClosed(TokenExpired)
}

func (d *device) awaitClosed(want Reason) {
	d.n.t.Helper()
	d.await(fmt.Sprintf("close %d", want), func([]frame) bool { return d.closed == want })
}

func TestSubscriptionsOutliveTheConnectionIfAskedFor(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	keep := func(_ *device, p *Params) { p.KeepFor = time.Hour }
	phone := n.connect(as("bob", "phone"), mqtt, keep)
	if phone.sess.Resumed() {
		t.Error("the first connection resumed something")
	}
	phone.subscribe("v1/#")
	phone.awaitSeq(g, 1)
	phone.disconnect()
	n.send(as("alice", "web"), g, "2")

	phone = n.connect(as("bob", "phone"), mqtt, keep) // subscribes nothing
	if !phone.sess.Resumed() {
		t.Fatal("the subscriptions are gone")
	}
	phone.awaitSeq(g, 2)
	phone.disconnect()

	clean := n.connect(as("bob", "phone"), mqtt, keep, func(_ *device, p *Params) { p.CleanStart = true })
	if clean.sess.Resumed() {
		t.Error("a clean start found the old subscriptions")
	}
}

func TestReceiptsCoalesceForASlowSession(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	alice := n.connect(as("alice", "laptop"))
	alice.awaitCaughtUp()
	alice.mu.Lock()
	alice.stall = true
	alice.mu.Unlock()
	var last chat.Event
	for range 50 {
		last = n.send(as("alice", "web"), g, "x")
		must(t, n.chat.MarkRead(t.Context(), as("bob", "phone"), g, last.ID))
	}
	alice.resume()
	alice.awaitFrame(contracts.FrameRead, func(f frame) bool { return f.UpTo == last.ID.String() })
	alice.mu.Lock()
	defer alice.mu.Unlock()
	reads := slices.DeleteFunc(slices.Clone(alice.frames), func(f frame) bool { return f.T != contracts.FrameRead })
	if len(reads) != 1 {
		t.Errorf("50 reads reached a slow session as %d frames, want the newest alone", len(reads))
	}
}

func add(n *node, g chat.ThreadID, user chat.UserID) error {
	_, _, err := n.chat.AddParticipant(n.t.Context(), as("alice", "web"), g, user)
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
