// Package client talks to a Parley server as docs/contract.md asks of a client: it sends with
// an outbox, receives every event of the user's threads in order and without doubles, and says
// that it has one only after its owner has taken it.
//
//	c, err := client.New(client.Options{
//		URL: "https://chat.example.com", UserID: "alice", DeviceID: "laptop", Token: fetchToken,
//		OnEvent: func(ctx context.Context, event client.Frame) error { … },
//	})
//	go c.Run(ctx) // stays connected until ctx ends
//	thread, err := c.API.CreateThread(ctx, client.OneToOne, []string{"bob"}, "")
//	c.Send(ctx, thread.ID, client.Draft{Ciphertext: []byte("hello")})
//
// That is a sketch: example_test.go beside it, and examples/phone, are whole.
//
// What a client must not lose, it keeps in a Store: messages on their way out, and how far it
// has got in each thread. [OpenFileStore] keeps that in a file, [NewMemoryStore] forgets it with
// the process.
//
// The realtime connection speaks JSON over a WebSocket, or MQTT 5 with the package client/mqtt;
// [API] is the HTTP side, and can be used without a Client. Bodies have the types of the package
// contracts.
//
// To learn how it works, read in this order: client.go (what a client has), reconnect.go (one
// connection after the other), log.go (events in order, each once), outbox.go (messages on their
// way out), store.go with filestore.go, link.go with json.go (what a transport gives), token.go,
// api.go.
package client
