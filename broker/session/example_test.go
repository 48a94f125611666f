package session_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/pebble"
)

// printer is the connection of a device that prints what it gets. A real one has a
// goroutine that writes to a socket while there is something to send.
type printer struct {
	wakes   chan struct{} // of one place: a wake says only that there is something
	printed *int
}

func (p printer) Wake() {
	select {
	case p.wakes <- struct{}{}:
	default:
	}
}

func (p printer) Close(why session.Reason) { fmt.Println("closed:", why) }

// Room reports that any number of frames fits into a batch.
func (p printer) Room() bool { return true }

// Put implements [session.Batch].
func (p printer) Put(d session.Delivery) bool {
	var frame struct {
		T   string
		Seq uint64
	}
	check(json.Unmarshal(d.Frame.Append(nil, d.FrameSeq), &frame))
	fmt.Printf("frame %d: %s %d\n", d.FrameSeq, frame.T, frame.Seq)
	*p.printed++
	return true
}

// fill has a session print until that many frames were printed.
func (p printer) fill(s *session.Session, frames int) {
	for *p.printed < frames {
		<-p.wakes
		s.Fill(p)
	}
}

// check ends an example that fails.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A device connects, is told of the thread that it is in, acknowledges that, and gets
// the next message live.
func ExampleTransport() {
	store, err := pebble.Open("example", pebble.Options{FS: vfs.NewMem()})
	check(err)
	defer func() { _ = store.Close() }()
	bus := local.New()
	defer func() { _ = bus.Close() }()
	service := chat.New(chat.Config{Store: store, Bus: bus})
	ctx := context.Background()
	defer service.Close(ctx)
	sessions := session.NewRegistry(session.Config{Store: store, Bus: bus, Chat: service})
	defer sessions.Close(ctx)

	rights := []chat.Scope{chat.ScopeRead, chat.ScopeWrite}
	alice := chat.Caller{User: "alice", Device: "phone", Scopes: rights}
	bob := chat.Caller{User: "bob", Device: "laptop", Scopes: rights}
	thread, _, err := service.CreateThread(ctx, alice, chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{"bob"}})
	check(err)

	connection := printer{wakes: make(chan struct{}, 1), printed: new(int)}
	s, err := sessions.Open(session.Params{Caller: bob, Transport: connection, SubscribesAll: true})
	check(err)
	s.Start()
	connection.fill(s, 3)
	s.AckThrough(3)

	_, err = service.Send(ctx, alice, chat.SendRequest{Thread: thread.ID, IdempotencyKey: "a-key", Ciphertext: []byte("hello")})
	check(err)
	connection.fill(s, 4)
	s.End()

	// Output:
	// frame 1: hello 0
	// frame 2: thread 1
	// frame 3: caught_up 0
	// frame 4: msg 2
}
