package bustest

import (
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Nodes are several nodes with a network between them.
type Nodes interface {
	// Join gives the bus of one more node, which hears the others and is heard.
	Join(t *testing.T) chat.Bus
	// Cut has the network carry nothing, until Mend.
	Cut(t *testing.T)
	Mend(t *testing.T)
}

// RunNodes runs the suite of a bus over a network, besides [Run]. Each test gets nodes of
// its own, none of which has joined; it closes their buses.
func RunNodes(t *testing.T, open func(t *testing.T) Nodes) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, n Nodes)
	}{
		{"a notice reaches the other nodes as it was published", testOtherNodes},
		{"a node hears its own notices once, and before Publish returns", testOwnNotices},
		{"notices about one thread arrive in order at every node", testOrderOverNodes},
		{"a message to nobody on a node is skipped there", testSkipped},
		{"what is published during a cut is heard after it, or a loss to the others", testLoss},
		{"while a cut lasts losses are told, and a node hears its own notices", testCutOff},
		{"Ping fails during a cut and not after it", testLiveness},
		{"publishing does not wait while nothing is carried", testPublishDuringCut},
		{"a node that joins hears of a loss, since it missed what came before", testJoin},
		{"a notice too large to be carried is a wake or a loss, and the next one arrives", testTooLarge},
		{"a closed bus is heard by nobody and hears nobody", testClosedNode},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// join gives the bus of one more node and a subscriber of it, which has heard of the loss
// that comes of joining.
func join(t *testing.T, n Nodes) (chat.Bus, *nodeEar) {
	t.Helper()
	b := n.Join(t)
	e := &nodeEar{ear: newEar(), losses: make(chan struct{}, 1)}
	b.Subscribe(e)
	t.Cleanup(func() { _ = b.Close() })
	return b, e
}

// nodeEar is an ear that notes losses, and skips the messages to those who are not there.
type nodeEar struct {
	*ear
	losses  chan struct{} // has an item if there was one
	absent  []chat.UserID // set before it is subscribed
	skipped atomic.Int64
}

func (e *nodeEar) HandleLoss() {
	select {
	case e.losses <- struct{}{}:
	default:
	}
}

func (e *nodeEar) Skip(audience []chat.UserID, _ chat.MessageID) bool {
	for _, user := range audience {
		if !slices.Contains(e.absent, user) {
			return false
		}
	}
	e.skipped.Add(1)
	return true
}

func (e *nodeEar) awaitLoss(t *testing.T) {
	t.Helper()
	select {
	case <-e.losses:
	case <-time.After(lossPatience):
		t.Fatalf("no loss was told within %v", lossPatience)
	}
}

// lossPatience is how long a test waits for what the bus has to find out by itself.
const lossPatience = 2 * time.Minute

func allKinds() []chat.Notice {
	at := time.UnixMilli(1_780_000_000_123).UTC()
	thread, both := chat.ThreadID{15: 1}, []chat.UserID{"ann", "bob"}
	return []chat.Notice{
		eventNotice(1, 1), receiptNotice(),
		{Audience: both[:1], Failure: &chat.Failure{Thread: thread, Message: chat.MessageID{15: 1}, Reason: chat.FailedBlocked, Users: both[1:]}},
		{Audience: both[:1], PrekeysLow: &chat.PrekeysLow{Device: "phone", Left: 3}},
		{Audience: both, Typing: &chat.Typing{Thread: thread, User: "ann"}},
		{Audience: both, Signal: &chat.Signal{Thread: thread, User: "ann", Device: "phone", Name: "ring", Data: []byte("now")}},
		{Audience: both, Presence: &chat.Presence{User: "ann", LastSeen: at}},
		{Node: &chat.NodeNotice{From: 7, Closing: true}},
		{Audience: both, Wake: &chat.Wake{Thread: thread, Seq: 7, ID: chat.EventID{15: 7}}},
	}
}

func testOtherNodes(t *testing.T, n Nodes) {
	a, _ := join(t, n)
	_, first := join(t, n)
	_, second := join(t, n)
	for _, sent := range allKinds() {
		a.Publish(sent)
		for i, e := range []*nodeEar{first, second} {
			if got := e.next(t); !reflect.DeepEqual(got, sent) {
				t.Errorf("node %d got %+v, want %+v", i, got, sent)
			}
		}
	}
}

func testOwnNotices(t *testing.T, n Nodes) {
	a, own := join(t, n)
	b, other := join(t, n)
	a.Publish(eventNotice(1, 1))
	if len(own.notices) != 1 {
		t.Fatalf("%d notices had arrived when Publish returned", len(own.notices))
	}
	own.next(t)
	other.next(t)
	b.Publish(eventNotice(1, 2)) // comes behind an echo of the first, if there is one
	if got := own.next(t); got.Event.Seq != 2 {
		t.Errorf("the node heard event %d again", got.Event.Seq)
	}
}

func testOrderOverNodes(t *testing.T, n Nodes) {
	const each = 300
	var buses []chat.Bus
	var ears []*nodeEar
	for range 3 {
		b, e := join(t, n)
		buses, ears = append(buses, b), append(ears, e)
	}
	for i, b := range buses {
		go func() {
			for seq := range chat.Seq(each) {
				b.Publish(eventNotice(byte(i), seq+1))
			}
		}()
	}
	for i, e := range ears {
		heard := make(map[chat.ThreadID]chat.Seq)
		for range len(buses) * each {
			got := e.next(t).Event
			if got.Seq != heard[got.Thread]+1 {
				t.Fatalf("at node %d event %d of thread %s came after %d", i, got.Seq, got.Thread, heard[got.Thread])
			}
			heard[got.Thread] = got.Seq
		}
	}
}

func testSkipped(t *testing.T, n Nodes) {
	a, _ := join(t, n)
	b := n.Join(t)
	t.Cleanup(func() { _ = b.Close() })
	e := &nodeEar{ear: newEar(), losses: make(chan struct{}, 1), absent: []chat.UserID{"ann", "bob"}}
	b.Subscribe(e)
	a.Publish(eventNotice(1, 1))
	a.Publish(receiptNotice()) // that something was delivered
	last := receiptNotice()
	last.Receipt.Kind, last.Receipt.Senders = chat.Read, nil
	a.Publish(last)
	if got := e.next(t); !reflect.DeepEqual(got, last) {
		t.Errorf("the node got %+v, want nothing but that something was read", got)
	}
	if e.skipped.Load() != 2 {
		t.Errorf("%d notices were skipped, want a message and a receipt", e.skipped.Load())
	}
}

func testLoss(t *testing.T, n Nodes) {
	a, _ := join(t, n)
	_, other := join(t, n)
	a.Publish(eventNotice(1, 1))
	other.next(t)
	n.Cut(t)
	drain(other.losses)
	a.Publish(eventNotice(1, 2))
	n.Mend(t)
	select { // a network may have kept it
	case got := <-other.notices:
		if got.Event.Seq != 2 {
			t.Errorf("event %d came after the first", got.Event.Seq)
		}
	case <-other.losses:
	case <-time.After(lossPatience):
		t.Fatalf("the notice was not heard, and no loss was told within %v", lossPatience)
	}
	awaitCarried(t, a, other, 3)
}

// awaitCarried publishes from one bus until a subscriber of another hears it.
func awaitCarried(t *testing.T, from chat.Bus, to *nodeEar, seq chat.Seq) {
	t.Helper()
	for deadline := time.After(lossPatience); ; seq++ {
		from.Publish(eventNotice(2, seq))
		select {
		case got := <-to.notices:
			if got.Event.Thread == (chat.ThreadID{15: 2}) {
				return
			}
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatalf("nothing was carried within %v", lossPatience)
		}
	}
}

func drain(losses chan struct{}) {
	select {
	case <-losses:
	default:
	}
}

func testCutOff(t *testing.T, n Nodes) {
	a, own := join(t, n)
	n.Cut(t)
	awaitPing(t, a, false)
	for range 2 { // again and again, while it lasts
		drain(own.losses)
		own.awaitLoss(t)
	}
	a.Publish(eventNotice(1, 1))
	if len(own.notices) != 1 {
		t.Error("the node does not hear its own notice")
	}
	n.Mend(t)
}

func testLiveness(t *testing.T, n Nodes) {
	a, _ := join(t, n)
	if err := a.Ping(t.Context()); err != nil {
		t.Fatalf("a bus that has joined: %v", err)
	}
	n.Cut(t)
	awaitPing(t, a, false)
	n.Mend(t)
	awaitPing(t, a, true)
}

func awaitPing(t *testing.T, b chat.Bus, alive bool) {
	t.Helper()
	for deadline := time.Now().Add(lossPatience); ; <-time.After(10 * time.Millisecond) {
		err := b.Ping(t.Context())
		if alive == (err == nil) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Ping gives %v, want an error: %v", err, !alive)
		}
	}
}

func testPublishDuringCut(t *testing.T, n Nodes) {
	a, own := join(t, n)
	_, other := join(t, n)
	n.Cut(t)
	big := eventNotice(1, 1)
	big.Event.Message.Ciphertext = make([]byte, 64<<10)
	own.notices = make(chan chat.Notice, 2000)
	for range 1000 { // far more than any buffer holds
		a.Publish(big)
	}
	n.Mend(t)
	awaitCarried(t, a, other, 2)
}

func testJoin(t *testing.T, n Nodes) {
	a, _ := join(t, n)
	a.Publish(eventNotice(1, 1))
	_, late := join(t, n)
	late.awaitLoss(t)
}

func testTooLarge(t *testing.T, n Nodes) {
	a, _ := join(t, n)
	_, other := join(t, n)
	big := eventNotice(1, 1)
	big.Event.Message.Ciphertext = make([]byte, 4<<20)
	a.Publish(big)
	a.Publish(eventNotice(1, 2))
	got := other.next(t)
	if got.Wake != nil {
		if got.Wake.Thread != big.Event.Thread || got.Wake.Seq != 1 {
			t.Errorf("the wake is %+v", got.Wake)
		}
		got = other.next(t)
	} else {
		other.awaitLoss(t)
	}
	if got.Event == nil || got.Event.Seq != 2 {
		t.Errorf("the next notice is %+v", got)
	}
}

func testClosedNode(t *testing.T, n Nodes) {
	a, _ := join(t, n)
	b, gone := join(t, n)
	c, here := join(t, n)
	if err := b.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	gone.deaf.Store(true)
	b.Publish(eventNotice(1, 1))
	a.Publish(eventNotice(1, 2))
	if got := here.next(t); got.Event.Seq != 2 {
		t.Errorf("event %d of a closed bus was heard", got.Event.Seq)
	}
	if err := c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if n := gone.late.Load(); n > 0 {
		t.Errorf("the handler was called %d times after Close", n)
	}
}
