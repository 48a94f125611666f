// Package bustest is the contract of [chat.Bus] in executable form. Every bus has to pass
// all of it. The tests assume that the bus loses no notice under their light load, although
// the port allows it to.
package bustest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// patience is how long a test waits for a notice.
const patience = 10 * time.Second

// Run runs the suite. Each test gets a bus of its own from open, with nobody
// subscribed; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) chat.Bus) {
	tests := []struct {
		name string
		test func(t *testing.T, b chat.Bus)
	}{
		{"a notice reaches every subscriber as it was published", testReachesAll},
		{"notices of one publisher about one thread arrive in order", testOrder},
		{"publishing to nobody does nothing", testNobody},
		{"after stop the handler is not called again", testStop},
		{"stop ends one subscription only", testStopOne},
		{"stop may be called twice and after Close", testStopTwice},
		{"Close ends all subscriptions", testClose},
		{"Ping fails after Close and for an ended context", testPing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t)
			t.Cleanup(func() { _ = b.Close() })
			tt.test(t, b)
		})
	}
}

// ear is a handler whose notices a test can wait for.
type ear struct {
	notices chan chat.Notice
	deaf    atomic.Bool  // set by the test when the handler must not be called any more
	late    atomic.Int64 // calls after that
}

func newEar() *ear { return &ear{notices: make(chan chat.Notice, 10_000)} }

func (e *ear) HandleNotice(n chat.Notice) {
	if e.deaf.Load() {
		e.late.Add(1)
	}
	e.notices <- n
}

func (e *ear) HandleLoss() {}

func (e *ear) next(t *testing.T) chat.Notice {
	t.Helper()
	select {
	case n := <-e.notices:
		return n
	case <-time.After(patience):
		t.Fatalf("no notice arrived within %v", patience)
		return chat.Notice{}
	}
}

// eventNotice is a notice of event number seq of the numbered thread.
func eventNotice(thread byte, seq chat.Seq) chat.Notice {
	return chat.Notice{
		Audience: []chat.UserID{"ann", "bob"},
		Event: &chat.Event{
			Thread: chat.ThreadID{15: thread}, Seq: seq, ID: chat.EventID{15: byte(seq)},
			Kind: chat.KindMessage, By: "ann", Device: "phone",
			Message: &chat.Message{Ciphertext: []byte("sealed"), ContentType: chat.Text, ClientSeq: 7, IdempotencyKey: "k"},
		},
	}
}

func receiptNotice() chat.Notice {
	return chat.Notice{
		Audience: []chat.UserID{"ann", "bob"},
		Receipt: &chat.Receipt{
			Mark: chat.Mark{
				Thread: chat.ThreadID{15: 1}, User: "bob", Kind: chat.Delivered, Seq: 3,
				Message: chat.MessageID{15: 3}, At: time.UnixMilli(1_780_000_000_123).UTC(),
			},
			Device:  "tablet",
			Senders: []chat.SenderMark{{User: "ann", Message: chat.MessageID{15: 2}}},
		},
	}
}

func testReachesAll(t *testing.T, b chat.Bus) {
	ears := []*ear{newEar(), newEar(), newEar()}
	for _, e := range ears {
		defer b.Subscribe(e)()
	}
	for _, sent := range []chat.Notice{eventNotice(1, 1), receiptNotice()} {
		b.Publish(sent)
		for i, e := range ears {
			if got := e.next(t); !reflect.DeepEqual(got, sent) {
				t.Errorf("subscriber %d got %+v, want %+v", i, got, sent)
			}
		}
	}
}

func testOrder(t *testing.T, b chat.Bus) {
	const publishers, each = 8, 100
	e := newEar()
	defer b.Subscribe(e)()
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for seq := range chat.Seq(each) {
				b.Publish(eventNotice(byte(p), seq+1))
			}
		})
	}
	wg.Wait()
	heard := make(map[chat.ThreadID]chat.Seq)
	for range publishers * each {
		n := e.next(t).Event
		if n.Seq != heard[n.Thread]+1 {
			t.Fatalf("event %d of thread %s came after %d", n.Seq, n.Thread, heard[n.Thread])
		}
		heard[n.Thread] = n.Seq
	}
}

func testNobody(_ *testing.T, b chat.Bus) {
	for seq := range chat.Seq(100) {
		b.Publish(eventNotice(1, seq))
	}
}

// witness is a handler that waits for a notice about one thread.
type witness struct {
	of   chat.ThreadID
	seen chan struct{}
}

func (w *witness) HandleNotice(n chat.Notice) {
	if n.Event.Thread == w.of {
		close(w.seen)
	}
}

func (w *witness) HandleLoss() {}

// A subscriber stops while several publishers publish without a pause, and each of these
// publishes some more after that. Then one more notice is published: when another
// subscriber gets it, the bus has delivered all notices before it.
func testStop(t *testing.T, b chat.Bus) {
	const publishers, more = 4, 200
	stopping := &ear{notices: make(chan chat.Notice, 1)}
	stop := b.Subscribe(overflowing{stopping})
	last := &witness{of: chat.ThreadID{15: publishers}, seen: make(chan struct{})}
	defer b.Subscribe(last)()

	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for seq, left := chat.Seq(1), more; left > 0; seq++ {
				if stopping.deaf.Load() {
					left--
				}
				b.Publish(eventNotice(byte(p), seq))
			}
		})
	}
	stopping.next(t)
	stop()
	stopping.deaf.Store(true)
	wg.Wait()
	b.Publish(eventNotice(publishers, 1))
	select {
	case <-last.seen:
	case <-time.After(patience):
		t.Fatalf("the last notice did not arrive within %v", patience)
	}
	if n := stopping.late.Load(); n > 0 {
		t.Errorf("the handler was called %d times after stop had returned", n)
	}
}

// overflowing keeps the notices that its ear has room for, and drops the others.
type overflowing struct{ *ear }

func (o overflowing) HandleNotice(n chat.Notice) {
	if o.deaf.Load() {
		o.late.Add(1)
	}
	select {
	case o.notices <- n:
	default:
	}
}

func testStopOne(t *testing.T, b chat.Bus) {
	gone, here := newEar(), newEar()
	stop := b.Subscribe(gone)
	defer b.Subscribe(here)()
	stop()
	b.Publish(eventNotice(1, 1))
	here.next(t)
	if len(gone.notices) > 0 {
		t.Error("the stopped subscriber got the notice")
	}
}

func testStopTwice(t *testing.T, b chat.Bus) {
	stop := b.Subscribe(newEar())
	stop()
	stop()
	other := b.Subscribe(newEar())
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	other()
}

func testClose(t *testing.T, b chat.Bus) {
	e := newEar()
	b.Subscribe(e)
	b.Publish(eventNotice(1, 1))
	e.next(t)
	if err := b.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	e.deaf.Store(true)
	b.Publish(eventNotice(1, 2))
	b.Subscribe(e)
	b.Publish(eventNotice(1, 3))
	if n := e.late.Load(); n > 0 {
		t.Errorf("the handler was called %d times after Close", n)
	}
}

func testPing(t *testing.T, b chat.Bus) {
	if err := b.Ping(t.Context()); err != nil {
		t.Errorf("an open bus: %v", err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the test ended it"))
	if err := b.Ping(ended); err == nil {
		t.Error("Ping with an ended context returns no error")
	}
	if err := b.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := b.Ping(t.Context()); err == nil {
		t.Error("Ping of a closed bus returns no error")
	}
}
