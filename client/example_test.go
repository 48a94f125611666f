package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
)

// fetchToken asks one's own service for a token.
func fetchToken(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://app.example.com/chat-token", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	token, err := io.ReadAll(answer.Body)
	return string(token), err
}

// A client that keeps what it must not lose in a file, and goes on after a restart.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	store, err := client.OpenFileStore("alice.jsonl")
	if err != nil {
		log.Print(err)
		return
	}
	defer store.Close()
	c, err := client.New(client.Options{
		URL: "https://chat.example.com", UserID: "alice", DeviceID: "laptop", Token: fetchToken, Store: store,
		OnEvent: func(_ context.Context, event client.Frame) error {
			if event.Type == client.EventMessage {
				fmt.Printf("%s: %s\n", event.SenderID, event.Ciphertext)
			}
			return nil // taken: it does not come again
		},
	})
	if err != nil {
		log.Print(err)
		return
	}
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		log.Print(err)
	}
}

// Sending needs no connection: what is in the outbox is sent when there is one.
func ExampleClient_Send() {
	ctx := context.Background()
	c, err := client.New(client.Options{URL: "https://chat.example.com", UserID: "alice", DeviceID: "laptop", Token: fetchToken})
	if err != nil {
		log.Fatal(err)
	}
	thread, err := c.API.CreateThread(ctx, client.OneToOne, []string{"bob"}, "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Send(ctx, thread.ID, client.Draft{Ciphertext: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	if err := c.Flush(ctx); err != nil {
		log.Print(err)
	}
	cancel()
	<-done
}

// The same over MQTT 5.
func ExampleOptions_transport() {
	c, err := client.New(client.Options{
		URL: "https://chat.example.com", UserID: "alice", DeviceID: "phone", Token: fetchToken,
		Transport: mqtt.Transport{Address: "mqtts://chat.example.com:8883"},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Print(c.Run(context.Background()))
}

// The HTTP side alone, with what to do about a refusal.
func ExampleAPI() {
	api := client.NewAPI("https://chat.example.com", "job-1", client.StaticToken("…"), nil)
	thread, err := api.Thread(context.Background(), "01970c2e-3c00-7000-8000-000000000001")
	switch {
	case client.IsCode(err, "not_a_participant"):
		fmt.Println("no longer in it")
	case err != nil:
		log.Print(err)
	default:
		fmt.Println(thread.ParticipantCount)
	}
}
