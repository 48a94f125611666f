package chat_test

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/pebble"
)

// heardBy prints what the bus tells one user.
type heardBy chat.UserID

func (h heardBy) HandleNotice(n chat.Notice) {
	if n.Event != nil {
		fmt.Printf("%s is told of event %d: %s by %s\n", h, n.Event.Seq, n.Event.Kind, n.Event.By)
	}
}

func (h heardBy) HandleLoss() {}

// check ends an example that fails.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Alice writes to Bob, tries again as if she had got no answer, and Bob reads the thread.
func ExampleService() {
	store, err := pebble.Open("example", pebble.Options{FS: vfs.NewMem()})
	check(err)
	defer func() { _ = store.Close() }()
	bus := local.New()
	defer func() { _ = bus.Close() }()
	service := chat.New(chat.Config{Store: store, Bus: bus})
	ctx := context.Background()
	defer service.Close(ctx)
	defer bus.Subscribe(heardBy("bob"))()

	rights := []chat.Scope{chat.ScopeRead, chat.ScopeWrite}
	alice := chat.Caller{User: "alice", Device: "phone", Scopes: rights}
	bob := chat.Caller{User: "bob", Device: "laptop", Scopes: rights}

	thread, _, err := service.CreateThread(ctx, alice, chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{"bob"}})
	check(err)
	message := chat.SendRequest{Thread: thread.ID, IdempotencyKey: "a-key-of-the-client", ClientSeq: 1, Ciphertext: []byte("hello")}
	first, err := service.Send(ctx, alice, message)
	check(err)
	second, err := service.Send(ctx, alice, message)
	check(err)
	fmt.Println("the same message:", second.Outcome == chat.Replayed && second.Event.ID == first.Event.ID)

	page, err := service.History(ctx, bob, thread.ID, chat.PageRequest{})
	check(err)
	for _, m := range page.Messages {
		fmt.Printf("%d: %s wrote %q\n", m.Seq, m.By, m.Message.Ciphertext)
	}

	carol := chat.Caller{User: "carol", Device: "phone", Scopes: rights}
	_, err = service.History(ctx, carol, thread.ID, chat.PageRequest{})
	fmt.Println("carol:", chat.CodeOf(err))

	// Output:
	// bob is told of event 1: thread by alice
	// bob is told of event 2: msg by alice
	// bob is told of event 2: msg by alice
	// the same message: true
	// 2: alice wrote "hello"
	// carol: not_a_participant
}

// A participant sees the log from the event it joined with on.
func ExampleParticipant_Sees() {
	bob := chat.Participant{User: "bob", JoinedSeq: 4}
	fmt.Println(bob.Sees(chat.Event{Seq: 3, Kind: chat.KindThread}))
	fmt.Println(bob.Sees(chat.Event{Seq: 5, Kind: chat.KindDelete, Target: chat.Target{Seq: 3}})) // about an older message
	fmt.Println(bob.Sees(chat.Event{Seq: 6, Kind: chat.KindMessage, Message: &chat.Message{}}))
	fmt.Println(bob.Sees(chat.Event{Seq: 7, Kind: chat.KindMessage, Message: &chat.Message{HiddenFrom: "bob"}})) // he blocks the sender
	// Output:
	// false
	// false
	// true
	// false
}
